"""Nodes that share this machine's kernel, each with a directory for its `/dev` and an agent.

Server and agents are real processes, the devices real loop devices: all tests need root.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import PATIENCE_S, Node, Nodes, wait_until

pytestmark = pytest.mark.host

PORT = 8090
"""Of the cloud: the usual one."""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Nodes]:
    """A cloud that serves; all of it is gone at the end.

    It comes again at its place after it was killed. At an address that is this process' alone nobody
    can take that meanwhile, as another test may a port that was free.
    """
    _, *low = os.getpid().to_bytes(4, "big")
    here = Nodes(root=tmp_path, host=".".join(map(str, [127, *low])), port=PORT)
    try:
        here.serve()
        yield here
    finally:
        here.close()


def test_an_attach_appears_on_its_node_alone(cloud: Nodes) -> None:
    """The other node shares the kernel, and has neither link nor node."""
    one, other = cloud.joined("one"), cloud.joined("other")
    disk = cloud.creates()
    cloud.attaches(disk, one)
    assert list((other.dev / "mockcloud").iterdir()) == []
    assert not other.link(disk).is_symlink()


def test_a_detach_takes_node_link_and_loop_away(cloud: Nodes) -> None:
    """The disk is Available, and no device of it is left."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    cloud.detaches(disk, node)
    cloud.becomes(disk, "Available")
    left = [*(node.dev / "mockcloud").iterdir(), *(node.dev / "disk/by-id").iterdir()]
    assert (left, cloud.loops(disk)) == ([], [])


def test_data_goes_with_its_disk_to_another_node(cloud: Nodes) -> None:
    """What one node wrote the next one reads."""
    one, other = cloud.joined("one"), cloud.joined("other")
    disk = cloud.creates()
    cloud.attaches(disk, one)
    write(one.link(disk), b"words")
    cloud.detaches(disk, one)
    cloud.becomes(disk, "Available")
    cloud.attaches(disk, other)
    assert read(other.link(disk), 5) == b"words"


def test_links_and_nodes_of_others_stay_as_they_are(cloud: Nodes) -> None:
    """Even one that is named like ours."""
    node = cloud.node()
    theirs = node.link("d-theirs")
    theirs.parent.mkdir(parents=True)
    theirs.symlink_to("../../vdz")
    cloud.agent(node)
    wait_until(lambda: cloud.connected(node), "it is connected")
    cloud.attaches(cloud.creates(), node)
    assert theirs.is_symlink()


def test_a_mounted_disk_stays_detaching_and_keeps_its_device(cloud: Nodes) -> None:
    """Until it is unmounted; then the detach completes."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    place = cloud.root / "place"
    place.mkdir()
    run("mkfs.ext4", "-q", node.link(disk))
    run("mount", node.link(disk), place)
    try:
        cloud.detaches(disk, node)
        cloud.becomes(disk, "Detaching")
        wait_until(lambda: tried_again(cloud, disk), "the detach was tried again")
        assert node.has(disk)
    finally:
        run("umount", place)
    cloud.becomes(disk, "Available")


def test_a_disk_that_a_dead_node_has_open_goes_to_nobody_else(cloud: Nodes) -> None:
    """It stays Detaching until the kernel has cleared its device, and is given away only then."""
    dead, other = cloud.joined("dead"), cloud.joined("other")
    disk = cloud.creates()
    cloud.attaches(disk, dead)
    holder = os.open(dead.link(disk), os.O_RDONLY)
    cloud.kill(dead.process)
    cloud.detaches(disk, dead)
    wait_until(lambda: tried_again(cloud, disk), "the detach was tried again")
    with pytest.raises(OSError, match="403"):
        cloud.call("AttachDisk", DiskId=disk, InstanceId=other.instance)
    os.close(holder)
    cloud.becomes(disk, "Available")
    cloud.attaches(disk, other)


def test_a_dead_node_that_has_nothing_open_loses_its_disk(cloud: Nodes) -> None:
    """Nodes in its `/dev` alone keep nothing."""
    dead = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, dead)
    cloud.kill(dead.process)
    cloud.detaches(disk, dead)
    cloud.becomes(disk, "Available")
    assert cloud.loops(disk) == []


def test_a_frozen_node_keeps_its_disk_until_it_thaws(cloud: Nodes) -> None:
    """Its agent has the device open."""
    frozen = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, frozen)
    assert frozen.process is not None
    frozen.process.send_signal(signal.SIGSTOP)
    cloud.detaches(disk, frozen)
    wait_until(lambda: not cloud.connected(frozen), "the server takes it for away")
    wait_until(lambda: tried_again(cloud, disk), "the detach was tried again")
    assert cloud.status(disk) == "Detaching"
    frozen.process.send_signal(signal.SIGCONT)
    cloud.becomes(disk, "Available")
    wait_until(lambda: not frozen.link(disk).is_symlink(), "its link is gone")


def test_an_attach_waits_for_an_agent_that_is_away(cloud: Nodes) -> None:
    """The disk is Attaching until it comes."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.kill(node.process)
    wait_until(lambda: not cloud.connected(node), "the server takes it for away")
    cloud.call("AttachDisk", DiskId=disk, InstanceId=node.instance)
    assert cloud.status(disk) == "Attaching"
    cloud.agent(node)
    cloud.becomes(disk, "In_use")
    wait_until(lambda: node.has(disk), "the node has it")


