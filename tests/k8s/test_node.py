"""The node's pods: what they are given of the machine, and what they aren't."""

from __future__ import annotations

import json

import pytest

from tests.k8s.charts import REGION, Helm, Rendered, container, pod

pytestmark = pytest.mark.k8s

DRIVER = "diskplugin.csi.alibabacloud.com"


def test_a_node_hands_over_kubelets_directory_and_its_devices_only(plain: Rendered) -> None:
    """No other path of the machine is in the pod."""
    volumes = pod(plain.one("DaemonSet"))["volumes"]
    paths = {one["hostPath"]["path"] for one in volumes if "hostPath" in one}
    assert paths == {"/var/lib/kubelet", "/dev"}


def test_mounts_of_the_driver_reach_the_node(plain: Rendered) -> None:
    """Kubelet's directory is at its own path, and mounts below it are everybody's."""
    mounts = container(plain.one("DaemonSet"), "diskcsi")["volumeMounts"]
    (kubelet,) = [one for one in mounts if one["name"] == "kubelet"]
    assert kubelet["mountPath"] == "/var/lib/kubelet"
    assert kubelet["mountPropagation"] == "Bidirectional"


@pytest.mark.parametrize(
    "values",
    [{}, {"credentials": {"id": "an-id", "secret": "a-secret", "token": "a-token"}}],
    ids=["existing", "made"],
)
def test_no_key_is_on_nodes(helm: Helm, values: dict[str, object]) -> None:
    """Neither a Secret's name nor a value of one is in the pod or in its configuration."""
    rendered = helm.render(values=REGION | values)
    told = json.dumps([rendered.one("DaemonSet"), rendered.one("ConfigMap", "-config")])
    found = [
        word
        for word in ("secret", "csi-access-key", "credentials", "an-id")
        if word in told.lower()
    ]
    assert not found


def test_nodes_come_first_bear_every_taint_and_are_updated_by_shares(plain: Rendered) -> None:
    """Where a pod with a volume may run, the driver runs."""
    owner = plain.one("DaemonSet")
    spec = pod(owner)
    assert spec["priorityClassName"] == "system-node-critical"
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert owner["spec"]["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": "10%"}


def test_the_plugin_registers_itself(plain: Rendered) -> None:
    """One container, which makes its socket in kubelet's registration directory."""
    owner = plain.one("DaemonSet")
    assert [one["name"] for one in pod(owner)["containers"]] == ["diskcsi"]
    arguments = container(owner, "diskcsi")["args"]
    assert "--registration-dir=/var/lib/kubelet/plugins_registry" in arguments


def test_the_stock_helpers_take_over_where_they_are_wanted(helm: Helm) -> None:
    """The registrar tells kubelet the driver's own path, and the driver doesn't register."""
    owner = helm.render(values=REGION | {"node": {"stockHelpers": True}}).one("DaemonSet")
    registrar = container(owner, "node-driver-registrar")
    arguments = container(owner, "diskcsi")["args"]
    assert {one["name"] for one in pod(owner)["containers"]} == {
        "diskcsi", "node-driver-registrar", "liveness-probe",
    }  # fmt: skip
    (path,) = [one for one in registrar["args"] if one.startswith("--kubelet-registration-path=")]
    assert f"--endpoint=unix://{path.partition('=')[2]}" in arguments
    assert not [one for one in arguments if one.startswith("--registration-dir")]


FLAGS_OF_HELPERS = {
    "node-driver-registrar": {
        "csi-address", "enable-pprof", "http-endpoint", "kubelet-registration-path", "mode",
        "plugin-registration-path", "timeout", "v",
    },
    "liveness-probe": {"csi-address", "http-endpoint", "metrics-path", "probe-timeout", "v"},
}  # fmt: skip
"""Those of node-driver-registrar 2.17 and livenessprobe 2.19 that aren't deprecated (their READMEs)."""


