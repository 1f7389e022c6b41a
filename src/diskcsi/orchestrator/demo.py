"""The demonstration: a volume's whole life on this machine, every check for real.

A cloud, a controller for each region and a plug-in for each node run as processes of their own.
What the cloud attaches are loop devices, so root is needed; nothing is left at the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click
from grpclib.const import Status

from diskcsi.orchestrator import drivers, view
from diskcsi.orchestrator.drivers import Driver
from diskcsi.orchestrator.kubelet import Kubelet, Registered
from diskcsi.orchestrator.mock import Mock, changing, serving
from diskcsi.orchestrator.plugin import CallFailed
from diskcsi.orchestrator.processes import SEARCH_PATH, ProgramFailed
from diskcsi.orchestrator.sidecars import GIB, Claim, NotAsAsked, Sidecars, Volume
from diskcsi.orchestrator.timeline import Timeline

REGION, OTHER_REGION = "cn-hangzhou", "cn-huhehaote"
INSTANCES: Final = ("i-bp1mockcloudnode0001", "i-bp1mockcloudnode0002", "i-bp1mockcloudnode0003")
OTHER_INSTANCE: Final = "i-hp3mockcloudnode0001"

CLASS: Final = {"type": "cloud_ssd"}
RAINBOND_CLASS: Final = {
    "zoneId": "cn-huhehaote-a", "regionId": "cn-huhehaote", "fsType": "ext4", "type": "cloud_ssd",
    "readOnly": "false",
}  # fmt: skip
"""As the page of Rainbond's documentation on Alibaba Cloud disks has it."""

CLOUDY: Final = ("disks", "snapshots")
"""What lives, and costs, in the cloud until it is deleted."""

FILE_BYTES: Final = 8 * 1024**2
TOOLS: Final = ("losetup", "mkfs.ext4", "mkfs.xfs", "mount", "blkid", "wipefs")
GROWN_GIB: Final = 30
CAP_SYS_RESOURCE: Final = 24
"""Its bit in `CapEff` (capabilities(7)); the kernel asks for it to grow a mounted ext4."""

LONGEST_SOCKET_BYTES: Final = 107
"""Of a unix socket's path; the kernel's structure has room for no more."""

ROOM_FOR_ITSELF: Final = 0.96
"""The share of a disk that ext4 and xfs leave for files."""


