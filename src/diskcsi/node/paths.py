"""What the paths of kubelet tell, and where this driver puts a raw device among them."""

from __future__ import annotations


def raw_path(staging_path: str, volume_id: str) -> str:
    """The file in a staging directory that a raw device is bound to; never outside of it."""
    name = volume_id.replace("/", "%2F").replace("\0", "%00")
    if not name.strip("."):
        name = name.replace(".", "%2E")
    return f"{staging_path.rstrip('/')}/{name}"


def is_staging(path: str) -> bool:
    """Whether kubelet uses such a path for the staging of a CSI volume."""
    return "/plugins/kubernetes.io/csi/" in path and "/volumeDevices/publish/" not in path


def is_published(path: str) -> bool:
    """Whether kubelet uses such a path to show a staged volume to one pod.

    Beside the targets of NodePublishVolume these are its own binds: of a directory inside the
    volume (`subPath`), and of a raw device.
    """
    if "/volumeDevices/" in path:
        return "/volumeDevices/staging/" not in path
    return "/volumes/kubernetes.io~csi/" in path or "/volume-subpaths/" in path


def shows(path: str, place: str) -> bool:
    """Whether a mount at `path` is the one at `place`, seen perhaps below another root.

    A plug-in that sees the machine's files a second time, as below `/host`, sees each mount twice.
    """
    return path.endswith(place)
