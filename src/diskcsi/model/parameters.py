"""What a StorageClass and a snapshot class ask for, once a provider's schema has parsed them.

A provider subclasses `VolumeParameters` and adds what only its cloud knows. The rules read the
fields here; the provider reads its own back from the disk's specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from diskcsi.model.sizes import SizeRange

if TYPE_CHECKING:
    from diskcsi.model.volume import Disk


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskKind:
    """One kind of disk that would do, such as a category with a performance level.

    Attributes:
        label: names it in messages.
        sizes: what it is sold in.
        attributes: written into the volume's context, so that people see what was really made.
    """

    label: str
    sizes: SizeRange
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeParameters:
    """A StorageClass, parsed.

    Attributes:
        kinds: the kinds that would do, best first; never empty.
        zones: the zones the class allows; empty: any.
        region: the region the class wants; empty: the driver's own.
        multi_attach: whether several nodes may hold the disk.
        round_up: whether a size below the kind's smallest becomes that smallest.
        round_up_key: the class's key that asks for that, for messages; empty: it has none.
        context: goes into the volume's context as it stands.
        warnings: about keys that are accepted and have no effect.
    """

    kinds: tuple[DiskKind, ...]
    zones: tuple[str, ...] = ()
    region: str = ""
    multi_attach: bool = False
    round_up: bool = False
    round_up_key: str = ""
    context: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def mismatch(self, disk: Disk) -> str:
        """How `disk` differs from what this class asks for; empty when it fits.

        Compared are the kinds' attributes and multi-attach; size, zone and source are compared
        by the rules. A provider adds its own.
        """
        if disk.multi_attach != self.multi_attach:
            return f"multi-attach is {disk.multi_attach}, wanted {self.multi_attach}"
        for kind in self.kinds:
            if all(disk.attributes.get(key) == value for key, value in kind.attributes.items()):
                return ""
        made = ", ".join(f"{key} {value}" for key, value in sorted(disk.attributes.items()))
        return f"it is {made or 'of no kind'}, wanted {' or '.join(k.label for k in self.kinds)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotParameters:
    """A snapshot class, parsed; a provider adds its own fields."""

    warnings: tuple[str, ...] = ()
