"""What stands around every call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import SimpleNamespace

import pytest
from grpclib.const import Cardinality, Status
from grpclib.exceptions import GRPCError
from grpclib.metadata import Deadline

from diskcsi._proto.csi import v1
from diskcsi.aio.progress import note_refusal, waiting
from diskcsi.edge.errors import BUG_MESSAGE
from diskcsi.edge.guard import NO_METHOD, Guard
from diskcsi.model.errors import Denied, InvalidArgument, NotFound, Pending, Throttled
from diskcsi.telemetry.calls import note_call
from diskcsi.telemetry.logging import logger
from diskcsi.telemetry.meter import RpcCounter
from tests.edge.conftest import Log
from tests.edge.sockets import (
    Controller,
    Heard,
    Served,
    at_once,
    raising,
    served_by,
    serving,
    until,
)

PUBLISH = v1.ControllerPublishVolumeRequest(
    volume_id="d-1", node_id="i-1", secrets={"password": "hunter2"}
)


async def refusal(served: Served) -> GRPCError:
    with pytest.raises(GRPCError) as refused:
        await served.controller.controller_publish_volume(PUBLISH)
    return refused.value


async def after_a_change() -> None:
    note_call(mutating=True, request_id="R-1")
    raise KeyError("hunter2")


@pytest.mark.parametrize(
    ("does", "status"),
    [
        (raising(TimeoutError()), Status.DEADLINE_EXCEEDED),
        (raising(NotFound("disk d-1 is absent")), Status.NOT_FOUND),
        (raising(ExceptionGroup("g", [InvalidArgument("x"), Pending("y")])), Status.ABORTED),
        (raising(KeyError("x")), Status.INTERNAL),
        (after_a_change, Status.ABORTED),
    ],
    ids=["deadline", "absent", "group", "bug", "bug after a change"],
)
async def test_the_status_that_leaves_the_socket(
    tmp_path: Path, log: Log, does: object, status: Status
) -> None:
    """A bare server would tell most of these as UNKNOWN, which means: nothing was made."""
    async with serving(tmp_path / "s", served_by(controller=Controller(does))) as served:  # type: ignore[arg-type]
        assert (await refusal(served)).status is status


async def test_a_call_ends_with_one_line(tmp_path: Path, log: Log) -> None:
    """Method, code, duration, and what it was about; nothing else of the request."""
    async with serving(tmp_path / "s", served_by(controller=Controller(at_once))) as served:
        await served.controller.controller_publish_volume(PUBLISH)
    (line,) = [line for line in log.lines if line["event"] == "call ended"]
    del line["timestamp"]
    assert line == {
        "event": "call ended", "level": "info", "method": "ControllerPublishVolume", "code": "OK",
        "duration_s": 1.0, "volume_id": "d-1", "node_id": "i-1",
    }  # fmt: skip


async def test_a_line_names_the_cloud_s_last_answer(tmp_path: Path, log: Log) -> None:
    """Its request id is what the vendor's support asks for."""

    async def two_calls() -> None:
        note_call(mutating=True, request_id="R-1")
        note_call(mutating=False, request_id="R-2")

    async with serving(tmp_path / "s", served_by(controller=Controller(two_calls))) as served:
        await served.controller.controller_publish_volume(PUBLISH)
    line = log.lines[-1]
    assert (line["cloud_calls"], line["cloud_request_id"]) == (2, "R-2")


async def test_a_failure_is_told_in_the_log_as_on_the_wire(tmp_path: Path, log: Log) -> None:
    """Who reads either knows what the other one read."""
    denied = raising(Denied("disk d-1: not allowed", hint="grant ecs:AttachDisk"))
    async with serving(tmp_path / "s", served_by(controller=Controller(denied))) as served:
        error = await refusal(served)
    assert log.lines[-1]["error"] == error.message


@pytest.mark.parametrize(
    ("error", "level"),
    [(NotFound("x"), "warning"), (Denied("x"), "error"), (KeyError("x"), "error")],
    ids=["caller's", "operator's", "ours"],
)
async def test_the_level_tells_who_has_to_act(
    tmp_path: Path, log: Log, error: Exception, level: str
) -> None:
    """Callers' mistakes are warnings; rights that are missing and bugs are errors."""
    async with serving(tmp_path / "s", served_by(controller=Controller(raising(error)))) as served:
        await refusal(served)
    assert log.lines[-1]["level"] == level


async def test_a_bug_is_explained_in_the_log_only(tmp_path: Path, log: Log) -> None:
    """The traceback is there, and the wire has a sentence that gives nothing away."""
    broken = Controller(raising(ZeroDivisionError("of the driver")))
    async with serving(tmp_path / "s", served_by(controller=broken)) as served:
        assert (await refusal(served)).message == BUG_MESSAGE
    assert "ZeroDivisionError: of the driver" in log.lines[-1]["exception"]


