"""Notes of formats that run, one small file each, below a directory that outlives the process."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from diskcsi.host.linux.durable import write
from diskcsi.model.errors import WrongState
from diskcsi.model.ids import VolumeId
from diskcsi.ports.host import FormatMark


class LinuxMarks:
    """Implements `diskcsi.ports.host.FormatMarks`; the directory is made when it is needed."""

    def __init__(self, *, directory: Path) -> None:
        self._directory = directory

    async def put(self, volume_id: VolumeId, mark: FormatMark) -> None:
        """Half a note is none."""
        try:
            await asyncio.to_thread(write, self._path(volume_id), json.dumps(asdict(mark)))
        except OSError as error:
            raise WrongState(
                f"no note can be kept in {self._directory}: {error.strerror}"
            ) from error

    async def get(self, volume_id: VolumeId) -> FormatMark | None:
        """What can't be read proves nothing."""
        try:
            text = await asyncio.to_thread(self._path(volume_id).read_text)
            return FormatMark(**json.loads(text))
        except (OSError, ValueError, TypeError):
            return None

    async def forget(self, volume_id: VolumeId) -> None:
        """A note that stayed would be believed later."""
        path = self._path(volume_id)
        try:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        except OSError as error:
            raise WrongState(f"note {path} can't be removed: {error.strerror}") from error

    def _path(self, volume_id: VolumeId) -> Path:
        """An id may be longer than a file's name, and hold what a name can't."""
        return self._directory / f"{hashlib.sha256(volume_id.encode()).hexdigest()}.json"
