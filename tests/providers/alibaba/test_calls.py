from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any, NoReturn
from urllib.parse import parse_qsl

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from diskcsi.model.errors import DiskError, Pending, Throttled, UnknownOutcome, Unreachable
from diskcsi.ports.cloud import CloudCall
from diskcsi.providers.alibaba.calls import (
    READ_PAUSE_S,
    READ_TRIES,
    Calls,
    build,
    http_session,
    id_list,
    understood,
)
from diskcsi.providers.alibaba.credentials import StaticCredentials
from tests.providers.alibaba.support import KEY, OTHER_KEY, Answer, Turns, refusal, scripted
from tests.rows import row

CallsTo = Callable[..., Calls]

OK = Answer(body={"RequestId": "R-1"})
CUT = Answer(cut=True)


def read() -> Any:  # noqa: ANN401 - the SDK is untyped
    return build("DescribeDisks", {"RegionId": "cn-hangzhou", "DiskIds": id_list(["d-1"])})


def change() -> Any:  # noqa: ANN401 - the SDK is untyped
    return build("AttachDisk", {"DiskId": "d-1", "InstanceId": "i-1"})


def fields(form: str) -> dict[str, str]:
    return dict(parse_qsl(form, keep_blank_values=True))


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken and answers nobody."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def test_a_call_is_a_form_and_its_url_tells_nothing(calls_to: CallsTo) -> None:
    """URLs stand in access logs and error messages, so no parameter is in one."""
    async with scripted([OK]) as api:
        await calls_to(api.url).call(read())

    assert api.lines == ["POST /"]


async def test_the_form_carries_action_version_and_parameters(calls_to: CallsTo) -> None:
    """The API takes the same parameters from the body as from the URL."""
    async with scripted([OK]) as api:
        await calls_to(api.url).call(read())

    sent = fields(api.forms[0])
    assert {name: sent[name] for name in ("Action", "Version", "Format", "RegionId", "DiskIds")} == {
        "Action": "DescribeDisks", "Version": "2014-05-26", "Format": "JSON",
        "RegionId": "cn-hangzhou", "DiskIds": '["d-1"]',
    }  # fmt: skip


async def test_every_try_is_signed_afresh(calls_to: CallsTo) -> None:
    """The API takes a nonce once, so a repeat with the old one would be refused."""
    async with scripted([CUT, CUT, OK]) as api:
        await calls_to(api.url).call(read())

    assert len({fields(form)["SignatureNonce"] for form in api.forms}) == READ_TRIES


async def test_booleans_are_written_as_the_api_writes_them(calls_to: CallsTo) -> None:
    """The SDK would send Python's words."""
    async with scripted([OK]) as api:
        await calls_to(api.url).call(
            build("CreateDisk", {"Encrypted": True, "BurstingEnabled": False})
        )

    sent = fields(api.forms[0])
    assert (sent["Encrypted"], sent["BurstingEnabled"]) == ("true", "false")


async def test_what_is_not_said_is_not_sent(calls_to: CallsTo) -> None:
    """The SDK would send the word None."""
    async with scripted([OK]) as api:
        await calls_to(api.url).call(build("CreateDisk", {"SnapshotId": None, "ZoneId": ""}))

    assert not {"SnapshotId", "ZoneId"} & set(fields(api.forms[0]))


async def test_zero_is_sent(calls_to: CallsTo) -> None:
    """Zero provisioned operations is a word of its own."""
    async with scripted([OK]) as api:
        await calls_to(api.url).call(build("CreateDisk", {"ProvisionedIops": 0}))

    assert fields(api.forms[0])["ProvisionedIops"] == "0"


def test_a_list_of_ids_is_compact_json() -> None:
    """A blank in it would be signed and sent for nothing, a hundred times."""
    assert id_list(["d-1", "d-2"]) == '["d-1","d-2"]'


async def test_the_answer_is_the_bodys_map(calls_to: CallsTo) -> None:
    """Nothing is taken away from it or added."""
    async with scripted([Answer(body={"RequestId": "R-1", "DiskId": "d-9"})]) as api:
        assert await calls_to(api.url).call(change()) == {"RequestId": "R-1", "DiskId": "d-9"}