async def test_no_secret_of_a_request_is_logged(tmp_path: Path, log: Log) -> None:
    """Not with a success, and not with a bug either."""
    async with serving(tmp_path / "s", served_by(controller=Controller(at_once))) as served:
        await served.controller.controller_publish_volume(PUBLISH)
    broken = Controller(raising(ZeroDivisionError()))
    async with serving(tmp_path / "s", served_by(controller=broken)) as served:
        await refusal(served)
    assert "hunter2" not in log.text


async def test_lines_of_a_handler_carry_the_ids_of_its_call(tmp_path: Path, log: Log) -> None:
    """Code deep inside needs not be told what the call is about."""

    async def tell() -> None:
        logger().info("inside")

    async with serving(tmp_path / "s", served_by(controller=Controller(tell))) as served:
        await served.controller.controller_publish_volume(PUBLISH)
    assert log.lines[0]["volume_id"] == "d-1"


async def test_a_line_shows_nothing_of_the_call_before(tmp_path: Path, log: Log) -> None:
    """Calls follow each other on one connection."""
    async with serving(tmp_path / "s", served_by(controller=Controller(at_once))) as served:
        await served.controller.controller_publish_volume(PUBLISH)
        await served.controller.create_volume(v1.CreateVolumeRequest(name="pvc-1"))
    assert "node_id" not in log.lines[-1]


async def test_a_request_that_can_t_be_read_is_told_too(tmp_path: Path, log: Log) -> None:
    """The log names the method and the field."""
    async with serving(tmp_path / "s", served_by(controller=Controller(at_once))) as served:
        mode = v1.VolumeCapabilityAccessMode(mode=v1.VolumeCapabilityAccessModeMode.try_value(99))
        odd = v1.ControllerPublishVolumeRequest(
            volume_capability=v1.VolumeCapability(access_mode=mode)
        )
        with pytest.raises(GRPCError):
            await served.controller.controller_publish_volume(odd)
    line = log.lines[-1]
    assert (line["method"], line["code"]) == ("ControllerPublishVolume", "InvalidArgument")


@pytest.mark.parametrize(("level", "lines"), [("INFO", 0), ("DEBUG", 1)])
async def test_what_is_asked_every_few_seconds_is_told_to_who_wants_all(
    tmp_path: Path, log: Log, level: str, lines: int
) -> None:
    """Health checks of a hundred nodes would drown the rest."""
    log.set_level(level)
    async with serving(tmp_path / "s", served_by(controller=Controller(at_once))) as served:
        await served.controller.controller_get_capabilities(v1.ControllerGetCapabilitiesRequest())
    assert len(log.lines) == lines


async def test_its_failure_is_told_to_everybody(tmp_path: Path, log: Log) -> None:
    """A quiet method that fails is news."""
    log.set_level("WARNING")
    broken = Controller(raising(NotFound("x")))
    async with serving(tmp_path / "s", served_by(controller=broken)) as served:
        with pytest.raises(GRPCError):
            await served.controller.controller_get_capabilities(
                v1.ControllerGetCapabilitiesRequest()
            )
    assert len(log.lines) == 1


async def test_calls_are_counted_by_method_and_code(tmp_path: Path, log: Log) -> None:
    """Codes are spelled as Go does, whose dashboards read them."""
    heard, late = Heard(), Controller(raising(TimeoutError()))
    async with serving(tmp_path / "s", served_by(controller=late), counter=heard) as served:
        await refusal(served)
    assert heard.told == [
        ("began", "ControllerPublishVolume"),
        ("ended", "ControllerPublishVolume", "DeadlineExceeded"),
    ]


async def test_a_call_that_is_cancelled_is_counted_as_such(tmp_path: Path, log: Log) -> None:
    """Long before its deadline; its work, if it changes something, goes on elsewhere."""
    heard, forever = Heard(), asyncio.Event()
    waiting = Controller(forever.wait)
    async with (
        serving(tmp_path / "s", served_by(controller=waiting), counter=heard) as served,
        asyncio.TaskGroup() as tasks,
    ):
        patient = served.controller.controller_publish_volume(PUBLISH, timeout=60)
        call = tasks.create_task(patient)
        await until(lambda: served.guard.running == 1)
        call.cancel()
        await until(lambda: served.guard.running == 0)
    assert heard.told[-1] == ("ended", "ControllerPublishVolume", "Canceled")


class SentShort(Deadline):
    """Sent as a short time, while the client itself waits on and never hangs up first."""

    WAITS_S, SENT_S = 60.0, 2.0  # of which a tenth is kept for the answer

    def __init__(self) -> None:
        super().__init__(_timestamp=monotonic() + self.WAITS_S)
        self._asked = iter([self.WAITS_S, self.SENT_S])  # by its timer, then by its headers

    def time_remaining(self) -> float:
        return next(self._asked)


async def test_a_call_is_answered_before_its_callers_time_is_over(tmp_path: Path, log: Log) -> None:
    """On a real socket, by the deadline that came with the call; its client reads the words."""
    heard, forever = Heard(), asyncio.Event()
    patient = Controller(forever.wait)
    async with serving(tmp_path / "s", served_by(controller=patient), counter=heard) as served:
        with pytest.raises(GRPCError, match="isn't done after") as answer:
            await served.controller.controller_publish_volume(PUBLISH, deadline=SentShort())
        await until(lambda: served.guard.running == 0)
    assert answer.value.status is Status.DEADLINE_EXCEEDED
    assert heard.told[-1] == ("ended", "ControllerPublishVolume", "DeadlineExceeded")


