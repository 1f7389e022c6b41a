"""A client that sends what it is told, byte by byte, over a real socket."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import aiohttp
from mockcloud.app import Cloud
from mockcloud.engine.clock import FakeClock, utc

KEY_ID, KEY_SECRET = "mockcloud-key-id", "mockcloud-key-secret"

_nonces = itertools.count(1)


def signed(
    method: str, params: Mapping[str, str], *, now: float, secret: str = KEY_SECRET
) -> dict[str, str]:
    """The parameters with the common ones and a version 1 signature, made from its description.

    A parameter whose value is `-` is left out before signing.
    """
    common = {
        "Version": "2014-05-26",
        "Format": "JSON",
        "AccessKeyId": KEY_ID,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": f"nonce-{next(_nonces)}",
        "Timestamp": timestamp(utc(now)),
    }
    told = {name: value for name, value in {**common, **params}.items() if value != "-"}
    pairs = "&".join(f"{_pe(name)}={_pe(told[name])}" for name in sorted(told))
    text = f"{method}&{_pe('/')}&{_pe(pairs)}"
    digest = hmac.digest(f"{secret}&".encode(), text.encode(), hashlib.sha1)
    return told | {"Signature": base64.b64encode(digest).decode()}


def timestamp(moment: datetime) -> str:
    """As the wire wants it."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _pe(text: str) -> str:
    return quote(text, safe="~")


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    text: str
    headers: Mapping[str, str]
    json: Any

    @property
    def code(self) -> tuple[int, str]:
        """The status and the error's code."""
        return self.status, self.json["Code"]


@dataclass
class Wire:
    """A cloud on a socket, and a client that sends what it is told, byte by byte."""

    cloud: Cloud
    clock: FakeClock
    http: aiohttp.ClientSession

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.cloud.port}"

    def signed(
        self, params: Mapping[str, str], method: str = "POST", secret: str = KEY_SECRET
    ) -> dict[str, str]:
        """A call's parameters, signed now."""
        return signed(method, params, now=self.clock.time(), secret=secret)

    async def send(
        self,
        form: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        method: str = "POST",
        path: str = "/",
    ) -> Reply:
        """Send parameters as they are."""
        async with self.http.request(
            method, f"http://{self.address}{path}", params=query, data=form
        ) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            body = await answer.json() if is_json else None
            return Reply(answer.status, text, answer.headers, body)

    async def call(self, action: str, **params: str) -> Reply:
        """A call that is signed and sent as a form."""
        told = {name.replace("_", "."): value for name, value in params.items()}
        return await self.send(self.signed({"Action": action} | told))
