"""What a part of the proof came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from diskcsi.ports.provider import AnyProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is to be proved, and where.

    Attributes:
        settings: the provider's own, for what runs in this process.
        flags: of `diskcsi run`, for what runs in processes of its own; no secret is among them.
        environment: what those processes get.
        parameters: of the StorageClass.
        node, other_node: two nodes of one zone; this process runs on the first one.
        size_gib, larger_gib: two sizes that the class allows.
        attach_before_snapshot: the cloud snapshots only disks that were attached once.
        absent_snapshot: a well-formed id of no snapshot; empty when nobody told one.
        directory: takes sockets, logs and mounts.
    """

    provider: AnyProvider
    settings: Any
    flags: Sequence[str]
    environment: Mapping[str, str]
    parameters: Mapping[str, str]
    node: str
    other_node: str
    zone: str
    size_gib: int
    larger_gib: int
    fs_type: str
    attach_before_snapshot: bool
    absent_snapshot: str
    directory: Path


@dataclass(slots=True, kw_only=True)
class Result:
    """One part.

    Attributes:
        broken: what failed, a line for each.
        skipped: why something was left out, and how often.
        reason: why it could not go on; empty otherwise.
    """

    part: str
    passed: int = 0
    broken: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    reason: str = ""

    @property
    def held(self) -> bool:
        """Whether something ran, and none of it failed."""
        return self.passed > 0 and not self.broken and not self.reason


def tell(results: Sequence[Result]) -> None:
    """A table; below it what was left out and why."""
    click.secho(f"\n{'part':<24}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}", bold=True)
    for one in results:
        verdict = "holds" if one.held else "FAILED"
        click.echo(
            f"{one.part:<24}{one.passed:>8}{len(one.broken):>8}{one.skipped.total():>9}"
            f"{one.seconds:>9.1f}  {verdict}"
        )
    for one in results:
        for why, count in sorted(one.skipped.items()):
            click.echo(f"  {one.part}: {count} skipped: {why}")
        for what in one.broken:
            click.secho(f"  {one.part}: failed: {what}", fg="red")
        if one.reason:
            click.secho(f"  {one.part}: {one.reason}", fg="red")
