"""A bind that can't be made read-only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from diskcsi.host.linux import mounts
from diskcsi.host.linux.mounts import LinuxMounts
from diskcsi.host.linux.run import Done, run
from diskcsi.model.errors import Pending, WrongState
from tests.host.loops import Machine

pytestmark = pytest.mark.host


class Tools:
    """The machine's own tools, but for the calls that hold one of these words."""

    def __init__(self, failing: dict[str, Exception | None]) -> None:
        self.failing = failing

    async def run(self, command: Sequence[str]) -> Done:
        for word, error in self.failing.items():
            if word in command:
                if error is not None:
                    raise error
                return Done(tool=command[0], code=32, output="", errors=f"no {word}")
        return await run(command)


def _places(node: Machine) -> tuple[Path, Path]:
    source, target = node.directory / "source", node.directory / "target"
    source.mkdir()
    target.mkdir()
    return source, target


@pytest.mark.parametrize(
    "how", [None, TimeoutError("no end in 60 s")], ids=["it-fails", "it-hangs"]
)
async def test_a_bind_that_can_not_be_made_read_only_is_undone(
    node: Machine, monkeypatch: pytest.MonkeyPatch, how: Exception | None
) -> None:
    """A writable mount would be taken for another publishing for ever."""
    source, target = _places(node)
    monkeypatch.setattr(mounts, "run", Tools({"remount,bind,ro": how}).run)
    with pytest.raises((WrongState, TimeoutError)):
        await LinuxMounts().bind(str(source), str(target), read_only=True)
    assert node.mounts() == []


async def test_a_writable_bind_that_stays_is_not_told_as_final(
    node: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller has to undo it, and hears both reasons."""
    source, target = _places(node)
    monkeypatch.setattr(mounts, "run", Tools({"remount,bind,ro": None, "umount": None}).run)
    with pytest.raises(Pending, match=r"no remount,bind,ro.*stays mounted, writable.*no umount"):
        await LinuxMounts().bind(str(source), str(target), read_only=True)
    assert node.mounts() == [str(target)]