@dataclass
class Patient:
    """A call's stream, as far as the guard looks at it, and the clock of its caller."""

    time_s: float

    @property
    def deadline(self) -> Patient:
        return self

    def time_remaining(self) -> float:
        return self.time_s - asyncio.get_running_loop().time()


async def call(
    time_s: float, does: Callable[[], Awaitable[None]], counter: RpcCounter | None = None
) -> None:
    """A call whose caller waits so long, in virtual seconds."""
    event = SimpleNamespace(
        method_name="/csi.v1.Controller/ControllerPublishVolume", method_func=lambda _: does()
    )
    loop = asyncio.get_running_loop()
    await Guard(counter=counter or Heard(), now=loop.time).listen(event)  # type: ignore[arg-type]
    await event.method_func(Patient(loop.time() + time_s))


async def answered(time_s: float, does: Callable[[], Awaitable[None]]) -> tuple[float, GRPCError]:
    """When, in virtual seconds, and with what such a call is answered."""
    with pytest.raises(GRPCError) as answer:
        await call(time_s, does)
    return asyncio.get_running_loop().time(), answer.value


async def stuck() -> None:
    with waiting(lambda: "it waits for its turn on i-1, after detach of d-2 (40 s)"):
        await asyncio.Event().wait()


@pytest.mark.looptime
async def test_a_caller_is_told_what_it_waits_for_before_its_time_is_over(log: Log) -> None:
    """Who hangs up hears nothing but that; the code is the same, and means: not over."""
    when_s, answer = await answered(15, stuck)
    assert (answer.status, answer.message) == (
        Status.DEADLINE_EXCEEDED, "it waits for its turn on i-1, after detach of d-2 (40 s)",
    )  # fmt: skip
    assert when_s == pytest.approx(14.5)


@pytest.mark.looptime
async def test_a_caller_in_a_hurry_keeps_nine_tenths_of_its_time(log: Log) -> None:
    """The registrar gives a call one second."""
    when_s, _ = await answered(1, stuck)
    assert when_s == pytest.approx(0.9)


@pytest.mark.looptime
async def test_a_call_without_words_tells_its_method_and_its_last_refusal(log: Log) -> None:
    """A list that the cloud throttles waits for nothing else."""

    async def throttled() -> None:
        note_refusal(Throttled("the cloud takes no more calls now"))
        await asyncio.Event().wait()

    _, answer = await answered(15, throttled)
    assert answer.message == (
        "ControllerPublishVolume isn't done after 14 s; the last try was told:"
        " the cloud takes no more calls now"
    )


@pytest.mark.looptime
async def test_a_deadline_of_the_work_s_own_keeps_its_words(log: Log) -> None:
    """A tool that was killed says so."""
    _, answer = await answered(15, raising(TimeoutError("mkfs: no end in 12 s, it was killed")))
    assert answer.message == "mkfs: no end in 12 s, it was killed"


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("after_s", "code"), [(5, "Canceled"), (14.2, "DeadlineExceeded")], ids=["amid", "at its end"]
)
async def test_a_caller_that_hangs_up_at_the_end_of_its_time_ran_out_of_patience(
    log: Log, after_s: float, code: str
) -> None:
    """Its clock began earlier than ours; and it is the case in which nobody was told of the outcome."""
    heard = Heard()
    hanging = asyncio.ensure_future(call(15, stuck, heard))
    await asyncio.sleep(after_s)
    hanging.cancel()
    await asyncio.wait({hanging})
    assert heard.told[-1] == ("ended", "ControllerPublishVolume", code)


async def test_names_that_nobody_knows_share_one_place_in_the_metrics(
    tmp_path: Path, log: Log
) -> None:
    """A peer can't fill the memory by making names up."""
    heard = Heard()
    async with serving(tmp_path / "s", served_by(), counter=heard) as served:
        with pytest.raises(GRPCError):
            await ask(served, "/csi.v1.Controller/Invented")
    assert heard.told == [("began", NO_METHOD), ("ended", NO_METHOD, "Unimplemented")]


async def ask(served: Served, path: str) -> None:
    async with served.channel.request(
        path, Cardinality.UNARY_UNARY, v1.ProbeRequest, v1.ProbeResponse
    ) as stream:
        await stream.send_message(v1.ProbeRequest(), end=True)
        await stream.recv_message()
        await stream.recv_trailing_metadata()


async def test_a_closed_gate_refuses_new_calls_for_a_while(tmp_path: Path, log: Log) -> None:
    """The code says that another try may find another process."""
    async with serving(tmp_path / "s", served_by(controller=Controller(at_once))) as served:
        served.guard.close_gate()
        assert (await refusal(served)).status is Status.UNAVAILABLE
