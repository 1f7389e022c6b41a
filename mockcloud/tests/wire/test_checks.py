"""What is refused at the door, by the rows of the wire's acceptance table."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from mockcloud.engine.clock import utc
from mockcloud.wire.auth import AccessKey
from wireclient import KEY_ID, KEY_SECRET, Wire, timestamp

REGIONS = {"Action": "DescribeRegions"}
STS = AccessKey(id="STS.key", secret=KEY_SECRET, token="token-of-sts")


def with_key(wire: Wire, *keys: AccessKey) -> None:
    """Let the account have these keys beside its first."""
    first = AccessKey(id=KEY_ID, secret=KEY_SECRET)
    wire.cloud.auth.replace_keys({key.id: key for key in (first, *keys)})


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_row_03_odd_characters_in_the_query_are_signed_too(wire: Wire, method: str) -> None:
    """The verb counts as well, and `!'()*~` and Chinese are no trouble."""
    call = wire.signed(REGIONS | {"Note": "!'()*~ +盘😀\n"}, method)
    assert (await wire.send(query=call, method=method)).status == 200


async def test_row_02_everything_may_stand_in_the_form(wire: Wire) -> None:
    """Nothing of the call is in its address."""
    assert (await wire.send(wire.signed(REGIONS))).status == 200


async def test_row_04_query_and_form_are_signed_together(wire: Wire) -> None:
    """Common parameters may travel in the address, the others in the form."""
    call = wire.signed(REGIONS | {"Note": "a b"})
    form = {name: call.pop(name) for name in ("Action", "Note")}
    assert (await wire.send(form, query=call)).status == 200


async def test_row_07_a_format_in_lower_case_is_json(wire: Wire) -> None:
    """Another SDK spells it so."""
    reply = await wire.send(wire.signed(REGIONS | {"Format": "json"}))
    assert reply.json["Regions"]["Region"]


async def test_row_08_a_temporary_key_with_its_token_is_served(wire: Wire) -> None:
    """The token is a parameter like any other, and signed."""
    with_key(wire, STS)
    call = wire.signed(REGIONS | {"AccessKeyId": STS.id, "SecurityToken": STS.token})
    assert (await wire.send(call)).status == 200


async def test_row_09_a_wrong_secret_does_not_match(wire: Wire) -> None:
    """The message ends with a colon and what was to be signed, which an SDK parses."""
    reply = await wire.send(wire.signed(REGIONS, secret="other"))
    assert reply.code == (400, "SignatureDoesNotMatch")
    assert "string to sign is:POST&%2F&AccessKeyId" in reply.json["Message"]


async def test_row_10_a_parameter_changed_after_signing_does_not_match(wire: Wire) -> None:
    """Whoever changes a call on its way is noticed."""
    reply = await wire.send(wire.signed(REGIONS) | {"Action": "DescribeZones"})
    assert reply.code == (400, "SignatureDoesNotMatch")


REFUSED = [
    ("row_11_unknown_key", {"AccessKeyId": "nobody"}, (404, "InvalidAccessKeyId.NotFound")),
    ("row_12_disabled_key", {"AccessKeyId": "off"}, (400, "InvalidAccessKeyId.Inactive")),
    ("row_13_no_token", {"AccessKeyId": STS.id}, (400, "MissingSecurityToken")),
    (
        "row_14_garbage_token",
        {"AccessKeyId": STS.id, "SecurityToken": "?"},
        (400, "InvalidSecurityToken.Malformed"),
    ),
    (
        "row_14_foreign_token",
        {"AccessKeyId": STS.id, "SecurityToken": "token-of-old"},
        (400, "InvalidSecurityToken.MismatchWithAccessKey"),
    ),
    (
        "row_14_expired_token",
        {"AccessKeyId": "STS.old", "SecurityToken": "token-of-old"},
        (400, "InvalidSecurityToken.Expired"),
    ),
    (
        "row_14_token_with_a_lasting_key",
        {"SecurityToken": "token-of-sts"},
        (400, "InvalidSecurityToken.MismatchWithAccessKey"),
    ),
    ("row_16_word", {"Timestamp": "yesterday"}, (400, "InvalidTimeStamp.Format")),
    ("row_16_offset", {"Timestamp": "2026-01-01T00:00:00+08:00"}, (400, "InvalidTimeStamp.Format")),
    ("row_16_fraction", {"Timestamp": "2026-01-01T00:00:00.5Z"}, (400, "InvalidTimeStamp.Format")),
    ("row_16_month_13", {"Timestamp": "2026-13-01T00:00:00Z"}, (400, "InvalidTimeStamp.Format")),
    ("row_19_no_action", {"Action": "-"}, (400, "MissingAction")),
    ("row_19_no_version", {"Version": "-"}, (400, "MissingVersion")),
    ("row_19_no_key", {"AccessKeyId": "-"}, (400, "MissingAccessKeyId")),
    ("row_19_no_time", {"Timestamp": "-"}, (400, "MissingTimestamp")),
    ("row_19_no_nonce", {"SignatureNonce": "-"}, (400, "MissingSignatureNonce")),
    ("row_20_old_version", {"Version": "2010-01-01"}, (400, "InvalidVersion")),
    ("row_21_unknown_action", {"Action": "NoSuch"}, (404, "InvalidAction.NotFound")),
    ("row_22_md5", {"SignatureMethod": "HMAC-MD5"}, (400, "InvalidSignatureMethod")),
    ("row_25_yaml", {"Format": "YAML"}, (400, "InvalidParameter.Format")),
    ("row_35_denied", {"AccessKeyId": "guest"}, (403, "Forbidden.RAM")),
]


@pytest.mark.parametrize(
    ("change", "answer"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED]
)
async def test_a_bad_call_is_refused(
    wire: Wire, change: dict[str, str], answer: tuple[int, str]
) -> None:
    """Each flaw of a rightly signed call has its status and code, in JSON."""
    ended = utc(wire.clock.time()) - timedelta(seconds=1)
    with_key(
        wire,
        STS,
        AccessKey(id="off", secret=KEY_SECRET, disabled=True),
        AccessKey(id="STS.old", secret=KEY_SECRET, token="token-of-old", token_expires=ended),
        AccessKey(id="guest", secret=KEY_SECRET, denied=frozenset({"DescribeRegions"})),
    )
    assert (await wire.send(wire.signed(REGIONS | change))).code == answer


@pytest.mark.parametrize("minutes", [-16, 16])
async def test_row_15_a_call_from_another_time_is_refused(wire: Wire, minutes: int) -> None:
    """Sixteen minutes are too many, before and after."""
    then = utc(wire.clock.time()) + timedelta(minutes=minutes)
    reply = await wire.send(wire.signed(REGIONS | {"Timestamp": timestamp(then)}))
    assert reply.code == (400, "InvalidTimeStamp.Expired")


@pytest.mark.parametrize("minutes", [-14, 14])
async def test_row_15_a_clock_may_be_off_a_little(wire: Wire, minutes: int) -> None:
    """Fourteen minutes are borne."""
    then = utc(wire.clock.time()) + timedelta(minutes=minutes)
    reply = await wire.send(wire.signed(REGIONS | {"Timestamp": timestamp(then)}))
    assert reply.status == 200


async def test_row_17_a_nonce_serves_once(wire: Wire) -> None:
    """The same call again is a replay."""
    call = wire.signed(REGIONS)
    await wire.send(call)
    assert (await wire.send(call)).code == (400, "SignatureNonceUsed")


async def test_row_17_a_nonce_is_forgotten_in_time(wire: Wire) -> None:
    """After the window it may come again."""
    await wire.send(wire.signed(REGIONS | {"SignatureNonce": "one"}))
    wire.clock.set(wire.clock.time() + 16 * 60)
    assert (await wire.send(wire.signed(REGIONS | {"SignatureNonce": "one"}))).status == 200


async def test_row_18_another_key_may_use_the_same_nonce(wire: Wire) -> None:
    """Each key has its own."""
    with_key(wire, AccessKey(id="second", secret=KEY_SECRET))
    call = REGIONS | {"SignatureNonce": "one"}
    await wire.send(wire.signed(call))
    assert (await wire.send(wire.signed(call | {"AccessKeyId": "second"}))).status == 200


async def test_row_18_a_badly_signed_call_burns_no_nonce(wire: Wire) -> None:
    """Else anybody could use up another's."""
    call = REGIONS | {"SignatureNonce": "one"}
    await wire.send(wire.signed(call, secret="other"))
    assert (await wire.send(wire.signed(call))).status == 200


