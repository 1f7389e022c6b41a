"""The objects that scenarios make, with the fields that matter to them as arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from e2e.support.kube import Object

DRIVER: Final = "diskplugin.csi.alibabacloud.com"
ZONE_KEY: Final = "topology.kubernetes.io/zone"
SHELL_IMAGE: Final = "docker.io/library/busybox:stable"
ESSD: Final = {"type": "cloud_essd", "performanceLevel": "PL0"}
"""The category whose disks may be as small as one GiB."""

IDLE: Final = "trap 'exit 0' TERM; sleep 1000000 & wait"


def namespace(name: str) -> Object:
    """A namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def storage_class(
    name: str,
    *,
    parameters: Mapping[str, str] = ESSD,
    binding: str = "WaitForFirstConsumer",
    reclaim: str = "Delete",
    expandable: bool = True,
    fs_type: str = "ext4",
    options: Sequence[str] = (),
) -> Object:
    """A class of our driver."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "labels": {"diskcsi-e2e": "true"}},
        "provisioner": DRIVER,
        "parameters": {"csi.storage.k8s.io/fstype": fs_type, **parameters},
        "volumeBindingMode": binding,
        "reclaimPolicy": reclaim,
        "allowVolumeExpansion": expandable,
        "mountOptions": list(options),
    }


def claim(
    name: str,
    *,
    of: str,
    size: str = "1Gi",
    mode: str = "Filesystem",
    access: str = "ReadWriteOnce",
    source: Mapping[str, str] | None = None,
    volume: str = "",
) -> Object:
    """A PersistentVolumeClaim.

    Args:
        of: its StorageClass.
        source: what its content is taken from.
        volume: the PersistentVolume that it is to have.
    """
    spec: dict[str, Any] = {
        "accessModes": [access],
        "storageClassName": of,
        "volumeMode": mode,
        "resources": {"requests": {"storage": size}},
    }
    if source:
        spec["dataSource"] = dict(source)
    if volume:
        spec["volumeName"] = volume
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": spec,
    }


def pod(
    name: str,
    *,
    claims: Mapping[str, str] | None = None,
    devices: Mapping[str, str] | None = None,
    node: str = "",
    zone: str = "",
    script: str = IDLE,
    read_only: bool = False,
    scratch: str = "",
    **spec: Any,  # noqa: ANN401 - fields of a PodSpec
) -> Object:
    """A pod with a shell.

    Args:
        claims: where each claim is mounted, by the claim's name.
        devices: where each claim is a device, by the claim's name.
        node: its host name, where only one will do.
        zone: where only one will do.
        read_only: of the mounts.
        scratch: where a directory of the node is mounted that goes with the pod.
        spec: further fields of the pod.
    """
    claims, devices = claims or {}, devices or {}
    selector = {"kubernetes.io/hostname": node} if node else {ZONE_KEY: zone} if zone else {}
    container = {
        "name": "shell",
        "image": SHELL_IMAGE,
        "command": ["sh", "-c", script],
        "volumeMounts": [
            {"name": name, "mountPath": path, "readOnly": read_only}
            for name, path in claims.items()
        ]
        + ([{"name": "scratch", "mountPath": scratch}] if scratch else []),
        "volumeDevices": [{"name": name, "devicePath": path} for name, path in devices.items()],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "nodeSelector": selector,
            "containers": [container],
            "volumes": [
                {"name": name, "persistentVolumeClaim": {"claimName": name}}
                for name in (*claims, *devices)
            ]
            + ([{"name": "scratch", "emptyDir": {}}] if scratch else []),
            **spec,
        },
    }


def stateful_set(
    name: str,
    *,
    of: str,
    replicas: int = 1,
    size: str = "1Gi",
    zone: str = "",
    node: str = "",
    script: str = IDLE,
    tolerations: Sequence[Mapping[str, Any]] = (),
) -> Object:
    """A StatefulSet whose pods have a claim `data` each, mounted at /data."""
    template = pod("unused", zone=zone, node=node, script=script, tolerations=list(tolerations))[
        "spec"
    ]
    template["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    template["volumes"] = []
    made = claim("data", of=of, size=size)
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": name,
            "replicas": replicas,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": template},
            "volumeClaimTemplates": [{"metadata": made["metadata"], "spec": made["spec"]}],
        },
    }


def snapshot(name: str, *, claim_name: str, of: str) -> Object:
    """A VolumeSnapshot of a claim."""
    return {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": name},
        "spec": {
            "volumeSnapshotClassName": of,
            "source": {"persistentVolumeClaimName": claim_name},
        },
    }


def from_snapshot(name: str) -> Mapping[str, str]:
    """A claim's source."""
    return {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": name}
