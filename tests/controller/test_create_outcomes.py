"""What becomes of a volume when calls are lost, refused, late or answered twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from diskcsi.model.errors import (
    MAYBE_RUNNING,
    AlreadyExists,
    Broken,
    Denied,
    DiskError,
    Exhausted,
    InvalidArgument,
    NotFound,
    OutOfRange,
    Pending,
    Throttled,
    UnknownOutcome,
    Unreachable,
)
from diskcsi.model.volume import DiskState
from tests.controller.rig import NODE, ORDER, SIDECAR_S, Rig, gib, zones
from tests.rows import row


@pytest.mark.parametrize(
    "arrange",
    [
        pytest.param(lambda rig: rig.cloud.faults.lose_reply("create_disk"), id="lost-reply-create"),
        pytest.param(
            lambda rig: rig.cloud.faults.lose_reply("create_disk", times=3),
            id="lost-reply-create-thrice",
        ),
        pytest.param(
            lambda rig: rig.cloud.faults.lose_request("create_disk"), id="lost-request-create"
        ),
        pytest.param(
            lambda rig: rig.cloud.faults.refuse("create_disk", TimeoutError()), id="api-timeout"
        ),
        pytest.param(
            lambda rig: rig.cloud.faults.refuse("create_disk", Pending("the token is in use")),
            id="token-in-use",
        ),
        pytest.param(
            lambda rig: rig.cloud.faults.throttle("create_disk", times=4), id="api-throttled"
        ),
        pytest.param(
            lambda rig: rig.cloud.faults.throttle("*_disks", times=5), id="api-throttled-reads"
        ),
        pytest.param(
            lambda rig: rig.cloud.faults.arrive_late("create_disk", after_s=1.0), id="late-create"
        ),
    ],
)  # fmt: skip
async def test_a_volume_is_made_once_whatever_is_lost(
    rig: Rig, arrange: Callable[[Rig], None]
) -> None:
    """One call of the caller's, one disk, and no error."""
    arrange(rig)
    volume = await rig.create()
    await asyncio.sleep(60)
    assert [disk.id for disk in rig.disks()] == [volume.id]


@pytest.mark.parametrize("show_s", [0.5, 4.0], ids=["describe-lags-create", "describe-lags-long"])
async def test_a_disk_that_does_not_show_yet_is_not_taken_for_absent(
    rig: Rig, show_s: float
) -> None:
    """The token carries the repeat, and the search goes on for the settle time."""
    rig.cloud.state.latency.show_s = show_s
    rig.cloud.faults.lose_reply("create_disk")
    rig.cloud.faults.refuse("create_disk", Exhausted("sold out meanwhile"))
    volume = await rig.create(requirement=zones("zone-a", "zone-b"))
    assert [disk.id for disk in rig.disks()] == [volume.id]


async def test_a_lost_disk_is_found_before_another_zone_is_tried(rig: Rig) -> None:
    """An exhausted zone after an unknown outcome must not leave a disk behind in it."""
    rig.cloud.state.latency.show_s = 3.0
    rig.cloud.state.remembers_tokens = False
    rig.cloud.faults.lose_reply("create_disk")
    rig.cloud.faults.refuse("create_disk", Exhausted("sold out meanwhile"))
    volume = await rig.create(requirement=zones("zone-a", "zone-b"))
    assert [(disk.id, disk.zone) for disk in rig.disks()] == [(volume.id, "zone-a")]


@pytest.mark.parametrize(
    ("after_s", "tokens"), [(4.0, False), (4.0, True), (20.0, True)], ids=["soon", "token", "late"]
)
async def test_an_order_that_arrives_late_makes_no_second_disk_elsewhere(
    rig: Rig, after_s: float, *, tokens: bool
) -> None:
    """The settle time finds it, and after that the name's token is spent."""
    rig.cloud.state.remembers_tokens = tokens
    rig.cloud.faults.arrive_late("create_disk", after_s=after_s)
    rig.cloud.faults.refuse("create_disk", Exhausted("sold out"))
    volume = await rig.create(requirement=zones("zone-a", "zone-b"))
    await asyncio.sleep(60)
    assert [disk.id for disk in rig.disks()] == [volume.id]


@pytest.mark.parametrize(
    "refusal",
    [
        InvalidArgument("no"),
        OutOfRange("no"),
        NotFound("no"),
        Denied("no"),
        Exhausted("no"),
    ],
    ids=lambda refusal: type(refusal).__name__,
)
async def test_a_refusal_after_an_unknown_outcome_waits_until_absence_is_sure(
    rig: Rig, refusal: DiskError
) -> None:
    """A final word is said only when the search had time to show what may be there."""
    rig.cloud.faults.lose_request("create_disk")
    rig.cloud.faults.refuse("create_disk", refusal)
    with pytest.raises(type(refusal)):
        await rig.create()
    assert asyncio.get_running_loop().time() >= rig.deps.timing.settle_s


