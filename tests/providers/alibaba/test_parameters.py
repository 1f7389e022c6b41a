from __future__ import annotations

import pytest

from diskcsi.model.errors import InvalidArgument
from diskcsi.providers.alibaba.parameters import (
    RETENTION_TAG,
    AlibabaVolumeParameters,
    snapshot_parameters,
    volume_parameters,
)
from diskcsi.providers.alibaba.schemas import VOLUME_SCHEMA


def kinds(given: dict[str, str]) -> list[str]:
    return [kind.label for kind in volume_parameters(given).kinds]


def test_an_empty_class_takes_the_default_categories_in_their_order() -> None:
    """As the Go driver does."""
    assert kinds({}) == ["cloud_ssd", "cloud_efficiency"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "available"}, ["cloud_ssd", "cloud_efficiency"]),
        ({"type": "cloud_essd"}, ["cloud_essd"]),
        ({"type": "cloud_essd, cloud_ssd ,cloud_essd"}, ["cloud_essd", "cloud_ssd"]),
        ({"type": "cloud_essd,cloud_ssd", "performanceLevel": "PL1, PL0"},
         ["cloud_essd PL1", "cloud_essd PL0", "cloud_ssd"]),
        ({"type": "cloud_auto", "performanceLevel": "PL1"}, ["cloud_auto"]),
        ({"type": "cloud_pperf,cloud_sperf,cloud"}, ["cloud_pperf", "cloud_sperf", "cloud"]),
    ],
)  # fmt: skip
def test_categories_and_levels_are_tried_in_the_order_of_the_class(
    given: dict[str, str], expected: list[str]
) -> None:
    """Levels belong to one category; spaces and repeats don't count."""
    assert kinds(given) == expected


@pytest.mark.parametrize(
    ("category", "level", "smallest", "largest"),
    [
        ("cloud", "", 5, 2000), ("cloud_efficiency", "", 20, 32768),
        ("cloud_ssd", "", 20, 32768), ("cloud_essd", "", 20, 65536),
        ("cloud_essd", "PL0", 1, 65536), ("cloud_essd", "PL1", 20, 65536),
        ("cloud_essd", "PL2", 461, 65536), ("cloud_essd", "PL3", 1261, 65536),
        ("cloud_auto", "", 1, 65536), ("cloud_essd_entry", "", 10, 32768),
        ("cloud_essd_xc0", "", 40, 65536), ("cloud_essd_xc1", "", 40, 65536),
    ],
)  # fmt: skip
def test_each_kind_has_its_sizes(category: str, level: str, smallest: int, largest: int) -> None:
    """As ECS sells them; both ends are included."""
    given = {"type": category, **({"performanceLevel": level} if level else {})}
    sizes = volume_parameters(given).kinds[0].sizes

    assert (sizes.min_gib, sizes.max_gib) == (smallest, largest)


@pytest.mark.parametrize(
    ("category", "smallest"), [("cloud_auto", 20), ("cloud_ssd", 20), ("cloud_essd_xc0", 40)]
)
def test_a_class_that_rounds_up_sells_no_less_than_the_go_driver_makes(
    category: str, smallest: int
) -> None:
    """Twenty GiB whatever the category, and more where the category wants it."""
    parsed = volume_parameters({"type": category, "volumeSizeAutoAvailable": "true"})

    assert parsed.kinds[0].sizes.min_gib == smallest