def test_a_killed_server_goes_on_with_the_same_devices(cloud: Nodes) -> None:
    """What a node has open works meanwhile and later."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    loops = cloud.loops(disk)
    with node.link(disk).open("r+b", buffering=0) as device:
        cloud.kill(cloud.server)
        device.write(b"meanwhile")
        cloud.serve()
    wait_until(lambda: cloud.connected(node), "the agent came back")
    assert (cloud.loops(disk), cloud.status(disk), node.has(disk)) == (loops, "In_use", True)


def test_devices_that_went_with_all_processes_come_again(cloud: Nodes) -> None:
    """As after the whole machine's restart."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    write(node.link(disk), b"words")
    cloud.kill(node.process)
    cloud.kill(cloud.server)
    wait_until(lambda: not cloud.loops(disk), "the kernel has cleared it")
    cloud.serve()
    cloud.agent(node)
    wait_until(lambda: cloud.connected(node) and node.has(disk), "the node has it")
    assert read(node.link(disk), 5) == b"words"


def test_a_link_to_what_is_its_disk_no_more_goes_before_the_server_is_asked(cloud: Nodes) -> None:
    """The kernel gives the number to any other disk, which would be found under the wrong name."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    cloud.kill(node.process)
    cloud.kill(cloud.server)
    wait_until(lambda: not cloud.loops(disk), "the kernel has cleared it")
    cloud.agent(node)
    wait_until(lambda: not node.link(disk).is_symlink(), "its link is gone")


def test_an_agent_holds_what_it_finds_before_it_is_welcome(cloud: Nodes) -> None:
    """The server may end as well before it comes to that."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    cloud.kill(node.process)
    assert cloud.server is not None
    cloud.server.send_signal(signal.SIGSTOP)
    cloud.agent(node)
    wait_until(lambda: node.link(disk).resolve() in opened(node), "its agent has it open")
    cloud.kill(cloud.server)
    assert (len(cloud.loops(disk)), node.has(disk)) == (1, True)


