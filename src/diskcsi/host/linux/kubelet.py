"""What kubelet keeps in its directory of each volume that it has staged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from diskcsi.model.ids import VolumeId

PLACES: Final = (
    "{driver}/*/vol_data.json",  # filesystems
    "pv/*/vol_data.json",  # filesystems, staged before Kubernetes 1.24
    "volumeDevices/*/data/vol_data.json",  # raw devices
)
"""Below `plugins/kubernetes.io/csi`; a file stays from staging to unstaging (kubelet's pkg/volume/csi)."""


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
        """A record that can't be read counts as none."""
        return await asyncio.to_thread(lambda: frozenset(self._staged()))

    def _staged(self) -> Iterator[VolumeId]:
        for place in PLACES:
            for record in self._directory.glob(place.format(driver=self._driver)):
                try:
                    told = json.loads(record.read_text())
                    driver, volume_id = told["driverName"], str(told["volumeHandle"])
                except (OSError, ValueError, KeyError, TypeError):
                    continue
                if driver == self._driver:
                    yield VolumeId(volume_id)
