"""A pod that writes without end and measures its own pauses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from e2e.support.kube import Kube

TICKING: Final = """
trap 'exit 0' TERM
touch DIR/log /tmp/errors
longest=0
last=$(cut -d' ' -f1 /proc/uptime | tr -d .)
while true; do
  date +%s >> DIR/log && sync DIR/log || echo failed >> /tmp/errors
  now=$(cut -d' ' -f1 /proc/uptime | tr -d .)
  pause=$((now - last))
  last=$now
  [ $pause -gt $longest ] && longest=$pause && echo $longest > /tmp/longest
  sleep 0.05
done
"""
"""Each line is on the disk before the next; pauses are in hundredths of a second."""


def ticking(directory: str) -> str:
    """The script of a pod that writes to a directory."""
    return TICKING.replace("DIR", directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a writing pod tells of itself."""

    lines: int
    errors: str
    longest_pause_s: float


def written(kube: Kube, pod: str, directory: str) -> Written:
    """How far a pod has come, and the longest pause between two of its writes."""
    return Written(
        lines=int(kube.sh(pod, f"wc -l < {directory}/log")),
        errors=kube.sh(pod, "cat /tmp/errors"),
        longest_pause_s=int(kube.sh(pod, "cat /tmp/longest 2>/dev/null || echo 0")) / 100,
    )