async def test_a_refused_connection_was_no_call(calls_to: CallsTo, closed_port: int) -> None:
    """Nothing was sent, so even a change is known not to have happened."""
    with pytest.raises(Unreachable, match="no connection to http"):
        await calls_to(f"http://127.0.0.1:{closed_port}").call(change())


async def test_a_name_that_does_not_resolve_was_no_call(calls_to: CallsTo) -> None:
    """Without an address nothing was sent."""
    connector = aiohttp.TCPConnector(resolver=_NoNames())
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(Unreachable, match="no connection to http"):
            await calls_to("http://ecs.nowhere", session=session).call(change())


async def test_a_connection_that_takes_too_long_was_no_call(calls_to: CallsTo) -> None:
    """The form leaves only once there is a connection."""
    async with aiohttp.ClientSession(connector=_Stuck()) as session:
        with pytest.raises(Unreachable, match="no connection to http"):
            await calls_to("http://127.0.0.1:1", session=session).call(change())


async def test_a_server_that_can_not_be_trusted_is_sent_nothing(calls_to: CallsTo) -> None:
    """Without TLS on the other side nothing is sent, and the message says why."""
    async with scripted([OK]) as api:
        with pytest.raises(Unreachable, match=r"(?i)ssl"):
            await calls_to(api.url.replace("http:", "https:")).call(change())

    assert api.lines == []


class _Stuck(aiohttp.TCPConnector):
    async def connect(self, *args: object, **kwargs: object) -> NoReturn:
        raise TimeoutError


