"""The command line of the mock."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
import signal
import tempfile
from dataclasses import fields
from pathlib import Path

import click

from mockcloud.app import serving
from mockcloud.engine.knobs import Knobs
from mockcloud.engine.latency import PROFILES, Range, ranges
from mockcloud.engine.world import WorldConfig, default_world, parse_world
from mockcloud.hypervisor.base import Hypervisor, NoHypervisor
from mockcloud.hypervisor.loop import LoopHypervisor, loop_missing


@click.group()
@click.version_option(package_name="mockcloud")
def main() -> None:
    """A local server that speaks the ECS OpenAPI for disks."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="address to listen on")
@click.option("--port", default=8090, show_default=True, help="port to listen on; 0: a free one")
@click.option(
    "--world",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with regions, instances, keys and knobs; without one a default world serves",
)
@click.option(
    "--latency",
    "profile",
    type=click.Choice(sorted(PROFILES)),
    default="fast",
    show_default=True,
    help="how long things take: real as on the cloud, fast a tenth of it, zero at once",
)
@click.option(
    "--step",
    "steps",
    multiple=True,
    metavar="STEP=SECONDS|LOW:HIGH",
    help="the time of one step, such as attach=2:6 or call.AttachDisk=0.05",
)
@click.option(
    "--knob",
    "knobs",
    multiple=True,
    metavar="NAME=VALUE",
    help=f"an odd way of the cloud: {', '.join(item.name for item in fields(Knobs))}",
)
@click.option(
    "--hypervisor",
    type=click.Choice(["none", "loop"]),
    default="none",
    show_default=True,
    help="what an attach becomes: nothing, or a loop device (needs root)",
)
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    help="directory of disks and device directories; a temporary one by default",
)
@click.option("--seed", default=1, show_default=True, help="of ids and latencies")
@click.option("--quiet", is_flag=True, help="print the endpoint only")
def serve(
    *,
    host: str,
    port: int,
    world: Path | None,
    profile: str,
    steps: tuple[str, ...],
    knobs: tuple[str, ...],
    hypervisor: str,
    root: Path | None,
    seed: int,
    quiet: bool,
) -> None:
    """Serve a cloud until interrupted; what it made on this machine is gone afterwards."""
    try:
        config = parse_world(world.read_text(encoding="utf-8")) if world else default_world()
        chosen_knobs = config.knobs.changed(_pairs(knobs, "--knob"))
        config = dataclasses.replace(config, knobs=chosen_knobs)
        latencies = ranges(profile, _pairs(steps, "--step"))
    except (ValueError, OSError) as error:  # WorldError is a ValueError
        raise click.ClickException(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="mockcloud-") as temporary:
        base = root or Path(temporary)
        if hypervisor == "loop" and (missing := loop_missing()):
            raise click.ClickException(f"--hypervisor=loop: {missing}")
        try:
            chosen: Hypervisor = (
                LoopHypervisor(root=base) if hypervisor == "loop" else NoHypervisor()
            )
            asyncio.run(
                _serve(config, latencies, chosen, seed, host, port, None if quiet else base)
            )
        except OSError as error:
            raise click.ClickException(_told(error, host, port)) from error


async def _serve(  # noqa: PLR0917 - one caller, right above
    config: WorldConfig,
    latencies: dict[str, Range],
    hypervisor: Hypervisor,
    seed: int,
    host: str,
    port: int,
    base: Path | None,
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(
        config=config, latencies=latencies, hypervisor=hypervisor, seed=seed, host=host, port=port
    ) as cloud:
        click.echo(f"endpoint http://{host}:{cloud.port}")
        if base is not None:
            _introduce(config, f"http://{host}:{cloud.port}", base)
        await stop.wait()


def _told(error: OSError, host: str, port: int) -> str:
    if error.errno in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
        return (
            f"can't listen on {host}:{port}: {os.strerror(error.errno)}; choose another with"
            " --port (0: a free one) or --host"
        )
    return str(error)


def _introduce(config: WorldConfig, endpoint: str, base: Path) -> None:
    """What the cloud starts with, and how to use it."""
    key = config.keys[0]
    click.echo(f"key id     {key.id}\nkey secret {key.secret}\ndevices    {base}/INSTANCE/dev")
    if config.knobs != Knobs():
        click.echo(f"knobs      {_changes(config.knobs)}")
    for machine in config.machines:
        click.echo(f"instance   {machine.id}  {machine.zone}  {machine.type}")
    region = next(iter(config.zones))
    click.echo(
        "\nTry it with the Python SDK:\n"
        "  from aliyunsdkcore.client import AcsClient\n"
        "  from aliyunsdkecs.request.v20140526.DescribeDisksRequest import DescribeDisksRequest\n"
        f'  client = AcsClient("{key.id}", "{key.secret}", "{region}")\n'
        f'  client.add_endpoint("{region}", "Ecs", "{endpoint.removeprefix("http://")}")\n'
        "  print(client.do_action_with_exception(DescribeDisksRequest()))\n"
        f"Calls so far: curl {endpoint}/_mock/calls"
    )
    for machine in config.machines[:1]:
        click.echo(f"Metadata:     curl {endpoint}/_imds/{machine.id}/latest/meta-data/zone-id")


def _changes(knobs: Knobs) -> str:
    """The knobs that stand otherwise than by default."""
    return ", ".join(
        f"{item.name}={getattr(knobs, item.name)}"
        for item in fields(knobs)
        if getattr(knobs, item.name) != item.default
    )


def _pairs(given: tuple[str, ...], flag: str) -> dict[str, str]:
    pairs = dict(one.partition("=")[::2] for one in given)
    if any(not value for value in pairs.values()):
        raise ValueError(f"{flag}: allowed is NAME=VALUE")
    return pairs
