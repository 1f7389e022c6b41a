from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
import sys
from collections.abc import Callable
from urllib.parse import parse_qsl, quote

import pytest

from diskcsi.providers.alibaba.calls import Calls, build
from diskcsi.providers.alibaba.credentials import Credentials, StaticCredentials
from tests.providers.alibaba.support import Answer, scripted

SECRET = "secret+/="
CallsTo = Callable[..., Calls]

NASTY = (
    "数据盘", "disk 🚀", "!'()*;:@", "%7E", "~", "a\nb", "a b", " ", "a+b", "a&b=c", "/?#[]", '"\\',
    "\x7f", "é", "Straße",
)  # fmt: skip


def golden_signature(parameters: dict[str, str], secret: str) -> str:
    """Version 1 of the RPC signature over a POST, written out from its definition."""

    def encoded(text: str) -> str:
        return quote(text, safe="-_.~")

    pairs = sorted(
        (name.encode(), f"{encoded(name)}={encoded(value)}")
        for name, value in parameters.items()
        if name != "Signature"
    )
    canonical = "&".join(pair for _, pair in pairs)
    to_sign = f"POST&%2F&{encoded(canonical)}"
    digest = hmac.new(f"{secret}&".encode(), to_sign.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


async def _sent(calls_to: CallsTo, value: str, token: str) -> dict[str, str]:
    pair = Credentials(key_id="key-one", secret=SECRET, token=token)
    tags = [{"Key": value, "Value": f"{value}{number}"} for number in range(12)]
    async with scripted([Answer(body={"DiskId": "d-1"})]) as api:
        calls = calls_to(api.url, credentials=StaticCredentials(pair))
        await calls.call(build("CreateDisk", {"DiskName": value, "Size": 20, "Tags": tags}))
    return dict(parse_qsl(api.forms[0], keep_blank_values=True))


@pytest.mark.parametrize("token", ["", "token/+=="], ids=["key", "session"])
@pytest.mark.parametrize("value", NASTY)
async def test_the_signature_is_the_one_that_the_definition_gives(
    calls_to: CallsTo, value: str, token: str
) -> None:
    """The SDK signs; an independent signer of a few lines agrees, so the SDK can be replaced."""
    sent = await _sent(calls_to, value, token)

    assert sent["Signature"] == golden_signature(sent, SECRET)


@pytest.mark.parametrize("value", NASTY)
async def test_a_value_arrives_as_it_was_given(calls_to: CallsTo, value: str) -> None:
    """Percent signs, blanks and letters of any script survive the form."""
    sent = await _sent(calls_to, value, "")

    assert (sent["DiskName"], sent["Tag.12.Key"]) == (value, value)


async def test_the_signature_covers_the_session_token(calls_to: CallsTo) -> None:
    """A token that somebody swapped on the way would be noticed."""
    sent = await _sent(calls_to, "disk", "token-one")
    swapped = {**sent, "SecurityToken": "token-two"}

    assert golden_signature(swapped, SECRET) != sent["Signature"]


AUDITED = """
import sys
connected = []
sys.addaudithook(lambda event, told: connected.append(told[1]) if event == "socket.connect" else 0)
sys.addaudithook(lambda event, told: connected.append(told[0]) if "getaddrinfo" in event else 0)

from diskcsi.providers.alibaba.calls import build
for action in (
    "CreateDisk", "DeleteDisk", "ResizeDisk", "DescribeDisks", "AttachDisk", "DetachDisk",
    "CreateSnapshot", "DeleteSnapshot", "DescribeSnapshots", "DescribeInstances",
):
    request = build(action, {})
    request.set_accept_format("JSON")
    request.set_method("POST")
    assert "Signature=" in request.get_url("cn-hangzhou", "id", "secret")
"""


def _run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AUDITED + code],
        capture_output=True, text=True, check=False, timeout=60, env={"PYTHONPATH": "src"},
    )  # fmt: skip
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def test_building_and_signing_open_no_connection() -> None:
    """The SDK makes texts; every socket is ours. An audit hook sees each connect and look-up."""
    assert _run("print(connected)") == "[]"


def test_the_audit_sees_a_connection() -> None:
    """The proof above is worth something: a connection that is tried does show up."""
    tried = "import socket\ns = socket.socket(); s.connect_ex(('127.0.0.1', 9)); print(connected)"

    assert _run(tried) == "[('127.0.0.1', 9)]"


def test_the_sdks_client_is_never_imported() -> None:
    """Its client opens sessions and adds log handlers; only its request classes are used."""
    assert _run("print('aliyunsdkcore.client' in sys.modules)") == "False"


def test_the_sdks_old_http_stack_is_imported_with_its_request_classes() -> None:
    """Scanners name the vendored urllib3 for it; when this ends, the security notes can go."""
    assert _run("print('aliyunsdkcore.vendored.requests' in sys.modules)") == "True"
