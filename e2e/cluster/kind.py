"""The kind cluster: made, loaded with images, and taken away."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from e2e.cluster import leftovers, modules, node_image
from e2e.cluster.modules import Programs
from e2e.cluster.place import CLUSTER, NETWORK, Place
from e2e.cluster.shell import CommandFailed, Shell

HERE: Final = Path(__file__).parent
PUBLISHED: Final = re.compile(r"kindest/node:v[0-9.]+@sha256:[0-9a-f]{64}")
SNAPSHOTS: Final = "github.com/kubernetes-csi/external-snapshotter/client/v8"
"""The module that has the definitions of snapshots."""

FLOOR_DISKS: Final = "/var/lib/diskcsi-floor"
"""Where a node has the disks of a measurement's floor."""

LET_GO: Final = (
    "losetup --list --noheadings --output NAME,BACK-FILE | while read -r name file; do"
    f" case $file in */kubernetes.io/csi/volumeDevices/* | {FLOOR_DISKS}/*)"
    " [ -e $file ] && losetup --detach $name;; esac; done"
)
"""Kubelet keeps a loop device over each raw block volume that is in use, a measurement those of its
floor, and the kernel keeps them beyond a node's end. Only the node whose file it is over sees that
file, and none that was killed since."""

MADE: Final = "/kind/made"
"""On the control plane of a cluster whose making came to its end."""

AT_HOME: Final = (
    "for own in $(hostname --all-ip-addresses); do"
    ' grep --quiet --word-regexp --fixed-strings -e "--node-ip=$own" /var/lib/kubelet/kubeadm-flags.env'
    " && exit; done; exit 1"
)
"""Fails where a node has another address than when it joined: docker gives them by the order in which
nodes start."""

UP_S: Final = 180
"""For the nodes of a cluster that is there: seconds, and a minute where they had to be started."""

NODES_READY: Final = ("wait", "--for=condition=Ready", "--timeout=20s")

CONTROL_PLANE: Final = f"{CLUSTER}-control-plane"
"""The container of that node, as kind calls it."""

PULL_S: Final = 300
"""For a published node image of several hundred megabytes."""


