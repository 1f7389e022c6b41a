"""Coming from the Go driver: what that driver wrote is served, with pods running."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from e2e.support.cloud import MockCloud
from e2e.support.data import SUM, WRITE, disk_of
from e2e.support.kube import Kube, Object
from e2e.support.load import ticking, written
from e2e.support.machines import Zones
from e2e.support.objects import DRIVER, claim, pod
from e2e.support.waiting import wait_for

PARTS = "app.kubernetes.io/component in (controller, node)"
PRIVATE_ZONE = "topology.diskplugin.csi.alibabacloud.com/zone"
STANDARD_ZONE = "topology.kubernetes.io/zone"


def as_that_driver_wrote_it(
    name: str, *, disk: str, namespace: str, claim_name: str, zone_key: str, zone: str
) -> Object:
    """A PersistentVolume with the attributes and the placement that the Go driver gave it."""
    attributes = {
        "type": "cloud_essd", "performanceLevel": "PL0", "fstype": "ext4",
        "regionId": "cn-hangzhou", "readOnly": "false", "csi.storage.k8s.io/pv/name": name,
        "csi.storage.k8s.io/pvc/name": claim_name, "csi.storage.k8s.io/pvc/namespace": namespace,
        "storage.kubernetes.io/csiProvisionerIdentity": f"1716000000000-1234-{DRIVER}",
        "volumeSizeAutoAvailable": "true", "something.that/only-it-knew": "1",
    }  # fmt: skip
    term: Mapping[str, Any] = {
        "matchExpressions": [{"key": zone_key, "operator": "In", "values": [zone]}]
    }
    return {
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "annotations": {"pv.kubernetes.io/provisioned-by": DRIVER},
            "finalizers": ["kubernetes.io/pv-protection"],
        },
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "storageClassName": "e2e-wait", "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {"namespace": namespace, "name": claim_name},
            "csi": {
                "driver": DRIVER, "volumeHandle": disk, "fsType": "ext4",
                "volumeAttributes": attributes,
            },
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    }  # fmt: skip


@pytest.mark.parametrize("zone_key", [PRIVATE_ZONE, STANDARD_ZONE])
def test_its_volumes_are_served(kube: Kube, cloud: MockCloud, zones: Zones, zone_key: str) -> None:
    """A volume of either generation of topology keys is attached, mounted, and deleted."""
    kube.apply(
        claim("first", of="e2e-retain"), pod("writer", claims={"first": "/data"}, zone=zones.two)
    )
    kube.wait_running("writer")
    wrote, disk = kube.sh("writer", WRITE), disk_of(kube, "first")
    old = kube.get("pvc", "first")["spec"]["volumeName"]
    kube.delete("pod", "writer")
    kube.delete("pvc", "first")
    kube.delete("pv", old)
    name = f"d-from-the-go-driver-{'private' if zone_key == PRIVATE_ZONE else 'standard'}"
    kube.apply(
        as_that_driver_wrote_it(
            name, disk=disk, namespace=kube.namespace, claim_name="data", zone_key=zone_key,
            zone=zones.two,
        ),
        claim("data", of="e2e-wait", volume=name),
        pod("reader", claims={"data": "/data"}),
    )  # fmt: skip
    node = kube.wait_running("reader")["spec"]["nodeName"]
    assert node in (zones.first, zones.second)
    assert kube.sh("reader", SUM) == wrote
    kube.delete("pod", "reader")
    kube.delete("pvc", "data")
    kube.wait_gone("pv", name)
    assert disk not in cloud.disks()


@pytest.mark.disruptive
def test_pods_run_on_while_the_driver_is_swapped(kube: Kube, driver: Kube) -> None:
    """With no driver at all a pod writes on; the next one then takes its volume away and back."""
    kube.apply(
        claim("data", of="e2e-wait"),
        pod("writer", claims={"data": "/data"}, script=ticking("/data")),
    )
    kube.wait_running("writer")
    gone = '{"spec":{"template":{"spec":{"nodeSelector":{"e2e":"nowhere"}}}}}'
    back = '[{"op":"remove","path":"/spec/template/spec/nodeSelector/e2e"}]'
    driver.run("patch", "daemonset", "diskcsi-node", f"--patch={gone}")
    driver.run("scale", "deployment/diskcsi-controller", "--replicas=0")
    try:
        wait_for(
            lambda: not driver.list("pods", selector=PARTS), what="no pod of the driver is left"
        )
        lines = written(kube, "writer", "/data").lines
        wait_for(
            lambda: written(kube, "writer", "/data").lines > lines + 20, what="the writer goes on"
        )
    finally:
        driver.run("patch", "daemonset", "diskcsi-node", "--type=json", f"--patch={back}")
        driver.run("scale", "deployment/diskcsi-controller", "--replicas=2")
    assert written(kube, "writer", "/data").errors == ""
    kube.delete("pod", "writer")
    kube.apply(pod("next", claims={"data": "/data"}))
    kube.wait_running("next")
    driver.run("rollout", "status", "daemonset/diskcsi-node", "--timeout=180s", timeout_s=200)
