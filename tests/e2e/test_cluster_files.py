"""The files that a node image is made of, and how the cluster's parts are told."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster import node_image
from e2e.cluster.kind import HERE
from e2e.cluster.modules import MODULES, kubernetes_version
from e2e.cluster.place import ROOT, Place, here
from e2e.cluster.shell import CommandFailed, Shell, words

RUNC_LIMITED = HERE / "node" / "runc-limited"
RECORDING_RUNC = "#!/bin/sh\nprintf '%s\\n' \"$@\" > $RECORD\n"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell with a log of its own."""
    return Shell(environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, log=tmp_path / "log")


def limited(tmp_path: Path, *, given: str, arguments: list[str]) -> list[str]:
    """What runc is started with, on a machine with a bounding set of capabilities."""
    runc, status = tmp_path / "runc", tmp_path / "status"
    runc.write_text(RECORDING_RUNC)
    runc.chmod(0o755)
    status.write_text(f"Name:\tx\nCapBnd:\t{given}\n")
    subprocess.run(
        [RUNC_LIMITED, *arguments],
        check=True,
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "RUNC": str(runc), "STATUS": str(status),
            "RECORD": str(tmp_path / "record"),
        },
    )  # fmt: skip
    return (tmp_path / "record").read_text().split()


PROCESS = {
    "args": ["sleep"],
    "oomScoreAdj": -999,
    "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1048576, "soft": 1048576}],
    "capabilities": {"bounding": ["CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"], "ambient": None},
}


def test_a_machine_without_the_capability_is_asked_for_what_it_can_give(tmp_path: Path) -> None:
    """CAP_SYS_RESOURCE and what needs it leave the container's configuration."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"process": PROCESS, "root": {"path": "rootfs"}}))
    arguments = ["create", "--bundle", str(tmp_path), "name"]
    assert limited(tmp_path, given="000001fffeffffff", arguments=arguments) == arguments
    assert json.loads(config.read_text()) == {
        "process": {
            "args": ["sleep"], "rlimits": [],
            "capabilities": {"bounding": ["CAP_SYS_ADMIN"], "ambient": []},
        },
        "root": {"path": "rootfs"},
    }  # fmt: skip


def test_a_process_in_a_container_is_limited_alike(tmp_path: Path) -> None:
    """`exec` has its wishes in a file of their own."""
    process = tmp_path / "process.json"
    process.write_text(json.dumps(PROCESS))
    limited(tmp_path, given="0", arguments=["exec", "--process", str(process), "name"])
    assert json.loads(process.read_text())["capabilities"]["bounding"] == ["CAP_SYS_ADMIN"]


def test_a_machine_with_the_capability_gives_what_was_asked_for(tmp_path: Path) -> None:
    """The configuration stays as it was."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"process": PROCESS}))
    limited(tmp_path, given="000001ffffffffff", arguments=["run", "--bundle", str(tmp_path)])
    assert json.loads(config.read_text()) == {"process": PROCESS}


def test_kubelet_and_containerd_are_told_of_one_driver_of_cgroups() -> None:
    """The entrypoint changes a line that is there, and a file in the directory that kubelet reads."""
    entrypoint = (HERE / "node" / "entrypoint").read_text()
    (setting,) = re.findall(r"s/(\w+ =) \.\*/", entrypoint)
    (directory,) = re.findall(r"cat > (\S+)/cgroups\.conf", entrypoint)
    assert (HERE / "node" / "containerd.toml").read_text().count(f" {setting} ") == 1
    assert f'--config-dir={directory}"' in (HERE / "node" / "10-kubeadm.conf").read_text()


def test_what_went_wrong_before_a_failed_clean_up_is_told_too(tmp_path: Path) -> None:
    """It is the cause; a message that tells of its own cause has it already."""
    with pytest.raises(CommandFailed) as failed:
        try:
            raise CommandFailed("no pod came")
        finally:
            raise CommandFailed("the namespace stays")
    assert words(failed.value) == "the namespace stays\nand before that: no pod came"
    with pytest.raises(CommandFailed) as failed:
        Shell(environment={}, log=tmp_path / "log").run("/no-such-program")
    assert words(failed.value) == "/no-such-program is not installed"


def test_every_module_has_its_sums() -> None:
    """What Go fetches is proved, for each module that fetches anything."""
    needing = [path.parent for path in MODULES.glob("*/go.mod") if "require" in path.read_text()]
    assert {path.name for path in needing if not (path / "go.sum").exists()} == set()
    assert len(needing) >= 5


def test_staging_modules_are_of_the_release() -> None:
    """A replaced module of Kubernetes has the minor and patch version of Kubernetes."""
    minor = kubernetes_version().removeprefix("v1.")
    text = (MODULES / "kubernetes" / "go.mod").read_text()
    replaced = [line.split(" => ")[1] for line in text.splitlines() if " => " in line]
    assert {line.split(" ")[1] for line in replaced} == {f"v0.{minor}"}


CHART_VALUES = ROOT / "k8s" / "chart" / "diskcsi" / "values.yaml"
SIDECARS = ("provisioner", "attacher", "resizer", "snapshotter")
IMAGE = re.compile(r"sig-storage/([a-z-]+):(v[\d.]+)")
BUILT = re.compile(r"kubernetes-csi/external-(\w+)/v\d+ (v[\d.]+)")
CLIENT = re.compile(r"=> .*/external-(snapshotter)/client/v\d+ (v[\d.]+)")


def sidecars() -> dict[str, Any]:
    """What the chart says of them: the one place that their versions are changed in."""
    told: dict[str, Any] = yaml.safe_load(CHART_VALUES.read_text())["sidecars"]
    return told


