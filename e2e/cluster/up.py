"""From nothing to a cluster in which the driver serves, and back."""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path
from typing import Final

from e2e.cluster import docker, kind, modules, network, node_image
from e2e.cluster.charts import Charts
from e2e.cluster.kind import Kind
from e2e.cluster.modules import Programs
from e2e.cluster.place import CLUSTER, NAMESPACE, ROOT, Place
from e2e.cluster.shell import Shell, Steps

TOOLS: Final = ("kind", "helm", "kubernetes")
"""The modules that are needed everywhere: kubectl is Kubernetes'."""

OWN_NODE: Final = ("etcd", "coredns", "sidecars", "pause")
"""Those that only a node image made here needs."""

OWN_IMAGES: Final = {"diskcsi": ROOT, "mockcloud": ROOT / "mockcloud"}
"""Image to the project whose version it has."""


class Cluster:
    """The whole: programs, images, the kind cluster, and the charts in it."""

    def __init__(self, *, place: Place) -> None:
        self._place = place
        self._shell = Shell(environment=place.environment(), log=place.log)
        self._steps = Steps()

    def up(self) -> None:
        """Make it, or what is missing of it.

        Raises:
            CommandFailed: a step failed; the message tells which command, and its last words.
        """
        self._place.log.write_text("")
        with self._steps.step("docker"):
            docker.ensure(self._place, self._shell)
            if self._place.own_docker:
                network.ensure(self._shell)
        go = self._go()
        programs = self._programs(TOOLS, go)
        self._link(programs)
        cluster = Kind(place=self._place, shell=self._shell, programs=programs)
        there = cluster.image() if cluster.exists() else ""
        with self._steps.step("published node image"):
            image = kind.published_image(self._shell, go, there=there)
        own = not image
        if own:
            more = self._programs(OWN_NODE, go)
            programs = Programs(directories=(*programs.directories, *more.directories))
            with self._steps.step("node image of Debian packages and Go modules"):
                image = node_image.ensure(place=self._place, shell=self._shell, programs=programs)
        kind.refuse_other_image(there=there, wanted=image)
        tags = self._images()
        if there:
            with self._steps.step("the nodes that are there"):
                cluster.join()
        else:
            with self._steps.step("kind cluster: one control plane, three workers, two zones"):
                cluster.create(image=image, own_network=own)
        with self._steps.step("load the driver's and the cloud's image"):
            cluster.load(*(f"diskcsi/{name}:{tag}" for name, tag in tags.items()))
        charts = Charts(place=self._place, shell=self._shell, programs=programs)
        with self._steps.step("snapshot definitions and controller"):
            charts.snapshots(
                modules.directory_of("sidecars", kind.SNAPSHOTS, shell=self._shell, go=go)
            )
        with self._steps.step("charts: the cloud and the driver"):
            charts.install(tags)
        self._tell()

    def down(self) -> None:
        """Take all of it away; what was built stays in the cache, and reports and log stay.

        Raises:
            CommandFailed: a step failed; the message tells which command, and its last words.
        """
        if self._place.own_docker:
            if not docker.living_elsewhere(self._place):
                network.remove_rules(self._shell)
            if not self._place.has_containers():
                self._stop()  # one that was killed has left its mounts
                print("nothing runs")
                return
        elif shutil.which("docker") is None:
            print("nothing runs: this machine has no docker")
            return
        with self._steps.step("docker"):
            docker.ensure(self._place, self._shell)
        programs = self._programs(("kind",), self._go())
        with self._steps.step("kind cluster"):
            Kind(place=self._place, shell=self._shell, programs=programs).delete()
        self._stop()
        self._place.kubeconfig.unlink(missing_ok=True)
        shutil.rmtree(self._place.programs, ignore_errors=True)

    def _stop(self) -> None:
        docker.stop(self._place, self._shell)
        if self._place.own_docker and not docker.living_elsewhere(self._place):
            network.restore_forwarding(self._shell)

    def programs(self, names: tuple[str, ...]) -> tuple[Path, ...]:
        """The directories with the programs of modules; built unless the cache has them."""
        go = self._go()
        return tuple(
            modules.build(name, place=self._place, shell=self._shell, go=go) for name in names
        )

    def _link(self, programs: Programs) -> None:
        """Let people and scenarios find the programs in one directory."""
        self._place.programs.mkdir(exist_ok=True)
        for name in ("kubectl", "helm", "kind"):
            link = self._place.programs / name
            link.unlink(missing_ok=True)
            link.symlink_to(programs.find(name))

    def _go(self) -> str:
        major, minor = modules.GO_NEEDED
        return self._shell.run(
            sys.executable, ROOT / "tools" / "find_go.py", f"{major}.{minor}"
        ).strip()

    def _programs(self, names: tuple[str, ...], go: str) -> Programs:
        built = []
        for name in names:
            with self._steps.step(f"programs of module {name}"):
                built.append(modules.build(name, place=self._place, shell=self._shell, go=go))
        return Programs(directories=tuple(built))

    def _images(self) -> dict[str, str]:
        """Name of each of our images to the tag of its content, so that what changed is replaced."""
        with self._steps.step("images of the driver and the cloud"):
            self._shell.run(sys.executable, ROOT / "tools" / "images.py", "build", "--base", "auto")
            tags = {}
            for name, project in OWN_IMAGES.items():
                version = tomllib.loads((project / "pyproject.toml").read_text())
                built = f"diskcsi/{name}:{version['project']['version']}"
                tags[name] = docker.tag_by_content(self._shell, built, prefix="e2e")
        return tags

    def _tell(self) -> None:
        print(
            f"""
The cluster {CLUSTER} is ready after {self._steps.whole_s():.0f} s. Try it:

  {self._place.exports}
  kubectl apply -f examples/kubernetes/pvc.yaml      # a claim, and a pod that writes to it
  kubectl get pvc,pod,volumeattachment
  kubectl -n {NAMESPACE} logs -l app.kubernetes.io/component=node --prefix    # what the nodes did
  kubectl get --raw /api/v1/namespaces/mockcloud/services/mockcloud:8090/proxy/_mock/state
  make e2e K=...                                     # a scenario, or all of them
  make e2e-down                                      # nothing is left
"""
        )
