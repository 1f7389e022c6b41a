"""Objects of the cluster: the driver's own, classes, and names that two releases don't share."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from diskcsi.providers.alibaba.parameters import snapshot_parameters, volume_parameters
from tests.k8s.charts import REGION, ROOT, Helm, Refused, Rendered

pytestmark = pytest.mark.k8s

ALIBABA_FILES = [
    *(ROOT / "k8s" / "values" / f"{name}.yaml" for name in ("ack", "self-built", "rainbond")),
    Path(__file__).parent / "values" / "everything-on.yaml",
]

DEFAULT = "storageclass.kubernetes.io/is-default-class"


def test_the_csidriver_is_the_one_of_the_go_drivers_chart(helm: Helm) -> None:
    """What can't be changed is alike: a swap from there has nothing to delete."""
    driver = helm.render(values=REGION, kubernetes="1.27.0").one("CSIDriver")
    assert driver["metadata"]["name"] == "diskplugin.csi.alibabacloud.com"
    assert driver["spec"] == {
        "attachRequired": True, "podInfoOnMount": True, "storageCapacity": False,
    }  # fmt: skip


@pytest.mark.parametrize(("kubernetes", "told"), [("1.33.9", None), ("1.34.0", 60)])
def test_kubelet_looks_again_at_a_nodes_places_where_it_can(
    helm: Helm, kubernetes: str, told: int | None
) -> None:
    """A field that the cluster doesn't know is left out."""
    spec = helm.render(values=REGION, kubernetes=kubernetes).one("CSIDriver")["spec"]
    assert spec.get("nodeAllocatableUpdatePeriodSeconds") == told


def test_the_default_classes_are_those_of_the_first_driver(plain: Rendered) -> None:
    """Names, parameters and binding are as its chart has them, and none is the default."""
    classes = {
        one["metadata"]["name"]: (one["parameters"]["type"], one["volumeBindingMode"])
        for one in plain.all("StorageClass")
    }
    assert classes == {
        "alicloud-disk-topology-alltype": (
            "cloud_essd,cloud_ssd,cloud_efficiency", "WaitForFirstConsumer",
        ),
        "alicloud-disk-essd": ("cloud_essd", "Immediate"),
        "alicloud-disk-ssd": ("cloud_ssd", "Immediate"),
        "alicloud-disk-efficiency": ("cloud_efficiency", "Immediate"),
    }  # fmt: skip
    assert not [one for one in plain.all("StorageClass") if "annotations" in one["metadata"]]


def test_a_class_of_ones_own_is_made_beside_them(helm: Helm) -> None:
    """Numbers and booleans become texts, as parameters have to be."""
    mine = {
        "parameters": {"type": "cloud_auto", "provisionedIops": 1000000, "burstingEnabled": True}
    }
    rendered = helm.render(
        values=REGION | {"storageClasses": {"fast": mine}, "defaultStorageClass": "fast"}
    )
    made = rendered.one("StorageClass", "fast")
    assert made["parameters"] == {
        "type": "cloud_auto", "provisionedIops": "1000000", "burstingEnabled": "true",
    }  # fmt: skip
    assert made["metadata"]["annotations"] == {DEFAULT: "true"}
    assert len(rendered.all("StorageClass")) == 5


@pytest.mark.parametrize("file", ALIBABA_FILES, ids=lambda path: path.stem)
def test_the_provider_serves_every_class_of_the_examples(helm: Helm, file: Path) -> None:
    """No parameter is unknown to it, or out of range."""
    rendered = helm.render(files=(file,))
    for one in rendered.all("StorageClass"):
        assert volume_parameters(one["parameters"]).kinds
    for one in rendered.all("VolumeSnapshotClass"):
        assert snapshot_parameters(one.get("parameters", {})).tags == {}


def test_in_kind_a_class_has_disks_of_one_gibibyte(helm: Helm) -> None:
    """Tests make many volumes; it can be made the default one."""
    rendered = helm.render(
        "diskcsi-kind", values={"diskcsi": {"defaultStorageClass": "mockcloud-disk"}}
    )
    made = rendered.one("StorageClass", "mockcloud-disk")
    (kind,) = volume_parameters(made["parameters"]).kinds
    assert kind.sizes.min_gib == 1
    assert made["metadata"]["annotations"] == {DEFAULT: "true"}


@pytest.mark.parametrize(
    ("kind", "told", "left"),
    [
        ("StorageClass", {"storageClasses": {"alicloud-disk-ssd": None, "mine": {}}}, 4),
        ("StorageClass", {"storageClasses": {"mine": None}}, 4),
        ("VolumeSnapshotClass", {"volumeSnapshotClasses": {"alibabacloud-disk-snapshot": None}}, 0),
    ],
    ids=["default", "own", "snapshots"],
)
def test_a_class_is_left_out_by_null(
    helm: Helm, kind: str, told: dict[str, dict[str, dict[str, str] | None]], left: int
) -> None:
    """One of the default classes as well, and the others stay."""
    made = {one["metadata"]["name"] for one in helm.render(values=REGION | told).all(kind)}
    (classes,) = told.values()
    assert not made & {name for name, one in classes.items() if one is None}
    assert len(made) == left


