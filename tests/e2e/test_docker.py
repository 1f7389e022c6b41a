"""A docker daemon of our own: what it leaves alone, what is taken away, and an end that doesn't come."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.cluster import docker, network
from e2e.cluster.place import Place
from e2e.cluster.shell import CommandFailed, Shell
from e2e.cluster.up import Cluster

IPTABLES = """#!/bin/sh
rules={directory}/rules
[ "$1" = --list-rules ] && echo "-P FORWARD ACCEPT" && sed --quiet "s/^filter FORWARD/-A FORWARD/p" $rules
case "$3" in
--check) grep --quiet --line-regexp --fixed-strings -e "$2 $(shift 3; echo "$@")" $rules;;
--insert) echo "$2 $(shift 3; echo "$@")" >> $rules;;
--delete)
  line=$(grep --max-count=1 --line-number --line-regexp --fixed-strings \\
    -e "$2 $(shift 3; echo "$@")" $rules) || exit 1
  sed --in-place "${{line%%:*}}d" $rules;;
esac
"""
"""A list of rules in a file."""

DOCKER = """#!/bin/sh
network={directory}/network
case "$*" in
"network create"*) echo "$@" > $network;;
"network inspect --format"*) cat {directory}/told 2>/dev/null || echo "diskcsi-e2e 172.30.0.0/24";;
"network inspect"*) [ -e $network ];;
esac
"""
"""With at most one network."""

FOREIGN = "filter DOCKER --destination 172.17.0.2 --jump ACCEPT"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """On a machine whose rules are in the file `rules`, with those of another daemon."""
    (tmp_path / "rules").write_text(f"{FOREIGN}\n")
    for name, text in (
        ("iptables", IPTABLES.format(directory=tmp_path)),
        ("docker", DOCKER.format(directory=tmp_path)),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(network, "IPTABLES", str(tmp_path / "iptables"))
    monkeypatch.setattr(network, "FORMER", tmp_path / "former")
    monkeypatch.setattr(network, "FORWARDING", tmp_path / "forwarding")
    (tmp_path / "forwarding").write_text("0\n")
    return Shell(environment={"PATH": f"{tmp_path}:/usr/bin:/bin"}, log=tmp_path / "log")


def rules(tmp_path: Path) -> list[str]:
    """All of the machine."""
    return (tmp_path / "rules").read_text().splitlines()


def test_rules_are_made_once(tmp_path: Path, shell: Shell) -> None:
    """However often the cluster is brought up."""
    network.ensure(shell)
    once = rules(tmp_path)
    network.ensure(shell)
    assert rules(tmp_path) == once
    assert len(once) == 1 + len(network.RULES)


def test_our_rules_go_and_others_stay(tmp_path: Path, shell: Shell) -> None:
    """Another daemon's ports stay open."""
    network.ensure(shell)
    network.remove_rules(shell)
    assert rules(tmp_path) == [FOREIGN]


def test_a_network_that_another_version_made_is_refused(tmp_path: Path, shell: Shell) -> None:
    """Rules for our bridge would do nothing for it; nothing is changed."""
    (tmp_path / "network").touch()
    (tmp_path / "told").write_text("br-1234 172.18.0.0/16\n")
    with pytest.raises(CommandFailed, match=r"'br-1234 172.18.0.0/16'.*Run `make e2e-down`"):
        network.ensure(shell)
    assert rules(tmp_path) == [FOREIGN]


@pytest.mark.parametrize(
    ("before", "others", "after"),
    [("0", [], "0"), ("0", ["filter FORWARD --jump ACCEPT"], "1"), ("1", [], "1")],
    ids=["alone", "others-forward-by-now", "forwarded-before"],
)
def test_the_machine_forwards_no_more_than_before(
    tmp_path: Path, shell: Shell, before: str, others: list[str], after: str
) -> None:
    """A daemon lets it, and leaves it so; that of a cluster may be started several times."""
    forwarding = tmp_path / "forwarding"
    forwarding.write_text(f"{before}\n")
    for _ in range(2):
        network.note_forwarding()
        forwarding.write_text("1\n")
    (tmp_path / "rules").write_text("\n".join([*others, ""]))
    network.restore_forwarding(shell)
    assert (forwarding.read_text().strip(), (tmp_path / "former").exists()) == (after, False)


def test_forwarding_ends_with_the_cluster(place: Place, tmp_path: Path) -> None:
    """As do its rules."""
    network.note_forwarding()
    (tmp_path / "forwarding").write_text("1")
    Cluster(place=place).down()
    assert (tmp_path / "forwarding").read_text() == "0"


