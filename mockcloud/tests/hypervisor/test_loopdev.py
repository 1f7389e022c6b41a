"""A loop device that can't be looked at: nothing is concluded from that."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from mockcloud.hypervisor import loopdev
from mockcloud.hypervisor.loopdev import HeldLoop, LoopDevices, LoopFile, file_behind, numbers_named

NAME = "bp1.img"


def let_have(blocks: Path, number: int, name: str) -> None:
    """Let the kernel show a device over a file."""
    shown = blocks / f"loop{number}" / "loop"
    shown.mkdir(parents=True)
    (shown / "backing_file").write_text(f"/disks/{name}\n")


@pytest.fixture
def blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for the kernel's list."""
    monkeypatch.setattr(loopdev, "BLOCKS", tmp_path)
    return tmp_path


def test_a_failed_question_is_no_answer() -> None:
    """A file that is no device at all can't tell what is behind it."""
    reading, writing = os.pipe()
    with pytest.raises(OSError, match=os.strerror(errno.ENOTTY)):
        file_behind(reading)
    os.close(reading)
    os.close(writing)


def test_a_device_that_cant_be_asked_may_be_over_its_file_still(blocks: Path) -> None:
    """Or its disk would be called free, and go to another machine."""
    let_have(blocks, 3, NAME)
    reading, writing = os.pipe()
    held = HeldLoop(number=3, file=LoopFile(device=1, inode=1), descriptor=reading)
    assert LoopDevices(nodes=blocks).backs(held)
    os.close(reading)
    os.close(writing)


def test_one_that_cant_be_looked_at_hides_no_other(blocks: Path) -> None:
    """It may be a stranger's; that it may be ours is told at the end."""
    (blocks / "loop1" / "loop" / "backing_file").mkdir(parents=True)
    let_have(blocks, 2, NAME)
    found = []
    with pytest.raises(IsADirectoryError):
        for number in numbers_named(NAME):
            found.append(number)  # noqa: PERF402 - it raises at the end
    assert found == [2]
