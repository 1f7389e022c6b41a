from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest

from diskcsi.model.capabilities import AccessMode, Capability, MountAccess, VolumeCapability
from diskcsi.model.errors import (
    AlreadyExists,
    Exhausted,
    InvalidArgument,
    NotFound,
    OutOfRange,
    Pending,
    Unsupported,
)
from diskcsi.model.ids import SnapshotId
from diskcsi.model.sizes import GIB, Capacity
from diskcsi.model.topology import Requirement
from diskcsi.model.volume import DiskState
from diskcsi.telemetry import logging
from diskcsi.testing.memory import (
    MEMORY_RULES,
    REGION_KEY,
    ZONE_KEY,
    MemoryCloud,
    MemorySettings,
    memory_rules,
)
from tests.controller.rig import BLOCK, MOUNT, ORDER, SHARED_BLOCK, Rig, build, gib, zones


async def test_a_volume_is_answered_once_its_disk_is_ready(rig: Rig) -> None:
    """What is answered can be attached at once."""
    rig.cloud.state.latency.create_s = 3.0
    volume = await rig.create()
    assert rig.disk(volume.id).state is DiskState.AVAILABLE


async def test_a_repeat_gives_the_same_volume(rig: Rig) -> None:
    """The name is the key."""
    assert (await rig.create()).id == (await rig.create()).id


async def test_a_repeat_makes_no_second_disk_and_no_second_call(rig: Rig) -> None:
    """Finding by name comes first."""
    await rig.create()
    await rig.create()
    assert (len(rig.disks()), rig.cloud.count("create_disk")) == (1, 1)


async def test_a_repeat_is_answered_as_completely_as_the_first(rig: Rig) -> None:
    """The provisioner deletes a volume whose answer lacks its source or place."""
    source = await rig.create(name="source")
    snapshot = await rig.snapshot(source.id)
    order = replace(ORDER, snapshot_id=snapshot.id, parameters={"kind": "quick"})
    first = await rig.create(order)
    assert await rig.restarted().create(order) == first
    assert (first.snapshot_id, first.segments, first.context, first.size_gib) == (
        snapshot.id,
        {ZONE_KEY: "zone-a"},
        {"kind": "quick"},
        20,
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"capacity": gib(30)}, "20 GiB", id="larger"),
        pytest.param({"capacity": gib(1, 10)}, "20 GiB", id="smaller-limit"),
        pytest.param({"parameters": {"kind": "quick"}}, "wanted quick", id="kind"),
        pytest.param({"parameters": {"shared": "true"}}, "multi-attach", id="shared"),
        pytest.param({"requirement": zones("zone-b")}, "zone-a", id="topology"),
        pytest.param(
            {"requirement": Requirement(), "parameters": {"zone": "zone-b"}}, "zone-a", id="zone"
        ),
        pytest.param({"snapshot_id": SnapshotId("snap-1")}, "source", id="source"),
    ],
)
async def test_a_name_with_other_arguments_is_refused(
    rig: Rig, changes: dict[str, Any], told: str
) -> None:
    """The volume that is there must not be taken for the one that is wanted."""
    await rig.create()
    with pytest.raises(AlreadyExists, match=told):
        await rig.create(**changes)


async def test_of_two_disks_of_one_name_the_one_that_fits_is_taken(rig: Rig) -> None:
    """Another hand may have made the other one."""
    await rig.create(capacity=gib(50))
    odd = rig.disks()[0]
    rig.cloud.state.forget_tokens()
    rig.cloud.state.disks[odd.id] = replace(odd, name="aside")
    fitting = await rig.create(capacity=gib(20, 20))
    rig.cloud.state.disks[odd.id] = odd
    assert (await rig.create(capacity=gib(20, 20))).id == fitting.id