@pytest.mark.parametrize(
    "refusal",
    [InvalidArgument("no"), Denied("no"), Exhausted("no"), Unreachable("no")],
    ids=lambda refusal: type(refusal).__name__,
)
async def test_a_refusal_of_the_first_call_is_told_at_once(rig: Rig, refusal: DiskError) -> None:
    """Surely nothing was made, and the caller can do something about it."""
    await rig.create(name="before")
    await asyncio.sleep(60)
    begun_s = asyncio.get_running_loop().time()
    rig.cloud.faults.refuse("create_disk", refusal)
    with pytest.raises(type(refusal)):
        await rig.create()
    assert (rig.cloud.count("create_disk"), asyncio.get_running_loop().time()) == (2, begun_s)


async def test_a_process_that_has_just_begun_looks_before_it_passes_a_refusal_on(rig: Rig) -> None:
    """A former one may have asked in the moment before it died."""
    rig.cloud.faults.arrive_late("create_disk", after_s=3.0)
    rig.cloud.faults.hold("find_disks").set()
    rig.cloud.faults.refuse("find_disks", Unreachable("the network is down"))
    with pytest.raises(Unreachable):
        await rig.create()
    rig.cloud.faults.refuse("create_disk", Exhausted("sold out"))
    volume = await rig.restarted().create()
    assert [disk.id for disk in rig.disks()] == [volume.id]


async def test_a_doubt_outlives_its_flight(rig: Rig) -> None:
    """The next call for the name looks before it passes a refusal on."""
    await rig.create(name="before")
    await asyncio.sleep(60)
    rig.cloud.faults.arrive_late("create_disk", after_s=3.0)
    rig.cloud.faults.hold("find_disks").set()
    rig.cloud.faults.refuse("find_disks", Unreachable("the network is down"))
    with pytest.raises(Unreachable):
        await rig.create()
    rig.cloud.faults.refuse("create_disk", Exhausted("sold out"))
    await asyncio.sleep(SIDECAR_S)
    volume = await rig.create()
    assert [disk.name for disk in rig.disks() if disk.id == volume.id] == ["pvc-1"]


async def test_a_read_that_is_refused_after_a_lost_reply_ends_nothing(rig: Rig) -> None:
    """Whoever may not look can't say that there is nothing."""
    rig.cloud.faults.lose_reply("create_disk")
    rig.cloud.faults.hold("find_disks").set()  # the first search passes
    rig.cloud.faults.refuse("find_disks", Denied("no right to look"))
    with pytest.raises(MAYBE_RUNNING):
        await rig.create()


async def test_a_read_that_is_refused_while_the_disk_is_made_ends_nothing(rig: Rig) -> None:
    """The disk is on its way."""
    rig.cloud.state.latency.create_s = 2.0
    rig.cloud.faults.refuse("get_disks", Denied("no right to look"))
    with pytest.raises(MAYBE_RUNNING):
        await rig.create()


async def test_a_bug_after_the_call_went_out_ends_nothing(rig: Rig) -> None:
    """A disk may be there, whatever went wrong here."""
    rig.cloud.faults.lose_reply("create_disk")
    rig.cloud.faults.hold("find_disks").set()
    rig.cloud.faults.refuse("find_disks", ZeroDivisionError())
    with pytest.raises(Broken):
        await rig.create()


