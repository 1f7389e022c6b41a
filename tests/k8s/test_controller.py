"""The controller's pods: how they may act, how they end, and what their sidecars are told."""

from __future__ import annotations

import re

import pytest

from diskcsi.settings import Settings
from tests.k8s.charts import REGION, Helm, Manifest, Rendered, container, pod

pytestmark = pytest.mark.k8s

VOLUMES_OF_RESTRICTED = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip

SIDECARS = ("provisioner", "attacher", "resizer", "snapshotter")


def breaches_of_restricted(spec: Manifest) -> list[str]:
    """What the Pod Security Standard `restricted` would refuse."""
    found = [f"pod: {name}" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    found += [
        f"volume {one['name']}"
        for one in spec.get("volumes", [])
        if not (set(one) - {"name"}) <= VOLUMES_OF_RESTRICTED
    ]
    for one in [*spec["containers"], *spec.get("initContainers", [])]:
        told = {**spec.get("securityContext", {}), **one.get("securityContext", {})}
        held = {
            "runAsNonRoot": told.get("runAsNonRoot") is True and told.get("runAsUser") != 0,
            "seccomp": told.get("seccompProfile", {}).get("type")
            in {"RuntimeDefault", "Localhost"},
            "escalation": told.get("allowPrivilegeEscalation") is False,
            "capabilities": told.get("capabilities") == {"drop": ["ALL"]},
            "privileged": not told.get("privileged"),
            "host ports": not any("hostPort" in port for port in one.get("ports", [])),
        }
        found += [f"{one['name']}: {name}" for name, well in held.items() if not well]
    return found


def test_pods_of_controller_and_test_satisfy_the_restricted_standard(plain: Rendered) -> None:
    """A namespace that enforces `restricted` takes them; the node's pods act on the machine."""
    found = {
        name: breaches_of_restricted(spec)
        for name, spec in plain.pods()
        if not name.endswith("-node")
    }
    assert found == {"diskcsi-controller": [], "diskcsi-test": []}


def test_every_container_of_the_controller_has_a_read_only_root(plain: Rendered) -> None:
    """Whoever breaks into one leaves nothing behind."""
    containers = pod(plain.one("Deployment"))["containers"]
    writable = [
        one["name"] for one in containers if not one["securityContext"]["readOnlyRootFilesystem"]
    ]
    assert not writable


def test_a_pod_gets_longer_to_end_than_the_driver_drains(helm: Helm) -> None:
    """Kubelet kills no driver that still lets calls end."""
    rendered = helm.render(values=REGION | {"controller": {"drainSeconds": 100}})
    owner = rendered.one("Deployment")
    drain_s = int(argument(container(owner, "diskcsi"), "--drain-s"))
    assert pod(owner)["terminationGracePeriodSeconds"] > drain_s == 100


def argument(one: Manifest, name: str) -> str:
    """The value of an argument of a container."""
    (found,) = [word for word in one["args"] if word.split("=")[0] == name]
    return str(found).partition("=")[2]


def test_two_pods_prefer_other_nodes_and_zones_and_fit_on_one_node(plain: Rendered) -> None:
    """The spread is soft."""
    spread = pod(plain.one("Deployment"))["topologySpreadConstraints"]
    assert [(one["topologyKey"], one["whenUnsatisfiable"]) for one in spread] == [
        ("kubernetes.io/hostname", "ScheduleAnyway"),
        ("topology.kubernetes.io/zone", "ScheduleAnyway"),
    ]


def test_a_drain_takes_one_controller_at_a_time(plain: Rendered) -> None:
    """The disruption budget chooses the controller's pods and nothing else."""
    budget = plain.one("PodDisruptionBudget")["spec"]
    labels = plain.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("name", SIDECARS)
def test_sidecars_lead_by_leases_in_their_own_namespace(plain: Rendered, name: str) -> None:
    """Two pods don't do one work twice."""
    sidecar = container(plain.one("Deployment"), f"csi-{name}")
    assert "--leader-election" in sidecar["args"]
    assert argument(sidecar, "--leader-election-namespace") == "$(NAMESPACE)"
    assert sidecar["livenessProbe"]["httpGet"]["path"] == "/healthz/leader-election"


def test_only_the_sidecars_have_a_token_of_the_api_server(plain: Rendered) -> None:
    """The driver, with the cloud's key and whatever provider, has none."""
    pod = plain.one("Deployment")["spec"]["template"]["spec"]
    having = {
        one["name"]
        for one in pod["containers"]
        for mount in one["volumeMounts"]
        if mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    }
    assert pod["automountServiceAccountToken"] is False
    assert having == {f"csi-{name}" for name in SIDECARS}


@pytest.mark.parametrize("name", SIDECARS)
def test_a_sidecar_that_waits_for_the_driver_is_not_restarted(plain: Rendered, name: str) -> None:
    """It serves its checks when the driver is ready, whenever that is."""
    probe = container(plain.one("Deployment"), f"csi-{name}")["startupProbe"]
    assert probe["periodSeconds"] == 1
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 24 * 3600


@pytest.mark.parametrize("name", SIDECARS)
def test_a_call_of_a_sidecar_ends_before_the_work_behind_it_is_given_up(
    plain: Rendered, name: str
) -> None:
    """A repeated call finds the work of the first one; one cloud call fits into the shortest."""
    sidecar = container(plain.one("Deployment"), f"csi-{name}")
    timeout_s = float(argument(sidecar, "--timeout").removesuffix("s"))
    assert 15 < timeout_s < Settings().flight_s


def test_names_of_disks_and_snapshots_begin_as_with_the_first_driver(plain: Rendered) -> None:
    """People find their disks in the console by these names."""
    owner = plain.one("Deployment")
    assert argument(container(owner, "csi-provisioner"), "--volume-name-prefix") == "disk"
    prefix = argument(container(owner, "csi-snapshotter"), "--snapshot-name-prefix")
    assert prefix == "alibabacloud-disk"


def test_without_the_snapshot_api_no_sidecar_waits_for_it(helm: Helm) -> None:
    """The snapshotter is left out, and the provisioner doesn't look for snapshots."""
    owner = helm.render(values=REGION, apis=()).one("Deployment")
    assert "csi-snapshotter" not in [one["name"] for one in pod(owner)["containers"]]
    sweep = argument(container(owner, "csi-provisioner"), "--snapshot-orphan-sweep-interval")
    assert sweep == "0"


def test_the_key_is_mounted_as_files_and_may_come_later(plain: Rendered) -> None:
    """The driver starts without the Secret, says what is missing, and reads it when it is there."""
    owner = plain.one("Deployment")
    (volume,) = [one for one in pod(owner)["volumes"] if one["name"] == "credentials"]
    driver = container(owner, "diskcsi")
    (mount,) = [one for one in driver["volumeMounts"] if one["name"] == "credentials"]
    assert volume["secret"]["secretName"] == "csi-access-key"
    assert volume["secret"]["optional"] is True
    assert "subPath" not in mount
    assert {"name": "DISKCSI_CREDENTIALS_DIR", "value": mount["mountPath"]} in driver["env"]


def test_no_name_of_a_service_becomes_a_setting(helm: Helm, plain: Rendered) -> None:
    """Kubernetes would put SERVICE_PORT and the like into the environment, where settings are read."""
    mock = helm.render("mockcloud", release="mockcloud")
    linked = [
        name
        for name, spec in [*plain.pods(), *mock.pods()]
        if spec.get("enableServiceLinks") is not False
    ]
    assert not linked


def test_one_registry_stands_for_all_images(helm: Helm) -> None:
    """A mirror is named once."""
    rendered = helm.render(
        values=REGION | {"global": {"imageRegistry": "mirror:5000"}, "node": {"stockHelpers": True}}
    )
    images = {one["image"] for _, spec in rendered.pods() for one in spec["containers"]}
    assert all(
        re.fullmatch(r"mirror:5000/(diskcsi|sig-storage)/[a-z-]+:[v.a-z0-9]+", one)
        for one in images
    )


def test_changed_settings_start_new_pods(helm: Helm, plain: Rendered) -> None:
    """Pods read their settings at the start."""
    other = helm.render(values={"provider": {"settings": {"region": "cn-beijing"}}})
    for kind in ("Deployment", "DaemonSet"):
        former, later = (
            one.one(kind)["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
            for one in (plain, other)
        )
        assert former != later
