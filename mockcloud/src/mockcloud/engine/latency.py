"""How long things take: profiles by name, changed by step.

A step is a range of seconds; each time is drawn from it by a seeded generator, so that a run can
be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Final

Range = tuple[float, float]

STEPS: Final = (
    "call", "create", "restore", "attach", "detach", "status_lag", "resize_device",
    "snapshot_cut", "snapshot_done", "hidden_init", "describe_lag", "device_lag",
    "detach_stuck", "start", "stop",
)  # fmt: skip
"""`call` is the time of every API call; `call.NAME` that of one. `detach_stuck` comes on top of
`detach`: a guest that lets go late, or never with `inf`."""

REAL: Final[dict[str, Range]] = {
    "call": (0.03, 0.12), "call.CreateDisk": (0.3, 1.0), "call.AttachDisk": (0.3, 1.0),
    "call.DetachDisk": (0.3, 1.0),
    "create": (1, 5), "restore": (5, 20), "attach": (2, 6), "detach": (2, 6),
    "status_lag": (0.2, 1.0), "resize_device": (1, 5), "snapshot_cut": (0.5, 2),
    "snapshot_done": (5, 30), "hidden_init": (0, 10), "describe_lag": (0, 1), "device_lag": (0, 3),
    "start": (10, 40), "stop": (5, 30),
}  # fmt: skip
"""What is known, or commonly seen, of the real cloud."""

FAST: Final[dict[str, Range]] = {
    "call": (0.005, 0.02), "create": (0.1, 0.3), "restore": (0.2, 0.5), "attach": (0.3, 0.7),
    "detach": (0.3, 0.7), "status_lag": (0.02, 0.1), "resize_device": (0, 0.1),
    "snapshot_cut": (0.05, 0.2), "snapshot_done": (0.2, 0.6), "hidden_init": (0, 0.2),
    "describe_lag": (0, 0.05), "device_lag": (0, 0.1),
    "start": (1, 2), "stop": (0.5, 1),
}  # fmt: skip
"""A tenth of it: every state can be seen, and nobody waits."""

PROFILES: Final[dict[str, dict[str, Range]]] = {"real": REAL, "fast": FAST, "zero": {}}
"""`zero`: everything at once."""


class Latencies:
    """Draws times."""

    def __init__(self, *, ranges: Mapping[str, Range], random: Random) -> None:
        self._ranges = dict(ranges)
        self._random = random

    def draw(self, step: str) -> float:
        """Seconds that this step takes now; 0 where nothing is said of it."""
        low, high = self._ranges.get(step) or self._ranges.get(step.partition(".")[0], (0.0, 0.0))
        return low if low == high else self._random.uniform(low, high)


def ranges(profile: str, changes: Mapping[str, str]) -> dict[str, Range]:
    """A profile with single steps changed, each given as `SECONDS` or `LOW:HIGH`.

    Raises:
        ValueError: the profile or a step is unknown, or a range can't be read.
    """
    if profile not in PROFILES:
        raise ValueError(f"no latency profile {profile!r}: allowed are {', '.join(PROFILES)}")
    made = dict(PROFILES[profile])
    for step, text in changes.items():
        if step.partition(".")[0] not in STEPS:
            raise ValueError(f"no latency step {step!r}: allowed are {', '.join(STEPS)}, call.NAME")
        low, _, high = text.partition(":")
        try:
            made[step] = (float(low), float(high or low))
        except ValueError:
            raise ValueError(f"latency {step}={text}: allowed are SECONDS or LOW:HIGH") from None
        if not 0 <= made[step][0] <= made[step][1]:
            raise ValueError(f"latency {step}={text}: allowed are seconds from 0, the lower first")
    return made