@pytest.mark.parametrize(
    ("capacity", "kind", "size_gib"),
    [
        pytest.param(Capacity(), "plain", 1, id="no-range-is-the-smallest"),
        pytest.param(Capacity(), "quick", 20, id="no-range-is-the-smallest-of-the-kind"),
        pytest.param(Capacity(required_bytes=5 * GIB + 1), "plain", 6, id="rounded-up"),
        pytest.param(Capacity(required_bytes=5 * GIB + 1, limit_bytes=6 * GIB), "plain", 6, id="limit"),
        pytest.param(gib(0, 30), "quick", 20, id="limit-alone"),
    ],
)  # fmt: skip
async def test_the_size_is_the_smallest_that_fits(
    rig: Rig, capacity: Capacity, kind: str, size_gib: int
) -> None:
    """Bytes become whole GiB, and nobody pays for more."""
    volume = await rig.create(capacity=capacity, parameters={"kind": kind})
    assert volume.size_gib == size_gib


@pytest.mark.parametrize(
    ("capacity", "kind"),
    [
        pytest.param(gib(19), "quick", id="below-the-kind"),
        pytest.param(gib(501), "plain", id="above-the-kind"),
        pytest.param(gib(0, 19), "quick", id="limit-below-the-kind"),
        pytest.param(
            Capacity(required_bytes=5 * GIB + 1, limit_bytes=5 * GIB + 2), "plain", id="5-limit"
        ),
        pytest.param(gib(1001), "plain,quick", id="above-every-kind"),
    ],
)
async def test_a_size_that_is_not_sold_is_refused_before_the_cloud_is_asked(
    rig: Rig, capacity: Capacity, kind: str
) -> None:
    """Nothing was made, so the refusal may be final."""
    with pytest.raises(OutOfRange):
        await rig.create(capacity=capacity, parameters={"kind": kind})
    assert rig.cloud.calls == []


async def test_a_class_may_round_small_sizes_up(rig: Rig) -> None:
    """Claims smaller than the kind's smallest disk are common, and some classes say so."""
    volume = await rig.create(capacity=gib(5), parameters={"kind": "quick", "roundUp": "true"})
    assert volume.size_gib == 20


@pytest.mark.parametrize("kind", ["quick", "quick,quick"])
async def test_a_size_that_rounding_would_serve_is_refused_with_that_way_out(
    rig: Rig, kind: str
) -> None:
    """Who may only choose a size passes the message on to who may change the class."""
    with pytest.raises(OutOfRange, match='or set roundUp to "true" in the StorageClass'):
        await rig.create(capacity=gib(5), parameters={"kind": kind})


async def test_a_size_that_rounding_would_not_serve_is_refused_without_that_way_out(
    rig: Rig,
) -> None:
    """The limit forbids the smallest disk, so the class can't help."""
    with pytest.raises(OutOfRange, match="GiB") as refused:
        await rig.create(capacity=gib(5, 10), parameters={"kind": "quick"})
    assert "roundUp" not in str(refused.value)


async def test_rounding_up_respects_the_limit(rig: Rig) -> None:
    """The caller's limit is a promise."""
    with pytest.raises(OutOfRange):
        await rig.create(capacity=gib(5, 10), parameters={"kind": "quick", "roundUp": "true"})


async def test_a_rounded_volume_is_found_by_its_repeat(rig: Rig) -> None:
    """The disk is larger than the claim, which fits."""
    order = replace(ORDER, capacity=gib(5), parameters={"kind": "quick", "roundUp": "true"})
    assert (await rig.create(order)).id == (await rig.restarted().create(order)).id


async def test_a_kind_that_cannot_hold_the_size_is_passed_over(rig: Rig) -> None:
    """The class lists what would do; the rest is tried."""
    volume = await rig.create(capacity=gib(600), parameters={"kind": "plain,quick"})
    assert volume.context == {"kind": "quick"}


