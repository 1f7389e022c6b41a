"""Two releases with two providers in one cluster."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.support.data import SUM, WRITE
from e2e.support.disks import CloudDisks, in_use
from e2e.support.kube import Kube
from e2e.support.machines import Device, Machines, Zones, loop_binding, loop_devices, still_bound
from e2e.support.objects import DRIVER, claim, pod
from e2e.support.release import NAME, Install, driver_name, of_provider, take_back
from e2e.support.waiting import wait_for

SIDECARS = ("provisioner", "attacher", "resizer", "snapshotter")


@pytest.fixture
def directory(kube: Kube, machines: Machines, zones: Zones) -> Iterator[str]:
    """A directory of one node for disks that are files."""
    path = f"/var/lib/{kube.namespace}"
    yield path
    machines.run(zones.first, "rm", "-rf", path)


def values_of_local(namespace: str, *, directory: str, node: str) -> dict[str, Any]:
    """A release of the provider `local`: its disks are files of one node, which has both parts."""
    here = {"kubernetes.io/hostname": node}
    files = {"name": "files", "hostPath": {"path": directory, "type": "DirectoryOrCreate"}}
    mounted = {"name": "files", "mountPath": directory}
    provider = of_provider(
        "local", storage_class=f"{namespace}-local", directory=f"{directory}/store", nodes=[node]
    )
    return {
        **provider,
        "controller": {
            "nodeSelector": here,
            "volumes": [files, {"name": "dev", "hostPath": {"path": "/dev"}}],
            "volumeMounts": [mounted, {"name": "dev", "mountPath": "/dev"}],
        },
        "node": {
            "nodeSelector": here,
            "volumes": [files],
            "volumeMounts": [mounted],
            "args": [f"--device-root={directory}/store/nodes/$(KUBE_NODE_NAME)/dev"],
        },
    }


def let_it_make_devices(kube: Kube) -> None:
    """Give the controller the machine, which `local` needs: it makes the loop devices itself.

    The chart has no value for that, and should have none: a controller that calls a cloud is to
    have no rights at all. So the Deployment is patched, as the one who wants this would do.
    """
    root = {"runAsUser": 0, "runAsNonRoot": False}
    privileged = {**root, "privileged": True, "allowPrivilegeEscalation": True}
    containers = [
        {"name": "diskcsi", "securityContext": privileged},
        *({"name": f"csi-{name}", "securityContext": root} for name in SIDECARS),
    ]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    kube.run("patch", f"deployment/{NAME}-controller", f"--patch={json.dumps(patch)}")
    kube.run("rollout", "status", f"deployment/{NAME}-controller", "--timeout=120s", timeout_s=150)


def test_a_pod_has_volumes_of_two_providers_at_once(
    kube: Kube, machines: Machines, zones: Zones, cloud_disk: CloudDisks, *,
    directory: str, install: Install,
) -> None:  # fmt: skip
    """A disk of the cloud and one of the provider `local`, each by a release and driver of its own.

    Both are bound, mounted in one pod on one node, and each keeps its own bytes.
    """
    values = values_of_local(kube.namespace, directory=directory, node=zones.first)
    done = install(values)
    assert done.returncode == 0, done.stderr
    let_it_make_devices(kube)
    kube.apply(
        claim("cloud", of="e2e-wait"),
        claim("local", of=f"{kube.namespace}-local"),
        pod("both", claims={"cloud": "/data", "local": "/local"}, node=zones.first),
    )
    kube.wait_running("both")
    drivers = {
        name: kube.get("pv", kube.get("pvc", name)["spec"]["volumeName"])["spec"]["csi"]["driver"]
        for name in ("cloud", "local")
    }
    assert drivers == {"cloud": DRIVER, "local": driver_name(kube.namespace)}
    wrote = {path: kube.sh("both", WRITE.replace("/data", path)) for path in ("/data", "/local")}
    assert {path: kube.sh("both", SUM.replace("/data", path)) for path in wrote} == wrote
    files = kube.sh("both", "stat -c %d /data /local").split()
    assert len(set(files)) == len(files)
    assert cloud_disk("cloud") == in_use(zones.first)
    devices = devices_over(machines.run(zones.first, "ls", f"{directory}/store/disks").split())
    assert len(devices) == 1
    take_back(kube)
    assert machines.run(zones.first, "ls", f"{directory}/store/disks").split() == []
    wait_for(lambda: not still_bound(devices), what="no device is left over the files")


def devices_over(names: Collection[str]) -> set[Device]:
    """The loop devices over files of these names."""
    files = loop_devices().items()
    return {(name, loop_binding(name)) for name, file in files if Path(file).name in names}
