"""A node image made here, for machines where no published one can be pulled.

Its root filesystem is Debian's packages, its programs come from Go modules, and all that runs in
the cluster lies in it as archives that each node imports at its first boot.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import yaml

from e2e.cluster import modules
from e2e.cluster.modules import Programs
from e2e.cluster.place import ROOT, Place
from e2e.cluster.shell import CommandFailed, Shell

FILES: Final = Path(__file__).parent / "node"
IMAGES: Final = Path(__file__).parent / "images"

OURS: Final = "diskcsi-e2e/"
"""What every name begins with that docker is given: it may be a person's, who has images of the
official names. `node/import-images` takes it off."""

REPOSITORY: Final = f"{OURS}node"
"""Of the node images that are made here."""

SUITE: Final = "bookworm"
"""Debian 12: the last whose containerd and systemd start on cgroup v1 as well."""

PACKAGES: Final = (
    "bash", "busybox-static", "ca-certificates", "conntrack", "containerd",
    "containernetworking-plugins", "e2fsprogs", "ethtool", "iproute2", "iptables", "jq", "kmod",
    "mount", "procps", "runc", "socat", "systemd", "systemd-sysv", "util-linux", "xfsprogs",
)  # fmt: skip

NODE_PROGRAMS: Final = ("kubeadm", "kubectl", "kubelet")

CONTROL_PLANE: Final = {
    "kube-apiserver": "registry.k8s.io/kube-apiserver:{kubernetes}",
    "kube-controller-manager": "registry.k8s.io/kube-controller-manager:{kubernetes}",
    "kube-scheduler": "registry.k8s.io/kube-scheduler:{kubernetes}",
    "etcd": "registry.k8s.io/etcd:3.6.5-0",
    "coredns": "registry.k8s.io/coredns/coredns:v1.12.1",
}
"""Program to the name that kubeadm of this version asks for (`kubeadm config images list`)."""

PAUSE: Final = "registry.k8s.io/pause:3.10.1"
SIDECARS: Final = ("provisioner", "attacher", "resizer", "snapshotter")
CHART_VALUES: Final = ROOT / "k8s" / "chart" / "diskcsi" / "values.yaml"
"""Where the sidecars' versions stand."""

PROXY: Final = "registry.k8s.io/kube-proxy:{kubernetes}"
BUSYBOX: Final = "docker.io/library/busybox:stable"
"""What the examples' pods run; Debian's static build."""


def every_node() -> dict[str, str]:
    """Program to the image's name, of what may run on any node; the sidecars as the chart installs them."""
    told = yaml.safe_load(CHART_VALUES.read_text())["sidecars"]
    found = {
        f"csi-{name}": f"{told['registry']}/{told[name]['repository']}:{told[name]['tag']}"
        for name in SIDECARS
    }
    # of the snapshotter's release
    controller = found["csi-snapshotter"].replace("csi-snapshotter", "snapshot-controller")
    return {"pause": PAUSE, **found, "snapshot-controller": controller}


def ensure(*, place: Place, shell: Shell, programs: Programs) -> str:
    """The node image's name; built unless docker has it.

    Raises:
        CommandFailed: a build failed, or this user may not build it.
    """
    name = f"{REPOSITORY}:{_fingerprint(programs)}"
    if shell.holds("docker", "image", "inspect", name):
        return name
    root = _root(place, shell)
    with tempfile.TemporaryDirectory(dir=place.cache) as temporary:
        context = Path(temporary)
        _fill(context, programs)
        _archives(context, root, shell, programs)
        shell.run("docker", "build", "--build-arg", f"ROOT={root}", "--tag", name, context)
    return name


def _fingerprint(programs: Programs) -> str:
    known = hashlib.sha256(repr((SUITE, PACKAGES, CONTROL_PLANE, every_node())).encode())
    known.update("".join(sorted(path.name for path in programs.directories)).encode())
    for path in sorted([*FILES.iterdir(), *IMAGES.glob("*/*"), Path(__file__)]):
        known.update(path.read_bytes())
    return known.hexdigest()[:12]


def _root(place: Place, shell: Shell) -> str:
    """The image of the root filesystem: Debian's packages and nothing else."""
    recipe = hashlib.sha256(repr((SUITE, PACKAGES)).encode()).hexdigest()[:12]
    name = f"{OURS}root:{recipe}"
    if shell.holds("docker", "image", "inspect", name):
        return name
    if os.geteuid() != 0:
        raise CommandFailed(
            "the published node image can't be pulled, and only root can make one of Debian's"
            " packages: run it as root, or let docker reach its registry"
        )
    with tempfile.TemporaryDirectory(dir=place.cache) as temporary:
        root = Path(temporary, "root")
        # in a mount namespace of its own: /proc, which it mounts in there, must not be in the tree
        # that is removed afterwards
        shell.run(
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "debootstrap",
            "--force-check-gpg",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            SUITE,
            root,
        )
        for rubbish in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man",
                        "usr/share/locale", "var/log"):  # fmt: skip
            shutil.rmtree(root / rubbish, ignore_errors=True)
        (root / "var/log").mkdir()
        shell.pipe(("tar", "-C", root, "-c", "."), ("docker", "import", "-", name))
    return name


def _fill(context: Path, programs: Programs) -> None:
    shutil.copytree(FILES, context, dirs_exist_ok=True)
    (context / "version").write_text(f"{modules.kubernetes_version()}\n")
    (context / "programs").mkdir()
    for name in NODE_PROGRAMS:
        _link(programs.find(name), context / "programs" / name)


def _archives(context: Path, root: str, shell: Shell, programs: Programs) -> None:
    """The images of the cluster itself, in two archives."""
    images = context / "images"
    images.mkdir()
    for archive, contents in (("control-plane", CONTROL_PLANE), ("every-node", every_node())):
        names = [
            _one_program(programs.find(program), _named(image), shell)
            for program, image in contents.items()
        ]
        if archive == "every-node":
            names.append(_from_root(_named(PROXY), context / "proxy", root, shell, programs))
            names.append(_from_root(_named(BUSYBOX), context / "busybox", root, shell, programs))
        shell.run("docker", "save", "--output", images / f"{archive}.tar", *names)


def _named(image: str) -> str:
    return OURS + image.format(kubernetes=modules.kubernetes_version())


def _one_program(program: Path, image: str, shell: Shell) -> str:
    """An image with one static program; pods of the control plane look for it on the path."""
    says = ("--change", "ENV PATH=/", "--change", f'ENTRYPOINT ["/{program.name}"]')
    shell.pipe(
        ("tar", "-C", program.parent, "-c", program.name), ("docker", "import", *says, "-", image)
    )
    return image


def _from_root(image: str, context: Path, root: str, shell: Shell, programs: Programs) -> str:
    """An image with parts of the node's root filesystem."""
    shutil.copytree(IMAGES / context.name, context)
    if context.name == "proxy":
        _link(programs.find("kube-proxy"), context / "kube-proxy")
    shell.run("docker", "build", "--build-arg", f"ROOT={root}", "--tag", image, context)
    shutil.rmtree(context)
    return image


def _link(source: Path, target: Path) -> None:
    """A hard link where the file system allows it: the programs are large."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
