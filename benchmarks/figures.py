"""A figure, its floor and what we promise of it; a table for people and a file for tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

NUMBERS: Final = ("value", "floor", "ratio")
"""The columns that are aligned to the right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number.

    Attributes:
        name: what was measured.
        value: the number, in `unit`.
        unit: s, ms, MiB or calls.
        limit: what we promise: of the ratio where `of_ratio`, else of `compared`.
        floor: the least that anything could reach, in `unit`; None where there is none.
        of_ratio: the promise is about value over floor, otherwise about value less `base`.
        base: what is taken off the value before it is held against the limit.
    """

    name: str
    value: float
    unit: str
    limit: float
    floor: float | None = None
    of_ratio: bool = False
    base: float = 0.0

    @property
    def ratio(self) -> float | None:
        """Value over floor."""
        return self.value / self.floor if self.floor else None

    @property
    def compared(self) -> float:
        """What is held against the limit."""
        return (self.ratio or 0.0) if self.of_ratio else self.value - self.base

    @property
    def held(self) -> bool:
        """Whether the promise holds."""
        return self.compared <= self.limit


def table(figures: Sequence[Figure]) -> str:
    """One line a figure, aligned."""
    head = ("figure", "value", "unit", "floor", "ratio", "promise", "")
    rows = [head, *(_row(figure) for figure in figures)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if head[place] in NUMBERS else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def write(figures: Sequence[Figure], path: Path) -> None:
    """Write the figures as JSON, a list of objects; makes the directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = [{**asdict(figure), "ratio": figure.ratio, "held": figure.held} for figure in figures]
    path.write_text(json.dumps(told, indent=1) + "\n")


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        f"{figure.value:.3f}" if figure.unit == "s" else f"{figure.value:.1f}",
        figure.unit,
        "" if figure.floor is None else f"{figure.floor:.3g}",
        "" if figure.ratio is None else f"{figure.ratio:.3f}",
        _promise(figure),
        "holds" if figure.held else "MISSED",
    )


def _promise(figure: Figure) -> str:
    if figure.of_ratio:
        return f"<= {figure.limit:g} x floor"
    if figure.base:
        return f"<= floor + {figure.limit:g} {figure.unit}"
    return f"<= {figure.limit:g} {figure.unit}"
