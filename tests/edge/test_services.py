"""What is served, what is advertised, and what the rest is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from grpclib.const import Cardinality, Handler

from diskcsi._proto.csi import v1
from diskcsi.edge.built import Built
from diskcsi.edge.controller import ControllerRules, ControllerService
from diskcsi.edge.identity import PluginFacts
from diskcsi.edge.node import NodeRules, NodeService
from diskcsi.model.capabilities import EVERY_CAPABILITY, Capability
from diskcsi.model.errors import Unreachable
from tests.edge.sockets import Served, at_once, identity, made, raising, served_by, serving

BASES = (
    v1.ControllerBase, v1.NodeBase, v1.GroupControllerBase, v1.SnapshotMetadataBase,
)  # fmt: skip

ALWAYS = {
    "validate_volume_capabilities", "controller_get_capabilities", "node_publish_volume",
    "node_unpublish_volume", "node_get_capabilities", "node_get_info",
}  # fmt: skip
"""Served by every driver, with no capability that would tell (CSI spec, RPC interface)."""

WITH = {
    "CREATE_DELETE_VOLUME": {"create_volume", "delete_volume"},
    "PUBLISH_UNPUBLISH_VOLUME": {"controller_publish_volume", "controller_unpublish_volume"},
    "LIST_VOLUMES": {"list_volumes"},
    "GET_CAPACITY": {"get_capacity"},
    "CREATE_DELETE_SNAPSHOT": {"create_snapshot", "delete_snapshot"},
    "LIST_SNAPSHOTS": {"list_snapshots"},
    "EXPAND_VOLUME": {"controller_expand_volume", "node_expand_volume"},
    "MODIFY_VOLUME": {"controller_modify_volume"},
    "GET_VOLUME": {"controller_get_volume"},
    "GET_SNAPSHOT": {"get_snapshot"},
    "STAGE_UNSTAGE_VOLUME": {"node_stage_volume", "node_unstage_volume"},
    "GET_VOLUME_STATS": {"node_get_volume_stats"},
    "SINGLE_NODE_MULTI_WRITER": set(),
}  # fmt: skip
"""The calls that come with each capability (CSI spec, ControllerGetCapabilities and Node's)."""


class NoRules:
    """Stands where the rules do: nothing that is refused gets so far."""

    capabilities = EVERY_CAPABILITY


def controller(capabilities: frozenset[Capability] = EVERY_CAPABILITY) -> ControllerService:
    rules = NoRules()
    rules.capabilities = capabilities
    return ControllerService(rules=cast("ControllerRules", rules))


def node() -> NodeService:
    return NodeService(rules=cast("NodeRules", NoRules()))


def own_calls(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def not_served() -> list[str]:
    """The paths of the contract that no class of ours has a method for."""
    ours = own_calls(ControllerService) | own_calls(NodeService)
    paths: list[str] = []
    for base in BASES:
        handlers: dict[str, Handler] = base().__mapping__()
        for path, handler in handlers.items():
            name = cast("Any", handler.func).__name__.rpartition("__rpc_")[2]
            paths += [] if name in ours else [path]
    return paths


async def answer(served: Served, path: str) -> dict[str, str]:
    """What comes back on the wire, before any client has made sense of it."""
    async with served.channel.request(
        path, Cardinality.UNARY_UNARY, v1.ProbeRequest, v1.ProbeResponse
    ) as stream:
        await stream.send_message(v1.ProbeRequest(), end=True)
        headers = dict(await cast("Any", stream)._stream.recv_headers())
        cast("Any", stream)._cancel_done = True  # all was said; the client need not look for more
    return headers


@pytest.mark.parametrize(
    "path", [*not_served(), "/csi.v1.Controller/Invented", "/csi.v9.Controller/CreateVolume", "/"]
)
async def test_what_is_not_served_is_answered_so_that_every_client_understands(
    tmp_path: Path, path: str
) -> None:
    """Without the content type Go's clients read UNKNOWN, and sidecars stop."""
    async with serving(tmp_path / "s", served_by(controller=controller(), node=node())) as served:
        headers = await answer(served, path)
    assert (
        headers.items() >= {"grpc-status": "12", "content-type": "application/grpc+proto"}.items()
    )


def test_there_are_calls_that_are_not_served() -> None:
    """The test above has something to ask."""
    assert "/csi.v1.Controller/ControllerModifyVolume" in not_served()


async def test_the_controller_serves_what_it_advertises_and_no_more() -> None:
    """A capability without its calls fails users, calls without it are never asked."""
    told = await controller().controller_get_capabilities(v1.ControllerGetCapabilitiesRequest())
    names = {str(one.rpc.type.name) for one in told.capabilities}
    advertised = set().union(*(WITH[name] for name in names)) | ALWAYS
    served = own_calls(ControllerService)
    assert served == {name for name in advertised if name in v1.ControllerBase.__dict__}


async def test_the_node_serves_what_it_advertises_and_no_more() -> None:
    """The same on the other side."""
    told = await node().node_get_capabilities(v1.NodeGetCapabilitiesRequest())
    names = {str(one.rpc.type.name) for one in told.capabilities}
    advertised = set().union(*(WITH[name] for name in names)) | ALWAYS
    served = own_calls(NodeService)
    assert served == {name for name in advertised if name in v1.NodeBase.__dict__}


async def test_a_cloud_without_snapshots_advertises_none() -> None:
    """What is advertised follows the provider."""
    plain = controller(frozenset({Capability.EXPAND}))
    told = await plain.controller_get_capabilities(v1.ControllerGetCapabilitiesRequest())
    assert {str(one.rpc.type.name) for one in told.capabilities} == {
        "CREATE_DELETE_VOLUME", "PUBLISH_UNPUBLISH_VOLUME", "SINGLE_NODE_MULTI_WRITER",
        "EXPAND_VOLUME",
    }  # fmt: skip


@pytest.mark.parametrize("expand", [True, False])
async def test_the_plugin_tells_how_volumes_grow(*, expand: bool) -> None:
    """Where they can't, the resizer has nothing to do."""
    told = await identity(made(PluginFacts(expand=expand, check=at_once))).get_plugin_capabilities(
        v1.GetPluginCapabilitiesRequest()
    )
    assert any(one.is_set("volume_expansion") for one in told.capabilities) is expand


async def test_a_probe_of_a_plugin_that_can_t_reach_its_cloud_is_no_error() -> None:
    """An error would have the process restarted, and that mends no cloud."""
    broken = made(PluginFacts(expand=True, check=raising(Unreachable("no way there"))))
    told = await identity(broken).probe(v1.ProbeRequest())
    assert told.ready is False


@pytest.mark.looptime
async def test_a_probe_ends_before_its_asker_gives_up() -> None:
    """The liveness sidecar waits three seconds."""
    forever = asyncio.Event()

    async def check() -> None:
        await forever.wait()

    began_s = asyncio.get_running_loop().time()
    told = await identity(made(PluginFacts(expand=True, check=check))).probe(v1.ProbeRequest())
    assert (told.ready, asyncio.get_running_loop().time() - began_s) == (False, 2.0)


@pytest.mark.looptime
async def test_a_probe_of_a_plugin_that_is_still_being_built_says_not_ready() -> None:
    """It comes while the rest is imported."""
    told = await identity(Built()).probe(v1.ProbeRequest())
    assert told.ready is False
