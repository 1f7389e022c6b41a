"""Runs the contract suite against an installed provider, in this process."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from diskcsi.conformance.report import Result, Subject
from diskcsi.model.capabilities import Capability
from diskcsi.model.errors import MAYBE_RUNNING, NotFound
from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.model.volume import DiskSpec
from diskcsi.ports.cloud import CloudCall, CloudProvider

if TYPE_CHECKING:
    from diskcsi.testing.contract import World

MODULE = Path(__file__).with_name("promises.py")
PATIENCE_S = 120.0
"""How long anything may take to become true on a real cloud."""

POLL_S = 0.2


@dataclass(slots=True)
class _Fixtures:
    """What the contract asks the author of a provider for."""

    subject: Subject
    absent: VolumeId
    result: Result

    @pytest.fixture
    async def cloud(self) -> AsyncIterator[CloudProvider]:
        """The provider, opened as the controller opens it."""
        provider = self.subject.provider
        async with provider.open_cloud(self.subject.settings, _unheard) as cloud:
            yield cloud

    @pytest.fixture
    def world(self) -> World:
        """As the command line tells it."""
        from diskcsi.testing.contract import World  # late: pytest has to see its asserts first

        subject, rules = self.subject, self.subject.provider.rules(self.subject.settings)
        return World(
            node=NodeId(subject.node),
            other_node=NodeId(subject.other_node),
            zone=subject.zone,
            parameters=rules.volume_parameters(subject.parameters),
            snapshot_parameters=rules.snapshot_parameters({}),
            absent_volume=self.absent,
            absent_node=NodeId(f"{subject.node}0"),
            absent_snapshot=SnapshotId(subject.absent_snapshot)
            if subject.absent_snapshot
            else None,
            size_gib=subject.size_gib,
            larger_gib=subject.larger_gib,
            attach_before_snapshot=subject.attach_before_snapshot,
            timeout_s=PATIENCE_S,
            poll_s=POLL_S,
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count."""
        if report.failed:
            self.result.broken.append(f"{report.nodeid.rpartition('::')[2]} ({report.when})")
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "no reason"
            self.result.skipped[str(reason).removeprefix("Skipped: ")] += 1
        elif report.when == "call":
            self.result.passed += 1


def run(subject: Subject) -> Result:
    """Every promise of the contract.

    Raises:
        DiskError: not even one disk can be made and deleted; the message is the provider's.
    """
    result = Result(part="provider contract")
    begun_s = time.monotonic()
    absent = asyncio.run(_made_and_deleted(subject))
    arguments = [
        str(MODULE), f"--config-file={os.devnull}", f"--rootdir={subject.directory}", "-q",
        "-p", "no:cacheprovider", "-p", "no:randomly", "-o", "asyncio_mode=auto",
        "-o", "asyncio_default_fixture_loop_scope=function",
        "-W", "ignore::pytest.PytestAssertRewriteWarning",  # of this package's other modules
    ]  # fmt: skip
    code = pytest.main(arguments, plugins=[_Fixtures(subject, absent, result)])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        result.reason = f"pytest ended with {code!r}"
    result.seconds = time.monotonic() - begun_s
    return result


async def _made_and_deleted(subject: Subject) -> VolumeId:
    """The well-formed id of nothing: a disk of this name was there and is gone."""
    rules = subject.provider.rules(subject.settings)
    parameters = rules.volume_parameters(subject.parameters)
    spec = DiskSpec(
        name=f"conformance-{uuid4()}",
        size_gib=subject.size_gib,
        kind=parameters.kinds[0],
        parameters=parameters,
        zone=subject.zone,
    )
    async with (
        subject.provider.open_cloud(subject.settings, _unheard) as cloud,
        asyncio.timeout(PATIENCE_S),
    ):
        volume_id = await cloud.create_disk(spec)
        while await cloud.get_disks([volume_id]):
            with suppress(NotFound, *MAYBE_RUNNING):
                await cloud.delete_disk(volume_id)
            await asyncio.sleep(POLL_S)
    return volume_id


async def capabilities(subject: Subject) -> frozenset[Capability]:
    """What the provider says it can do."""
    async with subject.provider.open_cloud(subject.settings, _unheard) as cloud:
        return cloud.capabilities


def _unheard(call: CloudCall) -> None:
    """Nobody counts here."""
