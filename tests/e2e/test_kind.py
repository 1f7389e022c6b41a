"""Whose cluster it is that has our name."""

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
"get nodes"*) echo a-node;;
*Networks*) echo '{networks}';;
esac
"""
"""Both kind and docker, of a machine with one cluster of one node."""


def kind_with(tmp_path: Path, *, cluster: str = CLUSTER, network: str) -> Kind:
    """Kind on a machine that has this cluster on this network."""
    networks = json.dumps({network: {}})
    for name in ("kind", "docker"):
        program = tmp_path / name
        program.write_text(
            PROGRAM.format(told=tmp_path / "told", cluster=cluster, networks=networks)
        )
        program.chmod(0o755)
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


def test_a_cluster_of_another_working_copy_is_made_known_to_this_one(tmp_path: Path) -> None:
    """The kubeconfig is written anew, whatever it had before."""
    kind_with(tmp_path, network=NETWORK).make_known()
    assert f"export kubeconfig --name {CLUSTER} --kubeconfig {tmp_path}/kubeconfig" in told(
        tmp_path
    )


def test_a_cluster_of_another_node_image_is_not_replaced_unasked() -> None:
    """Whether a registry answers today must not decide over what somebody has in a cluster."""
    with pytest.raises(CommandFailed, match="Nothing was changed; run `make e2e-down` first"):
        refuse_other_image(there="kindest/node:v1.34.0", wanted="diskcsi-e2e/node:0123")


@pytest.mark.parametrize("there", ["", "diskcsi-e2e/node:0123"])
def test_no_cluster_or_one_of_the_same_image_is_fine(there: str) -> None:
    """It is made, or brought up to date."""
    refuse_other_image(there=there, wanted="diskcsi-e2e/node:0123")
