"""The command line of the mock."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import logging
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from mockcloud.agent.command import agent
from mockcloud.app import Cloud, serving
from mockcloud.engine.knobs import Knobs
from mockcloud.engine.latency import PROFILES, ranges
from mockcloud.engine.memory import LostMemory, Memory
from mockcloud.engine.world import DEFAULT_KEY, WorldConfig, default_world, parse_world
from mockcloud.hypervisor.agent import AgentHypervisor
from mockcloud.hypervisor.images import HypervisorError
from mockcloud.hypervisor.loop import LoopHypervisor, loop_missing
from mockcloud.shared_token import token_of

DEVICES: Final = {"none": "nowhere", "loop": "{}/INSTANCE/dev", "agent": "/dev of agents' nodes"}
"""Where disks of each hypervisor appear, below its directory."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mockcloud")
def main() -> None:
    """A local server that speaks the ECS OpenAPI for disks."""


main.add_command(agent)


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
    type=click.Choice(["none", "loop", "agent"]),
    default="none",
    show_default=True,
    help="what an attach becomes: nothing, a loop device (needs root), or one in the /dev of the"
    " node whose `mockcloud agent` is that instance",
)
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    help="directory of disks and device directories; a temporary one by default; with agents it is"
    " needed, and what is in it goes on after a restart",
)
@click.option(
    "--agent-token-file",
    "agent_token",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=token_of,
    help="the secret that agents show; needed with --hypervisor=agent; it may change",
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
    agent_token: Callable[[], str] | None,
    seed: int,
    quiet: bool,
) -> None:
    """Serve a cloud until interrupted; what it made on this machine is gone afterwards.

    With --hypervisor=agent its disks stay instead, and so does all it knows: started again it goes
    on. Its instances are the nodes whose agents come; the world's own are left out.
    """
    try:
        config = parse_world(world.read_text(encoding="utf-8")) if world else default_world()
        chosen_knobs = config.knobs.changed(_pairs(knobs, "--knob"))
        config = dataclasses.replace(config, knobs=chosen_knobs)
        latencies = ranges(profile, _pairs(steps, "--step"))
    except (ValueError, OSError) as error:  # WorldError is a ValueError
        raise click.ClickException(str(error)) from error
    with _place(root) as base:
        on_machine = _on_machine(hypervisor, base, root, agent_token, seed)
        if hypervisor == "agent":
            config = dataclasses.replace(config, machines=())
            logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        cloud = partial(
            serving,
            config=config,
            latencies=latencies,
            seed=seed,
            host=host,
            port=port,
            **on_machine,
        )
        try:
            introduce = partial(_introduce, config, DEVICES[hypervisor].format(base), world)
            asyncio.run(_serve(cloud, host, None if quiet else introduce))
        except OSError as error:
            raise click.ClickException(_told(error, host, port)) from error
        except LostMemory as error:
            raise click.ClickException(str(error)) from error


@contextlib.contextmanager
def _place(root: Path | None) -> Iterator[Path]:
    """The directory that was told, else one that is gone afterwards."""
    if root is not None:
        yield root
        return
    with tempfile.TemporaryDirectory(prefix="mockcloud-") as temporary:
        yield Path(temporary)


def _on_machine(
    hypervisor: str, base: Path, root: Path | None, token: Callable[[], str] | None, seed: int
) -> dict[str, Any]:
    """What an attach becomes, and whether it is remembered.

    Raises:
        ClickException: this machine, or what was told, is not enough for it.
    """
    if hypervisor == "none":
        return {}
    if hypervisor == "loop":
        if missing := loop_missing():
            raise click.ClickException(f"--hypervisor=loop: {missing}")
        return {"hypervisor": LoopHypervisor(root=base)}
    if root is None or token is None:
        raise click.ClickException(
            "--hypervisor=agent: tell --root, where disks stay, and --agent-token-file with a secret"
        )
    try:
        memory, agents = Memory(root=root, seed=seed), AgentHypervisor(root=root)
        memory.claim()
        agents.prove()
    except (HypervisorError, LostMemory, OSError) as error:
        raise click.ClickException(f"--hypervisor=agent: {error}") from error
    return {"hypervisor": agents, "memory": memory, "agent_token": token}


async def _serve(
    serving_: Callable[[], AbstractAsyncContextManager[Cloud]],
    host: str,
    introduce: Callable[[str], None] | None,
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving_() as cloud:
        click.echo(f"endpoint http://{host}:{cloud.port}")
        if introduce is not None:
            introduce(f"http://{host}:{cloud.port}")
        await stop.wait()


def _told(error: OSError, host: str, port: int) -> str:
    if error.errno in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
        return (
            f"can't listen on {host}:{port}: {os.strerror(error.errno)}; choose another with"
            " --port (0: a free one) or --host"
        )
    return str(error)


def _introduce(config: WorldConfig, devices: str, world: Path | None, endpoint: str) -> None:
    """What the cloud starts with, and how to use it; no secret but the one that everybody knows."""
    key = config.keys[0]
    known = key is DEFAULT_KEY  # and not one of a file, though it were the same
    click.echo(f"key id     {key.id}")
    click.echo(f"key secret {key.secret if known else f'stands in {world}'}")
    click.echo(f"devices    {devices}")
    if config.knobs != Knobs():
        click.echo(f"knobs      {_changes(config.knobs)}")
    for machine in config.machines:
        click.echo(f"instance   {machine.id}  {machine.zone}  {machine.type}")
    region = next(iter(config.zones))
    click.echo(
        "\nTry it with the Python SDK:\n"
        "  from aliyunsdkcore.client import AcsClient\n"
        "  from aliyunsdkecs.request.v20140526.DescribeDisksRequest import DescribeDisksRequest\n"
        f'  client = AcsClient("{key.id}", "{key.secret if known else "SECRET"}", "{region}")\n'
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
