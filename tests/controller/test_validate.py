from __future__ import annotations

import re
from typing import Any

import pytest

from diskcsi.controller.requests import Validate
from diskcsi.model.capabilities import AccessMode, MountAccess, VolumeCapability
from diskcsi.model.errors import NotFound
from tests.controller.rig import ABSENT, BLOCK, MOUNT, SHARED_BLOCK, Rig

NTFS = VolumeCapability(mode=AccessMode.SINGLE_NODE_WRITER, access=MountAccess(fs_type="ntfs"))
READERS = VolumeCapability(mode=AccessMode.MULTI_NODE_READER_ONLY, access=MountAccess())


async def test_everything_that_fits_is_confirmed(rig: Rig) -> None:
    """Capabilities, context and parameters were all looked at."""
    disk = rig.given_disk()
    request = Validate(
        volume_id=disk.id,
        capabilities=(MOUNT, BLOCK),
        context={"kind": "plain", "other": "anything"},
        parameters={"kind": "plain", "zone": "zone-a"},
        mutable_parameters={"kind": "quick,plain"},
    )
    assert await rig.validator.why_not(request) == ""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"capabilities": ()}, "at least one", id="no-capability"),
        pytest.param({"capabilities": (MOUNT, SHARED_BLOCK)}, "MULTI_NODE", id="capability"),
        pytest.param({"capabilities": (NTFS,)}, "'ntfs' is not served", id="filesystem"),
        pytest.param({"context": {"kind": "quick"}}, "volume_context.*kind", id="context"),
        pytest.param({"parameters": {"kind": "quick"}}, "wanted quick", id="parameter"),
        pytest.param({"parameters": {"zone": "zone-b"}}, "zone-a", id="zone"),
        pytest.param({"parameters": {"nope": "1"}}, "nope", id="unknown-parameter"),
        pytest.param({"mutable_parameters": {"kind": "quick"}}, "wanted quick", id="mutable"),
        pytest.param({"parameters": {"shared": "true"}}, "multi-attach", id="shared"),
    ],
)
async def test_one_thing_that_does_not_fit_is_told(
    rig: Rig, changes: dict[str, Any], told: str
) -> None:
    """Nothing is confirmed that wasn't checked."""
    disk = rig.given_disk()
    given = {"volume_id": disk.id, "capabilities": (MOUNT,), **changes}
    assert re.search(told, await rig.validator.why_not(Validate(**given)))


async def test_a_shared_disk_is_confirmed_for_many_nodes(rig: Rig) -> None:
    """It is a fact of the disk, not of the request."""
    disk = rig.given_disk(multi_attach=True)
    request = Validate(volume_id=disk.id, capabilities=(READERS, SHARED_BLOCK))
    assert await rig.validator.why_not(request) == ""


async def test_an_absent_disk_is_not_found(rig: Rig) -> None:
    """Nothing can be said of it."""
    with pytest.raises(NotFound):
        await rig.validator.why_not(Validate(volume_id=ABSENT, capabilities=(MOUNT,)))
