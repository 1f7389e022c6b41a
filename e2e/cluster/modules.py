"""Builds programs from Go modules by name and version, and keeps them by content.

Each directory below `modules` is one module: its `go.mod` names the programs as tools and the
versions, its `go.sum` proves what is fetched. What is built is kept in the cache under a hash of
these files and of the compiler's version.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e2e.cluster.place import Place
from e2e.cluster.shell import CommandFailed, Shell

MODULES: Final = Path(__file__).parent / "modules"

KUBERNETES: Final = re.compile(r"k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)")
HELM: Final = re.compile(r"helm\.sh/helm/v3 (v\d+\.\d+\.\d+)")
CLIENT: Final = re.compile(r"k8s\.io/client-go v0\.(\d+)\.")

OTHER_NAMES: Final = {"server": "etcd"}
"""A program is named after its package's directory, which doesn't always tell what it is."""

GO_NEEDED: Final = (1, 26)
"""What the newest of the modules asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The programs of all modules, and how to find each."""

    directories: tuple[Path, ...]

    def find(self, name: str) -> Path:
        """Where the program is.

        Raises:
            CommandFailed: no module has it.
        """
        for directory in self.directories:
            if (path := directory / name).exists():
                return path
        raise CommandFailed(f"no module of {MODULES} builds {name}")


def kubernetes_version() -> str:
    """The version that a node image made here has, such as v1.34.4."""
    found = KUBERNETES.search((MODULES / "kubernetes" / "go.mod").read_text())
    if found is None:
        raise CommandFailed("modules/kubernetes/go.mod names no version of k8s.io/kubernetes")
    return found[1]


def build(module: str, *, place: Place, shell: Shell, go: str) -> Path:
    """The directory with the module's programs; built unless the cache has it.

    Raises:
        CommandFailed: the build failed.
    """
    source = MODULES / module
    flags = _linker_flags(module)
    target = place.cache / "go" / f"{module}-{_fingerprint(source, go, flags, shell)}"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    what = "." if (source / "main.go").exists() else "tool"
    with tempfile.TemporaryDirectory(dir=target.parent) as building:
        shell.run(
            go, "build", "-trimpath", "-mod=readonly", "-ldflags", flags, "-o", f"{building}/out/",
            what, cwd=source, env={"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": ""},
        )  # fmt: skip
        for old, new in OTHER_NAMES.items():
            if (built := Path(building, "out", old)).exists():
                built.rename(built.with_name(new))
        shutil.move(f"{building}/out", target)
    return target


def directory_of(module: str, dependency: str, *, shell: Shell, go: str) -> Path:
    """Where the source of a module's dependency lies, fetched and checked by Go."""
    told = shell.run(
        go, "mod", "download", "-json", dependency, cwd=MODULES / module,
        env={"GOTOOLCHAIN": "local", "GOFLAGS": ""},
    )  # fmt: skip
    return Path(str(json.loads(told)["Dir"]))


def _linker_flags(module: str) -> str:
    """What the programs are told of themselves; their own release builds tell them so."""
    told = _told_by_release(module, (MODULES / module / "go.mod").read_text())
    return "-s -w" + "".join(f" -X {name}={value}" for name, value in told.items())


def _told_by_release(module: str, wanted: str) -> Mapping[str, str]:
    if module == "kubernetes":
        version, major, minor = KUBERNETES.findall(wanted)[0]
        told = {
            "gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean",
            "gitCommit": "module", "buildDate": "1970-01-01T00:00:00Z",
        }  # fmt: skip
        return {f"k8s.io/component-base/version.{key}": value for key, value in told.items()}
    if module == "helm":
        # what charts may use of Kubernetes, and what lint calls deprecated, where no cluster tells
        kubernetes = {"k8sVersionMajor": "1", "k8sVersionMinor": CLIENT.findall(wanted)[0]}
        return {
            "helm.sh/helm/v3/internal/version.version": HELM.findall(wanted)[0],
            **{
                f"helm.sh/helm/v3/pkg/{package}.{key}": value
                for package in ("chartutil", "lint/rules")
                for key, value in kubernetes.items()
            },
        }
    return {}


def _fingerprint(source: Path, go: str, flags: str, shell: Shell) -> str:
    known = hashlib.sha256(shell.run(go, "version").encode() + flags.encode())
    for path in sorted(source.iterdir()):
        known.update(path.name.encode() + path.read_bytes())
    return known.hexdigest()[:12]