def opened(node: Node) -> set[Path]:
    """What a node's agent has open."""
    assert node.process is not None
    found = set()
    for descriptor in Path(f"/proc/{node.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # it was closed meanwhile
            found.add(descriptor.readlink())
    return found


def test_an_asked_end_of_the_server_keeps_what_it_knows(cloud: Nodes) -> None:
    """A request that is repeated after it gets its former answer."""
    before = cloud.creates(ClientToken="again", Tag_1_Key="k")
    cloud.kill(cloud.server, signal.SIGTERM)
    cloud.serve()
    assert cloud.creates(ClientToken="again", Tag_1_Key="k") == before


def test_ids_are_new_after_a_restart(cloud: Nodes) -> None:
    """The generator begins elsewhere."""
    before = cloud.creates()
    cloud.kill(cloud.server)
    cloud.serve()
    assert cloud.creates() != before


def test_wiped_devices_of_a_restarted_node_come_back(cloud: Nodes) -> None:
    """A container that starts again has an empty `/dev`."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    cloud.kill(node.process)
    shutil.rmtree(node.dev)
    node.dev.mkdir()
    cloud.agent(node)
    wait_until(lambda: node.has(disk), "the node has it")


def test_devices_that_are_wiped_under_an_agent_come_back(cloud: Nodes) -> None:
    """It looks again by itself."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    node.link(disk).unlink()
    shutil.rmtree(node.dev / "mockcloud")
    wait_until(lambda: node.has(disk), "the node has it")


def test_a_detach_that_an_agent_missed_is_made_good(cloud: Nodes) -> None:
    """Its next list lacks the disk."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    cloud.kill(node.process)
    cloud.detaches(disk, node)
    cloud.becomes(disk, "Available")
    cloud.agent(node)
    wait_until(lambda: not node.link(disk).is_symlink(), "its link is gone")


def test_an_agent_that_ends_leaves_the_nodes_disks(cloud: Nodes) -> None:
    """A machine runs on without it; its successor takes them up."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    process = node.process
    cloud.kill(process, signal.SIGTERM)
    assert process is not None
    assert (process.returncode, node.has(disk)) == (0, True)


def test_a_node_is_an_instance_of_its_own_zone(cloud: Nodes) -> None:
    """It goes by the node's name."""
    node = cloud.joined("worker-1")
    (shown,) = cloud.call("DescribeInstances")["Instances"]["Instance"]
    assert (shown["InstanceId"], shown["InstanceName"], shown["ZoneId"], shown["Status"]) == (
        node.instance, "worker-1", "cn-hangzhou-g", "Running",
    )  # fmt: skip


def test_a_node_that_takes_over_a_name_is_another_instance(cloud: Nodes) -> None:
    """The first one's record stays."""
    first = cloud.joined("worker-1", system="uuid-1")
    cloud.kill(first.process)
    second = cloud.joined("worker-1", system="uuid-2")
    known = {one["id"] for one in cloud.state()["instances"]}
    assert known == {first.instance, second.instance}
    assert first.instance != second.instance


def test_a_nodes_metadata_is_its_own(cloud: Nodes) -> None:
    """It asks without naming itself."""
    one, other = cloud.joined("one"), cloud.joined("other")
    told = [node.told("meta-data/instance-id") for node in (one, other)]
    assert told == [one.instance, other.instance]


def test_a_stopped_instance_has_no_devices_until_it_starts(cloud: Nodes) -> None:
    """Its disks stay attached."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    cloud.call("StopInstance", InstanceId=node.instance)
    wait_until(lambda: not node.link(disk).is_symlink(), "the device is gone")
    assert cloud.status(disk) == "In_use"
    cloud.call("StartInstance", InstanceId=node.instance)
    wait_until(lambda: node.has(disk), "the device is back")


def test_a_deleted_instance_loses_its_disks(cloud: Nodes) -> None:
    """Each ends with it, or becomes Available, as it was attached."""
    node = cloud.joined()
    stays, ends = cloud.creates(), cloud.creates()
    cloud.attaches(stays, node)
    cloud.call("AttachDisk", DiskId=ends, InstanceId=node.instance, DeleteWithInstance="true")
    wait_until(lambda: node.has(ends), "the node has both")
    cloud.call("DeleteInstance", InstanceId=node.instance, Force="true")
    cloud.becomes(stays, "Available")
    cloud.becomes(ends, "")
    assert not node.link(stays).is_symlink()


def test_an_agent_of_a_deleted_instance_takes_its_devices_away_and_stays(cloud: Nodes) -> None:
    """It missed the end; it says what to do, and starts over for nobody."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    cloud.kill(node.process)
    cloud.call("DeleteInstance", InstanceId=node.instance, Force="true")
    cloud.agent(node)
    assert "recreate node one; its devices are taken away" in said(node)
    assert not node.link(disk).is_symlink()
    cloud.kill(node.process, signal.SIGTERM)
    assert node.process is not None
    assert node.process.returncode == 0


def test_a_node_whose_label_became_wrong_keeps_its_disks(cloud: Nodes) -> None:
    """Its agent is refused, asks again, and is one again when the label is right."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    cloud.kill(node.process)
    cloud.agent(node, "--zone=cn-nowhere-a")
    assert "zone cn-nowhere-a, which no region told has" in said(node)
    assert node.has(disk)
    cloud.kill(node.process, signal.SIGTERM)
    cloud.agent(node)
    wait_until(lambda: cloud.connected(node), "it is connected")
    assert (node.has(disk), cloud.status(disk)) == (True, "In_use")


def test_a_changed_token_needs_no_restart(cloud: Nodes, tmp_path: Path) -> None:
    """An agent that is refused says which two must agree, and is taken once they do."""
    changed, node = tmp_path / "changed", cloud.node()
    changed.write_text("another")
    cloud.agent(node, token_file=changed)
    assert "refuses the token: give server and agent the same one" in said(node)
    shutil.copy(changed, cloud.token_file)
    wait_until(lambda: cloud.connected(node), "it is connected")


def test_a_node_with_a_kernel_of_its_own_is_refused(cloud: Nodes) -> None:
    """Both sides say so."""
    said = refusal(cloud, cloud.node(), "--boot-id=another")
    assert "node one runs on a kernel of its own (boot another," in said
    assert "runs on a kernel of its own" in log_of(cloud)


def test_the_secret_stands_in_no_log(cloud: Nodes) -> None:
    """Neither the server's nor the agent's."""
    node = cloud.joined()
    cloud.kill(node.process, signal.SIGTERM)
    assert node.process is not None
    assert node.process.stderr is not None
    assert "a-secret" not in node.process.stderr.read() + log_of(cloud)


def test_an_nvme_machines_link_has_its_form(cloud: Nodes) -> None:
    """By model and serial."""
    node = cloud.node()
    cloud.agent(node, "--instance-type=ecs.g7se.16xlarge")
    wait_until(lambda: cloud.connected(node), "it is connected")
    disk = cloud.creates()
    cloud.call("AttachDisk", DiskId=disk, InstanceId=node.instance)
    link = node.link(disk, "nvme-Alibaba_Cloud_Elastic_Block_Storage_")
    wait_until(link.is_block_device, "the node has it")


def test_a_grown_disk_is_larger_on_its_node(cloud: Nodes) -> None:
    """Without a new attach."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    cloud.call("ResizeDisk", DiskId=disk, NewSize=30, Type="online")
    wait_until(lambda: size_gib(node.link(disk)) == 30, "the device is larger")


def test_a_snapshot_has_what_a_node_wrote(cloud: Nodes) -> None:
    """Though the node has not written it out."""
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    with node.link(disk).open("r+b", buffering=0) as device:
        device.write(b"words")
        snapshot = cloud.call("CreateSnapshot", DiskId=disk)["SnapshotId"]
        wait_until(lambda: cloud.state()["snapshots"][0]["status"] == "accomplished", "it is done")
    copy = cloud.creates(SnapshotId=snapshot)
    cloud.becomes(copy, "Available")
    cloud.attaches(copy, node)
    assert read(node.link(copy), 5) == b"words"


def test_a_detach_goes_on_after_a_restart(tmp_path: Path, cloud: Nodes) -> None:
    """It was to take longer than the server lived."""
    cloud.kill(cloud.server)
    cloud.steps = ("detach=10",)
    cloud.serve()
    node = cloud.joined()
    disk = cloud.creates()
    cloud.attaches(disk, node)
    cloud.detaches(disk, node)
    cloud.kill(cloud.server)
    cloud.serve()
    assert cloud.status(disk) == "Detaching"
    cloud.becomes(disk, "Available")


def tried_again(cloud: Nodes, disk: str) -> bool:
    """Whether a detach waits for its next try: the first one has ended."""
    orders = cloud.state()["orders"]
    return any(one["effect"] == "detached" and disk in one["about"] for one in orders)


def said(node: Node) -> str:
    """The next line that a node's agent logs."""
    assert node.process is not None
    assert node.process.stderr is not None
    return node.process.stderr.readline()


def refusal(cloud: Nodes, node: Node, *flags: str) -> str:
    """What an agent says that has to end."""
    process = cloud.agent(node, *flags)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    return said


def log_of(cloud: Nodes) -> str:
    """What the server has said; it is ended."""
    cloud.kill(cloud.server, signal.SIGTERM)
    assert cloud.server is not None
    assert cloud.server.stderr is not None
    return cloud.server.stderr.read()


def run(*command: str | Path) -> None:
    """Run a tool of the system, which must succeed."""
    subprocess.run(command, check=True)


def write(device: Path, words: bytes) -> None:
    """Put words at the head of a device."""
    with device.open("r+b") as opened:
        opened.write(words)


def read(device: Path, count: int) -> bytes:
    """Bytes from the head of a device."""
    with device.open("rb") as opened:
        return opened.read(count)


def size_gib(device: Path) -> int:
    """How large a device says it is."""
    with device.open("rb") as opened:
        return opened.seek(0, os.SEEK_END) // 1024**3
