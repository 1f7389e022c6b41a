"""Whose cluster it is that has our name, and whether it can be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2e.cluster.kind import Kind, refuse_other_image
from e2e.cluster.modules import Programs
from e2e.cluster.place import CLUSTER, NETWORK, Place
from e2e.cluster.shell import CommandFailed, Shell

PROGRAM = """#!/bin/sh
echo "$0 $@" >> {told}
case "$@" in
"get clusters") echo {cluster};;
"get nodes,"*) cat {objects};;
"get nodes"*) echo a-node;;
*Networks*) echo '{networks}';;
"wait "*node/a-node*) [ -e {ready} ] || {{ touch {ready}; exit 1; }};;
esac
"""
"""Kind, docker and kubectl, of a machine with one cluster of one node that comes up."""


def kind_with(tmp_path: Path, *, cluster: str = CLUSTER, network: str) -> Kind:
    """Kind on a machine that has this cluster on this network."""
    networks = json.dumps({network: {}})
    for name in ("kind", "docker", "kubectl"):
        program = tmp_path / name
        program.write_text(
            PROGRAM.format(
                told=tmp_path / "told",
                cluster=cluster,
                networks=networks,
                ready=tmp_path / "ready",
                objects=tmp_path / "objects",
            )
        )
        program.chmod(0o755)
    (tmp_path / "objects").write_text('{"items": []}')
    return Kind(
        place=Place(cache=tmp_path, work=tmp_path, own_docker=False),
        shell=Shell(environment={"PATH": f"{tmp_path}:/usr/bin:/bin"}, log=tmp_path / "log"),
        programs=Programs(directories=(tmp_path,)),
    )


def told(tmp_path: Path) -> str:
    """Every command that was given."""
    return (tmp_path / "told").read_text()


def test_a_cluster_of_the_same_name_on_another_network_is_not_touched(tmp_path: Path) -> None:
    """It is somebody else's: the refusal names it, and nothing is deleted."""
    with pytest.raises(CommandFailed, match=f"{CLUSTER} that was not made here: its node a-node"):
        kind_with(tmp_path, network="kind").delete()
    assert "delete" not in told(tmp_path)


def test_our_own_cluster_goes_with_its_network(tmp_path: Path) -> None:
    """Both carry our name."""
    kind_with(tmp_path, network=NETWORK).delete()
    assert f"delete cluster --name {CLUSTER}" in told(tmp_path)
    assert f"network rm {NETWORK}" in told(tmp_path)


def test_clusters_of_other_names_stay(tmp_path: Path) -> None:
    """Only the network, which is ours by its name, is taken away."""
    kind_with(tmp_path, cluster="diskcsi", network="kind").delete()
    assert "delete cluster" not in told(tmp_path)


def test_a_cluster_that_is_there_is_started_and_made_known(tmp_path: Path) -> None:
    """Another working copy may have made it, before the machine was started anew.

    It is waited for by the nodes' names: one that was cut off before it joined would not be missed.
    """
    kind_with(tmp_path, network=NETWORK).join()
    orders = [line for line in told(tmp_path).splitlines() if "get nodes" not in line]
    unfrozen, started, exported, *waited = orders
    assert unfrozen.endswith("docker unpause a-node")  # docker starts none that is paused
    assert started.endswith("docker start a-node")
    assert f"export kubeconfig --name {CLUSTER} --kubeconfig {tmp_path}/kubeconfig" in exported
    assert len([line for line in waited if "wait" in line]) == 2


def test_a_cluster_in_which_scenarios_have_left_something_is_told_with_the_way_out(
    tmp_path: Path,
) -> None:
    """The next ones would meet it; it is not taken away unasked, as somebody may look into it."""
    kind = kind_with(tmp_path, network=NETWORK)
    left = {"kind": "Node", "metadata": {"name": "a-node"}, "spec": {"unschedulable": True}}
    (tmp_path / "objects").write_text(json.dumps({"items": [left]}))
    with pytest.raises(CommandFailed, match=r"(?s)node a-node, cordoned.*run `make e2e-down`"):
        kind.join()


def test_a_cluster_that_was_never_made_to_its_end_is_told_with_the_way_out(tmp_path: Path) -> None:
    """It is not deleted unasked."""
    kind = kind_with(tmp_path, network=NETWORK)
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(CommandFailed, match="If it is of no worth, run `make e2e-down`"):
        kind.join()


@pytest.mark.parametrize(
    ("files", "there"), [((), False), (("data/containers/abc",), True)], ids=["none", "one"]
)
def test_containers_of_a_daemon_that_has_ended_are_found(
    tmp_path: Path, files: tuple[str, ...], there: bool
) -> None:
    """They would be started again with it."""
    place = Place(cache=tmp_path, work=tmp_path, own_docker=True)
    for file in files:
        (place.docker / file).mkdir(parents=True)
    assert place.has_containers() is there


def test_a_cluster_of_another_node_image_is_not_replaced_unasked() -> None:
    """Whether a registry answers today must not decide over what somebody has in a cluster."""
    with pytest.raises(CommandFailed, match="Nothing was changed; run `make e2e-down` first"):
        refuse_other_image(there="kindest/node:v1.34.0", wanted="diskcsi-e2e/node:0123")


@pytest.mark.parametrize("there", ["", "diskcsi-e2e/node:0123"])
def test_no_cluster_or_one_of_the_same_image_is_fine(there: str) -> None:
    """It is made, or brought up to date."""
    refuse_other_image(there=there, wanted="diskcsi-e2e/node:0123")
