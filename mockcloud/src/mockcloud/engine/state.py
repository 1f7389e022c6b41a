"""Disks, snapshots and machines, as the cloud keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field

from mockcloud.engine.catalog import TYPES, Category, InstanceType, category


@dataclass(slots=True, kw_only=True)
class Attachment:
    """One machine that holds a disk."""

    instance_id: str
    device: str
    at: float


@dataclass(slots=True, kw_only=True)
class Disk:
    """One disk.

    Attributes:
        status: what DescribeDisks shows; it may lag behind what is so.
        operation: what really goes on: `creating`, `attaching`, `detaching`, or nothing.
        operation_on: the machine that an attach or detach is about.
        next_instance: the machine that gets it once it is detached, where such an attach waits.
        turn: counts how often it was taken by force; a detach of an earlier turn is void.
        visible_from, initialized_at: times; before them a search doesn't show the disk, and a
            delete or resize is refused.
        ever_attached: whether it can be snapshotted.
        order: counts disks as they are made; listings show the newest first.
        took_s: how long the latest attach and the latest detach were drawn to take.
    """

    id: str
    region: str
    zone: str
    size_gib: int
    category: str
    level: str
    created_at: float
    order: int
    name: str = ""
    description: str = ""
    status: str = "Creating"
    operation: str = "creating"
    operation_on: str = ""
    next_instance: str = ""
    turn: int = 0
    attachments: list[Attachment] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    snapshot_id: str = ""
    multi_attach: bool = False
    encrypted: bool = False
    kms_key_id: str = ""
    provisioned_iops: int = 0
    bursting: bool = False
    delete_with_instance: bool = False
    resource_group_id: str = ""
    visible_from: float = 0.0
    initialized_at: float = 0.0
    attached_at: float = 0.0
    detached_at: float = 0.0
    ever_attached: bool = False
    took_s: dict[str, float] = field(default_factory=dict)

    @property
    def serial(self) -> str:
        """What the device on the machine says of itself."""
        return self.id.removeprefix("d-")

    @property
    def kind(self) -> Category:
        """The facts of its category."""
        return category(self.category, self.level)

    def attached_to(self, instance_id: str) -> Attachment | None:
        """Its attachment to a machine."""
        return next((one for one in self.attachments if one.instance_id == instance_id), None)


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """One snapshot.

    Attributes:
        cut_at: when its content was fixed; 0 until then.
        available: whether a disk can be made from it.
        status: progressing, accomplished or failed.
    """

    id: str
    region: str
    disk_id: str
    size_gib: int
    order: int
    name: str = ""
    description: str = ""
    status: str = "progressing"
    cut_at: float = 0.0
    available: bool = False
    encrypted: bool = False
    category: str = ""
    retention_days: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    resource_group_id: str = ""


@dataclass(slots=True, kw_only=True)
class Instance:
    """One machine.

    Attributes:
        running_since: seconds since the epoch; shortly after it, attaches may still be refused.
        name: what people call it; its id when it is empty.
    """

    id: str
    region: str
    zone: str
    type_name: str
    status: str
    created_at: float
    running_since: float = 0.0
    name: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def type(self) -> InstanceType:
        """The facts of its type."""
        return TYPES[self.type_name]

    @property
    def accepts(self) -> bool:
        """Whether disks may come and go."""
        return self.status in ("Running", "Stopped")
