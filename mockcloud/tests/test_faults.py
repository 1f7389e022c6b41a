from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest
from mockcloud.faults import Fault, Faults
from wireclient import Wire

DISK = {
    "RegionId": "cn-hangzhou", "ZoneId": "cn-hangzhou-g", "Size": "20", "DiskCategory": "cloud_ssd",
}  # fmt: skip


def struck(faults: Faults, action: str = "DescribeDisks", **params: str) -> bool:
    """Whether a call is hit."""
    return faults.strike(action, params) is not None


@pytest.mark.parametrize(("times", "hits"), [(1, 1), (2, 2), (0, 5)])
def test_a_fault_strikes_as_often_as_it_says(times: int, hits: int) -> None:
    """None stands for until it is removed."""
    faults = Faults()
    faults.add(Fault(action="*", kind="error", times=times))
    assert sum([struck(faults) for _ in range(5)]) == hits


def test_a_fault_lets_some_calls_pass_first() -> None:
    """Those it skips are unharmed."""
    faults = Faults()
    faults.add(Fault(action="*", kind="error", skip=2))
    assert [struck(faults) for _ in range(4)] == [False, False, True, False]


@pytest.mark.parametrize(
    ("action", "hit"), [("DescribeDisks", True), ("DescribeZones", True), ("CreateDisk", False)]
)
def test_a_fault_is_for_calls_of_a_pattern(action: str, *, hit: bool) -> None:
    """Others are left alone."""
    faults = Faults()
    faults.add(Fault(action="Describe*", kind="error"))
    assert struck(faults, action) == hit


def test_a_fault_may_be_for_calls_with_certain_parameters() -> None:
    """A call about another disk passes."""
    faults = Faults()
    faults.add(Fault(action="*", kind="error", match={"DiskId": "d-1"}))
    assert [struck(faults, DiskId=one) for one in ("d-2", "d-1")] == [False, True]


