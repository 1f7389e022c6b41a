from __future__ import annotations

from dataclasses import replace

import pytest

from diskcsi.model.errors import (
    WrongState,
)
from diskcsi.node.requests import Stage
from tests.node.machine import (
    RAW,
    RAW_STAGE,
    STAGE,
    STAGING,
    TARGET,
    Machine,
)


@pytest.mark.parametrize("request_", [STAGE, RAW_STAGE], ids=["mounted", "raw"])
async def test_unstaging_leaves_no_mount(node: Machine, request_: Stage) -> None:
    """The path is free again; the directory is kubelet's."""
    disk = node.host.plug("one")
    await node.stager.stage(request_)
    await node.stager.unstage(request_.volume_id, STAGING)
    assert (node.host.paths_of(disk), RAW in node.host.files) == ([], False)


async def test_unstaging_what_is_not_staged_is_fine(node: Machine) -> None:
    """Kubelet repeats every call."""
    await node.stager.unstage(STAGE.volume_id, STAGING)
    assert node.host.mounted == []


async def test_unstaging_behind_a_link_finds_the_mount(node: Machine) -> None:
    """A mount that is overlooked would be detached under its writers."""
    disk = node.host.plug("one")
    node.host.links["/var/lib/kubelet"] = "/data/kubelet"
    await node.stager.stage(STAGE)
    await node.stager.unstage(STAGE.volume_id, STAGING)
    assert node.host.paths_of(disk) == []


async def test_stacked_mounts_are_all_taken_away(node: Machine) -> None:
    """A former driver may have mounted twice."""
    disk = node.host.plug("one")
    await node.stager.stage(STAGE)
    node.host.mounted.append(node.host.mounted[0])
    await node.stager.unstage(STAGE.volume_id, STAGING)
    assert node.host.paths_of(disk) == []


async def test_a_volume_that_a_pod_still_has_is_not_unstaged(node: Machine) -> None:
    """The disk would be detached next, under whoever writes."""
    node.host.plug("one")
    await node.stager.stage(STAGE)
    node.host.mounted.append(replace(node.host.mounted[0], path=TARGET))
    with pytest.raises(WrongState, match=f"d-one is still mounted at {TARGET}"):
        await node.stager.unstage(STAGE.volume_id, STAGING)
    assert len(node.host.mounted) == 2


async def test_a_busy_staging_path_is_told(node: Machine) -> None:
    """Never by force and never lazily: both hide who still writes."""
    node.host.plug("one")
    await node.stager.stage(STAGE)
    node.host.busy.add(STAGING)
    with pytest.raises(WrongState, match="busy"):
        await node.stager.unstage(STAGE.volume_id, STAGING)