async def test_mutable_parameters_win_over_parameters(rig: Rig) -> None:
    """They are the newer word."""
    volume = await rig.create(parameters={"kind": "plain"}, mutable_parameters={"kind": "quick"})
    assert volume.context == {"kind": "quick"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"parameters": {"knd": "plain"}}, "knd.*mean kind", id="unknown-key"),
        pytest.param({"mutable_parameters": {"iops": "1"}}, "iops", id="unknown-mutable-key"),
        pytest.param({"parameters": {"shared": "on"}}, "shared.*true", id="odd-boolean"),
        pytest.param({"parameters": {"region": "elsewhere"}}, "elsewhere", id="other-region"),
        pytest.param({"capabilities": ()}, "volume_capabilities", id="no-capability"),
        pytest.param({"capabilities": (SHARED_BLOCK,)}, "several nodes may hold", id="many-nodes"),
        pytest.param(
            {
                "capabilities": (replace(SHARED_BLOCK, access=MountAccess()),),
                "parameters": {"shared": "true"},
            },
            "raw block",
            id="many-writers-of-a-filesystem",
        ),
        pytest.param(
            {"capabilities": (replace(MOUNT, access=MountAccess(fs_type="ntfs")),)},
            "ntfs.*ext4",
            id="unknown-filesystem",
        ),
        pytest.param({"requirement": Requirement()}, "zone", id="no-zone"),
    ],
)
async def test_what_cannot_be_served_is_refused_by_name_before_the_cloud_is_asked(
    rig: Rig, changes: dict[str, Any], told: str
) -> None:
    """The message says which field, and what would be served."""
    with pytest.raises(InvalidArgument, match=told):
        await rig.create(**changes)
    assert rig.cloud.calls == []


async def test_one_bad_capability_among_good_ones_is_refused(rig: Rig) -> None:
    """All of them have to be served."""
    with pytest.raises(InvalidArgument):
        await rig.create(capabilities=(MOUNT, BLOCK, SHARED_BLOCK))


async def test_a_shared_disk_serves_readers_of_many_nodes(rig: Rig) -> None:
    """A filesystem that nobody writes may be mounted everywhere."""
    readers = VolumeCapability(mode=AccessMode.MULTI_NODE_READER_ONLY, access=MountAccess())
    volume = await rig.create(capabilities=(readers,), parameters={"shared": "true"})
    assert rig.disk(volume.id).multi_attach


async def test_keys_of_the_sidecars_are_no_parameters_and_become_labels(rig: Rig) -> None:
    """The provisioner adds them on its own."""
    await rig.create(parameters={"csi.storage.k8s.io/pvc/name": "data", "kind": "plain"})
    assert [spec.labels for spec in rig.cloud.state.orders] == [
        {"csi.storage.k8s.io/pvc/name": "data"}
    ]


async def test_preferred_places_come_first(rig: Rig) -> None:
    """The scheduler has chosen the node already; requisite ones are only allowed."""
    volume = await rig.create(requirement=zones("zone-b", "zone-a"))
    assert volume.segments == {ZONE_KEY: "zone-b"}


async def test_requisite_places_are_used_without_preferred_ones(rig: Rig) -> None:
    """Never silently the driver's own zone."""
    volume = await rig.create(requirement=Requirement(requisite=({ZONE_KEY: "zone-b"},)))
    assert volume.segments == {ZONE_KEY: "zone-b"}


async def test_the_class_narrows_what_the_scheduler_asks_for(rig: Rig) -> None:
    """Both must agree."""
    volume = await rig.create(
        requirement=zones("zone-a", "zone-b"), parameters={"zone": "zone-b,zone-c"}
    )
    assert volume.segments == {ZONE_KEY: "zone-b"}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"parameters": {"zone": "zone-b"}}, id="class-elsewhere"),
        pytest.param(
            {"requirement": Requirement(requisite=({ZONE_KEY: "z", REGION_KEY: "far"},))},
            id="other-region",
        ),
    ],
)
async def test_a_place_that_cannot_be_is_left_to_the_scheduler(
    rig: Rig, changes: dict[str, Any]
) -> None:
    """It may choose another node; nothing was asked of the cloud."""
    with pytest.raises(Exhausted):
        await rig.create(**changes)
    assert rig.cloud.calls == []