async def test_a_delay_comes_before_the_call() -> None:
    """It pauses for as long as it says."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    faults = Faults(pause=pause)
    await faults.before(Fault(action="*", kind="delay", delay_s=3))
    assert pauses == [3]


def test_cleared_faults_strike_no_more() -> None:
    """Not even one that has no end."""
    faults = Faults()
    faults.add(Fault(action="*", kind="error", times=0))
    faults.clear()
    assert not struck(faults)


async def test_a_lost_reply_leaves_the_effect(wire: Wire) -> None:
    """The caller sees a cut connection, and the disk is there."""
    wire.cloud.faults.add(Fault(action="CreateDisk", kind="lose_reply"))
    with pytest.raises(aiohttp.ClientError):
        await wire.call("CreateDisk", **DISK)
    assert len(wire.cloud.engine.disks) == 1


async def test_a_lost_request_has_no_effect(wire: Wire) -> None:
    """The caller sees a cut connection, and nothing was made."""
    wire.cloud.faults.add(Fault(action="CreateDisk", kind="lose_request"))
    with pytest.raises(aiohttp.ClientError):
        await wire.call("CreateDisk", **DISK)
    assert not wire.cloud.engine.disks


async def test_a_held_reply_comes_after_the_effect(wire: Wire) -> None:
    """The disk is there while the caller still waits; then the answer comes whole."""
    held, go_on, told_s = asyncio.Event(), asyncio.Event(), list[float]()

    async def pause(seconds: float) -> None:
        told_s.append(seconds)
        held.set()
        await go_on.wait()

    wire.cloud.faults._pause = pause
    wire.cloud.faults.add(Fault(action="CreateDisk", kind="hold_reply", delay_s=2.5))
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(wire.call("CreateDisk", **DISK))
        await held.wait()
        there, answered = list(wire.cloud.engine.disks), call.done()
        go_on.set()
    assert (told_s, there, answered) == ([2.5], [call.result().json["DiskId"]], False)


async def test_a_lost_call_is_marked_in_the_log(wire: Wire) -> None:
    """Who reads it sees that the caller never got the answer."""
    wire.cloud.faults.add(Fault(action="CreateDisk", kind="lose_reply"))
    with pytest.raises(aiohttp.ClientError):
        await wire.call("CreateDisk", **DISK)
    assert [call.lost for call in wire.cloud.calls.since(0)] == [True]


@pytest.mark.parametrize("kind", ["error", "throttle", "delay", "lose_request", "lose_reply"])
async def test_the_log_tells_which_fault_struck_a_call(wire: Wire, kind: str) -> None:
    """Whether the call was carried out under it or not; an unharmed one tells none."""
    wire.cloud.faults.add(Fault(action="CreateDisk", kind=kind))
    with contextlib.suppress(aiohttp.ClientError):
        await wire.call("CreateDisk", **DISK)
    await wire.call("CreateDisk", **DISK)
    assert [call.told()["fault"] for call in wire.cloud.calls.since(0)] == [kind, ""]


async def test_a_call_that_fails_under_a_fault_tells_the_fault(wire: Wire) -> None:
    """A delay struck it, though the call was refused for a reason of its own."""
    wire.cloud.faults.add(Fault(action="DeleteDisk", kind="delay"))
    await wire.call("DeleteDisk", DiskId="d-absent")
    (call,) = wire.cloud.calls.since(0)
    assert (call.fault, call.code) == ("delay", "InvalidDiskId.NotFound")


async def test_the_log_tells_what_an_order_made(wire: Wire) -> None:
    """Of an order whose answer was lost, and the same of its repetition; of a refused one nothing."""
    wire.cloud.faults.add(Fault(action="CreateDisk", kind="throttle"))
    wire.cloud.faults.add(Fault(action="CreateDisk", kind="lose_reply"))
    for _ in range(3):
        with contextlib.suppress(aiohttp.ClientError):
            await wire.call("CreateDisk", **DISK, ClientToken="one")
    (disk,) = wire.cloud.engine.disks
    assert [call.told()["made"] for call in wire.cloud.calls.since(0)] == ["", disk, disk]


async def test_the_state_tells_where_the_log_has_come_to(wire: Wire) -> None:
    """Who wants the calls from now on needs not read those before."""
    base = f"http://{wire.address}/_mock"
    await wire.call("DescribeRegions")
    async with wire.http.get(f"{base}/state") as answer:
        last = (await answer.json())["last_call"]
    await wire.call("DescribeZones")
    async with wire.http.get(f"{base}/calls?since={last}") as answer:
        assert [call["action"] for call in await answer.json()] == ["DescribeZones"]


async def test_a_throttle_refuses_and_changes_nothing(wire: Wire) -> None:
    """The call was not carried out."""
    wire.cloud.faults.add(Fault(action="CreateDisk", kind="throttle"))
    assert (await wire.call("CreateDisk", **DISK)).code == (400, "Throttling")
    assert not wire.cloud.engine.disks


async def test_faults_are_set_and_cleared_over_http(wire: Wire) -> None:
    """A person needs no Python for it."""
    address = f"http://{wire.address}/_mock/faults"
    async with wire.http.post(address, json={"action": "*", "kind": "error", "times": 0}):
        first = await wire.call("DescribeRegions")
    async with wire.http.delete(address):
        second = await wire.call("DescribeRegions")
    assert (first.status, second.status) == (500, 200)


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"action": "*", "kind": "rain"}, "'rain'"),
        ({"action": "*", "kind": "error", "colour": "red"}, "unknown members colour"),
        ({"action": "*"}, "action and kind are required"),
        ({"action": "*", "kind": "error", "times": -1}, "times"),
        ({"action": "*", "kind": "error", "times": "x"}, "times"),
        ({"action": "*", "kind": "delay", "delay_s": "x"}, "delay_s"),
        ({"action": "*", "kind": "error", "match": "x"}, "match"),
        (
            {"action": "AtachDisk", "kind": "error"},
            "'AtachDisk', which is no call of this mock; did you mean AttachDisk?",
        ),
        ({"action": "Rain*", "kind": "error"}, "there are AttachDisk, CreateDisk, "),
        ({"action": 1, "kind": "error"}, "a call's name, or a pattern"),
        ([], "object"),
    ],
)
async def test_an_ill_told_fault_is_refused_by_name(wire: Wire, told: Any, word: str) -> None:  # noqa: ANN401 - JSON
    """The answer says what is wrong, and no fault is set."""
    async with wire.http.post(f"http://{wire.address}/_mock/faults", json=told) as answer:
        error = (await answer.json())["error"]
    assert (answer.status, word in error) == (400, True)
    assert (await wire.call("DescribeRegions")).status == 200
