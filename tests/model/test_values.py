"""The small values: topology, capabilities, classes of disks, errors."""

from __future__ import annotations

import pytest

from diskcsi.model import errors
from diskcsi.model.capabilities import AccessMode, BlockAccess, MountAccess, VolumeCapability
from diskcsi.model.errors import MAYBE_RUNNING, DiskError, InUse, Throttled
from diskcsi.model.ids import VolumeId
from diskcsi.model.parameters import DiskKind, VolumeParameters
from diskcsi.model.sizes import SizeRange
from diskcsi.model.topology import Segments, TopologyKeys
from diskcsi.model.volume import Disk, DiskState

KEYS = TopologyKeys(zone=("example/zone", "k8s/zone"), region=("example/region",))

FAST = DiskKind(label="fast", sizes=SizeRange(), attributes={"type": "fast", "level": "2"})
SLOW = DiskKind(label="slow", sizes=SizeRange(), attributes={"type": "slow"})

FINAL = {
    "InvalidArgument", "OutOfRange", "NotFound", "AlreadyExists", "Denied", "Exhausted", "InUse",
    "WrongState", "InvalidToken", "Unsupported",
}  # fmt: skip
"""What is told only when it is certain."""


def every_error() -> list[type[DiskError]]:
    """The whole tree without its root."""
    found, rest = [], [DiskError]
    while rest:
        children = rest.pop().__subclasses__()
        found += children
        rest += children
    return found


@pytest.mark.parametrize(
    ("segments", "zone"),
    [
        ({"example/zone": "a"}, "a"),
        ({"k8s/zone": "b"}, "b"),
        ({"example/zone": "a", "k8s/zone": "b"}, "a"),
        ({"other": "c"}, None),
        ({}, None),
    ],
)
def test_a_zone_is_read_from_the_first_key_that_names_one(
    segments: Segments, zone: str | None
) -> None:
    """All keys are understood, in their order."""
    assert KEYS.zone_of(segments) == zone


@pytest.mark.parametrize(("segments", "region"), [({"example/region": "r"}, "r"), ({}, None)])
def test_a_region_is_read_likewise(segments: Segments, region: str | None) -> None:
    """None where no key names one."""
    assert KEYS.region_of(segments) == region


def test_volumes_carry_the_first_zone_key() -> None:
    """One key is written."""
    assert KEYS.of_zone("a") == {"example/zone": "a"}


@pytest.mark.parametrize("mode", AccessMode)
def test_modes_tell_who_may_use_a_volume(mode: AccessMode) -> None:
    """The spec's names say it."""
    assert (mode.multi_node, mode.read_only) == (
        "MULTI_NODE" in mode.value,
        "READER" in mode.value,
    )


@pytest.mark.parametrize(
    ("mode", "many"),
    [
        (AccessMode.SINGLE_NODE_WRITER, False),
        (AccessMode.SINGLE_NODE_READER_ONLY, False),
        (AccessMode.SINGLE_NODE_SINGLE_WRITER, False),
        (AccessMode.SINGLE_NODE_MULTI_WRITER, True),
        (AccessMode.MULTI_NODE_READER_ONLY, True),
        (AccessMode.MULTI_NODE_SINGLE_WRITER, True),
        (AccessMode.MULTI_NODE_MULTI_WRITER, True),
    ],
)
def test_modes_tell_whether_one_node_may_publish_at_several_paths(
    mode: AccessMode, *, many: bool
) -> None:
    """csi-test asserts it."""
    assert mode.many_targets is many


@pytest.mark.parametrize(("access", "block"), [(BlockAccess(), True), (MountAccess(), False)])
def test_a_capability_tells_whether_it_is_raw(
    access: BlockAccess | MountAccess, *, block: bool
) -> None:
    """Two ways of handing a volume over."""
    assert VolumeCapability(mode=AccessMode.SINGLE_NODE_WRITER, access=access).block is block


@pytest.mark.parametrize(
    ("attributes", "misfit"),
    [
        ({"type": "fast", "level": "2"}, ""),
        ({"type": "slow"}, ""),
        ({"type": "slow", "more": "x"}, ""),
        ({"type": "fast", "level": "1"}, "it is level 1, type fast, wanted fast or slow"),
        ({}, "it is of no kind, wanted fast or slow"),
    ],
)
def test_a_disk_fits_a_class_by_one_of_its_kinds(attributes: dict[str, str], misfit: str) -> None:
    """The message tells both sides."""
    disk = Disk(id=VolumeId("d"), size_gib=1, state=DiskState.AVAILABLE, attributes=attributes)
    assert VolumeParameters(kinds=(FAST, SLOW)).mismatch(disk) == misfit


def test_a_shared_disk_does_not_fit_a_class_of_single_ones() -> None:
    """It would be attached twice by mistake."""
    disk = Disk(id=VolumeId("d"), size_gib=1, state=DiskState.AVAILABLE, multi_attach=True)
    assert "multi-attach" in VolumeParameters(kinds=(SLOW,)).mismatch(disk)


@pytest.mark.parametrize("error", every_error(), ids=lambda error: error.__name__)
def test_every_error_is_either_final_or_not(error: type[DiskError]) -> None:
    """A new one must be put on one side."""
    assert issubclass(error, MAYBE_RUNNING) is not (error.__name__ in FINAL)


def test_our_own_timeout_is_not_final() -> None:
    """What was begun may still happen."""
    assert issubclass(TimeoutError, MAYBE_RUNNING)


@pytest.mark.parametrize("error", every_error(), ids=lambda error: error.__name__)
def test_every_error_stands_in_the_tree_that_people_read(error: type[DiskError]) -> None:
    """The module's first page lists it."""
    assert error.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("error", every_error(), ids=lambda error: error.__name__)
def test_every_error_keeps_what_the_cloud_said(error: type[DiskError]) -> None:
    """Code and request id are for whoever asks the cloud's support."""
    raised = error("no", hint="do this", code="Cloud.Code", request_id="r-1")
    assert (raised.message, raised.hint, raised.code, raised.request_id) == (
        "no",
        "do this",
        "Cloud.Code",
        "r-1",
    )


def test_a_message_tells_hint_and_code() -> None:
    """One line says what happened, what the cloud said, and what to do."""
    told = str(DiskError("disk d is gone", hint="restore it", code="NotFound", request_id="r-1"))
    assert all(part in told for part in ("disk d is gone", "restore it", "NotFound", "r-1"))


def test_the_holder_and_the_pause_are_facts_of_their_own() -> None:
    """Rules read them; nobody parses a message."""
    assert (InUse("x", by="node-1").by, Throttled("x", retry_after_s=2.0).retry_after_s) == (
        "node-1",
        2.0,
    )
