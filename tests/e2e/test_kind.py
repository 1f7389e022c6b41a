"""Whose cluster it is that has our name, and whether it can be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from e2e.cluster import node_image
from e2e.cluster.kind import MADE, Kind, published_image, refuse_other_image
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
"info "*) echo {cgroups};;
*" test -e "*) exit {cut_off};;
*node-ip*) exit {moved};;
"wait "*node/a-node*) [ -e {ready} ] || {{ touch {ready}; exit 1; }};;
esac
"""
"""Kind, docker and kubectl, of a machine with one cluster of one node that comes up."""


def kind_with(
    tmp_path: Path, *, cluster: str = CLUSTER, network: str = NETWORK, cut_off: bool = False,
    moved: bool = False,
) -> Kind:  # fmt: skip
    """Kind on a machine that has this cluster on this network.

    It may not have been made whole, or its node may have moved to another address.
    """
    shell = machine(tmp_path, cluster=cluster, network=network, cut_off=cut_off, moved=moved)
    return Kind(
        place=Place(cache=tmp_path, work=tmp_path, own_docker=False),
        shell=shell,
        programs=Programs(directories=(tmp_path,)),
    )


def machine(
    tmp_path: Path, *, cluster: str = CLUSTER, network: str = NETWORK, cut_off: bool = False,
    cgroups: int = 2, moved: bool = False,
) -> Shell:  # fmt: skip
    """A shell of such a machine; its docker has this version of cgroups."""
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
                cut_off=int(cut_off),
                cgroups=cgroups,
                moved=int(moved),
            )
        )
        program.chmod(0o755)
    (tmp_path / "objects").write_text('{"items": []}')
    (tmp_path / "bin").symlink_to(tmp_path)
    return Shell(environment={"PATH": f"{tmp_path}:/usr/bin:/bin"}, log=tmp_path / "log")


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
    kind_with(tmp_path).delete()
    assert f"delete cluster --name {CLUSTER}" in told(tmp_path)
    assert f"network rm {NETWORK}" in told(tmp_path)


def test_kubelets_end_before_their_devices_are_let_go(tmp_path: Path) -> None:
    """They would lay devices over the volumes of pods that start meanwhile, which outlive the cluster."""
    kind_with(tmp_path).delete()
    orders = told(tmp_path)
    assert orders.index("systemctl stop kubelet") < orders.index("losetup --detach")
    assert orders.index("losetup --detach") < orders.index("delete cluster")


def test_a_node_at_another_address_than_before_is_told_at_once(tmp_path: Path) -> None:
    """Docker gives them by the order of starts; the other nodes know it by the former one."""
    with pytest.raises(
        CommandFailed, match=r"(?s)other addresses .* to a-node.*run `make e2e-down`"
    ):
        kind_with(tmp_path, moved=True).join()
    assert "wait " not in told(tmp_path)


def test_clusters_of_other_names_stay(tmp_path: Path) -> None:
    """Only the network, which is ours by its name, is taken away."""
    kind_with(tmp_path, cluster="diskcsi", network="kind").delete()
    assert "delete cluster" not in told(tmp_path)


def test_a_cluster_that_is_there_is_started_and_made_known(tmp_path: Path) -> None:
    """Another working copy may have made it, before the machine was started anew.

    It is waited for by the nodes' names: one that was cut off before it joined would not be missed.
    """
    kind_with(tmp_path).join()
    orders = [line for line in told(tmp_path).splitlines() if "get nodes" not in line]
    unfrozen, started, whole, at_home, exported, *waited = orders
    assert "docker exec a-node sh -c" in at_home
    assert whole.endswith(f"docker exec {CLUSTER}-control-plane test -e {MADE}")
    assert unfrozen.endswith("docker unpause a-node")  # docker starts none that is paused
    assert started.endswith("docker start a-node")
    assert f"export kubeconfig --name {CLUSTER} --kubeconfig {tmp_path}/kubeconfig" in exported
    assert len([line for line in waited if "wait" in line]) == 2


def test_a_cluster_in_which_scenarios_have_left_something_is_told_with_the_way_out(
    tmp_path: Path,
) -> None:
    """The next ones would meet it; it is not taken away unasked, as somebody may look into it."""
    kind = kind_with(tmp_path)
    left = {"kind": "Node", "metadata": {"name": "a-node"}, "spec": {"unschedulable": True}}
    (tmp_path / "objects").write_text(json.dumps({"items": [left]}))
    with pytest.raises(CommandFailed, match=r"(?s)kubectl uncordon a-node .*run `make e2e-down`"):
        kind.join()


def test_nodes_that_do_not_start_are_told_with_the_way_out(tmp_path: Path) -> None:
    """The cluster is not deleted unasked."""
    kind = kind_with(tmp_path)
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(CommandFailed, match="If it is of no worth, run `make e2e-down`"):
        kind.join()


def test_a_cluster_that_was_never_made_to_its_end_is_told_at_once(tmp_path: Path) -> None:
    """Its nodes would be waited for in vain; what an interrupt has left is not deleted unasked."""
    with pytest.raises(CommandFailed, match=r"(?s)its making was cut off.*run `make e2e-down`"):
        kind_with(tmp_path, cut_off=True).join()
    assert "wait " not in told(tmp_path)


@pytest.mark.parametrize("own_network", [True, False])
def test_a_cluster_is_made_as_configured_and_marked_as_whole(
    tmp_path: Path, own_network: bool
) -> None:
    """Kind is told who brings the pod network; the mark comes when it has ended well."""
    kind_with(tmp_path).create(image="diskcsi-e2e/node:0123", own_network=own_network)
    config = yaml.safe_load((tmp_path / "kind.yaml").read_text())
    assert config["networking"]["disableDefaultCNI"] is own_network
    assert [one["role"] for one in config["nodes"]] == ["control-plane", *["worker"] * 3]
    assert all(yaml.safe_load(one)["kind"] for one in config["kubeadmConfigPatches"])
    created, marked = told(tmp_path).splitlines()
    assert f"create cluster --name {CLUSTER} --config {tmp_path}/kind.yaml" in created
    assert marked.endswith(f"docker exec {CLUSTER}-control-plane touch {MADE}")


def test_a_machine_with_cgroup_v1_is_given_no_published_image(tmp_path: Path) -> None:
    """Its kubelet would not start; docker's machine is asked, which may be another one."""
    shell = machine(tmp_path, cgroups=1)
    assert published_image(shell, "no-go", there="kindest/node:v1.34.0") == ""
    assert "docker info" in told(tmp_path)


def test_an_image_that_was_made_here_stays_the_choice(tmp_path: Path) -> None:
    """Whether a registry answers today must not decide over a cluster."""
    image = f"{node_image.REPOSITORY}:0123"
    assert published_image(machine(tmp_path), "no-go", there=image) == ""


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