def test_where_there_is_no_docker_nothing_is_to_be_taken_away(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end that was asked for has come: whoever cleans up in a script goes on."""
    monkeypatch.setenv("PATH", str(place.programs))
    Cluster(place=replace(place, own_docker=False)).down()
    assert capsys.readouterr().out == "nothing runs: this machine has no docker\n"


def test_every_rule_is_about_our_own_network() -> None:
    """None could decide over what is somebody else's."""
    assert all(network.BRIDGE in words for words in network.RULES)


@pytest.fixture
def deaf(tmp_path: Path) -> Iterator[Place]:
    """The place of a daemon that minds no signal to end."""
    place = Place(cache=tmp_path / "cache", work=tmp_path, own_docker=True)
    place.docker.mkdir(parents=True)
    with subprocess.Popen(
        ["/bin/sh", "-c", "trap '' TERM; echo deaf; cat", "sh", str(place.docker_config)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as daemon:  # fmt: skip
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == "deaf\n"
        (place.docker / "docker.pid").write_text(str(daemon.pid))
        yield place
        daemon.kill()


def test_a_daemon_that_does_not_end_is_told_with_the_way_out(
    deaf: Place, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a machine would be called clean that isn't."""
    monkeypatch.setattr(docker, "STOP_S", 0)
    with pytest.raises(CommandFailed, match=f"kill -9 {deaf.docker_pid()}"):
        docker.stop(deaf, shell)


def let_live(place: Place, processes: Path) -> None:
    """Let the machine have the daemon of a cache among its processes."""
    place.docker.mkdir(parents=True)
    place.docker_config.write_text(json.dumps({"base": network.ADDRESS_POOL}))
    (processes / "12").mkdir()
    (processes / "12" / "cmdline").write_text(
        "\0".join(["/usr/sbin/dockerd", "--config-file", str(place.docker_config), ""])
    )


@pytest.fixture
def place(tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A cache without a daemon, on that machine, which has one process that is none of ours."""
    (tmp_path / "processes" / "11").mkdir(parents=True)
    (tmp_path / "processes" / "11" / "cmdline").write_text("/usr/sbin/dockerd\0-H\0fd://\0")
    monkeypatch.setattr(docker, "PROCESSES", tmp_path / "processes")
    found = Place(cache=tmp_path / "cache", work=tmp_path, own_docker=True)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    network.ensure(shell)
    return found


@pytest.fixture
def other(tmp_path: Path) -> Place:
    """Another cache."""
    return Place(cache=tmp_path / "other", work=tmp_path, own_docker=True)


def test_no_daemon_starts_beside_that_of_another_cache(
    place: Place, other: Place, shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They would have one bridge, and the same addresses on it."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(docker, "install_packages", lambda shell: None)  # noqa: ARG005 - as it is
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")  # none answers
    let_live(other, tmp_path / "processes")
    with pytest.raises(CommandFailed, match=f"another cache, {other.cache}, has"):
        docker.ensure(place, shell)


def test_the_rules_stay_while_the_daemon_of_another_cache_lives(
    place: Place, other: Place, tmp_path: Path
) -> None:
    """They are its own."""
    before = rules(tmp_path)
    let_live(other, tmp_path / "processes")
    Cluster(place=place).down()
    assert rules(tmp_path) == before


def test_the_rules_go_where_nothing_else_is_there(place: Place, tmp_path: Path) -> None:
    """A making that was cut off may have made no more than these."""
    Cluster(place=place).down()
    assert rules(tmp_path) == [FOREIGN]


def test_the_daemon_of_this_cache_is_not_another(place: Place, tmp_path: Path) -> None:
    """Its rules go with it."""
    let_live(place, tmp_path / "processes")
    assert docker.living_elsewhere(place) is None


def test_the_mounts_of_a_daemon_that_was_killed_go(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those inside first, and no others, though no container is there any more."""
    data = place.docker / "data"
    mounts = tmp_path / "mounts"
    mounts.write_text(f"overlay {data} x\ntmpfs {data}/inner x\ntmpfs {place.cache}/docker2 x\n")
    monkeypatch.setattr(docker, "MOUNTS", mounts)
    (tmp_path / "umount").write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/unmounted\n')
    (tmp_path / "umount").chmod(0o755)
    Cluster(place=place).down()
    assert (tmp_path / "unmounted").read_text() == f"{data}/inner\n{data}\n"


TAGS = """#!/bin/sh
case "$*" in
*inspect*) echo sha256:0123456789abcdef;;
"image ls"*) printf '1.0.0\\ne2e-0123456789ab\\ne2e-old\\nfloor-old\\n';;
*) echo "$@" >> {directory}/told;;
esac
"""


def test_former_tags_of_an_image_go_when_it_has_changed(tmp_path: Path, shell: Shell) -> None:
    """Each change would leave an image with docker for ever; only those with our prefix go."""
    (tmp_path / "docker").write_text(TAGS.format(directory=tmp_path))
    assert docker.tag_by_content(shell, "diskcsi/x:1.0.0", prefix="e2e") == "e2e-0123456789ab"
    assert (tmp_path / "told").read_text().splitlines() == [
        "tag diskcsi/x:1.0.0 diskcsi/x:e2e-0123456789ab", "image rm diskcsi/x:e2e-old",
    ]  # fmt: skip
