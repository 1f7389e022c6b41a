"""ClientTokens: the same request again gives the same answer, another request is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mockcloud.engine.clock import Clock
from mockcloud.engine.knobs import Knobs
from mockcloud.errors import ApiError
from mockcloud.wire.params import Params

TOKEN_LIMIT: Final = 64

NOT_PARAMETERS: Final = frozenset({
    "Signature", "SignatureNonce", "Timestamp", "SecurityToken", "AccessKeyId", "SignatureType",
    "SignatureMethod", "SignatureVersion", "Format",
})  # fmt: skip
"""What differs from try to try of one request."""

Fingerprint = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Spent:
    request: Fingerprint
    answer: dict[str, str] | None
    at: float


STILL_RUNNING: Final = {"CreateSnapshot": "IdempotentProcessing"}
"""The code for a token whose first request isn't answered yet, where it isn't the usual one."""


class Tokens:
    """The tokens that were spent, or are being spent."""

    def __init__(self, *, clock: Clock, knobs: Knobs) -> None:
        self._clock = clock
        self._knobs = knobs
        self._spent: dict[tuple[str, str], _Spent] = {}
        self._running: set[tuple[str, str]] = set()

    @contextlib.contextmanager
    def running(self, action: str, params: Params) -> Iterator[None]:
        """Hold the request's token while the request is carried out.

        Raises:
            ApiError: another request with it still runs.
        """
        token = params.text("ClientToken")
        if not token:
            yield
            return
        if (action, token) in self._running:
            raise ApiError(
                403,
                STILL_RUNNING.get(action, "LastTokenProcessing"),
                "The last request with this client token is still being processed.",
            )
        self._running.add((action, token))
        try:
            yield
        finally:
            self._running.discard((action, token))

    def replay(self, action: str, params: Params) -> dict[str, str] | None:
        """The answer of the earlier request with this token; None when it is new or absent.

        Raises:
            ApiError: the token was spent on another request, or has the wrong form.
        """
        token = params.text("ClientToken")
        if not token:
            return None
        if len(token) > TOKEN_LIMIT or not token.isascii():
            raise ApiError(
                403, "InvalidClientToken.Malformed", "The specified ClientToken is not valid."
            )
        spent = self._spent.get((action, token))
        if spent is None or self._clock.time() - spent.at > self._knobs.token_ttl_s:
            return None
        if spent.request != _fingerprint(params):
            raise ApiError(
                self._knobs.token_mismatch_status,
                "IdempotentParameterMismatch",
                "The request uses the same client token as a previous, but non-identical request.",
            )
        return spent.answer

    def spend(self, action: str, params: Params, answer: dict[str, str] | None) -> None:
        """Remember the request, None for one that failed and left its token spent."""
        token = params.text("ClientToken")
        if token:
            self._spent[(action, token)] = _Spent(_fingerprint(params), answer, self._clock.time())

    def forget(self, answer: dict[str, str]) -> None:
        """Take back an answer: nothing came of it, and the request is a new one when it comes again."""
        self._spent = {key: one for key, one in self._spent.items() if one.answer != answer}

    def told(self) -> list[list[Any]]:
        """Every token that still counts, to be written down."""
        now = self._clock.time()
        return [
            [action, token, spent.request, spent.answer, spent.at]
            for (action, token), spent in self._spent.items()
            if now - spent.at <= self._knobs.token_ttl_s
        ]

    def remember(self, told: Iterable[Sequence[Any]]) -> None:
        """What `told` gave before a restart."""
        for action, token, request, answer, at in told:
            pairs = tuple((name, value) for name, value in request)
            self._spent[(action, token)] = _Spent(pairs, answer, at)


def _fingerprint(params: Params) -> Fingerprint:
    return tuple(
        sorted((name, value) for name, value in params.items() if name not in NOT_PARAMETERS)
    )
