"""The command line of the crowds: what it refuses before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from e2e import crowds
from e2e.cluster.place import Place
from e2e.cluster.shell import CommandFailed

KUBECTL = """#!/bin/sh
cat <<END
{"items": [{"kind": "Namespace", "metadata": {"name": "e2e-crowds"}}]}
END
"""
"""Of a cluster in which a crowd was cut off."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A machine without a cluster."""
    found = Place(cache=tmp_path, work=tmp_path, own_docker=False)
    monkeypatch.setattr(crowds, "here", lambda: found)
    return found


def cluster(place: Place, *, kubectl: str) -> None:
    """One that is known, and answers as this program says."""
    place.kubeconfig.touch()
    place.programs.mkdir()
    (place.programs / "kubectl").write_text(kubectl)
    (place.programs / "kubectl").chmod(0o755)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--times", "0"], "--times"),
        (["--pods", "0"], "--pods"),
        (["--break", "--raw", "-1"], "--raw"),
        (["--break", "--times", "2"], "--times doesn't go"),
        (["--raw", "4"], "--raw goes with --break"),
        (["--break", "--pods", "3", "--raw", "4"], "--raw 4 is more than"),
    ],
)
def test_numbers_of_which_no_crowd_can_be_made_are_refused(
    place: Place, arguments: list[str], told: str
) -> None:
    """With the option that is wrong, and before the cluster is touched."""
    done = CliRunner().invoke(crowds.main, arguments)
    assert done.exit_code == 2
    assert told in done.output
    assert not place.log.exists()


@pytest.mark.parametrize("there", ["nothing", "a-kubeconfig"])
def test_without_a_cluster_the_way_to_one_is_told(place: Place, there: str) -> None:
    """One that was deleted, or whose machine was started anew, leaves its kubeconfig."""
    if there == "a-kubeconfig":
        cluster(place, kubectl="#!/bin/sh\nexit 1\n")
    done = CliRunner().invoke(crowds.main, [])
    assert isinstance(done.exception, CommandFailed)
    assert "`make e2e-up` makes or starts it" in str(done.exception)


def test_what_a_crowd_that_was_cut_off_has_left_is_named(place: Place) -> None:
    """Another one would count it as there before, and end in objects of the same names."""
    cluster(place, kubectl=KUBECTL)
    done = CliRunner().invoke(crowds.main, [])
    assert isinstance(done.exception, CommandFailed)
    assert "kubectl delete namespace e2e-crowds" in str(done.exception)