class CheckFailed(Exception):  # noqa: N818 - reads as what happened
    """Something is not as it has to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine: its kubelet, and what its plug-in told when it registered."""

    kubelet: Kubelet
    told: Registered


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What runs."""

    directory: Path
    mock: Mock
    sidecars: Sidecars
    other_sidecars: Sidecars
    nodes: tuple[Node, ...]
    other_node: Node
    timeline: Timeline


def missing() -> list[str]:
    """What keeps the demonstration from running here, one sentence each; empty: nothing."""
    found = []
    if importlib.util.find_spec("mockcloud") is None:
        found.append("the package mockcloud is not installed: pip install mockcloud")
    if os.geteuid() != 0:
        found.append(f"loop devices, mkfs and mount need root: sudo {Path(sys.argv[0])} demo")
    elif not Path("/dev/loop-control").exists():
        found.append("this machine has no /dev/loop-control: load the module loop")
    room = LONGEST_SOCKET_BYTES - len(f"/diskcsi-demo-12345678/controller-{OTHER_REGION}.sock")
    if len(os.fsencode(tempfile.gettempdir())) > room:
        found.append(f"{tempfile.gettempdir()} is too long for sockets in it: set TMPDIR=/tmp")
    absent = [tool for tool in TOOLS if shutil.which(tool, path=SEARCH_PATH) is None]
    if absent:
        found.append(f"not installed: {', '.join(absent)} (e2fsprogs, xfsprogs, util-linux)")
    return found


async def run(*, keep: bool, latency: str) -> bool:
    """Run it and print it; whether every check held.

    Raises:
        asyncio.CancelledError: somebody interrupted it; all that it made is gone.
    """
    _end_when_asked()
    directory = Path(tempfile.mkdtemp(prefix="diskcsi-demo-"))
    failure, ends, timeline = "", [], None
    try:
        async with _world(directory, latency) as world:
            timeline = world.timeline
            try:
                await _play(world, keep=keep)
            finally:
                state = await world.mock.state()
                ends += [(f"leaked {kind}", str(len(state[kind]))) for kind in CLOUDY]
    except (CheckFailed, CallFailed, ProgramFailed, NotAsAsked, OSError) as error:
        failure = view.told(error)
        view.tell_failure(f"{failure}\nlogs are kept in {directory}")
    finally:
        if not failure:
            shutil.rmtree(directory, ignore_errors=True)
    loops = _loops_under(directory)
    ends.append(("loop devices left", str(loops)))
    if timeline is not None:
        view.summary(timeline, ends)()
    held = not failure and all(value == "0" for _, value in ends)
    if held:
        view.tell_success("every check held, and nothing is left")
    return held


async def _play(world: World, *, keep: bool) -> None:
    kept = [await _life(world, fs_type) for fs_type in ("ext4", "xfs")]
    await _rainbond(world)
    await _refusals(world)
    if keep:
        _tell_how_to_look(world)
        await asyncio.Event().wait()
    world.timeline.begin_chapter("clean up")
    view.tell_chapter("Delete everything")
    for life in kept:
        await life.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Life:
    """What one life leaves mounted, for a look, and how it ends."""

    end: Callable[[], Awaitable[None]]


async def _life(world: World, fs_type: str) -> _Life:
    """Create, attach, write, grow, snapshot, move, verify, restore, verify."""
    view.tell_chapter(f"A volume with {fs_type}")
    timeline, sidecars = world.timeline, world.sidecars
    first, second = world.nodes[0], world.nodes[1]
    timeline.begin_chapter(fs_type)
    claim = Claim(
        name=f"pvc-{fs_type}", size_gib=20, fs_type=fs_type, parameters=CLASS,
        places=[first.told.segments],
    )  # fmt: skip
    async with timeline.step("create 20 GiB") as step:
        volume = await sidecars.provision(claim)
        step.note = f"{volume.id}, {volume.size_gib} GiB"
    path = await _use(world, volume, first, "node 1", "attach to {}", "format and mount on {}")
    async with timeline.step("write 8 MiB and their checksum") as step:
        checksum = await asyncio.to_thread(_write, path / "data")
        step.note = f"sha256 {checksum[:16]}..."
    grown = await _grow(world, volume, first)
    async with timeline.step("snapshot") as step:
        snapshot_id = await sidecars.snapshot(volume.id, f"snapshot-{fs_type}")
        step.note = f"{snapshot_id}, ready to be restored"
    await _leave(world, volume, first, "from node 1")
    path = await _use(world, volume, second, "node 2", "attach to {}", "mount on {}")
    await _verify(world, volume, second, checksum, GROWN_GIB, "" if grown else " (grew now)")
    restored = await _restore(world, replace(claim, name=f"pvc-{fs_type}-restored", size_gib=30,
                                             snapshot_id=snapshot_id), second, checksum)  # fmt: skip

    async def end() -> None:
        for one in (volume, restored):
            await _leave(world, one, second, one.claim.name.removeprefix("pvc-"))
        async with timeline.step(f"delete {fs_type} snapshot and volumes"):
            await sidecars.delete_snapshot(snapshot_id)
            await asyncio.gather(*(sidecars.delete(one.id) for one in (volume, restored)))

    return _Life(end=end)


async def _use(  # noqa: PLR0917 - one sentence: use what, where, told how
    world: World, volume: Volume, node: Node, name: str, attach: str, mount: str
) -> Path:
    """Attach and mount; where a pod sees the volume."""
    sidecars = world.other_sidecars if node is world.other_node else world.sidecars
    async with world.timeline.step(attach.format(name)) as step:
        context = await sidecars.attach(volume, node.told.node_id)
        step.note = f"serial {context.get('serialNumber', '')}"
    async with world.timeline.step(mount.format(name)) as step:
        path = await node.kubelet.mount(volume, context)
        step.note = str(path.relative_to(world.directory))
    return path


async def _leave(world: World, volume: Volume, node: Node, name: str) -> None:
    sidecars = world.other_sidecars if node is world.other_node else world.sidecars
    async with world.timeline.step(f"unmount and detach {name}"):
        await node.kubelet.unmount(volume.id)
        await sidecars.detach(volume.id, node.told.node_id)


async def _grow(world: World, volume: Volume, node: Node) -> bool:
    """Grow disk and filesystem; whether the filesystem grew while it was mounted."""
    async with world.timeline.step(f"grow to {GROWN_GIB} GiB") as step:
        needed = await world.sidecars.grow(volume, GROWN_GIB)
        _check(needed, "the controller says that the node has nothing to grow")
        try:
            await node.kubelet.grow(volume, GROWN_GIB)
        except CallFailed as refused:
            lacks_right = volume.claim.fs_type == "ext4" and not _may_grow_mounted_ext4()
            _check(refused.status is Status.FAILED_PRECONDITION and lacks_right, str(refused))
            step.note = f"the disk has grown; {refused.message}"
            return False
        total = await node.kubelet.total_bytes(volume.id)
        _check(total > GROWN_GIB * GIB * ROOM_FOR_ITSELF, f"it has {total} bytes after growing")
        step.note = f"online; the filesystem has {total / GIB:.1f} GiB"
        return True


async def _verify(  # noqa: PLR0917 - one caller each, which reads as a sentence
    world: World, volume: Volume, node: Node, checksum: str, size_gib: int, remark: str
) -> None:
    async with world.timeline.step("verify checksum and size") as step:
        found = await asyncio.to_thread(_checksum, node.kubelet.target(volume.id) / "data")
        _check(found == checksum, f"the file on {volume.id} has changed")
        total = await node.kubelet.total_bytes(volume.id)
        _check(total > size_gib * GIB * ROOM_FOR_ITSELF, f"{volume.id} has {total} bytes")
        step.note = f"same file; the filesystem has {total / GIB:.1f} GiB{remark}"


async def _restore(world: World, claim: Claim, node: Node, checksum: str) -> Volume:
    async with world.timeline.step("restore the snapshot") as step:
        volume = await world.sidecars.provision(claim)
        step.note = f"{volume.id}, a disk of its own"
    await _use(world, volume, node, "node 2", "attach the copy to {}", "mount the copy on {}")
    await _verify(world, volume, node, checksum, claim.size_gib, "")
    return volume


async def _rainbond(world: World) -> None:
    """The StorageClass of Rainbond's page, as it stands, in its own region."""
    view.tell_chapter("The StorageClass of Rainbond's page, as it stands")
    world.timeline.begin_chapter("Rainbond")
    node = world.other_node
    claim = Claim(name="pvc-rainbond", size_gib=20, parameters=RAINBOND_CLASS)
    async with world.timeline.step("create 20 GiB") as step:
        volume = await world.other_sidecars.provision(claim)
        step.note = f"{volume.id} in {', '.join(sorted(set(volume.segments.values())))}"
    path = await _use(world, volume, node, "its node", "attach to {}", "format and mount on {}")
    async with world.timeline.step("write and read"):
        checksum = await asyncio.to_thread(_write, path / "data")
        _check(await asyncio.to_thread(_checksum, path / "data") == checksum, "the file changed")
    await _leave(world, volume, node, "from its node")
    async with world.timeline.step("delete"):
        await world.other_sidecars.delete(volume.id)


