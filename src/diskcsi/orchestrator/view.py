"""How a demonstration looks on a terminal: with rich where it is installed, plain where it isn't."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Final

import click

from diskcsi.orchestrator.timeline import Step, Timeline

NOTE_WIDTH: Final = 90
"""Columns of a note: with its margin it fits a terminal of a hundred."""

Rows = Sequence[tuple[str, str]]
"""What a table ends with: a name and a number."""


def tell_chapter(title: str) -> None:
    """A headline."""
    click.secho(f"\n{title}", bold=True)


def tell_step(step: Step) -> None:
    """A line: what, how long, what was asked of the cloud; then what came of it."""
    calls = ", ".join(f"{name} {count}" for name, count in sorted(step.calls.items()))
    click.echo(f"  {step.title:<36}{step.seconds:7.2f} s  {calls}")
    for line in wrap(step.note, NOTE_WIDTH):
        click.secho(f"      {line}", dim=True)


def told(error: Exception) -> str:
    """An error for people: its message, and in which step it happened."""
    return "\n".join([str(error) or type(error).__name__, *getattr(error, "__notes__", ())])


def tell_success(what: str) -> None:
    """How it ended, where it ended well."""
    click.secho(f"\n{what}", fg="green", bold=True)


def tell_failure(reason: str) -> None:
    """What went wrong."""
    click.secho(f"\nfailed: {reason}", fg="red", bold=True, err=True)


def summary(timeline: Timeline, ends: Rows) -> Callable[[], None]:
    """A table of steps with seconds and calls, and below it how all ended; call it to print."""
    try:
        import rich  # noqa: F401 - only whether it is there
    except ImportError:
        return lambda: _plain(timeline, ends)
    return lambda: _rich(timeline, ends)


def _cells(timeline: Timeline) -> list[tuple[str, str, str]]:
    return [
        (f"{step.chapter}: {step.title}", f"{step.seconds:.2f}", str(step.calls.total()))
        for step in timeline.steps
    ]


def _plain(timeline: Timeline, ends: Rows) -> None:
    rows = [("step", "seconds", "API calls"), *_cells(timeline)]
    rows.append(("all", f"{timeline.seconds:.2f}", str(timeline.calls)))
    width = max(len(row[0]) for row in rows)
    click.echo("")
    for title, seconds, calls in rows:
        click.echo(f"{title:<{width}}  {seconds:>8}  {calls:>9}")
    for name, value in ends:
        click.echo(f"{name:<{width}}  {value:>8}")


def _rich(timeline: Timeline, ends: Rows) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_footer=True, box=None, header_style="bold", footer_style="bold")
    footer = "\n".join(["all", *(name for name, _ in ends)])
    numbers = "\n".join([f"{timeline.seconds:.2f}", *(value for _, value in ends)])
    table.add_column("step", footer)
    table.add_column("seconds", numbers, justify="right")
    table.add_column("API calls", str(timeline.calls), justify="right")
    for row in _cells(timeline):
        table.add_row(*row)
    console = Console(highlight=False)
    console.print()
    console.print(table)
