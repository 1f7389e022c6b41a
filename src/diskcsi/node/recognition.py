"""Whether a node is another one than it was taken for.

A machine is told wrongly once in its life, by a label or while its metadata service was away. But a look
may be wrong as well, by a slip of whoever tells, and to act on it costs: so several in a row have to agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from diskcsi.model.ids import NodeId

LOOKS_THAT_AGREE: Final = 3
"""In a row, before they are believed; at the pace of a look in 30 to 60 s that is within three minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """What the looks at a node's id have told so far.

    Attributes:
        known_as: the id that it was taken for.
        other: another one that the last look told; None: it told the known one, or there was none.
        looks: how many in a row told `other`.
    """

    known_as: NodeId
    other: NodeId | None = None
    looks: int = 0

    def after(self, now: NodeId) -> Recognition:
        """What they have told with one more, which told `now`."""
        if now == self.known_as:
            return Recognition(known_as=self.known_as)
        looks = self.looks + 1 if now == self.other else 1
        return Recognition(known_as=self.known_as, other=now, looks=looks)

    @property
    def another(self) -> NodeId | None:
        """The other id on which enough looks agree; None while they don't."""
        return self.other if self.looks >= LOOKS_THAT_AGREE else None
