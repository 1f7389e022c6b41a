from __future__ import annotations

import pytest

from diskcsi.model.ids import NodeId, VolumeId
from diskcsi.model.volume import Disk, DiskState
from diskcsi.ports.node_facts import NodeFacts
from diskcsi.ports.provider import NodeSlots, Rules
from diskcsi.providers import registry
from diskcsi.providers.alibaba import ALIBABA
from diskcsi.providers.alibaba.limits import DISKS
from diskcsi.providers.alibaba.settings import AlibabaSettings
from diskcsi.settings import fill

FACTS = NodeFacts(node_id=NodeId("i-1"), zone="cn-hangzhou-g", region="cn-hangzhou")

ZONE = "topology.kubernetes.io/zone"
OWN_ZONE = "topology.diskplugin.csi.alibabacloud.com/zone"
REGION = "topology.kubernetes.io/region"
OWN_REGION = "topology.diskplugin.csi.alibabacloud.com/region"
INSTANCE = "alibabacloud.com/ecs-instance-id"


def rules(**environment: str) -> Rules:
    settings = fill(AlibabaSettings, flags={}, environment=environment, file={})
    return ALIBABA.rules(settings)


def test_the_driver_is_found_by_its_entry_point() -> None:
    """It registers as every provider does."""
    assert registry.load("alibaba") is ALIBABA


def test_the_driver_has_the_go_drivers_name() -> None:
    """Existing volumes and classes name it."""
    assert ALIBABA.driver_name == "diskplugin.csi.alibabacloud.com"


def test_a_node_tells_both_zone_keys() -> None:
    """Volumes of either driver find it."""
    assert rules().segments(FACTS) == {
        ZONE: "cn-hangzhou-g", OWN_ZONE: "cn-hangzhou-g", REGION: "cn-hangzhou", INSTANCE: "i-1",
    }  # fmt: skip


def test_a_node_tells_only_own_keys_where_the_operator_wants_it() -> None:
    """As the Go driver does under the same setting."""
    assert rules(PRIVATE_TOPOLOGY_KEY="true").segments(FACTS) == {
        OWN_ZONE: "cn-hangzhou-g", OWN_REGION: "cn-hangzhou", INSTANCE: "i-1",
    }  # fmt: skip


@pytest.mark.parametrize(("private", "key"), [("false", ZONE), ("true", OWN_ZONE)])
def test_a_new_volume_carries_one_zone_key(private: str, key: str) -> None:
    """The standard one, which autoscalers know, unless the operator wants the driver's own."""
    topology = rules(PRIVATE_TOPOLOGY_KEY=private).topology

    assert topology.of_zone("cn-hangzhou-g") == {key: "cn-hangzhou-g"}


@pytest.mark.parametrize("private", ["false", "true"])
@pytest.mark.parametrize("key", [ZONE, OWN_ZONE])
def test_a_zone_is_understood_by_either_key(key: str, private: str) -> None:
    """Requirements come from nodes of both generations."""
    topology = rules(PRIVATE_TOPOLOGY_KEY=private).topology

    assert topology.zone_of({key: "cn-hangzhou-g"}) == "cn-hangzhou-g"


@pytest.mark.parametrize("private", ["false", "true"])
@pytest.mark.parametrize("key", [REGION, OWN_REGION])
def test_a_region_is_understood_by_either_key(key: str, private: str) -> None:
    """The same holds for regions."""
    topology = rules(PRIVATE_TOPOLOGY_KEY=private).topology

    assert topology.region_of({key: "cn-hangzhou"}) == "cn-hangzhou"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, NodeSlots(attach=1, detach=1, shared=True)),
        ({"DISK_ATTACH_CONCURRENCY": "32"}, NodeSlots(attach=32, detach=1, shared=False)),
        ({"DISK_DETACH_CONCURRENCY": "5"}, NodeSlots(attach=1, detach=5, shared=False)),
        ({"DISK_ATTACH_CONCURRENCY": "32", "DISK_DETACH_CONCURRENCY": "5"},
         NodeSlots(attach=32, detach=5, shared=False)),
    ],
)  # fmt: skip
def test_a_machine_takes_one_change_at_a_time_unless_the_account_allows_more(
    environment: dict[str, str], expected: NodeSlots
) -> None:
    """The cloud refuses a second attach or detach of one machine by default."""
    assert rules(**environment).slots == expected


@pytest.mark.parametrize(
    ("context", "expected"),
    [({}, "bp1x"), ({"serialNumber": "bp1y"}, "bp1y"), ({"serialNumber": ""}, "")],
)
def test_a_device_must_show_the_serial_that_the_controller_told(
    context: dict[str, str], expected: str
) -> None:
    """An empty one means a disk without, which is not guessed at; old volumes tell nothing."""
    assert rules().devices.serial(VolumeId("d-bp1x"), context) == expected


def test_the_controller_tells_the_serial_under_the_go_drivers_key() -> None:
    """Nodes of either driver read it."""
    disk = Disk(id=VolumeId("d-1"), size_gib=20, state=DiskState.IN_USE, serial="bp1x")

    assert rules().publish_context(disk) == {"serialNumber": "bp1x"}


def test_devices_are_looked_for_by_the_links_that_the_cloud_makes() -> None:
    """One form for virtio disks and one for NVMe ones."""
    patterns = rules().devices.by_id_patterns

    assert [one.format(serial="bp1x") for one in patterns] == [
        "virtio-bp1x", "nvme-Alibaba_Cloud_Elastic_Block_Storage_bp1x",
    ]  # fmt: skip


def test_the_region_is_that_of_the_settings() -> None:
    """A class of another region is refused by it."""
    assert rules(REGION_ID="cn-huhehaote").region == "cn-huhehaote"


@pytest.mark.parametrize(
    ("instance_type", "disks"),
    [("ecs.g6.large", 17), ("ecs.u1-c1m4.xlarge", 9), ("ecs.g7se.16xlarge", 57)],
)
def test_a_type_whose_figure_is_published_has_a_limit(instance_type: str, disks: int) -> None:
    """Its system disk is among them."""
    assert rules().volume_limit(instance_type) == disks


@pytest.mark.parametrize("instance_type", ["", "ecs.g99.large", "ecs.g6", "G6.LARGE"])
def test_of_an_unknown_type_nothing_is_told(instance_type: str) -> None:
    """Guessing would overfill a node, or leave it half empty."""
    assert rules().volume_limit(instance_type) is None


def test_every_limit_leaves_room_beside_the_system_disk() -> None:
    """A slip in the table would keep all volumes from the type."""
    assert {name for name, disks in DISKS.items() if disks < 2} == set()


@pytest.mark.parametrize(
    ("instance_type", "disks"),
    [("ecs.g8i.large", 9), ("ecs.g6.large", 5), ("ecs.g7.xlarge", 17), ("ecs.g9i.large", None)],
    ids=["only the operator knows it", "both do", "only the table does", "nobody does"],
)
def test_the_operators_figure_of_a_type_wins(instance_type: str, disks: int | None) -> None:
    """Of types that he doesn't name the published figure stands."""
    told = rules(DISKCSI_DISK_QUANTITIES="ecs.g8i.large=9,ecs.g6.large=5")

    assert told.volume_limit(instance_type) == disks


def test_where_no_figure_is_known_the_hint_names_every_way_to_give_it() -> None:
    """For the type, for the node, and for a node whose type nothing tells."""
    hint = rules().volume_limit_hint

    ways = ("disk_quantities", "MAX_VOLUMES_PERNODE", "instance_type")
    assert [way for way in ways if way not in hint] == []