@pytest.mark.parametrize("name", sorted(FLAGS_OF_HELPERS))
def test_a_stock_helper_is_given_flags_that_it_knows(helm: Helm, name: str) -> None:
    """Another one would end it at once."""
    owner = helm.render(values=REGION | {"node": {"stockHelpers": True}}).one("DaemonSet")
    told = [one.partition("=")[0].removeprefix("--") for one in container(owner, name)["args"]]
    assert set(told) <= FLAGS_OF_HELPERS[name]
    assert len(told) == len(set(told))


def test_the_stock_helpers_reach_the_driver_and_kubelet_by_directories_of_the_node(
    helm: Helm,
) -> None:
    """The socket is the driver's own, and kubelet watches the directory that the registrar writes to."""
    owner = helm.render(values=REGION | {"node": {"stockHelpers": True}}).one("DaemonSet")
    paths = {one["name"]: one.get("hostPath", {}).get("path") for one in pod(owner)["volumes"]}
    seen = {
        name: {
            one["mountPath"]: paths[one["name"]] for one in container(owner, name)["volumeMounts"]
        }
        for name in FLAGS_OF_HELPERS
    }
    plugin = {"/csi": f"/var/lib/kubelet/plugins/{DRIVER}"}
    registration = {"/registration": "/var/lib/kubelet/plugins_registry"}
    assert seen == {"liveness-probe": plugin, "node-driver-registrar": plugin | registration}
    for name in FLAGS_OF_HELPERS:
        assert "--csi-address=/csi/csi.sock" in container(owner, name)["args"]


def test_kubelet_asks_the_stock_helper_whether_the_driver_lives(helm: Helm) -> None:
    """The port that it listens on is the one that is probed."""
    owner = helm.render(values=REGION | {"node": {"stockHelpers": True}}).one("DaemonSet")
    asked = container(owner, "diskcsi")["livenessProbe"]["httpGet"]
    address = f"{asked['host']}:{asked['port']}"
    assert f"--http-endpoint={address}" in container(owner, "liveness-probe")["args"]


def test_another_kubelet_directory_is_used_in_every_place(helm: Helm) -> None:
    """No path of the default one is left."""
    values = {"node": {"kubeletDir": "/data/kubelet", "stockHelpers": True}}
    owner = helm.render(values=REGION | values).one("DaemonSet")
    assert "/var/lib/kubelet" not in json.dumps(owner)
    assert (
        f"--endpoint=unix:///data/kubelet/plugins/{DRIVER}/csi.sock"
        in container(owner, "diskcsi")["args"]
    )


@pytest.mark.parametrize(
    ("values", "host", "probed"),
    [
        ({}, "127.0.0.1", "127.0.0.1"),
        ({"metrics": {"enabled": True}}, "0.0.0.0", None),  # noqa: S104 - what is expected
        ({"node": {"httpHost": "10.0.0.9"}}, "10.0.0.9", "10.0.0.9"),
    ],
)
def test_probes_ask_where_the_driver_listens(
    helm: Helm, values: dict[str, object], host: str, probed: str | None
) -> None:
    """On the machine's own network the port is closed to others, unless metrics are to be read."""
    driver = container(helm.render(values=REGION | values).one("DaemonSet"), "diskcsi")
    assert f"--http-host={host}" in driver["args"]
    assert driver["livenessProbe"]["httpGet"].get("host") == probed


def test_a_token_is_given_to_nodes_that_read_labels_only(helm: Helm, plain: Rendered) -> None:
    """Without it a node's pod can't ask the API server anything."""
    reading = helm.render(values=REGION | {"node": {"nodeLabels": True}}).one("DaemonSet")
    assert pod(plain.one("DaemonSet"))["automountServiceAccountToken"] is False
    assert pod(reading)["automountServiceAccountToken"] is True
    assert "--node-labels=true" in container(reading, "diskcsi")["args"]
