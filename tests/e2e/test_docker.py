"""A docker daemon of our own: what it leaves alone, what is taken away, and an end that doesn't come."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import docker, network
from e2e.cluster.place import Place
from e2e.cluster.shell import CommandFailed, Shell

IPTABLES = """#!/bin/sh
rules={directory}/rules
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

FOREIGN = "filter DOCKER --destination 172.17.0.2 --jump ACCEPT"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """On a machine whose rules are in the file `rules`, with those of another daemon."""
    (tmp_path / "rules").write_text(f"{FOREIGN}\n")
    for name, text in (
        ("iptables", IPTABLES.format(directory=tmp_path)),
        ("docker", "#!/bin/sh\n"),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(network, "IPTABLES", str(tmp_path / "iptables"))
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