class Kind:
    """Calls kind for one cluster."""

    def __init__(self, *, place: Place, shell: Shell, programs: Programs) -> None:
        self._place = place
        self._shell = shell
        self._program = programs.find("kind")
        self._programs = programs

    def exists(self) -> bool:
        """Whether the cluster is there.

        Raises:
            CommandFailed: a cluster of that name is somebody else's: it is not on our network.
        """
        if CLUSTER not in self._shell.run(self._program, "get", "clusters").split():
            return False
        for node in self.nodes():
            if not self._is_ours(node):
                raise CommandFailed(
                    f"there is a kind cluster {CLUSTER} that was not made here: its node {node} is"
                    f" not on the docker network {NETWORK}; nothing was done to it. Delete it"
                    f" yourself, if you can spare it: kind delete cluster --name {CLUSTER}"
                )
        return True

    def _is_ours(self, node: str) -> bool:
        networks = self._shell.run(
            "docker", "inspect", "--format", "{{json .NetworkSettings.Networks}}", node
        )
        return NETWORK in json.loads(networks)

    def nodes(self) -> list[str]:
        """The containers of the cluster."""
        return self._shell.run(self._program, "get", "nodes", "--name", CLUSTER).split()

    def image(self) -> str:
        """The name of the image that the nodes are made of."""
        return self._shell.run(
            "docker", "inspect", "--format", "{{.Config.Image}}", self.nodes()[0]
        ).strip()

    def create(self, *, image: str, own_network: bool) -> None:
        """Make the cluster and wait until its nodes are Ready.

        Args:
            image: of the nodes.
            own_network: whether the image brings a pod network, instead of kind's.

        Raises:
            CommandFailed: kind gave up; what it printed is in the message.
        """
        config = self._place.work / "kind.yaml"
        config.write_text(
            (HERE / "kind.yaml")
            .read_text()
            .format(
                audit=HERE / "audit",
                own_network=str(own_network).lower(),
            )
        )
        self._shell.run(
            self._program, "create", "cluster", "--name", CLUSTER, "--config", config,
            "--kubeconfig", self._place.kubeconfig, "--wait", "300s", "--image", image,
        )  # fmt: skip
        self._shell.run("docker", "exec", CONTROL_PLANE, "touch", MADE)

    def join(self) -> None:
        """Use a cluster that is there: another working copy may have made it, before a reboot.

        Raises:
            CommandFailed: its nodes don't come up, it may never have been made to its end; or
                scenarios have left something in it.
        """
        try:
            nodes = self.nodes()
            for node in nodes:
                self._shell.holds("docker", "unpause", node)  # one that a scenario has frozen
                self._shell.run("docker", "start", node)  # one that runs is fine
            self._see_whole()
            self._see_addresses(nodes)
            self._shell.run(
                self._program, "export", "kubeconfig", "--name", CLUSTER,
                "--kubeconfig", self._place.kubeconfig,
            )  # fmt: skip
            self._wait_ready(nodes)
            leftovers.refuse(self._shell, self._place)
        except CommandFailed as error:
            raise CommandFailed(
                f"the cluster that is there can't be used: {error}\nIf it is of no worth, run"
                " `make e2e-down`, and it is made anew"
            ) from error

    def _see_whole(self) -> None:
        if not self._shell.holds("docker", "exec", CONTROL_PLANE, "test", "-e", MADE):
            raise CommandFailed(
                "it has no mark of having been made to its end: its making was cut off, or an older"
                " version has made it"
            )

    def _see_addresses(self, nodes: Sequence[str]) -> None:
        moved = [
            node
            for node in nodes
            if not self._shell.holds("docker", "exec", node, "sh", "-c", AT_HOME)
        ]
        if moved:
            raise CommandFailed(
                f"docker has given other addresses than before to {', '.join(moved)}, when they were"
                " started again: the others would look for them where they are not"
            )

    def _wait_ready(self, nodes: Sequence[str]) -> None:
        kubectl = self._programs.find("kubectl")
        # by name: one whose making was cut off before it joined is no Node yet
        named = [f"node/{name}" for name in nodes]
        deadline_s = time.monotonic() + UP_S
        while not self._shell.holds(kubectl, *NODES_READY, *named):
            if time.monotonic() > deadline_s:
                raise CommandFailed(f"not all of its nodes are ready after {UP_S} s")
            time.sleep(1)

    def load(self, *images: str) -> None:
        """Give the nodes images that docker has, unless they have them."""
        nodes = [
            self._shell.run(
                "docker", "exec", node, "ctr", "--namespace", "k8s.io", "images", "list", "--quiet"
            ).split()
            for node in self.nodes()
        ]  # an earlier load may have been cut off after the first of them
        absent = [one for one in images if any(f"docker.io/{one}" not in has for has in nodes)]
        if absent:
            self._shell.run(self._program, "load", "docker-image", "--name", CLUSTER, *absent)

    def delete(self) -> None:
        """Take the cluster and its network away, and the loop devices of its kubelets.

        Raises:
            CommandFailed: a cluster of that name is somebody else's.
        """
        if self.exists():
            nodes = self.nodes()
            for node in nodes:
                self._shell.holds("docker", "unpause", node)  # one that a scenario has frozen
                self._shell.holds("docker", "start", node)  # or stopped: nobody else sees its files
                # it would lay devices over the volumes of pods that start meanwhile
                self._shell.holds("docker", "exec", node, "systemctl", "stop", "kubelet")
            for node in nodes:
                self._shell.holds("docker", "exec", node, "sh", "-c", LET_GO)
            self._shell.run(self._program, "delete", "cluster", "--name", CLUSTER)
        if self._shell.holds("docker", "network", "inspect", NETWORK):
            self._shell.run("docker", "network", "rm", NETWORK)


def refuse_other_image(*, there: str, wanted: str) -> None:
    """See that the cluster that is there, if any, need not go.

    Raises:
        CommandFailed: its nodes are of another image; it is a person's to delete it, with all that
            is in it.
    """
    if there not in ("", wanted):
        raise CommandFailed(
            f"the cluster that is there is made of {there}, and what is wanted is {wanted}: it would"
            " have to be deleted with all that is in it. Nothing was changed; run `make e2e-down`"
            " first, if you can spare it"
        )


def published_image(shell: Shell, go: str, *, there: str) -> str:
    """The node image that this version of kind was published with; empty when it can't be had.

    On cgroup v1 no kubelet starts that is newer than 1.34: the answer is empty there too.

    Args:
        there: the image of a cluster that exists. One that was made here stays the choice: whether
            a registry answers today must not decide over a cluster.
    """
    if there.startswith(node_image.REPOSITORY):
        return ""
    if shell.run("docker", "info", "--format", "{{.CgroupVersion}}").strip() != "2":
        return ""
    source = modules.directory_of("kind", "sigs.k8s.io/kind", shell=shell, go=go)
    text = (source / "pkg/apis/config/defaults/image.go").read_text()
    if (found := PUBLISHED.search(text)) is None:
        raise CommandFailed(f"no node image is named in {source}")
    if shell.holds("docker", "image", "inspect", found[0]):
        return found[0]
    pulled = shell.holds("docker", "pull", "--quiet", found[0], timeout_s=PULL_S)
    return found[0] if pulled or there == found[0] else ""
