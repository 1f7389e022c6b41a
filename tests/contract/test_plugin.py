from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MODULE = '''
import pytest

from diskcsi.spi import Capability, NodeId, VolumeId
from diskcsi.testing.contract import CloudProviderContract, World
from diskcsi.testing.memory import MEMORY_RULES, MemoryCloud


class Forgetful(MemoryCloud):
    """A provider that breaks one promise."""

    async def find_disks(self, name):
        return []


class TestMine(CloudProviderContract):
    @pytest.fixture
    def cloud(self):
        return Forgetful(capabilities=frozenset({Capability.EXPAND}))

    @pytest.fixture
    def world(self):
        return World(
            node=NodeId("node-1"),
            other_node=NodeId("node-2"),
            zone="zone-a",
            parameters=MEMORY_RULES.volume_parameters({}),
            absent_volume=VolumeId("disk-9999"),
            absent_node=NodeId("node-9999"),
            disposable=True,
            timeout_s=0.2,
            poll_s=0.01,
        )
'''


def run(tmp_path: Path, *arguments: str) -> str:
    """What pytest prints for a provider's own test module, far from this project's settings."""
    (tmp_path / "test_mine.py").write_text(MODULE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers"]
    ended = subprocess.run(
        [*command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    return ended.stdout


def test_tests_of_missing_capabilities_and_faults_are_skipped_with_their_reasons(
    tmp_path: Path,
) -> None:
    """The author sees what is not proved, and why."""
    told = run(tmp_path, "-rs", "-k", "snapshot or lost_reply or shared or another_zone")
    assert [
        reason
        for reason in (
            "this provider has no snapshots",
            "this provider has no multi-attach",
            "this world can't cause faults",
            "this world has no node in another zone",
        )
        if reason not in told
    ] == []


def test_a_broken_promise_is_told_by_what_was_seen(tmp_path: Path) -> None:
    """Assertions in the shipped suite explain themselves."""
    told = run(tmp_path, "-k", "found_or_made_by_its_repeat")
    assert "assert [] == ['disk-" in told


def test_what_keeps_its_promises_passes(tmp_path: Path) -> None:
    """The suite doesn't fail for the sake of failing."""
    told = run(tmp_path, "-k", "test_a_disk_moves_to_another_node or test_a_disk_grows")
    assert "2 passed" in told


@pytest.mark.parametrize("module", ["asyncio", "aiohttp", "diskcsi.spi", "diskcsi.model.volume"])
def test_the_plug_in_imports_nothing_heavy(module: str) -> None:
    """It is loaded into every test run of an environment."""
    probe = (
        "import sys, pytest; before = set(sys.modules); import diskcsi.testing.plugin;"
        f"print({module!r} in set(sys.modules) - before)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "False\n"
