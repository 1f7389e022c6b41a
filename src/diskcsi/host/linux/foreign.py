"""The note of disks that are no volumes, in a file that outlives the process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from diskcsi.host.linux.durable import write
from diskcsi.model.errors import WrongState
from diskcsi.model.ids import NodeId
from diskcsi.ports.host import ForeignNote


class LinuxForeignNotes:
    """Implements `diskcsi.ports.host.ForeignNotes`."""

    def __init__(self, *, path: Path) -> None:
        self._path = path

    async def keep(self, note: ForeignNote) -> None:
        """In the order of the serials, for who reads it."""
        text = json.dumps({"node_id": note.node_id, "serials": sorted(note.serials)})
        try:
            await asyncio.to_thread(write, self._path, text)
        except OSError as error:
            raise WrongState(f"{self._path} can't be written: {error.strerror}") from error

    async def recall(self) -> ForeignNote | None:
        """What can't be read tells nothing."""
        try:
            told = json.loads(await asyncio.to_thread(self._path.read_text))
            node_id, serials = str(told["node_id"]), frozenset(map(str, told["serials"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return ForeignNote(node_id=NodeId(node_id), serials=serials)
