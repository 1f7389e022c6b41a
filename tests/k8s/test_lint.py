"""Helm's own checks, and what a wrong value is told."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from diskcsi.providers.alibaba.settings import METADATA_URL
from tests.k8s.charts import CHARTS, REGION, ROOT, Helm, Manifest, Refused, container

pytestmark = pytest.mark.k8s

VALUES = sorted(
    [*(ROOT / "k8s" / "values").iterdir(), *(Path(__file__).parent / "values").iterdir()]
)


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_lint_passes_for_every_kind_of_cluster(helm: Helm, values: Path) -> None:
    """Helm's strict lint has nothing to say."""
    done = helm.run("lint", "--strict", str(helm.charts / "diskcsi"), f"--values={values}")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("chart", ["diskcsi", "mockcloud", "diskcsi-kind"])
def test_lint_passes_for_every_chart_by_default(helm: Helm, chart: str) -> None:
    """Helm's strict lint has nothing to say on the values that a chart comes with."""
    done = helm.run("lint", "--strict", str(helm.charts / chart))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("flags", [[], ["--set=mockcloud.server.port=9000"]])
@pytest.mark.parametrize(
    ("there", "missing"),
    [([], "diskcsi,mockcloud"), (["diskcsi"], "mockcloud"), (["mockcloud"], "diskcsi")],
)
def test_lint_of_a_chart_without_its_parts_tells_only_what_is_missing(
    helm: Helm, tmp_path: Path, there: list[str], missing: str, flags: list[str]
) -> None:
    """As in a fresh clone: what the two parts say of each other can't be compared there."""
    chart = tmp_path / "diskcsi-kind"
    shutil.copytree(CHARTS / chart.name, chart, ignore=shutil.ignore_patterns("charts"))
    for part in there:
        shutil.copytree(CHARTS / part, chart / "charts" / part)
    done = helm.run("lint", str(chart), *flags)
    assert f"missing these dependencies: {missing}\n" in done.stdout + done.stderr
    assert "[ERROR]" not in done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("chart", "flags"),
    [("diskcsi", ["--set=provider.settings.region=r"]), ("mockcloud", []), ("diskcsi-kind", [])],
)
def test_a_chart_renders_where_no_cluster_tells_its_version(
    helm: Helm, chart: str, flags: list[str]
) -> None:
    """Our own build of helm knows the Kubernetes that it was made for, as a released one does."""
    done = helm.run("template", "here", str(helm.charts / chart), *flags)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("chart", "values", "told"),
    [
        ("diskcsi", {"replicas": 2}, "additional properties 'replicas' not allowed"),
        ("diskcsi", {"controller": {"replica": 2}}, "at '/controller': additional properties 'replica'"),
        ("diskcsi", {"sidecars": {"attacher": {"timeout": 9}}}, "at '/sidecars/attacher'"),
        ("diskcsi", {"node": {"kubeletDir": "kubelet"}}, "at '/node/kubeletDir'"),
        ("diskcsi", {"storageClasses": {"a": {"bindingMode": "x"}}}, "at '/storageClasses/a'"),
        ("diskcsi", {"provider": {"settings": {"call-timeout": 9}}}, "at '/provider/settings'"),
        ("diskcsi", {"provider": {"settings": {"nodes": [{"id": 1}]}}}, "at '/provider/settings/nodes/0'"),
        ("diskcsi", {"controller": {"dnsPolicy": "None"}}, "at '/controller/dnsPolicy'"),
        ("diskcsi", {"sidecars": {"resizer": {"tag": ""}}}, "at '/sidecars/resizer/tag'"),
        ("diskcsi", {"sidecars": {"registrar": {"repository": ""}}}, "at '/sidecars/registrar/repository'"),
        ("diskcsi", {"ca": {"key": ""}}, "at '/ca/key'"),
        ("diskcsi", {"fullnameOverride": "UPPER_case"}, "at '/fullnameOverride'"),
        ("diskcsi", {"driverName": "a..b"}, "at '/driverName'"),
        ("diskcsi", {"storageClasses": {"Fast_X": {"parameters": {"type": "cloud_auto"}}}}, "invalid propertyName 'Fast_X'"),
        ("diskcsi", {"volumeSnapshotClasses": {"a/b": {}}}, "invalid propertyName 'a/b'"),
        ("mockcloud", {"nameOverride": "-mock"}, "at '/nameOverride'"),
        ("mockcloud", {"agents": {}}, "additional properties 'agents' not allowed"),
        ("diskcsi-kind", {"driver": {}}, "additional properties 'driver' not allowed"),
        ("diskcsi-kind", {"diskcsi": {"nodes": {}}}, "additional properties 'nodes' not allowed"),
    ],
)  # fmt: skip
def test_an_unknown_or_malformed_value_is_refused_by_its_place(
    helm: Helm, chart: str, values: Manifest, told: str
) -> None:
    """A typing error doesn't silently leave a default in place."""
    with pytest.raises(Refused, match=told):
        helm.render(chart, values=values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "provider.settings.region is required: --set provider.settings.region=cn-hangzhou"),
        ({"provider": {"name": "folder"}}, "driverName is required for provider folder"),
        (REGION | {"credentials": {"id": "key"}}, "credentials.secret is required"),
        (REGION | {"defaultStorageClass": "fast"}, "no class of this chart has that name: there are alicloud-disk-eff"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_the_way_out(
    helm: Helm, values: Manifest, told: str
) -> None:
    """Before anything is installed one sentence tells what to do."""
    with pytest.raises(Refused, match=told):
        helm.render(values=values)


def own_class(*, default: bool) -> Manifest:
    return {"parameters": {"type": "cloud_auto"}, "default": default}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"credentials": {"secret": "s"}}, "credentials.id is missing"),
        ({"credentials": {"id": "i", "secret": "s", "existingSecret": "e"}}, "both name a key pair"),
        ({"credentials": {"id": "i", "secret": "s", "enabled": False}}, "credentials.enabled is off"),
        ({"metrics": {"serviceMonitor": {"enabled": True}}}, "serviceMonitor.enabled needs metrics.enabled"),
        ({"metrics": {"prometheusRule": {"enabled": True}}}, "prometheusRule.enabled needs metrics.enabled"),
        ({"volumeSnapshotClasses": {"a": {}}, "snapshots": {"enabled": False}}, "volumeSnapshotClasses has no effect while snapshots.enabled is off"),
        ({"driver": {"settings": {"http_port": 9}}}, "driver.settings.http_port has no effect: the chart gives --http-port"),
        ({"driver": {"settings": {"kubelet_root_dir": "/x"}}}, "driver.settings.kubelet_root_dir has no effect"),
        ({"storageClasses": {one: own_class(default=True) for one in "ab"}}, "a, b are all the default StorageClass"),
        ({"storageClasses": {"a": own_class(default=True)}, "defaultStorageClass": "alicloud-disk-ssd"}, "a, alicloud-disk-ssd are all the default"),
        ({"volumeSnapshotClasses": {one: {"default": True} for one in "ab"}}, "a, b are all the default VolumeSnapshotClass"),
    ],
)  # fmt: skip
def test_a_value_without_effect_is_refused(helm: Helm, values: Manifest, told: str) -> None:
    """What contradicts another value would be lost in silence."""
    with pytest.raises(Refused, match=told):
        helm.render(values=REGION | values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"controller": {"args": ["--http-port=1"]}}, "controller.args repeats --http-port"),
        ({"controller": {"args": ["--run-node-service"]}}, "controller.args repeats --run-node-service"),
        ({"node": {"args": ["--endpoint=unix:///x"]}}, "node.args repeats --endpoint"),
        ({"sidecars": {"attacher": {"args": ["-http-endpoint=:1"]}}}, "sidecars.attacher.args repeats --http-endpoint"),
        ({"controller": {"env": [{"name": "SSL_CERT_FILE", "value": "/x"}]}, "ca": {"configMap": "ca"}}, "controller.env repeats SSL_CERT_FILE"),
        ({"node": {"env": [{"name": "KUBE_NODE_NAME", "value": "x"}]}}, "node.env repeats KUBE_NODE_NAME"),
        ({"sidecars": {"attacher": {"httpPort": 11270}}}, "11270 is given to both controller.httpPort and sidecars.attacher.httpPort"),
        ({"node": {"httpPort": 11261, "stockHelpers": True}}, "11261 is given to both node.httpPort and sidecars.livenessProbe.httpPort"),
        ({"sidecars": {"leaderElection": {"leaseSeconds": 10}}}, "leaseSeconds 10 must be more than renewSeconds 10"),
        ({"sidecars": {"leaderElection": {"retrySeconds": 9}}}, "renewSeconds 10 must be more than 1.2 times retrySeconds 9"),
        ({"controller": {"serviceAccount": {"create": False}}}, "controller.serviceAccount.name is required"),
        ({"node": {"serviceAccount": {"create": False}}}, "node.serviceAccount.name is required"),
    ],
)  # fmt: skip
def test_what_pods_would_fail_of_is_refused_before(helm: Helm, values: Manifest, told: str) -> None:
    """A pod that can't start, or is never ready, tells less and later."""
    with pytest.raises(Refused, match=told):
        helm.render(values=REGION | values)


