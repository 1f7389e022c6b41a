"""The one seam to ECS: a request object of the SDK goes in, a map comes out.

The SDK builds the parameters and signs them; it never opens a connection. The signed text travels
as a POST form, so nothing secret stands in a URL, which proxies and error messages repeat. Every
try is signed afresh, since a nonce counts once.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from diskcsi.model.errors import DiskError, Throttled, UnknownOutcome, Unreachable
from diskcsi.ports.cloud import CallObserver, CloudCall
from diskcsi.providers.alibaba.credentials import Credentials, CredentialsSource
from diskcsi.providers.alibaba.errors import (
    asks_for_other_credentials,
    error_for,
    is_broken,
    mutating,
)

FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}

READ_TRIES: Final = 3
"""Of a read whose answer was lost, or that the cloud failed at: a pooled connection that had gone
stale needs a second one."""

READ_PAUSE_S: Final = 0.2
"""Between them; longer troubles are waited out by who asked."""

CONNECTIONS: Final = 100
"""At once; a hundred attaches on as many nodes go out together."""

TOLD_PARAMETERS: Final = (
    "DiskId", "InstanceId", "SnapshotId", "DiskName", "SnapshotName", "ZoneId",
)  # fmt: skip

RETRY_AFTER_HEADER: Final = "x-acs-retry-after"
"""Milliseconds that the gateway asks a throttled caller to wait."""

RATE_HEADERS: Final = ("x-ratelimit-user-api", "x-ratelimit-user")
"""Older gateways tell there, among other things, how many milliseconds are left of the window."""

TIME_LEFT: Final = re.compile(r"(?:^|,)\s*TimeLeft:(\d+)")


def build(action: str, parameters: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the SDK is untyped
    """The SDK's request object of a call, with parameters by the names of their setters.

    An empty text and None are left out; the SDK would send the word `None`.
    """
    module = importlib.import_module(f"aliyunsdkecs.request.v20140526.{action}Request")
    request = getattr(module, f"{action}Request")()
    for name, value in parameters.items():
        if value is None or value == "":
            continue
        text = str(value).lower() if isinstance(value, bool) else value
        if name == "RegionId":
            request.add_query_param(name, text)
        else:
            getattr(request, f"set_{name}")(text)
    return request


def id_list(ids: object) -> str:
    """A list of ids as the API wants it: a JSON array in one text."""
    return json.dumps(ids, separators=(",", ":"))


@contextmanager
def understood(action: str) -> Iterator[None]:
    """Turn any failure to read an answer of `action` into an error that says so.

    Raises:
        UnknownOutcome: the call changes something: it was accepted, and its result is not known.
        Unreachable: it doesn't.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        kind = UnknownOutcome if mutating(action) else Unreachable
        raise kind(
            f"{action}: the answer can't be read: {type(error).__name__} {error}",
            hint="check that the endpoint is that of the ECS API",
        ) from error


