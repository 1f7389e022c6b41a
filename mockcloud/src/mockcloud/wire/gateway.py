"""Where every API call comes in: gather, check, act, answer, remember."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from mockcloud.errors import ApiError
from mockcloud.faults import Fault, Faults
from mockcloud.wire import bodies
from mockcloud.wire.auth import Authenticator, check_call
from mockcloud.wire.calls import Call, CallLog, shown, shown_target
from mockcloud.wire.params import Params

Answer = dict[str, Any]
Act = Callable[[str, Params], Awaitable[Answer]]
"""Carries out the action of this name; raises ApiError."""

MADE: Final = {"CreateDisk": "DiskId", "CreateSnapshot": "SnapshotId"}
"""What an order makes, by the field of its answer that names it."""


@dataclass(slots=True)
class _Outcome:
    response: web.Response
    status: int
    code: str
    lost: bool = False
    fault: str = ""
    made: str = ""


class Gateway:
    """The handler of `/`."""

    def __init__(
        self,
        *,
        auth: Authenticator,
        actions: frozenset[str],
        act: Act,
        faults: Faults,
        log: CallLog,
    ) -> None:
        self._auth = auth
        self._actions = actions
        self._act = act
        self._faults = faults
        self._log = log

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one call."""
        began = time.monotonic()
        seq, call_id = self._log.next_seq(), bodies.request_id()
        try:
            params = await _gather(request)
        except web.HTTPRequestEntityTooLarge:
            too_large = ApiError(
                413, "RequestEntityTooLarge", "The body of the request is too large."
            )
            return bodies.failure(too_large, request.host, call_id, xml=False)
        outcome = await self._answer(request, params, call_id)
        self._log.add(
            Call(
                seq=seq,
                at=time.time(),
                action=params.get("Action", ""),
                access_key_id=params.get("AccessKeyId", ""),
                params=shown(params),
                method=request.method,
                target=shown_target(request.raw_path),
                status=outcome.status,
                code=outcome.code,
                request_id=call_id,
                duration_s=round(time.monotonic() - began, 6),
                lost=outcome.lost,
                fault=outcome.fault,
                made=outcome.made,
            )
        )
        if outcome.lost and request.transport is not None:
            request.transport.abort()
        return outcome.response

    async def _answer(
        self, request: web.Request, params: Mapping[str, str], call_id: str
    ) -> _Outcome:
        xml = params.get("Format", "XML").upper() == "XML"
        fault: Fault | None = None
        try:
            self._check(request, params)
            fault = self._faults.strike(params["Action"], params)
            answer = await self._carried_out(params, fault)
        except ApiError as error:
            response = bodies.failure(error, request.host, call_id, xml=xml)
            return _Outcome(response, error.status, error.code, fault=_kind(fault))
        except Exception:
            # an SDK can't read a page of the web server: whatever broke, it gets a code
            logging.getLogger(__name__).exception("%s failed", params.get("Action"))
            broken = ApiError(500, "InternalError", "The request failed due to an unknown error.")
            response = bodies.failure(broken, request.host, call_id, xml=xml)
            return _Outcome(response, 500, broken.code, fault=_kind(fault))
        if answer is None:
            response = web.Response(status=500)
            return _Outcome(response, 0, "RequestLost", lost=True, fault=_kind(fault))
        response = bodies.success(params["Action"], answer, call_id, xml=xml)
        lost = fault is not None and fault.drops_reply
        made = str(answer.get(MADE.get(params["Action"], ""), ""))
        return _Outcome(response, 200, "OK", lost=lost, fault=_kind(fault), made=made)

    def _check(self, request: web.Request, params: Mapping[str, str]) -> None:
        """Whether the call is one that is served, by a key that may make it."""
        if request.path != "/":
            raise ApiError(404, "InvalidApi.NotFound", "Specified api is not found.")
        check_call(request.method, params)
        if params["Action"] not in self._actions:
            raise ApiError(
                404,
                "InvalidAction.NotFound",
                "Specified api is not found, please check your url and method.",
            )
        key = self._auth.authenticate(request.method, params)
        self._auth.authorize(key, params["Action"])

    async def _carried_out(self, params: Mapping[str, str], fault: Fault | None) -> Answer | None:
        """The answer; None when the request never arrived."""
        if fault is not None:
            await self._faults.before(fault)
            if fault.drops_request:
                return None
        answer = await self._act(params["Action"], Params(params))
        if fault is not None and fault.holds_reply:
            await self._faults.after(fault)
        return answer


def _kind(fault: Fault | None) -> str:
    return fault.kind if fault else ""


async def _gather(request: web.Request) -> dict[str, str]:
    """Query and form together; of a name that comes twice the last value counts."""
    params = {name: value for name, value in request.query.items()}  # noqa: C416 - dict() takes the first
    if request.content_type == "application/x-www-form-urlencoded":
        params |= {name: str(value) for name, value in (await request.post()).items()}
    return params
