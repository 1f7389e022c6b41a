"""The command: makes a subject of what the command line tells, and runs every part of the proof."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from diskcsi.conformance import contract, life, sanity
from diskcsi.conformance.report import Result, Subject, tell
from diskcsi.model.errors import DiskError
from diskcsi.ports.node_facts import NodeFacts
from diskcsi.ports.provider import AnyProvider

PARTS: Final = ("contract", "life", "sanity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line tells beside the provider's settings; sizes of 0 are the smallest."""

    parts: Sequence[str]
    other_node: str
    parameters: Mapping[str, str]
    size_gib: int
    larger_gib: int
    fs_type: str
    attach_before_snapshot: bool
    absent_snapshot: str
    csi_sanity: str


def run(
    provider: AnyProvider,
    settings: Any,  # noqa: ANN401 - an object of the provider's own class
    wanted: Wanted,
    *,
    flags: Sequence[str],
    environment: Mapping[str, str],
) -> bool:
    """Run the parts and print a table; whether all held.

    Raises:
        ClickException: something that a part needs is missing; nothing was run.
    """
    binary = sanity.found(wanted.csi_sanity)
    if "sanity" in wanted.parts and binary is None:
        raise click.ClickException(sanity.HOW_TO_GET)
    if "contract" in wanted.parts and not wanted.other_node:
        raise click.ClickException("the contract moves disks: name a second node, --other-node ID")
    directory = Path(tempfile.mkdtemp(prefix="conformance-"))
    try:
        facts = asyncio.run(_facts(provider, settings))
        subject = _subject(provider, settings, wanted, facts, directory, flags, environment)
        results = _run_parts(subject, wanted.parts, binary or "")
    except (DiskError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    tell(results)
    held = all(result.held for result in results)
    if held:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        click.echo(f"logs are kept in {directory}", err=True)
    return held


def _run_parts(subject: Subject, parts: Sequence[str], binary: str) -> list[Result]:
    results = []
    if "contract" in parts:
        click.secho("\nThe provider contract", bold=True)
        results.append(contract.run(subject))
    if "life" in parts:
        click.secho("\nA volume's life, as sidecars and kubelet see it", bold=True)
        results.append(asyncio.run(_live(subject)))
    if "sanity" in parts:
        for access in ("mount", "block"):
            click.secho(f"\ncsi-sanity on {access} volumes", bold=True)
            results.append(asyncio.run(sanity.run(subject, binary, access)))
    return results


async def _live(subject: Subject) -> Result:
    return await life.run(subject, await contract.capabilities(subject))


async def _facts(provider: AnyProvider, settings: Any) -> NodeFacts:  # noqa: ANN401 - as above
    async with provider.node_facts(settings) as source:
        return await source.facts()


def _subject(  # noqa: PLR0917 - one caller, right above
    provider: AnyProvider,
    settings: Any,  # noqa: ANN401 - as above
    wanted: Wanted,
    facts: NodeFacts,
    directory: Path,
    flags: Sequence[str],
    environment: Mapping[str, str],
) -> Subject:
    kind = provider.rules(settings).volume_parameters(wanted.parameters).kinds[0]
    size_gib = wanted.size_gib or kind.sizes.min_gib
    return Subject(
        provider=provider,
        settings=settings,
        flags=flags,
        environment=environment,
        parameters=wanted.parameters,
        node=facts.node_id,
        other_node=wanted.other_node,
        zone=facts.zone,
        size_gib=size_gib,
        larger_gib=wanted.larger_gib or size_gib + 1,
        fs_type=wanted.fs_type,
        attach_before_snapshot=wanted.attach_before_snapshot,
        absent_snapshot=wanted.absent_snapshot,
        directory=directory,
    )