def tags() -> dict[str, str]:
    """The version of each image, by its name; the snapshot controller is of the snapshotter's release."""
    told = sidecars()
    parts = [one for one in told.values() if isinstance(one, dict) and "tag" in one]
    found = {one["repository"].rpartition("/")[2]: one["tag"] for one in parts}
    return {**found, "snapshot-controller": told["snapshotter"]["tag"]}


def images_in_files() -> Iterator[tuple[Path, str, str]]:
    """Every image of a sidecar that a manifest or program of ours names."""
    for folder in ("k8s", "e2e", "docs", "examples"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".yaml", ".yml", ".py", ".md", ".tpl"}:
                yield from ((path, *found) for found in IMAGE.findall(path.read_text()))


def test_every_image_of_a_sidecar_has_the_charts_version() -> None:
    """What is rendered, applied and built into node images is what the chart installs."""
    known = tags()
    found = list(images_in_files())
    assert {name for _, name, _ in found} >= {f"csi-{name}" for name in SIDECARS}
    assert [one for one in found if known[one[1]] != one[2]] == []


def test_the_sidecars_that_the_cluster_builds_are_the_charts() -> None:
    """What is tried is what is installed: the programs, and the definitions of snapshots."""
    told = sidecars()
    modules = (MODULES / "sidecars" / "go.mod").read_text()
    built = dict(BUILT.findall(modules))
    assert built == {name: told[name]["tag"] for name in SIDECARS}
    assert dict(CLIENT.findall(modules)) == {"snapshotter": told["snapshotter"]["tag"]}


def test_a_node_image_has_every_sidecar_under_the_charts_name() -> None:
    """Pods find it there: nothing is pulled."""
    told = sidecars()
    held = node_image.every_node()
    wanted = {
        f"csi-{name}": f"{told['registry']}/{told[name]['repository']}:{told[name]['tag']}"
        for name in SIDECARS
    }
    assert wanted.items() <= held.items()
    controller = (HERE / "snapshot-controller.yaml").read_text()
    assert f"image: {held['snapshot-controller']}\n" in controller


def test_a_failed_command_shows_its_last_words(shell: Shell, tmp_path: Path) -> None:
    """The message has the command, its end and what it said; the log has all of it."""
    with pytest.raises(CommandFailed, match=r"(?s)ended with 3:.*no such thing"):
        shell.run("sh", "-c", "echo no such thing >&2; exit 3")
    assert "no such thing" in (tmp_path / "log").read_text()


def test_a_failed_end_of_a_pipe_is_told(shell: Shell) -> None:
    """Whichever of the two commands failed."""
    with pytest.raises(CommandFailed, match="false ended with 1"):
        shell.pipe(("echo", "word"), ("false",))


def test_a_missing_program_is_named(shell: Shell) -> None:
    """Without a traceback of the interpreter's own."""
    with pytest.raises(CommandFailed, match="no-such-program is not installed"):
        shell.run("no-such-program")


def test_a_docker_daemon_of_our_own_is_used_by_every_command(tmp_path: Path) -> None:
    """Commands find its socket; those for the user's daemon find the user's."""
    own = Place(cache=tmp_path / "cache", work=tmp_path, own_docker=True)
    users = Place(cache=tmp_path / "cache", work=tmp_path, own_docker=False)
    assert own.environment()["DOCKER_HOST"] == f"unix://{own.docker_socket}"
    assert users.environment().get("DOCKER_HOST") != f"unix://{own.docker_socket}"


def test_a_daemon_that_does_not_live_is_not_meant(tmp_path: Path) -> None:
    """A file that is left over, or names another program by now, counts for nothing."""
    place = Place(cache=tmp_path, work=tmp_path, own_docker=False)
    assert place.docker_pid() is None
    place.docker.mkdir()
    (place.docker / "docker.pid").write_text(f"{os.getpid()}\n")
    assert place.docker_pid() is None


@pytest.mark.parametrize("ours", [True, False])
def test_a_daemon_of_our_own_is_known_by_its_configuration(tmp_path: Path, ours: bool) -> None:
    """Another docker daemon may have got the process id of one that a reboot has ended."""
    place = Place(cache=tmp_path, work=tmp_path, own_docker=False)
    place.docker.mkdir()
    file = place.docker_config if ours else "/etc/docker/daemon.json"
    command = ["python3", "-c", "input('runs')", "dockerd", "--config-file", str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.read(4) == b"runs"  # before that it may have no arguments yet
        (place.docker / "docker.pid").write_text(f"{daemon.pid}\n")
        found = place.docker_pid()
        daemon.communicate(b"\n")
    assert found == (daemon.pid if ours else None)


def test_a_directory_of_another_user_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that a command with sudo has made: it alone is to be taken over."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("DISKCSI_CACHE", str(cache))
    monkeypatch.setattr(os, "access", lambda path, mode: path != cache)  # noqa: ARG005 - root may
    with pytest.raises(
        CommandFailed, match=rf"you may not write to .*: sudo chown -R \$USER {cache}$"
    ):
        here()


def test_a_directory_that_can_not_be_made_is_told_with_another_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it would be in is the system's, or somebody else's: nobody is to take that over."""
    monkeypatch.setenv("DISKCSI_CACHE", str(tmp_path / "cache"))
    make = Path.mkdir

    def refused(path: Path, *args: object, **options: object) -> None:
        if path.is_relative_to(tmp_path):
            raise PermissionError
        make(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(CommandFailed, match=r"you may not make .* by DISKCSI_CACHE") as refusal:
        here()
    assert "chown" not in str(refusal.value)
