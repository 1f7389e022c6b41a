"""Disks and snapshots as files: an image, and beside it a record that says what it is.

The record is written last, as a whole, and goes first: an image without one is no disk, and the
next order of its name begins it anew. An id is made of the name, so equal orders find one disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from diskcsi.providers.local.copying import copy
from diskcsi.spi import Unreachable

GIB: Final = 1024**3

ID: Final = re.compile(r"[ls]-[0-9a-f]{20}")
"""`l-` for disks, `s-` for snapshots; what follows is the serial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is told of one image.

    Attributes:
        source: the snapshot that a disk was restored from, or the disk that a snapshot is of.
        made_at: of a snapshot: when, in ISO 8601.
    """

    id: str
    name: str
    size_gib: int
    source: str = ""
    made_at: str = ""

    @property
    def serial(self) -> str:
        """What the device on a node says of itself."""
        return self.id[2:]


def _flush(path: Path) -> None:
    """Have a file, or a directory's entries, on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Shelf:
    """The images of one kind in one directory.

    Args:
        letter: the first of their ids.
    """

    def __init__(self, directory: Path, letter: str) -> None:
        self._directory = directory
        self._letter = letter

    def id_of(self, name: str) -> str:
        """The id that belongs to a name."""
        digest = hashlib.sha256(f"{self._letter}:{name}".encode()).hexdigest()
        return f"{self._letter}-{digest[:20]}"

    def image(self, id_: str) -> Path:
        """The file of this id; the id is well-formed. Its name is what nodes compare."""
        return self._directory / f"{id_[2:]}.img"

    def get(self, id_: str) -> Record | None:
        """What is told of this id, None when there is none.

        Raises:
            Unreachable: there is a record, and it makes no sense.
        """
        if not ID.fullmatch(id_) or id_[0] != self._letter:
            return None
        path = self._record(id_)
        try:
            told: dict[str, Any] = json.loads(path.read_text())
            return Record(**told)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise Unreachable(
                f"{path} is no record of a disk or snapshot: {error}",
                hint="another hand wrote it: mend it, or move it away with its image",
            ) from error

    def every(self) -> Iterator[Record]:
        """All of them, by id."""
        for path in sorted(self._directory.glob("*.json")):
            if (record := self.get(f"{self._letter}-{path.stem}")) is not None:
                yield record

    def make(self, record: Record, content: Path | None) -> None:
        """A new image, empty or with the content of another, and then its record."""
        self._directory.mkdir(parents=True, exist_ok=True)
        image = self.image(record.id)
        image.unlink(missing_ok=True)  # what an order left that was cut short
        try:
            if content is None:
                image.touch(mode=0o600)
            else:
                copy(content, image)
            os.truncate(image, record.size_gib * GIB)
            _flush(image)  # a record must never outlive a power cut that its image doesn't
            self.tell(record)
        except OSError:
            self.drop(record.id)  # it may have filled the filesystem, and even have its record
            raise

    def tell(self, record: Record) -> None:
        """Write a record as a whole, so that no reader sees half of it."""
        path = self._record(record.id)
        fresh = path.with_suffix(".new")
        with fresh.open("w") as file:
            json.dump(asdict(record), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        _flush(self._directory)

    def drop(self, id_: str) -> None:
        """Remove record and image."""
        self._record(id_).unlink(missing_ok=True)
        self.image(id_).unlink(missing_ok=True)

    def _record(self, id_: str) -> Path:
        return self._directory / f"{id_[2:]}.json"
