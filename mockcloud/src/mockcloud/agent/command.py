"""The command line of the agent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from mockcloud.agent import imds
from mockcloud.agent.devices import Devices, Unable
from mockcloud.agent.node import Away, NodeFacts, instance_id, read_node
from mockcloud.agent.session import Session
from mockcloud.agents import this_boot

ASK_AGAIN_S: Final = 2.0


def _address(context: click.Context, option: click.Parameter, told: str) -> str:
    parts = urlsplit(told)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise click.BadParameter(f"{told!r}: allowed is http://HOST:PORT", context, option)
    return told.rstrip("/")


@click.command()
@click.option(
    "--server",
    required=True,
    callback=_address,
    help="address of `mockcloud serve`: http://HOST:PORT",
)
@click.option(
    "--token-file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="the secret that it shares with the server",
)
@click.option("--node-name", required=True, help="name of the node that it runs on")
@click.option(
    "--device-root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/dev"),
    show_default=True,
    help="the node's /dev, where disks appear",
)
@click.option(
    "--metadata-address",
    default="100.100.100.200",
    show_default=True,
    help="where the instance's metadata is served, on the loopback interface; empty: nowhere",
)
@click.option("--metadata-port", default=80, show_default=True)
@click.option("--zone", default="", help="in place of the Node's label topology.kubernetes.io/zone")
@click.option("--region", default="", help="in place of the label topology.kubernetes.io/region")
@click.option(
    "--instance-type", default="", help="in place of the label node.kubernetes.io/instance-type"
)
@click.option("--system-id", default="", help="in place of the Node's system UUID; asks no Node")
@click.option(
    "--loop-nodes",
    default=256,
    show_default=True,
    help="see that the node has /dev/loop0 and so on, which kubelet needs for raw block volumes",
)
@click.option("--kubernetes-host", envvar="KUBERNETES_SERVICE_HOST", default="", hidden=True)
@click.option("--kubernetes-port", envvar="KUBERNETES_SERVICE_PORT", default="443", hidden=True)
@click.option("--boot-id", default="", hidden=True, help="in place of the kernel's, for tests")
def agent(  # noqa: PLR0913 - one for each flag
    *,
    server: str,
    token_file: Path,
    node_name: str,
    device_root: Path,
    metadata_address: str,
    metadata_port: int,
    zone: str,
    region: str,
    instance_type: str,
    system_id: str,
    loop_nodes: int,
    kubernetes_host: str,
    kubernetes_port: str,
    boot_id: str,
) -> None:
    """Make this node an instance of a cloud in the same cluster.

    It runs beside `mockcloud serve --hypervisor=agent`, on every node, as root in a privileged pod
    with hostNetwork. Disks that the cloud attaches appear in this node's /dev only, those it
    detaches go; and the instance's metadata is served at the address that it has on the real cloud.
    All nodes must be containers on one kernel, as those of kind are. Zone, region, type and identity
    are read from the Node object, unless told here.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    devices, token = Devices(root=device_root), token_file.read_text(encoding="utf-8").strip()
    told = NodeFacts(
        name=node_name, instance="", zone=zone, region=region, instance_type=instance_type
    )

    async def run() -> None:
        facts = await _facts(told, system_id, kubernetes_host, kubernetes_port)
        session = Session(
            server=server,
            token=token,
            facts=facts,
            boot_id=boot_id or this_boot(),
            devices=devices,
        )
        metadata = imds.serving(
            address=metadata_address, port=metadata_port, server=session.server,
            instance=facts.instance,
        )  # fmt: skip
        async with metadata if metadata_address else contextlib.nullcontext():
            await session.run()

    try:
        devices.prove()
        devices.provide_loops(loop_nodes)
        asyncio.run(_until_asked(run()))
    except* Unable as group:
        (error,) = group.exceptions
        raise click.ClickException(str(error)) from error


async def _facts(told: NodeFacts, system_id: str, host: str, port: str) -> NodeFacts:
    """What the Node object says; what was told on the command line wins."""
    if system_id:
        return replace(told, instance=instance_id(told.name, system_id))
    if not host:
        raise Unable("there is no Kubernetes here to ask for the node; tell --system-id and --zone")
    while True:
        try:
            found = await read_node(told.name, host=host, port=port)
        except Away as error:
            logging.getLogger(__name__).warning("%s; asking again", error)
            await asyncio.sleep(ASK_AGAIN_S)
            continue
        return replace(
            found,
            zone=told.zone or found.zone,
            region=told.region or found.region,
            instance_type=told.instance_type or found.instance_type,
        )


async def _until_asked(work: Coroutine[None, None, None]) -> None:
    """Work until SIGTERM or SIGINT; disks that are there stay, as under a machine that runs on."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