async def test_a_class_alone_may_name_the_zone(rig: Rig) -> None:
    """Immediate binding asks for no place."""
    volume = await rig.create(requirement=Requirement(), parameters={"zone": "zone-b"})
    assert volume.segments == {ZONE_KEY: "zone-b"}


async def test_the_settings_may_name_a_zone_for_all_others(rig: Rig) -> None:
    """A cluster of one zone needs no topology."""
    rules = memory_rules(MemorySettings(default_zone="zone-b"))
    volume = await rig.restarted(rules=rules).create(requirement=Requirement())
    assert volume.segments == {ZONE_KEY: "zone-b"}


async def test_a_volume_without_a_zone_can_be_used_anywhere(rig: Rig) -> None:
    """Its answer names no place, so no node is excluded."""
    volume = await rig.create()
    rig.cloud.state.disks[volume.id] = replace(rig.disk(volume.id), zone="")
    assert (await rig.create()).segments == {}


async def test_a_restored_volume_has_the_snapshots_size_unless_told(rig: Rig) -> None:
    """No capacity range means: what the source has."""
    source = await rig.create(name="source", capacity=gib(7))
    snapshot = await rig.snapshot(source.id)
    restored = await rig.create(capacity=Capacity(), snapshot_id=snapshot.id)
    assert restored.size_gib == 7


async def test_a_capacity_smaller_than_the_snapshot_is_out_of_range(rig: Rig) -> None:
    """The content wouldn't fit."""
    source = await rig.create(name="source")
    snapshot = await rig.snapshot(source.id)
    with pytest.raises(OutOfRange, match="20 GiB"):
        await rig.create(capacity=gib(19), snapshot_id=snapshot.id)


async def test_a_limit_smaller_than_the_snapshot_is_out_of_range(rig: Rig) -> None:
    """No kind of disk could hold it."""
    source = await rig.create(name="source")
    snapshot = await rig.snapshot(source.id)
    with pytest.raises(OutOfRange):
        await rig.create(capacity=gib(0, 19), snapshot_id=snapshot.id)


async def test_an_absent_snapshot_is_not_found_and_nothing_is_made(rig: Rig) -> None:
    """An empty disk in its place would be taken for the data."""
    with pytest.raises(NotFound, match="snap-1"):
        await rig.create(snapshot_id=SnapshotId("snap-1"))
    assert rig.cloud.changes == []


async def test_a_snapshot_that_is_not_ready_is_waited_for_by_the_caller(rig: Rig) -> None:
    """Not over yet, so not final."""
    rig.cloud.state.latency.upload_s = 60.0
    source = await rig.create(name="source")
    snapshot = await rig.snapshot(source.id)
    with pytest.raises(Pending, match="not ready"):
        await rig.create(snapshot_id=snapshot.id)


async def test_a_repeat_needs_its_source_no_more(rig: Rig) -> None:
    """The snapshot may be deleted once the volume is there."""
    source = await rig.create(name="source")
    snapshot = await rig.snapshot(source.id)
    first = await rig.create(snapshot_id=snapshot.id)
    await rig.snapshotter.delete(snapshot.id)
    assert await rig.create(snapshot_id=snapshot.id) == first


async def test_restoring_needs_a_provider_that_can(rig: Rig) -> None:
    """What is missing is said, not attempted."""
    poor = MemoryCloud(capabilities=frozenset({Capability.SNAPSHOTS}))
    with pytest.raises(Unsupported):
        await build(poor, rig.tasks, rules=MEMORY_RULES).create(snapshot_id=SnapshotId("snap-1"))


async def test_what_a_class_says_without_effect_is_told_in_the_calls_log_line(rig: Rig) -> None:
    """It is served, and its author may believe that it does something."""
    stream = StringIO()
    logging.configure(level="INFO", form="json", stream=stream)
    await rig.create(replace(ORDER, parameters={"colour": "red"}))
    logging.logger().info("call ended")
    assert "colour" in json.loads(stream.getvalue())["class_warnings"]
