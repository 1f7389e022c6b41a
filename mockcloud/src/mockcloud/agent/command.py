"""The command line of the agent."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from mockcloud.agent import imds
from mockcloud.agent.devices import Devices, Unable
from mockcloud.agent.node import Away, NodeFacts, instance_id, read_node
from mockcloud.agent.session import Session
from mockcloud.agents import this_boot
from mockcloud.shared_token import token_of

ASK_AGAIN_S: Final = 2.0


def _address(context: click.Context, option: click.Parameter, told: str) -> str:
    parts = urlsplit(told)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise click.BadParameter(f"{told!r}: allowed is http://HOST:PORT", context, option)
    return told.rstrip("/")


def _ipv4(context: click.Context, option: click.Parameter, told: str) -> str:
    try:
        return str(ipaddress.IPv4Address(told)) if told else ""
    except ValueError as error:
        raise click.BadParameter(
            f"{told!r}: allowed is an IPv4 address, or nothing", context, option
        ) from error


@click.command()
@click.option(
    "--server",
    required=True,
    callback=_address,
    help="address of `mockcloud serve`: http://HOST:PORT",
)
@click.option(
    "--token-file",
    "token",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=token_of,
    help="the secret that it shares with the server; it may change",
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
    callback=_ipv4,
    help="where the instance's metadata is served, on the loopback interface; empty: nowhere",
)
@click.option("--metadata-port", default=80, show_default=True, type=click.IntRange(1, 65535))
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
    token: Callable[[], str],
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
    told = NodeFacts(
        name=node_name, instance="", zone=zone, region=region, instance_type=instance_type
    )
    machine = _Machine(
        server=server,
        token=token,
        boot_id=boot_id,
        devices=Devices(root=device_root),
        loop_nodes=loop_nodes,
        metadata_address=metadata_address,
        metadata_port=metadata_port,
        look=partial(_look, told, system_id, kubernetes_host, kubernetes_port),
    )
    try:
        asyncio.run(_until_asked(machine.run()))
    except* Unable as group:
        reason = _first(group)
        raise click.ClickException(str(reason)) from reason


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """What was told of this machine; `look` reads who and where it is."""

    server: str
    token: Callable[[], str]
    boot_id: str
    devices: Devices
    loop_nodes: int
    metadata_address: str
    metadata_port: int
    look: Callable[[], Awaitable[NodeFacts]]

    async def run(self) -> None:
        """Be an instance until cancelled; raises Unable.

        Where it is to take the address of a cloud's metadata service, nothing of this machine is
        touched before it is sure that no such service is there; and the address is taken only when
        the mock has taken the machine for an instance.
        """
        if self.metadata_address:
            await imds.prove_free(self.metadata_address, self.metadata_port)
        self.devices.prove()
        self.devices.adopt()
        self.devices.provide_loops(self.loop_nodes)
        session = Session(
            server=self.server,
            token=self.token,
            facts=await _facts(self.look),
            boot_id=self.boot_id or this_boot(),
            devices=self.devices,
            read_again=self.look,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run())
            if self.metadata_address:
                await session.welcomed.wait()
                await imds.serve(
                    address=self.metadata_address, port=self.metadata_port, server=self.server,
                    instance=session.facts.instance,
                )  # fmt: skip


async def _look(told: NodeFacts, system_id: str, host: str, port: str) -> NodeFacts:
    """What the Node object says now; what was told on the command line wins."""
    if system_id:
        return replace(told, instance=instance_id(told.name, system_id))
    if not host:
        raise Unable("there is no Kubernetes here to ask for the node; tell --system-id and --zone")
    found = await read_node(told.name, host=host, port=port)
    return replace(
        found,
        zone=told.zone or found.zone,
        region=told.region or found.region,
        instance_type=told.instance_type or found.instance_type,
    )


async def _facts(look: Callable[[], Awaitable[NodeFacts]]) -> NodeFacts:
    """Who and where the machine is, once Kubernetes tells; each reason why not is logged once."""
    said = ""
    while True:
        try:
            return await look()
        except Away as error:
            if str(error) != said:
                logging.getLogger(__name__).warning("%s; asking again", error)
            said = str(error)
        await asyncio.sleep(ASK_AGAIN_S)


def _first(group: BaseExceptionGroup[Unable]) -> Unable:
    """The reason; what else failed did so along with it."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _until_asked(work: Coroutine[None, None, None]) -> None:
    """Work until SIGTERM or SIGINT; disks that are there stay, as under a machine that runs on."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