def test_a_sidecars_other_arguments_may_be_given_again(helm: Helm) -> None:
    """Those that no value gives: of two, the sidecar takes the last."""
    more = ["--retry-interval-max=5m", "--feature-gates=VolumeAttributesClass=true"]
    values = REGION | {"sidecars": {"provisioner": {"args": more}}}
    provisioner = container(helm.render(values=values).one("Deployment"), "csi-provisioner")
    assert provisioner["args"][-2:] == more


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"mockcloud": {"server": {"port": 9000}}}, "ecs_endpoint is mockcloud:8090, and the mock is at mockcloud:9000"),
        ({"mockcloud": {"fullnameOverride": "cloud"}}, "ecs_endpoint is mockcloud:8090, and the mock is at cloud:8090"),
        ({"mockcloud": {"key": {"secret": "other"}}}, "diskcsi.credentials and mockcloud.key differ"),
        ({"diskcsi": {"credentials": {"id": "other"}}}, "diskcsi.credentials and mockcloud.key differ"),
        ({"diskcsi": {"provider": {"settings": {"region": "cn-nowhere"}}}}, "cn-nowhere is no region of the mock"),
        ({"mockcloud": {"agent": {"metadataAddress": "127.1.1.1"}}}, "ask http://100.100.100.200 .* tells it at 127.1.1.1"),
        ({"mockcloud": {"agent": {"metadataAddress": ""}}}, "ask http://100.100.100.200 .* tells it at no address"),
        ({"diskcsi": {"provider": {"settings": {"metadata_url": "http://127.1.1.1"}}}}, "ask http://127.1.1.1 .* tells it at 100.100.100.200"),
    ],
)  # fmt: skip
def test_in_kind_driver_and_mock_must_fit(helm: Helm, values: Manifest, told: str) -> None:
    """What one of them says of the other is told once for each, and a slip would show late."""
    with pytest.raises(Refused, match=told):
        helm.render("diskcsi-kind", values=values)


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({"metadata_url": "http://127.1.1.1/"}, "127.1.1.1"),
        ({"metadata_url": ""}, ""),
        ({"metadata_off": True}, ""),
        ({}, urlsplit(METADATA_URL).hostname),
    ],
    ids=["elsewhere", "nowhere", "off", "default"],
)
def test_in_kind_nodes_ask_nobody_but_the_mock_who_they_are(
    helm: Helm, settings: Manifest, address: str
) -> None:
    """At one address, or not at all: on a machine of the real cloud another answers for that."""
    values = {
        "diskcsi": {"provider": {"settings": settings}},
        "mockcloud": {"agent": {"metadataAddress": address}},
    }
    assert helm.render("diskcsi-kind", values=values).one("DaemonSet", "diskcsi-node")


@pytest.mark.parametrize(
    "values",
    [
        {"provider": {"settings": {"ecs_endpoint": "mockcloud.anywhere.svc:8090"}}},
        {"credentials": {"id": "", "secret": "", "existingSecret": "made-before"}},
        {"provider": {"settings": {"region": "cn-beijing"}}},
    ],
    ids=["whole name", "secret made before", "another region"],
)
def test_in_kind_other_ways_to_say_the_same_are_taken(helm: Helm, values: Manifest) -> None:
    """The mock's Service has longer names, its key may be in any Secret, and it has several regions."""
    assert helm.render("diskcsi-kind", values={"diskcsi": values}).one("DaemonSet", "diskcsi-node")