def _without(call: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in call.items() if name != "Signature"}


def _spoilt(call: dict[str, str]) -> dict[str, str]:
    return call | {"Signature": "?"}


@pytest.mark.parametrize(
    ("change", "code"),
    [(_without, "MissingSignature"), (_spoilt, "IncompleteSignature")],
    ids=["row_19_none", "odd"],
)
async def test_a_call_without_a_real_signature_is_refused(
    wire: Wire, change: Callable[[dict[str, str]], dict[str, str]], code: str
) -> None:
    """None at all, and one that can't be one, differ."""
    assert (await wire.send(change(wire.signed(REGIONS)))).code == (400, code)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_row_23_other_verbs_are_refused(wire: Wire, method: str) -> None:
    """The cloud knows two."""
    reply = await wire.send(query=wire.signed(REGIONS, method), method=method)
    assert reply.code == (400, "UnsupportedHTTPMethod")


async def test_row_26_there_is_one_path_only(wire: Wire) -> None:
    """Calls have their name among the parameters."""
    reply = await wire.send(wire.signed(REGIONS), path="/disks")
    assert reply.code == (404, "InvalidApi.NotFound")


async def test_row_35_a_denial_says_which_right_is_missing(wire: Wire) -> None:
    """An object beside the message names the action."""
    with_key(wire, AccessKey(id="guest", secret=KEY_SECRET, denied=frozenset({"*"})))
    reply = await wire.send(wire.signed(REGIONS | {"AccessKeyId": "guest"}))
    assert reply.json["AccessDeniedDetail"]["AuthAction"] == "ecs:DescribeRegions"