class Calls:
    """Sends requests of one region to one endpoint.

    Args:
        observer: told of every try, with the cloud's code.
        pause: waits that many seconds; a test gives one that doesn't.
    """

    def __init__(
        self,
        *,
        http: aiohttp.ClientSession,
        endpoint: str,
        region: str,
        credentials: CredentialsSource,
        observer: CallObserver,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._http = http
        self._endpoint = endpoint
        self._region = region
        self._credentials = credentials
        self._observer = observer
        self._pause = pause

    async def call(self, request: Any) -> dict[str, Any]:  # noqa: ANN401 - the SDK is untyped
        """The answer of a call.

        Raises:
            UnknownOutcome: it changes something, and no answer tells whether it did.
            Throttled: it was refused for its rate, and not carried out.
            Unreachable: it was not sent or a read got no answer, or the credentials are refused.
            DiskError: what the code means, by the table.
        """
        tries = 1 if mutating(request.get_action_name()) else READ_TRIES
        renewed = False
        while True:
            used = self._credentials.current()
            try:
                return await self._try(request, used)
            except Unreachable as error:
                if asks_for_other_credentials(error):
                    if renewed or self._credentials.current() == used:
                        raise
                    renewed = True
                    continue
                if tries <= 1 or not is_broken(error):
                    raise
            tries -= 1
            await self._pause(READ_PAUSE_S)

    async def _try(self, request: Any, credentials: Credentials) -> dict[str, Any]:  # noqa: ANN401
        action, began_s = request.get_action_name(), asyncio.get_running_loop().time()
        code, request_id = "lost", ""
        try:
            status, headers, body = await self._send(action, self._signed(request, credentials))
            request_id = str(body.get("RequestId") or "")
            code = "OK" if status == 200 else str(body.get("Code") or status)  # noqa: PLR2004
            if status == 200:  # noqa: PLR2004 - OK
                return body
            error = error_for(action, status, body, _about(request))
            if isinstance(error, Throttled):
                error.retry_after_s = _retry_after_s(headers)
            raise error
        finally:
            self._observer(
                CloudCall(
                    action=action,
                    mutating=mutating(action),
                    code=code,
                    request_id=request_id,
                    duration_s=asyncio.get_running_loop().time() - began_s,
                )
            )

    def _signed(self, request: Any, credentials: Credentials) -> str:  # noqa: ANN401
        """The form with every parameter and the signature over it."""
        request.set_accept_format("JSON")
        request.set_method("POST")
        parameters = request.get_query_params()
        parameters.pop("SecurityToken", None)  # of the former try
        if credentials.token:
            parameters["SecurityToken"] = credentials.token
        url: str = request.get_url(self._region, credentials.key_id, credentials.secret)
        return urlsplit(url).query

    async def _send(self, action: str, form: str) -> tuple[int, Mapping[str, str], dict[str, Any]]:
        try:
            async with self._http.post(
                f"{self._endpoint}/", data=form, headers=FORM, allow_redirects=False
            ) as answer:
                text = await answer.read()
                return answer.status, answer.headers, _decoded(answer.status, text)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unreachable(
                f"{action}: no connection to {self._endpoint}: {error}",
                hint="check the endpoint, the network type and the way there",
            ) from error
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._lost(action, error) from error

    def _lost(self, action: str, error: Exception) -> DiskError:
        what = "gave no answer in time" if isinstance(error, TimeoutError) else "lost the answer"
        if mutating(action):
            return UnknownOutcome(f"{action}: {self._endpoint} {what}")
        return Unreachable(f"{action}: {self._endpoint} {what}")


@asynccontextmanager
async def http_session(
    *,
    connect_timeout_s: float,
    call_timeout_s: float,
    headers: Iterable[tuple[str, str]] = (),
    proxy: str = "",
) -> AsyncIterator[aiohttp.ClientSession]:
    """Pooled connections with real timeouts; cookies and proxies of the environment are not used.

    Args:
        headers: sent with every call.
        proxy: the URL of the one that calls go through; empty: none.
    """
    async with aiohttp.ClientSession(
        proxy=proxy or None,
        connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        headers=dict(headers),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=call_timeout_s, sock_connect=connect_timeout_s),
    ) as session:
        yield session


def _decoded(status: int, text: bytes) -> dict[str, Any]:
    """The answer's map; a gateway's page in HTML has none and counts as a failure in the middle."""
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if isinstance(body, dict):
        return body
    if status == 200:  # noqa: PLR2004 - OK
        raise ValueError("the answer is no JSON object")
    return {}


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    told = [headers.get(RETRY_AFTER_HEADER, "")]
    for name in RATE_HEADERS:
        told += TIME_LEFT.findall(headers.get(name, ""))
    return next((int(text) / 1000 for text in told if text.isascii() and text.isdigit()), None)


def _about(request: Any) -> str:  # noqa: ANN401 - the SDK is untyped
    parameters = request.get_query_params()
    told = [str(parameters[name]) for name in TOLD_PARAMETERS if parameters.get(name)]
    return " ".join(told) or f"of the account in {parameters.get('RegionId') or 'no region'}"
