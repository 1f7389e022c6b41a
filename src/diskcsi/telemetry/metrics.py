"""The numbers of one process, in a registry of its own.

The first two names are those that existing dashboards for CSI drivers of this kind read; the first
gets the ending `_total` on its way out, which those dashboards have to add.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

RPC_BUCKETS_S = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 150, 300)
"""From a repeat answered from a read to a flight's whole budget; 15 is the sidecars' timeout."""

CALL_BUCKETS_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
"""A call to a cloud takes tens of milliseconds; ten seconds is past every sensible timeout."""


class Metrics:
    """Counts calls of both sides: RPCs that were asked of us, and calls we asked of the cloud."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # memory, open files, processor time
        self._rpcs = Counter(
            "csi_grpc_execution_count", "CSI calls that ended.",
            ("method", "type", "code"), registry=self._registry,
        )  # fmt: skip
        self._rpc_time = Counter(
            "csi_grpc_execution_time_total", "Seconds spent in CSI calls that ended.",
            ("method", "type", "code"), registry=self._registry,
        )  # fmt: skip
        self._rpc_seconds = Histogram(
            "diskcsi_rpc_seconds", "Duration of CSI calls.",
            ("method",), buckets=RPC_BUCKETS_S, registry=self._registry,
        )  # fmt: skip
        self._running = Gauge(
            "diskcsi_rpcs_running", "CSI calls that run now.", ("method",), registry=self._registry
        )
        self._cloud_seconds = Histogram(
            "diskcsi_cloud_call_seconds", "Duration of calls to the cloud, by action and its code.",
            ("action", "code"), buckets=CALL_BUCKETS_S, registry=self._registry,
        )  # fmt: skip

    def rpc_began(self, method: str) -> None:
        """One CSI call came in."""
        self._running.labels(method).inc()

    def rpc_ended(self, method: str, *, code: str, duration_s: float) -> None:
        """One CSI call got its status."""
        self._running.labels(method).dec()
        kind = "NodeOperation" if method.startswith("Node") else "ControllerOperation"
        self._rpcs.labels(method, kind, code).inc()
        self._rpc_time.labels(method, kind, code).inc(duration_s)
        self._rpc_seconds.labels(method).observe(duration_s)

    def cloud_called(self, action: str, *, code: str, duration_s: float) -> None:
        """One call to the cloud ended, with the cloud's own code or `OK`."""
        self._cloud_seconds.labels(action, code).observe(duration_s)

    def gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """A number that is read whenever somebody asks for the metrics."""
        Gauge(name, help_text, registry=self._registry).set_function(read)

    def counter(self, name: str, help_text: str) -> Callable[[], None]:
        """A number that only grows; what is returned raises it by one."""
        return Counter(name, help_text, registry=self._registry).inc

    def render(self) -> bytes:
        """Every number in Prometheus' text format."""
        return generate_latest(self._registry)