async def _refusals(world: World) -> None:
    """What can't be served is refused with a way out, and the cloud is changed by none of it."""
    view.tell_chapter("What is refused, and how")
    world.timeline.begin_chapter("refused")
    far = world.nodes[2].told.segments
    here = Claim(name="pvc-refused", size_gib=20, parameters=CLASS)
    zoned = {**CLASS, "zoneId": "cn-hangzhou-g"}
    cases = {
        "another zone than the class has": replace(here, parameters=zoned, places=[far]),
        "5 GiB of a disk that begins at 20": replace(here, size_gib=5, places=[far]),
        "a misspelled parameter": replace(
            here, parameters={**CLASS, "perfomanceLevel": "PL1"}, places=[far]
        ),
    }
    for title, claim in cases.items():
        before = len(await world.mock.calls())
        async with world.timeline.step(title) as step:
            try:
                await world.sidecars.provision(claim)
            except CallFailed as refused:
                _check(refused.final, f"{title}: {refused} invites to try again")
                step.note = f"{refused.status.name}: {refused.message}"
            else:
                raise CheckFailed(f"{title} was served")
        changed = changing((await world.mock.calls())[before:])
        _check(not changed, f"{title}: the cloud was asked for {', '.join(changed)}")


@asynccontextmanager
async def _world(directory: Path, latency: str) -> AsyncIterator[World]:
    click.echo(f"cloud: mockcloud, latencies {latency!r}; disks: loop devices of this machine")
    async with AsyncExitStack() as stack:
        begun_s = asyncio.get_running_loop().time()
        mock = await stack.enter_async_context(
            serving(directory, f"--latency={latency}", "--hypervisor=loop")
        )

        async def controller(region: str) -> Sidecars:
            started = await stack.enter_async_context(
                drivers.controller(f"controller-{region}", mock, region=region, directory=directory)
            )
            return Sidecars(started.plugin)

        async def node(number: int, instance: str, region: str) -> Node:
            name = f"node-{number}"
            root = directory / name
            root.mkdir()
            driver: Driver = await stack.enter_async_context(
                drivers.node(name, mock, instance=instance, region=region, directory=root)
            )
            kubelet = Kubelet(driver.plugin, root)
            return Node(kubelet=kubelet, told=await kubelet.register())

        world = World(
            directory=directory,
            mock=mock,
            sidecars=await controller(REGION),
            other_sidecars=await controller(OTHER_REGION),
            nodes=tuple([await node(at, one, REGION) for at, one in enumerate(INSTANCES, 1)]),
            other_node=await node(4, OTHER_INSTANCE, OTHER_REGION),
            timeline=Timeline(mock, view.tell_step),
        )
        _tell_started(world, asyncio.get_running_loop().time() - begun_s)
        yield world