@pytest.mark.parametrize(
    ("given", "field", "expected"),
    [
        ({"zoneId": "cn-hangzhou-g, cn-hangzhou-h"}, "zones", ("cn-hangzhou-g", "cn-hangzhou-h")),
        ({"zoneid": "cn-hangzhou-g"}, "zones", ("cn-hangzhou-g",)),
        ({"regionId": "cn-hangzhou"}, "region", "cn-hangzhou"),
        ({"encrypted": "yes"}, "encrypted", True),
        ({"encrypted": "NO"}, "encrypted", False),
        ({"encrypted": "1", "kmsKeyId": "k1"}, "kms_key_id", "k1"),
        ({"encrypted": "1", "kmsKeyId": "k1", "alibabacloud.com/kms-key-id": "k2"},
         "kms_key_id", "k2"),
        ({"kmsKeyId": "k1"}, "kms_key_id", ""),
        ({"type": "cloud_essd", "multiAttach": "Enabled"}, "multi_attach", True),
        ({"multiAttach": "disabled"}, "multi_attach", False),
        ({"provisionedIops": "0"}, "provisioned_iops", 0),
        ({"provisionedIops": "50000"}, "provisioned_iops", 50000),
        ({"burstingEnabled": "true"}, "bursting", True),
        ({"resourceGroupId": "rg-1"}, "resource_group_id", "rg-1"),
        ({"storageClusterId": "dbsc-1", "performanceLevel": "PL1"}, "storage_cluster_id", "dbsc-1"),
        ({"volumeSizeAutoAvailable": "true"}, "round_up", True),
        ({"diskTags": "a:1, b:2:3"}, "tags", {"a": "1", "b": "2:3"}),
        ({"diskTags/team": "shop"}, "tags", {"team": "shop"}),
        ({"diskTags": "a:1", "diskTags/a": "2"}, "tags", {"a": "2"}),
        ({"diskTags": "a:"}, "tags", {"a": ""}),
        ({"volumeDeleteSnapshotRetentionDays": "7"}, "tags", {RETENTION_TAG: "7"}),
        ({"mkfsOptions": "-m 0"}, "context", {"mkfsOptions": "-m 0"}),
        ({"omitfsck": "true"}, "context", {"omitfsck": "true"}),
        ({"omitfsck": "false"}, "context", {}),
        ({"volume.kubernetes.io/selected-node": "worker-1"}, "context", {}),
        ({"restrictToHpnZone": "never"}, "zones", ()),
        ({"csi.storage.k8s.io/pvc/name": "data"}, "tags", {}),
    ],
)  # fmt: skip
def test_each_key_means_what_it_means_to_the_go_driver(
    given: dict[str, str], field: str, expected: object
) -> None:
    """Old classes go on working as they stand."""
    assert getattr(volume_parameters(given), field) == expected


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("type", "cloud_sdd", "cloud_ssd"),
        ("type", "cloud_ssd,", "without empty items"),
        ("type", "cloud_regional_disk_auto", "a disk of a whole region"),
        ("type", "elastic_ephemeral_disk_premium", "bound to one machine"),
        ("performanceLevel", "PL4", "PL0, PL1, PL2, PL3"),
        ("performanceLevel", "pl1", "PL0, PL1, PL2, PL3"),
        ("zoneId", "a,,b", "without empty items"),
        ("encrypted", "on", "1, true, yes, 0, false, no"),
        ("multiAttach", "shared", "enabled"),
        ("provisionedIops", "-1", "whole numbers from 0 to 50000"),
        ("provisionedIops", "50001", "whole numbers from 0 to 50000"),
        ("provisionedIops", "1e3", "whole numbers from 0 to 50000"),
        ("burstingEnabled", "", "1, true, yes"),
        ("diskTags", "team", "key:value"),
        ("diskTags", " :x", "key:value"),
        ("volumeSizeAutoAvailable", "maybe", "1, true, yes"),
        ("volumeDeleteSnapshotRetentionDays", "0", "from 1 to 65536"),
        ("volumeDeleteSnapshotRetentionDays", "65537", "from 1 to 65536"),
        ("omitfsck", "always", "1, true, yes"),
        ("readOnly", "rarely", "1, true, yes"),
        ("restrictToHpnZone", "always", "never"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_name(key: str, value: str, allowed: str) -> None:
    """Nothing is dropped or bent: the message names the key, the value and what is allowed."""
    with pytest.raises(InvalidArgument) as caught:
        volume_parameters({key: value})

    told = str(caught.value)
    assert repr(key) in told
    assert allowed in told


@pytest.mark.parametrize(
    ("key", "instead"),
    [
        ("dataCacheSize", "a cache"), ("dataCacheMode", "a cache"),
        ("sysConfig", "no kernel settings"), ("readIOPS", "no I/O limits"),
        ("writeIOPS", "no I/O limits"), ("readBPS", "no I/O limits"),
        ("writeBPS", "no I/O limits"), ("alibabacloud.com/createdisk-arn", "own account"),
        ("csi.alibabacloud.com/disk-snapshot-id", "VolumeSnapshot"),
        ("volume.alibabacloud.com/disk-id", "PersistentVolume"),
    ],
)  # fmt: skip
def test_a_key_that_is_not_served_is_refused_with_the_reason(key: str, instead: str) -> None:
    """People know it from the Go driver; it is not ignored without a word."""
    with pytest.raises(InvalidArgument, match="is not served") as caught:
        volume_parameters({key: "1"})

    assert instead in str(caught.value)


@pytest.mark.parametrize(
    ("key", "meant"),
    [("performancelevel", "performanceLevel"), ("typ", "type"), ("encrypt", "encrypted"),
     ("zoneID", "zoneId"), ("mkfsOption", "mkfsOptions")],
)  # fmt: skip
def test_a_misspelled_key_is_refused_with_the_one_that_was_meant(key: str, meant: str) -> None:
    """Case counts, and a plain disk instead of an encrypted one would be noticed too late."""
    with pytest.raises(InvalidArgument, match=f"unknown key '{key}'") as caught:
        volume_parameters({key: "x"})

    assert f"did you mean {meant}?" in caught.value.hint


def test_an_unknown_key_is_refused_with_the_allowed_ones() -> None:
    """Those that are never served are not among them."""
    with pytest.raises(InvalidArgument) as caught:
        volume_parameters({"iopsPerGB": "3"})

    allowed = caught.value.hint.partition("allowed keys: ")[2].split(", ")
    served = {
        f"{key.name}..." if key.prefix else key.name
        for key in VOLUME_SCHEMA.keys
        if not key.refused
    }
    assert set(allowed) == served


@pytest.mark.parametrize("key", ["fsType", "fstype", "FSTYPE", "FsType"])
def test_the_bare_filesystem_key_is_known_in_any_case(key: str) -> None:
    """The provisioner reads it and passes it on by itself."""
    assert kinds({key: "xfs"}) == ["cloud_ssd", "cloud_efficiency"]


def test_rainbonds_class_is_served_as_it_stands() -> None:
    """Old keys, bare filesystem and a boolean in quotes."""
    parsed = volume_parameters(
        {"zoneId": "cn-huhehaote-a", "regionId": "cn-huhehaote", "fsType": "ext4",
         "type": "cloud_ssd", "readOnly": "false"}
    )  # fmt: skip

    assert (parsed.region, parsed.zones, [kind.label for kind in parsed.kinds]) == (
        "cn-huhehaote", ("cn-huhehaote-a",), ["cloud_ssd"],
    )  # fmt: skip


@pytest.mark.parametrize(
    "key", ["readOnly", "volumeExpandAutoSnapshot", "volumeDeleteSnapshotRetentionDays"]
)
def test_a_key_without_the_effect_that_people_expect_is_warned_of(key: str) -> None:
    """It is accepted, and what it doesn't do is said."""
    assert volume_parameters({key: "1"}).warnings[0].startswith(f"{key}: ")


@pytest.mark.parametrize("key", ["kmsKeyId", "alibabacloud.com/kms-key-id"])
@pytest.mark.parametrize(("encrypted", "warns"), [("", True), ("false", True), ("true", False)])
def test_a_key_without_encryption_is_warned_of(key: str, encrypted: str, *, warns: bool) -> None:
    """The disk is plain, which the class' author may not expect."""
    given = {key: "k1"} | ({"encrypted": encrypted} if encrypted else {})
    assert any("is not encrypted" in one for one in volume_parameters(given).warnings) is warns


def test_two_spellings_that_disagree_are_refused() -> None:
    """Neither is better than the other."""
    with pytest.raises(InvalidArgument, match="twice"):
        volume_parameters({"zoneId": "cn-hangzhou-g", "zoneid": "cn-hangzhou-h"})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"type": "cloud_essd,cloud_ssd", "multiAttach": "true"}, "cloud_ssd can't be shared"),
        ({"multiAttach": "true"}, "cloud_ssd, cloud_efficiency can't be shared"),
        ({"storageClusterId": "dbsc-1"}, "needs performanceLevel"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(given: dict[str, str], told: str) -> None:
    """Before anything is made."""
    with pytest.raises(InvalidArgument, match=told):
        volume_parameters(given)


@pytest.mark.parametrize(
    "given",
    [{"diskTags/acs:own": "1"}, {"diskTags": "Aliyun-x:1"}, {"diskTags/https://x": "1"},
     {f"diskTags/{'k' * 129}": "1"}, {"diskTags/a": "v" * 129}, {"diskTags/a": "http://x"}],
    ids=["acs", "aliyun", "url-key", "long-key", "long-value", "url-value"],
)  # fmt: skip
def test_a_tag_that_the_cloud_refuses_is_refused_at_the_door(given: dict[str, str]) -> None:
    """And is never cut to fit."""
    with pytest.raises(InvalidArgument, match="which the cloud refuses"):
        volume_parameters(given)


def test_a_class_is_parsed_into_one_value() -> None:
    """Equal classes are equal, whatever order they were written in."""
    one = volume_parameters({"type": "cloud_essd", "encrypted": "true"})

    assert isinstance(one, AlibabaVolumeParameters)
    assert one == volume_parameters({"encrypted": "YES", "type": " cloud_essd "})


@pytest.mark.parametrize(
    ("given", "field", "expected"),
    [
        ({}, "retention_days", None), ({"retentionDays": "1"}, "retention_days", 1),
        ({"retentionDays": "65536"}, "retention_days", 65536),
        ({"resourceGroupId": "rg-1"}, "resource_group_id", "rg-1"),
        ({"snapshotTags/team": "shop"}, "tags", {"team": "shop"}),
        ({"csi.storage.k8s.io/volumesnapshot/name": "s"}, "tags", {}),
    ],
)  # fmt: skip
def test_each_key_of_a_snapshot_class_is_read(
    given: dict[str, str], field: str, expected: object
) -> None:
    """By the names of the Go driver."""
    assert getattr(snapshot_parameters(given), field) == expected


@pytest.mark.parametrize("key", ["snapshotType", "instantAccessRetentionDays"])
def test_old_keys_of_a_snapshot_class_are_warned_of(key: str) -> None:
    """They had an effect once."""
    assert snapshot_parameters({key: "1"}).warnings[0].startswith(f"{key}: ")


@pytest.mark.parametrize(
    "given",
    [{"retentionDays": "0"}, {"retentionDays": "forever"}, {"retentionDay": "1"},
     {"snapshotTags/acs:x": "1"}, {"snapshotTags/": "1"}],
)  # fmt: skip
def test_what_a_snapshot_class_may_not_say_is_refused(given: dict[str, str]) -> None:
    """A number out of range is not dropped: a snapshot would be kept for ever."""
    with pytest.raises(InvalidArgument):
        snapshot_parameters(given)
