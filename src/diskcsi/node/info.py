"""NodeGetInfo: who and where this node is, and how many volumes it takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from diskcsi.model.errors import WrongState
from diskcsi.model.ids import NodeId, VolumeId
from diskcsi.model.topology import Segments
from diskcsi.node.foreign import ForeignDisks
from diskcsi.node.paths import is_staging
from diskcsi.node.requests import Info
from diskcsi.ports.host import BlockDevices, KubeletRecords, Mounts
from diskcsi.ports.node_facts import NodeFacts, NodeFactsSource
from diskcsi.telemetry.logging import logger

STAYS_HINT: Final = (
    "its topology stays as registered until kubelet asks anew, as when this pod is started again, and"
    " kubelet refuses it then while the Node has the former labels: take them away (kubectl label"
    " node NAME KEY-) and restart this pod, or correct what tells the place"
)

UNREAD_HINT: Final = (
    "this node stays registered as it is, and takes as many volumes as before; see why the driver may"
    " not read below kubelet's directory: its disk, or how it is mounted into this container"
)


class NodeInformer:
    """Tells of this node.

    Attributes:
        answered: the id that kubelet was told last; None while it has not asked.

    Args:
        serial: the serial of a disk by its volume's id and no context.
        max_volumes: the operator's own word; 0 leaves it to the machine's type.
        volume_limit: how many disks a machine type takes, its system disk among them; None when
            unknown.
        volume_limit_hint: how the operator tells a limit that is unknown; empty: nobody misses it.
    """

    def __init__(
        self,
        *,
        source: NodeFactsSource,
        devices: BlockDevices,
        mounts: Mounts,
        records: KubeletRecords,
        foreign: ForeignDisks,
        serial: Callable[[VolumeId, Mapping[str, str]], str],
        segments: Callable[[NodeFacts], Segments],
        volume_limit: Callable[[str], int | None],
        volume_limit_hint: str,
        max_volumes: int,
    ) -> None:
        self._source = source
        self._devices = devices
        self._mounts = mounts
        self._records = records
        self._foreign = foreign
        self._serial = serial
        self._segments = segments
        self._volume_limit = volume_limit
        self._volume_limit_hint = volume_limit_hint
        self._max_volumes = max_volumes
        self._told: NodeFacts | None = None
        self._warned_of: str | None = None
        self._unread = ""
        self.answered: NodeId | None = None

    async def info(self) -> Info:
        """The node's facts, read now, as an answer to kubelet (CSI spec, NodeGetInfo)."""
        facts = await self._facts()
        info = Info(
            node_id=facts.node_id,
            segments=self._segments(facts),
            max_volumes=await self._takes(facts),
        )
        former, self.answered = self.answered, info.node_id
        if former is not None and former != info.node_id:
            await self._warn_of_volumes(former=former, now=info.node_id)
        return info

    async def look(self) -> NodeId:
        """Who this node is, read now; raises what its source raises."""
        return (await self._facts()).node_id

    async def watch(self) -> NodeId:
        """As `look`, and takes notice of the disks: a kubelet may never ask again how many there are."""
        facts = await self._facts()
        await self._takes(facts)
        return facts.node_id

    async def staged(self) -> Collection[VolumeId]:
        """The volumes that are staged here, by kubelet's records.

        Raises what reading them raises; the log tells that when it is new.
        """
        try:
            staged = await self._records.staged()
        except Exception as error:
            reason = str(error) or type(error).__name__
            if reason != self._unread:
                logger().warning(
                    "which volumes are staged here can't be told", error=reason, hint=UNREAD_HINT
                )
            self._unread = reason
            raise
        self._unread = ""
        return staged

    async def _if_told(self) -> Collection[VolumeId] | None:
        """As `staged`, and None where that can't be told: kubelet is answered all the same."""
        try:
            return await self.staged()
        except WrongState:
            return None

    async def _facts(self) -> NodeFacts:
        facts = await self._source.facts()
        self._tell(facts)
        return facts

    def _tell(self, facts: NodeFacts) -> None:
        """Log who this node is, and by whom, when that is new."""
        former, self._told = self._told, facts
        told = {
            "instance": facts.node_id, "zone": facts.zone, "region": facts.region,
            "by": facts.source or "provider",
            **({"not_used": facts.passed_over} if facts.passed_over else {}),
        }  # fmt: skip
        if former is not None and _place(former) != _place(facts):
            another = former.node_id != facts.node_id
            logger().warning(
                "this node is another one now" if another else "this node is in another place now",
                **told, former_instance=former.node_id, former_zone=former.zone,
                former_region=former.region,
                **({} if another else {"hint": STAYS_HINT}),
            )  # fmt: skip
        elif former is None or former.source != facts.source:
            logger().info("this node is known", **told)

    async def _warn_of_volumes(self, *, former: NodeId, now: NodeId) -> None:
        """The answer is given all the same: no other one would be true."""
        if volumes := sorted(await self._if_told() or ()):
            logger().error(
                "kubelet is told of another node while volumes of the former one are staged here",
                former=former, now=now, volumes=volumes,
                hint="see which machine their disks are attached to, and drain this node",
            )  # fmt: skip

    async def _takes(self, facts: NodeFacts) -> int:
        return self._max_volumes or await self._limit(facts)

    async def _limit(self, facts: NodeFacts) -> int:
        """What is left for volumes once the disks of other hands are counted off; 0: unknown.

        Kubernetes takes 0 for "no limit told", so a full machine tells 1.
        """
        total = self._volume_limit(facts.instance_type)
        if total is None:
            self._warn_of_unknown(facts.instance_type)
            return 0
        return max(total - await self._count_foreign(facts), 1)

    def _warn_of_unknown(self, instance_type: str) -> None:
        """Once for a type: kubelet asks whenever it starts or registers anew."""
        if self._volume_limit_hint and instance_type != self._warned_of:
            self._warned_of = instance_type
            logger().warning(
                "how many disks this node takes is not known, so no limit is told",
                instance_type=instance_type,
                hint=self._volume_limit_hint,
            )

    async def _count_foreign(self, facts: NodeFacts) -> int:
        """How many disks are no volumes; when nobody tells, as many as before, the system disk surely."""
        attached = facts.attached_serials
        if attached is None or (recorded := await self._if_told()) is None:
            return max(await self._foreign.noted(facts.node_id), 1)
        # some may not be mounted yet: after the machine's restart they are staged again
        volumes = {self._serial(volume_id, {}) for volume_id in recorded}
        unknown = attached - await self._mounted() - volumes
        return len(await self._foreign.among(unknown, node_id=facts.node_id))

    async def _mounted(self) -> set[str]:
        """Serials of disks that are mounted as volumes."""
        staged = {mount.number for mount in await self._mounts.table() if is_staging(mount.path)}
        found: set[str] = set()
        for number in staged:
            device = await self._devices.numbered(number)
            serial = await self._devices.serial_of(device) if device else None
            found |= {serial} if serial else set()
        return found


def _place(facts: NodeFacts) -> tuple[str, ...]:
    return facts.node_id, facts.zone, facts.region
