"""What kubelet keeps in its directory of each volume that it has staged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from diskcsi.model.errors import WrongState
from diskcsi.model.ids import VolumeId

PLACES: Final = (
    ("{driver}", "vol_data.json"),  # filesystems
    ("pv", "vol_data.json"),  # filesystems, staged before Kubernetes 1.24
    ("volumeDevices", "data/vol_data.json"),  # raw devices
)
"""Below `plugins/kubernetes.io/csi` a directory with one for each volume, and the record in that; it
stays from staging to unstaging (kubelet's pkg/volume/csi)."""

ABSENT: Final = (FileNotFoundError, NotADirectoryError)


class LinuxKubeletRecords:
    """Implements `diskcsi.ports.host.KubeletRecords`.

    Args:
        root: kubelet's directory.
        driver: the CSI driver's name; records of others are left out.
    """

    def __init__(self, *, root: Path, driver: str) -> None:
        self._directory = root / "plugins" / "kubernetes.io" / "csi"
        self._driver = driver

    async def staged(self) -> Collection[VolumeId]:
        """A record that a crash has torn counts as none: kubelet stages its volume again."""
        try:
            return await asyncio.to_thread(lambda: frozenset(self._staged()))
        except OSError as error:
            raise WrongState(f"kubelet's record of a volume can't be read: {error}") from error

    def _staged(self) -> Iterator[VolumeId]:
        for record in self._records():
            try:
                told = json.loads(record.read_text())
                driver, volume_id = told["driverName"], str(told["volumeHandle"])
            except (*ABSENT, ValueError, KeyError, TypeError):
                continue
            if driver == self._driver:
                yield VolumeId(volume_id)

    def _records(self) -> Iterator[Path]:
        """Where one may be; a glob would pass over a directory that can't be read."""
        for directory, record in PLACES:
            try:
                volumes = [*(self._directory / directory.format(driver=self._driver)).iterdir()]
            except ABSENT:
                continue
            yield from (volume / record for volume in volumes)
