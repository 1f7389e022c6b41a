"""Sizes: callers speak bytes, clouds sell whole GiB.

`Capacity` is what a caller asked for; `SizeRange` is what a kind of disk is sold in. The size of
a disk is the smallest whole GiB that satisfies both, and never more than the caller's limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from diskcsi.model.errors import InvalidArgument, OutOfRange

GIB: Final = 1024**3


def gib_to_hold(size_bytes: int) -> int:
    """The smallest whole number of GiB that holds `size_bytes`."""
    return -(-size_bytes // GIB)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRange:
    """The sizes that a kind of disk is sold in, in whole GiB, both ends included.

    `max_gib` None means that the cloud publishes no upper end.
    """

    min_gib: int = 1
    max_gib: int | None = None

    def __str__(self) -> str:
        upper = "any size" if self.max_gib is None else f"{self.max_gib} GiB"
        return f"{self.min_gib} GiB to {upper}"

    def __contains__(self, size_gib: int) -> bool:
        return size_gib >= self.min_gib and (self.max_gib is None or size_gib <= self.max_gib)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The bytes a caller wants: at least `required_bytes`, at most `limit_bytes`; 0 means unset.

    Raises:
        InvalidArgument: a bound is negative.
        OutOfRange: the limit is below the requirement (CSI spec, CapacityRange).
    """

    required_bytes: int = 0
    limit_bytes: int = 0

    def __post_init__(self) -> None:
        for field, value in (
            ("required_bytes", self.required_bytes),
            ("limit_bytes", self.limit_bytes),
        ):
            if value < 0:
                raise InvalidArgument(f"capacity_range.{field} is {value}: it can't be negative")
        if self.limit_bytes and self.limit_bytes < self.required_bytes:
            raise OutOfRange(
                f"capacity_range.limit_bytes {self.limit_bytes} is below"
                f" required_bytes {self.required_bytes}"
            )

    def holds(self, size_gib: int) -> bool:
        """Whether a disk of `size_gib` satisfies both bounds."""
        size_bytes = size_gib * GIB
        return size_bytes >= self.required_bytes and (
            not self.limit_bytes or size_bytes <= self.limit_bytes
        )

    def size_gib(self, sizes: SizeRange, *, at_least_gib: int = 0) -> int:
        """The smallest size that the caller wants and `sizes` allow.

        A caller that named no required size gets the smallest disk of the kind. `at_least_gib`
        is the caller's stand-in for the required size where it named none: a snapshot's size.

        Raises:
            OutOfRange: the kind is not sold so small or so large, or the rounded size is above
                the caller's limit.
        """
        wanted_gib = gib_to_hold(self.required_bytes) or max(at_least_gib, sizes.min_gib)
        if wanted_gib not in sizes:
            raise OutOfRange(
                f"{wanted_gib} GiB is outside the sizes of this kind of disk: {sizes}",
                hint=f"ask for {sizes.min_gib} GiB or more"
                if wanted_gib < sizes.min_gib
                else f"ask for {sizes.max_gib} GiB or less",
            )
        if self.limit_bytes and wanted_gib * GIB > self.limit_bytes:
            raise OutOfRange(
                f"the smallest disk that fits is {wanted_gib} GiB,"
                f" above capacity_range.limit_bytes {self.limit_bytes}",
                hint="raise the limit to a whole number of GiB",
            )
        return wanted_gib
