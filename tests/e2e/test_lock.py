"""Two commands on one cluster."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from e2e.cluster.lock import alone
from e2e.cluster.place import Place
from e2e.cluster.shell import CommandFailed


def test_a_second_command_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    """It would delete the cluster under the first, or the first's namespaces."""
    place = Place(cache=tmp_path, work=tmp_path, own_docker=False)
    with (
        alone(place),
        pytest.raises(CommandFailed, match=rf"at work on this cluster: process {os.getpid()}, "),
        alone(place),
    ):
        pass


def test_a_child_that_outlives_the_command_keeps_others_out(tmp_path: Path) -> None:
    """Scenarios go on where only their parent was ended."""
    place = Place(cache=tmp_path, work=tmp_path, own_docker=False)
    with alone(place) as lock:
        child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, pass_fds=(lock,))
    with pytest.raises(CommandFailed, match="at work on this cluster"), alone(place):
        pass
    child.communicate()
    with alone(place):
        pass


def test_the_next_command_is_let_in(tmp_path: Path) -> None:
    """However the one before has ended."""
    place = Place(cache=tmp_path, work=tmp_path, own_docker=False)
    with pytest.raises(KeyError), alone(place):
        raise KeyError
    with alone(place):
        told = (tmp_path / "lock").read_text()
    assert told.count("process") == 1


def test_clusters_of_other_caches_are_not_kept_out(tmp_path: Path) -> None:
    """They are others."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = (
        Place(cache=tmp_path / name, work=tmp_path, own_docker=False) for name in ("one", "two")
    )
    with alone(one), alone(two):
        assert (tmp_path / "two" / "lock").read_text()


def test_a_file_of_another_user_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier command, run as root, has made it."""
    place = Place(cache=tmp_path, work=tmp_path, own_docker=False)

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refused)  # root, who runs tests too, may open any file
    with pytest.raises(CommandFailed, match=rf"{tmp_path}/lock: .*sudo chown"), alone(place):
        pass
