from __future__ import annotations

from dataclasses import replace

import pytest

from diskcsi.model.errors import WrongState
from tests.node.machine import STAGE, Machine
from tests.rows import row


@pytest.mark.parametrize(
    ("facts", "hint"),
    [({}, "attach it again"), ({"head_is_zero": False}, "wipe all of it by hand")],
    ids=["blank", "written"],
)
@row("console-changes")
async def test_a_disk_that_grew_before_its_first_staging_is_to_be_attached_again(
    node: Machine, facts: dict[str, object], hint: str
) -> None:
    """It isn't formatted; to wipe it is the advice only where something is on it."""
    disk = node.host.plug("one", size_gib=30)
    disk.facts.update(facts)
    with pytest.raises(WrongState, match=f"has grown since it was attached.*; nothing .*{hint}"):
        await node.stager.stage(STAGE)
    assert disk.done == []


@row("console-changes")
async def test_a_disk_that_grew_is_formatted_once_it_is_attached_again(node: Machine) -> None:
    """The new attachment tells the new size, and every proof is whole."""
    disk = node.host.plug("one", size_gib=30)
    told = {**STAGE.publish_context, "sizeBytes": str(disk.size_bytes)}
    await node.stager.stage(replace(STAGE, publish_context=told))
    assert disk.done == ["make ext4"]