async def test_a_bug_before_any_call_is_told_as_such(rig: Rig) -> None:
    """Surely nothing was made."""
    rig.cloud.faults.refuse("find_disks", ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await rig.create()


async def test_a_flight_that_runs_out_of_time_is_not_final(rig: Rig) -> None:
    """What it began may still come to be, and the next call finds it."""
    rig.cloud.state.latency.create_s = 400.0
    with pytest.raises(TimeoutError):
        await rig.create()
    assert (await rig.create()).id == rig.disks()[0].id


@row("killed-after-create")
async def test_another_process_adopts_the_disk(rig: Rig) -> None:
    """No fact is kept only in memory."""
    rig.cloud.state.latency.create_s = 3.0
    gate = rig.cloud.faults.hold("get_disks")
    first = rig.begin(rig.create())
    await asyncio.sleep(1.0)
    volume = await rig.restarted().create()
    gate.set()
    await first
    assert [disk.id for disk in rig.disks()] == [volume.id]


async def test_a_disk_made_before_a_crash_is_found_in_its_zone(rig: Rig) -> None:
    """The zone that would be tried first has stock again, and that changes nothing."""
    order = replace(ORDER, requirement=zones("zone-a", "zone-b"))
    rig.cloud.state.sold_out = {("zone-a", "plain")}
    before = await rig.create(order)
    rig.cloud.state.sold_out.clear()
    assert await rig.restarted().create(order) == before


@pytest.mark.parametrize("times", [pytest.param(2, id="split-brain")])
async def test_two_controllers_at_once_make_one_disk(rig: Rig, times: int) -> None:
    """The token is made of the name, not of the process."""
    rig.cloud.state.latency.call_s = 0.1
    rig.cloud.state.latency.create_s = 2.0
    others = [rig.restarted() for _ in range(times)]
    volumes = await asyncio.gather(*(other.create() for other in others))
    assert len({volume.id for volume in volumes}) == len(rig.disks()) == 1


@pytest.mark.parametrize("remembers", [True, False], ids=["stale-client-token", "no-client-token"])
async def test_a_name_whose_token_expired_finds_its_disk(rig: Rig, remembers: bool) -> None:
    """The search comes first; the token is for what doesn't show yet."""
    first = await rig.create()
    rig.cloud.state.forget_tokens()
    rig.cloud.state.remembers_tokens = remembers
    again = await rig.restarted().create()
    assert (again.id, len(rig.disks())) == (first.id, 1)


async def test_a_token_that_another_request_spent_gives_way_to_the_next(rig: Rig) -> None:
    """Nothing carries the name, so the next attempt's token is asked with."""
    gone = await rig.create(capacity=gib(30))
    await rig.deleter.delete(gone.id)
    volume = await rig.create()
    assert [disk.id for disk in rig.disks()] == [volume.id]


async def test_a_token_that_another_request_spent_may_have_made_a_misfit(rig: Rig) -> None:
    """A disk of the name shows late, and doesn't fit: that is said, and nothing is made."""
    rig.cloud.state.latency.show_s = 3.0
    rig.cloud.state.latency.create_s = 1.0
    other = rig.begin(rig.restarted().create(capacity=gib(30, 30)))
    await asyncio.sleep(0.1)
    with pytest.raises(AlreadyExists, match="30 GiB"):
        await rig.create(capacity=gib(20, 20))
    await other
    assert len(rig.disks()) == 1


@pytest.mark.parametrize(
    "times", [pytest.param(1, id="async-create-fails"), pytest.param(3, id="async-create-fails-3")]
)
async def test_a_disk_that_failed_while_it_was_made_is_replaced(rig: Rig, times: int) -> None:
    """The husk goes, and another token makes another disk."""
    rig.cloud.state.latency.create_s = 2.0
    rig.cloud.state.failing["pvc-1"] = times
    volume = await rig.create()
    assert [(disk.id, disk.state) for disk in rig.disks()] == [(volume.id, DiskState.AVAILABLE)]


async def test_a_husk_that_another_process_left_is_replaced(rig: Rig) -> None:
    """The name finds it, and its state tells."""
    rig.cloud.state.failing["pvc-1"] = 1
    rig.cloud.faults.refuse("delete_disk", Denied("no right to delete"), times=2)
    with pytest.raises(Pending, match="no right to delete"):
        await rig.create()
    volume = await rig.restarted().create()
    assert [(disk.id, disk.state) for disk in rig.disks()] == [(volume.id, DiskState.AVAILABLE)]


@pytest.mark.parametrize("fault", ["lose_reply", "lose_request", "throttle"])
async def test_a_husk_is_deleted_whatever_is_lost(rig: Rig, fault: str) -> None:
    """A read tells whether it is gone."""
    rig.cloud.state.failing["pvc-1"] = 1
    getattr(rig.cloud.faults, fault)("delete_disk")
    volume = await rig.create()
    assert [disk.id for disk in rig.disks()] == [volume.id]


async def test_a_failed_disk_that_came_to_life_is_kept(rig: Rig) -> None:
    """Only what holds nothing is deleted."""
    rig.cloud.state.failing["pvc-1"] = 1
    gate = rig.cloud.faults.hold("delete_disk")
    creating = rig.begin(rig.create())
    await asyncio.sleep(1)
    husk = rig.disks()[0]
    rig.cloud.state.disks[husk.id] = replace(
        husk, state=DiskState.IN_USE, attached_to=frozenset({NODE})
    )
    gate.set()
    assert await creating == await rig.create()
    assert [disk.id for disk in rig.disks()] == [husk.id]


async def test_a_disk_deleted_by_another_hand_while_it_was_made_is_made_anew_if_wanted(
    rig: Rig,
) -> None:
    """Only another call tells; the token still answers the old id, which never shows again."""
    rig.cloud.state.latency.create_s = 5.0
    creating = rig.begin(rig.create())
    await asyncio.sleep(1)
    lost = rig.disks()[0].id
    del rig.cloud.state.disks[lost]
    with pytest.raises(Pending, match="deleted"):
        await creating
    await rig.create()
    assert [disk.id == lost for disk in rig.disks()] == [False]


async def test_a_name_can_be_used_again_after_its_volume_was_deleted(rig: Rig) -> None:
    """Its token answers the id of the deleted disk for as long as it lasts."""
    first = await rig.create()
    await rig.deleter.delete(first.id)
    second = await rig.create()
    assert [disk.id for disk in rig.disks()] == [second.id]


async def test_equal_calls_at_once_share_one_flight(rig: Rig) -> None:
    """A retry joins instead of beginning again."""
    rig.cloud.state.latency.create_s = 3.0
    volumes = await asyncio.gather(*(rig.create() for _ in range(10)))
    assert (len({volume.id for volume in volumes}), rig.cloud.count("create_disk")) == (1, 1)


@pytest.mark.parametrize("size", [pytest.param(30, id="duplicate-calls-differ")])
async def test_a_call_with_other_arguments_waits_its_turn(rig: Rig, size: int) -> None:
    """Not over, so not final; once it is over the name is taken."""
    rig.cloud.state.latency.create_s = 3.0
    first = rig.begin(rig.create())
    await asyncio.sleep(1)
    with pytest.raises(Pending, match="other arguments"):
        await rig.create(capacity=gib(size))
    await first
    with pytest.raises(AlreadyExists):
        await rig.create(capacity=gib(size))


async def test_a_caller_that_goes_away_leaves_the_work_running(rig: Rig) -> None:
    """The next call finds its result."""
    rig.cloud.state.latency.create_s = 3.0
    call = rig.begin(rig.create())
    await asyncio.sleep(1)
    call.cancel()
    await asyncio.sleep(3)
    assert [disk.state for disk in rig.disks()] == [DiskState.AVAILABLE]


STOCK = {"requirement": zones("zone-a", "zone-b"), "parameters": {"kind": "quick,plain"}}
EVERYTHING = {(zone, kind) for zone in ("zone-a", "zone-b") for kind in ("quick", "plain")}


@pytest.mark.parametrize(
    ("sold", "made"),
    [
        pytest.param({("zone-a", "quick")}, ("zone-a", "quick"), id="first-choice"),
        pytest.param({("zone-a", "plain")}, ("zone-a", "plain"), id="quota-or-stock-out-kind"),
        pytest.param(
            {("zone-b", "quick"), ("zone-b", "plain")}, ("zone-b", "quick"),
            id="quota-or-stock-out-zone",
        ),
        pytest.param({("zone-b", "plain")}, ("zone-b", "plain"), id="quota-or-stock-out-both"),
    ],
)  # fmt: skip
async def test_what_is_sold_out_gives_way_to_the_next_choice(
    rig: Rig, sold: set[tuple[str, str]], made: tuple[str, str]
) -> None:
    """Kinds within a place, then the next place."""
    rig.cloud.state.sold_out = EVERYTHING - sold
    volume = await rig.create(replace(ORDER, **STOCK))  # type: ignore[arg-type] # fields of the request
    assert (rig.disk(volume.id).zone, volume.context["kind"]) == made


async def test_nothing_in_stock_anywhere_tells_every_place(rig: Rig) -> None:
    """The scheduler may choose another node, and people see why."""
    rig.cloud.state.sold_out = EVERYTHING
    with pytest.raises(Exhausted, match=r"quick in zone-a.*plain in zone-b"):
        await rig.create(replace(ORDER, **STOCK))  # type: ignore[arg-type] # fields of the request
    assert rig.disks() == []


async def test_a_size_that_the_cloud_sells_nowhere_is_out_of_range(rig: Rig) -> None:
    """Another node wouldn't help; another size would."""
    rig.cloud.faults.refuse("create_disk", OutOfRange("not so large"), times=2)
    with pytest.raises(OutOfRange, match=r"zone-a.*zone-b"):
        await rig.create(requirement=zones("zone-a", "zone-b"))


@pytest.mark.parametrize("quota", [pytest.param(0, id="quota-or-stock-out-quota")])
async def test_a_used_up_quota_is_told(rig: Rig, quota: int) -> None:
    """Its words are the cloud's."""
    rig.cloud.state.disk_quota = quota
    with pytest.raises(Exhausted) as told:
        await rig.create()
    assert told.value.code == "Quota"


async def test_no_error_leaves_while_the_cloud_is_throttling(rig: Rig) -> None:
    """The flight goes on until its own deadline."""
    rig.cloud.faults.refuse("create_disk", Throttled("slow down"), times=10)
    volume = await rig.create()
    assert rig.disk(volume.id).state is DiskState.AVAILABLE


async def test_a_cloud_that_never_answers_is_not_final(rig: Rig) -> None:
    """The flight's deadline ends it, with a disk perhaps on its way."""
    rig.cloud.faults.refuse("create_disk", UnknownOutcome("?"), times=1000)
    with pytest.raises(MAYBE_RUNNING):
        await rig.create()
