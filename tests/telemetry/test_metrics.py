"""The numbers of one process."""

from __future__ import annotations

import pytest

from diskcsi.telemetry.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_a_call_counts_as_running_until_it_ends(metrics: Metrics) -> None:
    """A stuck call is seen by its method."""
    metrics.rpc_began("CreateVolume")
    metrics.rpc_began("CreateVolume")
    metrics.rpc_ended("CreateVolume", code="OK", duration_s=1.0)
    assert b'diskcsi_rpcs_running{method="CreateVolume"} 1.0' in metrics.render()


def test_calls_to_the_cloud_are_told_by_action_and_code(metrics: Metrics) -> None:
    """Throttling is seen before it hurts."""
    metrics.cloud_called("AttachDisk", code="Throttling", duration_s=0.3)
    labels = b'{action="AttachDisk",code="Throttling"}'
    assert b"diskcsi_cloud_call_seconds_count" + labels + b" 1.0" in metrics.render()


def test_a_gauge_is_read_when_asked(metrics: Metrics) -> None:
    """Not when it was made."""
    running = [1.0]
    metrics.gauge("diskcsi_things", "Things.", lambda: running[0])
    running[0] = 7.0
    assert b"diskcsi_things 7.0" in metrics.render()


def test_a_counter_grows_with_each_call(metrics: Metrics) -> None:
    """What raises it knows nothing of metrics."""
    refused = metrics.counter("diskcsi_refusals", "Refusals.")
    refused()
    refused()
    assert b"diskcsi_refusals_total 2.0" in metrics.render()


def test_two_processes_worth_of_numbers_stay_apart(metrics: Metrics) -> None:
    """There is no registry of the module that both would share."""
    metrics.cloud_called("AttachDisk", code="OK", duration_s=0.3)
    assert b"AttachDisk" not in Metrics().render()
