"""What is asked while the rest of the driver is still being built."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from diskcsi._proto.csi import v1
from diskcsi.edge.built import Built
from diskcsi.edge.identity import PluginFacts
from diskcsi.edge.services import Halves, services
from tests.edge.sockets import Served, at_once, identity, serving


class Node(v1.NodeBase):
    """A half with one answer."""

    async def node_get_info(
        self, node_get_info_request: v1.NodeGetInfoRequest
    ) -> v1.NodeGetInfoResponse:
        return v1.NodeGetInfoResponse(node_id="n-1")


async def test_the_name_is_told_before_anything_is_built(tmp_path: Path) -> None:
    """Registration gives little time, and the name needs none of it."""
    served = services(identity=identity(Built()), halves=Built())
    async with serving(tmp_path / "s", served) as here:
        told = await here.identity.get_plugin_info(v1.GetPluginInfoRequest())
    assert told.name == "d.example.com"


async def test_a_call_of_a_half_waits_until_it_is_built(tmp_path: Path) -> None:
    """It is neither refused nor lost."""
    halves: Built[Halves] = Built()
    served = services(identity=identity(Built()), halves=halves)
    async with serving(tmp_path / "s", served) as here, asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(here.node.node_get_info(v1.NodeGetInfoRequest()))
        await here.identity.get_plugin_info(v1.GetPluginInfoRequest())
        assert not asked.done()
        halves.make_known(Halves(controller=None, node=Node()))
        assert (await asked).node_id == "n-1"


async def test_a_half_that_is_not_served_answers_unimplemented(tmp_path: Path) -> None:
    """The process has a node, and somebody asks it for the controller."""
    halves: Built[Halves] = Built()
    halves.make_known(Halves(controller=None, node=Node()))
    served = services(identity=identity(Built()), halves=halves)
    async with serving(tmp_path / "s", served) as here:
        with pytest.raises(GRPCError) as refused:
            await here.controller.create_volume(v1.CreateVolumeRequest(name="a"))
    assert refused.value.status is Status.UNIMPLEMENTED


async def test_who_waits_for_a_start_that_fails_is_told_to_try_again(tmp_path: Path) -> None:
    """The process ends; its successor may do better, so the code isn't final."""
    halves: Built[Halves] = Built()
    served = services(identity=identity(Built()), halves=halves)
    async with serving(tmp_path / "s", served) as here, asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(_refused(here))
        await here.identity.get_plugin_info(v1.GetPluginInfoRequest())
        halves.give_up()
        assert await asked is Status.UNAVAILABLE


async def _refused(here: Served) -> Status:
    with pytest.raises(GRPCError) as refused:
        await here.node.node_get_info(v1.NodeGetInfoRequest())
    return refused.value.status


async def test_a_probe_says_ready_once_the_plugin_is_built_and_can_work(tmp_path: Path) -> None:
    """Ready means that the cloud can be used, not that the process runs."""
    plugin: Built[PluginFacts] = Built()
    plugin.make_known(PluginFacts(expand=True, check=at_once))
    async with serving(tmp_path / "s", services(identity=identity(plugin), halves=Built())) as here:
        told = await here.identity.probe(v1.ProbeRequest())
    assert told.ready is True
