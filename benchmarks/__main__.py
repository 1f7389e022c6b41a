"""The command line: `python -m benchmarks`."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import click

from benchmarks import identity, life, makespan, staging
from benchmarks.figures import Figure, table, write
from benchmarks.stack import running

LIFE_STEPS = ("--latency=zero", "--step=call=0.05", "--step=create=1", "--step=attach=2",
              "--step=detach=2")  # fmt: skip
RESULT = Path("build/bench.json")


async def _identity() -> Sequence[Figure]:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        return await identity.measure(Path(directory))


async def _life() -> Sequence[Figure]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        async with running(Path(name), LIFE_STEPS) as stack:
            return await life.measure(stack)


async def _makespan() -> Sequence[Figure]:
    figures: list[Figure] = []
    for load in makespan.LOADS:
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            figures += await makespan.measure(load, Path(name))
    return figures


async def _staging() -> Sequence[Figure]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        async with running(directory, ["--latency=zero", "--hypervisor=loop"]) as stack:
            return await staging.measure(stack, directory)


BENCHMARKS: dict[str, Callable[[], Awaitable[Sequence[Figure]]]] = {
    "identity": _identity, "life": _life, "makespan": _makespan, "staging": _staging,
}  # fmt: skip


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(sorted(BENCHMARKS)))
def main(names: Sequence[str]) -> None:
    """Measure, print the figures with their floors, and write build/bench.json.

    Without NAMES all of them run, in about five minutes. Exit status 1: a promise was missed.
    """
    chosen = [name for name in BENCHMARKS if name in names or not names]
    if "staging" in chosen and os.geteuid() != 0:
        click.echo("staging needs root, for loop devices and mounts: left out", err=True)
        chosen.remove("staging")
    figures: list[Figure] = []
    for name in chosen:
        click.echo(f"measuring {name} ...", err=True)
        figures += asyncio.run(_awaited(BENCHMARKS[name]))
    click.echo(table(figures))
    write(figures, RESULT)
    click.echo(f"written to {RESULT}", err=True)
    sys.exit(0 if all(figure.held for figure in figures) else 1)


async def _awaited(measure: Callable[[], Awaitable[Sequence[Figure]]]) -> Sequence[Figure]:
    return await measure()


if __name__ == "__main__":
    main()
