"""The note of disks that are no volumes, in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from diskcsi.host.linux.foreign import LinuxForeignNotes
from diskcsi.model.errors import WrongState
from diskcsi.model.ids import NodeId
from diskcsi.ports.host import ForeignNote

NOTE = ForeignNote(node_id=NodeId("i-1"), serials=frozenset({"system", "data"}))


async def test_what_is_kept_is_recalled_by_a_successor(tmp_path: Path) -> None:
    """The last note alone, and no other file is left."""
    path = tmp_path / "plugin" / "note.json"
    await LinuxForeignNotes(path=path).keep(ForeignNote(node_id=NodeId("i-0"), serials=frozenset()))
    await LinuxForeignNotes(path=path).keep(NOTE)
    assert await LinuxForeignNotes(path=path).recall() == NOTE
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"node_id": "i-1"}', '{"serials": 1}'])
async def test_what_can_not_be_read_is_no_note(tmp_path: Path, text: str | None) -> None:
    """Absent, or whatever a crash or a person left of it."""
    path = tmp_path / "note.json"
    if text is not None:
        path.write_text(text)
    assert await LinuxForeignNotes(path=path).recall() is None


async def test_a_note_that_can_not_be_written_is_told_with_its_place(tmp_path: Path) -> None:
    """A file stands where its directory belongs."""
    (tmp_path / "plugin").write_text("")
    path = tmp_path / "plugin" / "note.json"
    with pytest.raises(WrongState, match=r"note\.json can't be written: "):
        await LinuxForeignNotes(path=path).keep(NOTE)