def test_in_kind_the_class_of_the_chart_can_have_another_name(helm: Helm) -> None:
    """Two clouds in one cluster can't have a class of one name."""
    classes = {"mockcloud-disk": None, "mine": {"parameters": {"type": "cloud_auto"}}}
    driver = {"storageClasses": classes, "defaultClasses": False, "defaultStorageClass": "mine"}
    rendered = helm.render("diskcsi-kind", values={"diskcsi": driver})
    assert rendered.one("StorageClass")["metadata"]["name"] == "mine"


def test_a_class_that_is_left_out_is_no_default_one(helm: Helm) -> None:
    """Claims without a class would wait for it."""
    driver = {
        "storageClasses": {"mockcloud-disk": None}, "defaultStorageClass": "mockcloud-disk",
    }  # fmt: skip
    with pytest.raises(Refused, match="no class of this chart has that name"):
        helm.render("diskcsi-kind", values={"diskcsi": driver})


def test_another_provider_gets_no_class_of_alibaba(helm: Helm) -> None:
    """Its parameters mean nothing there."""
    rendered = helm.render(
        files=(ROOT / "k8s" / "values" / "other-provider.yaml",), release="folder"
    )
    (one,) = rendered.all("StorageClass")
    assert (one["metadata"]["name"], one["provisioner"]) == ("folder", "folder.example.org")
    assert not rendered.all("VolumeSnapshotClass")


@pytest.mark.parametrize("namespaces", [("kube-system", "kube-system"), ("disks", "folders")])
def test_two_releases_with_two_providers_share_no_object(
    helm: Helm, namespaces: tuple[str, str]
) -> None:
    """One cluster may have disks of two clouds."""
    other = (ROOT / "k8s" / "values" / "other-provider.yaml",)
    first = helm.render(values=REGION, namespace=namespaces[0])
    second = helm.render(files=other, release="folder", namespace=namespaces[1])
    assert not first.names() & second.names()


def test_two_releases_of_one_name_in_two_namespaces_share_no_role(helm: Helm) -> None:
    """Helm knows a release by its namespace, too."""
    other = (ROOT / "k8s" / "values" / "other-provider.yaml",)
    first = helm.render(values=REGION, namespace="disks")
    second = helm.render(files=other, namespace="folders")
    assert not first.names() & second.names()


@pytest.mark.parametrize("chart", ["diskcsi", "mockcloud"])
@pytest.mark.parametrize("release", ["my.disk", "r" * 53, "a-1"])
def test_whatever_a_release_is_called_its_objects_may_be_named_so(
    helm: Helm, chart: str, release: str
) -> None:
    """Helm allows names with dots, and longer ones than what follows them leaves room for."""
    values = {**REGION, "metrics": {"enabled": True}} if chart == "diskcsi" else {}
    rendered = helm.render(chart, values=values, release=release)
    names = [one["metadata"]["name"] for one in rendered.all("Service")]
    assert names
    assert [
        name for name in names if not re.fullmatch("[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name)
    ] == []


@pytest.mark.parametrize("chart", ["diskcsi", "mockcloud"])
def test_a_name_that_no_service_may_have_is_refused(helm: Helm, chart: str) -> None:
    """With the way out."""
    way_out = f"1abc-{chart}.*give the release another name, or fullnameOverride"
    with pytest.raises(Refused, match=way_out):
        helm.render(chart, values=REGION if chart == "diskcsi" else {}, release="1abc")


@pytest.mark.parametrize("part", ["controller", "node"])
def test_what_pods_are_chosen_by_never_changes(plain: Rendered, part: str) -> None:
    """Kubernetes refuses an upgrade that changes it."""
    (owner,) = plain.all("Deployment" if part == "controller" else "DaemonSet")
    assert owner["spec"]["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "diskcsi",
        "app.kubernetes.io/instance": "diskcsi",
        "app.kubernetes.io/component": part,
    }


def test_everything_can_be_switched_off(helm: Helm) -> None:
    """A cluster that has its own roles, classes and nodes' part gets a controller, and no more."""
    rendered = helm.render(files=(Path(__file__).parent / "values" / "everything-off.yaml",))
    assert rendered.names() == {
        ("ConfigMap", "kube-system/diskcsi-config"),
        ("Deployment", "kube-system/diskcsi-controller"),
    }


def test_every_object_of_a_namespace_says_which(helm: Helm) -> None:
    """What is rendered can be applied without naming the namespace again."""
    cluster_wide = {
        "CSIDriver",
        "ClusterRole",
        "ClusterRoleBinding",
        "StorageClass",
        "VolumeSnapshotClass",
    }
    rendered = helm.render(
        files=(Path(__file__).parent / "values" / "everything-on.yaml",), namespace="disks"
    )
    lost = [
        one["kind"]
        for one in rendered.objects
        if one["kind"] not in cluster_wide and one["metadata"].get("namespace") != "disks"
    ]
    assert not lost