class _NoNames(AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise OSError("name or service not known")

    async def close(self) -> None:
        pass


@row("api-half-open")
@pytest.mark.parametrize(
    ("request_of", "expected"), [(read, Unreachable), (change, UnknownOutcome)]
)
async def test_silence_leaves_a_change_unknown(
    calls_to: CallsTo, request_of: Callable[[], Any], expected: type[DiskError]
) -> None:
    """Who waits in vain for an answer doesn't know whether the change happened."""
    async with (
        scripted([Answer(silent=True)]) as api,
        http_session(connect_timeout_s=2.0, call_timeout_s=0.05) as session,
    ):
        with pytest.raises(DiskError, match="gave no answer in time") as caught:
            await calls_to(api.url, session=session).call(request_of())

    assert type(caught.value) is expected


async def test_a_change_whose_answer_is_lost_has_an_unknown_outcome(calls_to: CallsTo) -> None:
    """The connection ended after the request had left."""
    async with scripted([CUT]) as api:
        with pytest.raises(UnknownOutcome, match="lost the answer"):
            await calls_to(api.url).call(change())


async def test_a_change_whose_answer_is_lost_is_not_sent_again(calls_to: CallsTo) -> None:
    """A second one could be a second disk; the rules look first."""
    async with scripted([CUT]) as api:
        with pytest.raises(UnknownOutcome):
            await calls_to(api.url).call(change())

    assert len(api.lines) == 1


async def test_a_pooled_connection_that_the_server_ends_leaves_a_change_unknown(
    calls_to: CallsTo,
) -> None:
    """On a connection that worked a moment ago, too, nobody knows what arrived."""
    async with scripted([OK, CUT]) as api:
        calls = calls_to(api.url)
        await calls.call(read())
        with pytest.raises(UnknownOutcome):
            await calls.call(change())


async def test_a_read_on_a_connection_that_the_server_ends_is_asked_again(
    calls_to: CallsTo,
) -> None:
    """Its caller never notices."""
    async with scripted([OK, CUT, Answer(body={"RequestId": "R-2"})]) as api:
        calls = calls_to(api.url)
        await calls.call(read())
        assert await calls.call(read()) == {"RequestId": "R-2"}


@pytest.mark.parametrize(
    "answer", [CUT, refusal("InternalError", 500), refusal("ServiceUnavailable", 503),
               Answer(status=502, body="<html>Bad gateway</html>")],
    ids=["cut", "internal-error", "unavailable", "gateway"],
)  # fmt: skip
async def test_a_broken_read_is_tried_a_few_times(
    calls_to: CallsTo, pauses: list[float], answer: Answer
) -> None:
    """A short trouble is waited out; a longer one is the caller's to wait for."""
    async with scripted([answer]) as api:
        with pytest.raises(Unreachable):
            await calls_to(api.url).call(read())

    assert (len(api.lines), pauses) == (READ_TRIES, [READ_PAUSE_S] * (READ_TRIES - 1))


async def test_a_read_that_is_refused_is_not_tried_again(calls_to: CallsTo) -> None:
    """The same question would get the same answer."""
    async with scripted([refusal("InvalidAccessKeyId.NotFound", 404)]) as api:
        with pytest.raises(Unreachable):
            await calls_to(api.url).call(read())

    assert len(api.lines) == 1


@row("api-5xx")
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_change_that_fails_with_5xx_has_an_unknown_outcome(
    calls_to: CallsTo, status: int
) -> None:
    """The server may have failed after it had made the change."""
    async with scripted([refusal("InternalError", status)]) as api:
        with pytest.raises(UnknownOutcome):
            await calls_to(api.url).call(change())


@pytest.mark.parametrize(
    ("request_of", "expected"), [(read, Unreachable), (change, UnknownOutcome)]
)
@pytest.mark.parametrize(
    "answer",
    [Answer(body="<html>Welcome</html>"), Answer(body=["no", "map"]),
     Answer(status=404, body="<html>404 Not Found</html>"), Answer(status=204, body=""),
     Answer(status=302, headers={"Location": "/login"})],
    ids=["page", "list", "page-404", "empty", "redirect"],
)  # fmt: skip
async def test_an_answer_that_is_not_the_apis_tells_nothing(
    calls_to: CallsTo, answer: Answer, request_of: Callable[[], Any], expected: type[DiskError]
) -> None:
    """Whatever stands in between answers pages; neither success nor absence is read from them."""
    async with scripted([answer]) as api:
        with pytest.raises(DiskError) as caught:
            await calls_to(api.url).call(request_of())

    assert type(caught.value) is expected


async def test_a_redirect_is_not_followed(calls_to: CallsTo) -> None:
    """A signed form goes to the endpoint of the settings and nowhere else."""
    async with scripted([Answer(status=307, headers={"Location": "/elsewhere"})]) as api:
        with pytest.raises(UnknownOutcome):
            await calls_to(api.url).call(change())

    assert api.lines == ["POST /"]


@pytest.mark.parametrize("request_of", [read, change])
async def test_a_throttled_call_comes_out_at_once(
    calls_to: CallsTo, request_of: Callable[[], Any]
) -> None:
    """Who asked decides how long to wait; one call more only prolongs the throttling."""
    async with scripted([refusal("Throttling.User")]) as api:
        with pytest.raises(Throttled):
            await calls_to(api.url).call(request_of())

    assert len(api.lines) == 1


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"x-acs-retry-after": "1500"}, 1.5),
        ({"x-acs-retry-after": "soon"}, None),
        ({"x-ratelimit-user-api": "Limit:1,Remain:0,TimeLeft:2000,Reset:1234"}, 2.0),
        ({"x-ratelimit-user": "Limit:1, TimeLeft:250"}, 0.25),
        ({"x-acs-retry-after": "100", "x-ratelimit-user": "TimeLeft:250"}, 0.1),
    ],
)
async def test_a_throttled_call_says_how_long_the_cloud_wants_to_be_left_alone(
    calls_to: CallsTo, headers: dict[str, str], expected: float | None
) -> None:
    """Gateways tell it in one of three headers, or not at all."""
    answer = Answer(status=429, body={"Code": "Throttling"}, headers=headers)
    async with scripted([answer]) as api:
        with pytest.raises(Throttled) as caught:
            await calls_to(api.url).call(read())

    assert caught.value.retry_after_s == expected


async def test_a_refusal_is_the_tables_word(calls_to: CallsTo) -> None:
    """What a code means is decided in one place."""
    async with scripted([refusal("InvalidOperation.Conflict", 403)]) as api:
        with pytest.raises(Pending, match="AttachDisk d-1 i-1: "):
            await calls_to(api.url).call(change())


@pytest.mark.parametrize("request_of", [read, change])
@pytest.mark.parametrize(
    "refused",
    [refusal("InvalidSecurityToken.Expired"), refusal("InvalidAccessKeyId.NotFound", 404),
     refusal("SignatureDoesNotMatch"), refusal("Forbidden.AccessKeyDisabled", 403),
     refusal("InvalidParameter", Message='"SecurityToken.Expired" is not valid.')],
    ids=lambda answer: answer.body["Code"],
)  # fmt: skip
async def test_a_key_pair_that_was_replaced_is_used_at_once(
    calls_to: CallsTo, refused: Answer, request_of: Callable[[], Any]
) -> None:
    """A refused signature changed nothing, so even a change is sent again with the new pair."""
    async with scripted([refused, OK]) as api:
        calls = calls_to(api.url, credentials=Turns(KEY, OTHER_KEY))
        await calls.call(request_of())

    assert [fields(form)["AccessKeyId"] for form in api.forms] == ["key-one", "key-two"]