def _tell_started(world: World, seconds: float) -> None:
    click.echo(f"started in {seconds:.1f} s: the cloud, 2 controllers, 4 node plug-ins")
    for number, node in enumerate((*world.nodes, world.other_node), 1):
        zone = _zone(node.told.segments)
        click.echo(f"  node {number}  {node.told.node_id}  {zone}")
    click.echo(f"their files are below {world.directory}")


def _zone(segments: Mapping[str, str]) -> str:
    return next((value for key, value in segments.items() if key.endswith("/zone")), "")


def _tell_how_to_look(world: World) -> None:
    click.echo(
        f"\nAll of it keeps running, with what is mounted, until Ctrl-C. To look around:\n"
        f"  mount | grep {world.directory}\n"
        f"  curl -s {world.mock.endpoint}/_mock/state\n"
        f"  curl -s {world.mock.endpoint}/_mock/calls\n"
        f"  tail -f {world.directory}/controller-{REGION}.log\n"
        f"  csc, csi-sanity: --endpoint unix://{world.directory}/controller-{REGION}.sock"
    )


def _may_grow_mounted_ext4() -> bool:
    """Whether the node plug-ins, which have this process's rights, have CAP_SYS_RESOURCE."""
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> CAP_SYS_RESOURCE & 1)


def _write(path: Path) -> str:
    content = os.urandom(FILE_BYTES)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(content).hexdigest()


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _loops_under(directory: Path) -> int:
    """Loop devices whose file lies, or lay, in the directory."""
    files = Path("/sys/block").glob("loop*/loop/backing_file")
    return sum(str(directory) in file.read_text(errors="replace") for file in files)


def _check(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - it is what is checked
    if not holds:
        raise CheckFailed(otherwise)


def _end_when_asked() -> None:
    """Clean up at a Ctrl-C or SIGTERM, and let a second one not interrupt that."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    asked = False

    def end() -> None:
        nonlocal asked
        click.echo("\ncleaning up, a moment..." if not asked else "still cleaning up...", err=True)
        if not asked and task is not None:
            asked = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
