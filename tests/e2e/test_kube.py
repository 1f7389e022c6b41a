"""What is concluded where kubectl can't tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.support.kube import Kube, KubectlFailed
from e2e.support.waiting import NotSeen

KUBECTL = """#!/bin/sh
echo look >> {directory}/looks
if [ $(wc --lines < {directory}/looks) -le {away} ]; then
  echo "The connection to the server was refused" >&2
  exit 1
fi
printf '%s' '{object}'
"""
"""For so many looks the API server is away; then it tells of this object."""


def cluster(directory: Path, *, away: int, told: str = "") -> Kube:
    kubectl = directory / "kubectl"
    kubectl.write_text(KUBECTL.format(directory=directory, away=away, object=told))
    kubectl.chmod(0o755)
    return Kube(kubectl=kubectl, environment={}, namespace="mine")


def looks(directory: Path) -> int:
    return len((directory / "looks").read_text().splitlines())


def test_an_object_is_gone_when_the_api_server_says_so(tmp_path: Path) -> None:
    """That it can't be asked says nothing."""
    cluster(tmp_path, away=2).wait_gone("pv", "one")
    assert looks(tmp_path) == 3


def test_an_object_is_waited_for_while_nobody_can_be_asked(tmp_path: Path) -> None:
    """The API server may be away for a moment."""
    told = '{"status": {"phase": "Bound"}}'
    kube = cluster(tmp_path, away=2, told=told)
    found = kube.wait("pv", "one", lambda one: one["status"]["phase"] == "Bound", what="is bound")
    assert (found["status"]["phase"], looks(tmp_path)) == ("Bound", 3)


def test_a_wait_that_nobody_answers_ends_with_what_kubectl_said(tmp_path: Path) -> None:
    """It is no proof that the object is there, nor that it is gone."""
    with pytest.raises(NotSeen, match=r"pv one is gone\. What there is can't be told: .*refused"):
        cluster(tmp_path, away=99).wait_gone("pv", "one", timeout_s=0)


def test_an_object_that_nobody_can_be_asked_for_is_not_missing(tmp_path: Path) -> None:
    """Whoever looks once has to know."""
    with pytest.raises(KubectlFailed, match="refused"):
        cluster(tmp_path, away=1).find("pv", "one")