async def test_the_new_pairs_session_token_is_sent(calls_to: CallsTo) -> None:
    """A pair and its token belong together."""
    async with scripted([refusal("InvalidSecurityToken.Expired"), OK]) as api:
        await calls_to(api.url, credentials=Turns(KEY, OTHER_KEY)).call(read())

    assert [fields(form).get("SecurityToken") for form in api.forms] == [None, "token-two"]


async def test_an_old_session_token_does_not_stay_in_the_request(calls_to: CallsTo) -> None:
    """The SDK's request keeps what was put in; a pair without a token must not inherit one."""
    async with scripted([refusal("InvalidSecurityToken.Expired"), OK]) as api:
        await calls_to(api.url, credentials=Turns(OTHER_KEY, KEY)).call(read())

    assert [fields(form).get("SecurityToken") for form in api.forms] == ["token-two", None]


async def test_a_key_pair_is_replaced_once_in_a_call(calls_to: CallsTo) -> None:
    """A source that gives ever new pairs can't make a call go on for ever."""
    async with scripted([refusal("InvalidSecurityToken.Expired")]) as api:
        calls = calls_to(api.url, credentials=Turns(KEY, OTHER_KEY, KEY, OTHER_KEY, KEY))
        with pytest.raises(Unreachable):
            await calls.call(read())

    assert len(api.lines) == 2


async def test_a_refused_key_pair_that_stays_is_not_tried_again(calls_to: CallsTo) -> None:
    """The same signature would be refused again."""
    async with scripted([refusal("InvalidSecurityToken.Expired")]) as api:
        with pytest.raises(Unreachable):
            await calls_to(api.url, credentials=StaticCredentials(KEY)).call(read())

    assert len(api.lines) == 1


async def test_the_observer_is_told_of_every_try(calls_to: CallsTo, told: list[CloudCall]) -> None:
    """Metrics and log lines count what went out, with the cloud's code and request id."""
    async with scripted([CUT, refusal("ServiceUnavailable", 503), OK]) as api:
        await calls_to(api.url).call(read())

    assert [(one.action, one.mutating, one.code, one.request_id) for one in told] == [
        ("DescribeDisks", False, "lost", ""),
        ("DescribeDisks", False, "ServiceUnavailable", "R-ServiceUnavailable"),
        ("DescribeDisks", False, "OK", "R-1"),
    ]


async def test_the_observer_is_told_that_a_change_went_out(
    calls_to: CallsTo, told: list[CloudCall]
) -> None:
    """What a caller may be told depends on whether something may have been changed."""
    async with scripted([CUT]) as api:
        with pytest.raises(UnknownOutcome):
            await calls_to(api.url).call(change())

    assert [(one.mutating, one.code) for one in told] == [(True, "lost")]


async def test_the_observer_is_told_of_a_change_that_was_given_up(
    calls_to: CallsTo, told: list[CloudCall]
) -> None:
    """Who is cancelled doesn't wait for the answer; the change may happen all the same."""
    async with scripted([Answer(silent=True)]) as api:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await calls_to(api.url).call(change())

    assert [(one.mutating, one.code) for one in told] == [(True, "lost")]


@pytest.mark.parametrize(
    "broken", [KeyError("DiskId"), ValueError("20 GB"), TypeError("none"), AttributeError("get")]
)
def test_a_change_whose_answer_can_not_be_read_has_an_unknown_outcome(broken: Exception) -> None:
    """The cloud accepted it and told something else than its result."""
    with pytest.raises(UnknownOutcome, match="the answer can't be read"), understood("CreateDisk"):
        raise broken


def test_a_read_whose_answer_can_not_be_read_is_unreachable() -> None:
    """An answer of another form tells nothing of the disks, least of all their absence."""
    with pytest.raises(Unreachable), understood("DescribeDisks"):
        raise KeyError("Size")
