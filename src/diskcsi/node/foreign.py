"""Which of a machine's disks are no volumes.

A volume that is attached and not staged yet, or unstaged and not detached yet, looks like a disk of
other hands: kubelet has written nothing down of it. Nothing is staged while the plug-in is replaced,
so just when kubelet asks how many volumes the node takes, many may be on their way. The scheduler
counts those as volumes already; counted off here too each would take two places, and a kubelet that
asks once only would keep that.

So a disk is foreign once it has looked so for minutes, and what was found is written down: a successor
has to answer at once. Where nothing is written down the driver has not run before and no volume can be
on its way, so each disk is what it looks like. What is wrongly counted off then, after another driver
of this name, is put right with the next look.

A volume whose staging is refused, since its disk is not proved blank, may stay so for days: kubelet throws
its record away after each refusal. By the question to stage it is known as a volume.
"""

from __future__ import annotations

import asyncio
from typing import Final

from diskcsi.model.errors import WrongState
from diskcsi.model.ids import NodeId
from diskcsi.ports.host import ForeignNote, ForeignNotes
from diskcsi.telemetry.logging import logger

SETTLED_S: Final = 300.0
"""How long a disk has to look foreign. Kubelet waits up to two minutes between two attempts to stage, and
a node that is drained detaches one disk after the other. For so long the limit is too high by a disk
that was attached by hand just now, and the cloud refuses one attach too many; one that is too low would
send pods to other nodes, or to none, while this one has room."""


class ForeignDisks:
    """Tells them apart, look by look; the looks' pace is the callers'."""

    def __init__(self, *, notes: ForeignNotes) -> None:
        self._notes = notes
        self._one_look = asyncio.Lock()
        self._former: ForeignNote | None = None
        self._since_s: dict[str, float] = {}
        self._asked_for: set[str] = set()

    def is_volume(self, serial: str) -> None:
        """The disk of this serial is to be staged: it is no foreign one until it is detached."""
        self._asked_for.add(serial)

    async def noted(self, node_id: NodeId) -> int:
        """How many there were by the last look, when nobody tells now what is attached."""
        async with self._one_look:
            former = self._former or await self._notes.recall()
        return len(former.serials) if former and former.node_id == node_id else 0

    async def among(self, unknown: frozenset[str], *, node_id: NodeId) -> frozenset[str]:
        """Those that are foreign.

        Args:
            unknown: serials of every disk that is attached and no volume as far as can be seen.
        """
        async with self._one_look:
            former = self._former or await self._notes.recall()
            # an image made of a machine's system disk has that machine's note
            settled = unknown if former is None or former.node_id != node_id else former.serials
            self._asked_for &= unknown  # a staged one is known by its mount from now on
            unknown -= self._asked_for
            now_s = asyncio.get_running_loop().time()
            self._since_s = {serial: self._since_s.get(serial, now_s) for serial in unknown}
            found = frozenset(
                serial
                for serial, since_s in self._since_s.items()
                if serial in settled or now_s - since_s >= SETTLED_S
            )
            self._former = ForeignNote(node_id=node_id, serials=found)
            if self._former != former:
                await self._keep(self._former)
            return found

    async def _keep(self, note: ForeignNote) -> None:
        try:
            await self._notes.keep(note)
        except WrongState as error:  # the answer is true all the same
            logger().warning("which disks are no volumes can't be written down", error=str(error))
