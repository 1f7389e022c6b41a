"""Who calls, and whether the call is fresh, signed and allowed: ECS' checks in their order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from mockcloud.errors import ApiError
from mockcloud.wire import signing

WINDOW: Final = timedelta(minutes=15)
"""How far a timestamp may be off, and how long a nonce is remembered."""

VERSION: Final = "2014-05-26"
TIMESTAMP: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
SIGNATURE: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """One key pair of the account.

    Attributes:
        token: the session token that must come along, for a temporary key.
        token_expires: when the token ends; None: never.
        denied: names of the calls that its policy denies; `*` denies all.
    """

    id: str
    secret: str
    disabled: bool = False
    token: str = ""
    token_expires: datetime | None = None
    denied: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"AccessKey({self.id!r})"


class Authenticator:
    """Checks every call before anything else sees it.

    Args:
        now: the time in UTC.
    """

    def __init__(self, *, keys: Mapping[str, AccessKey], now: Callable[[], datetime]) -> None:
        self._keys = dict(keys)
        self._now = now
        self._nonces: dict[tuple[str, str], datetime] = {}

    def replace_keys(self, keys: Mapping[str, AccessKey]) -> None:
        """Other keys from now on, as when somebody rotates or disables one."""
        self._keys = dict(keys)

    def authenticate(self, method: str, params: Mapping[str, str]) -> AccessKey:
        """The key that signed the call.

        Raises:
            ApiError: what ECS would answer.
        """
        _check_present(params, "AccessKeyId")
        key = self._keys.get(params["AccessKeyId"])
        if key is None:
            raise ApiError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        if key.disabled:
            raise ApiError(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
        self._check_time(params)
        _check_method(params)
        _check_present(params, "SignatureNonce")
        _check_present(params, "Signature")
        if not SIGNATURE.fullmatch(params["Signature"]):
            raise ApiError(
                400,
                "IncompleteSignature",
                "The request signature does not conform to standards.",
            )
        if not signing.matches(method, params, key.secret):
            raise ApiError(
                400,
                "SignatureDoesNotMatch",
                "Specified signature is not matched with our calculation. server string to sign"
                f" is:{signing.string_to_sign(method, params)}",
            )
        self._check_nonce(key, params["SignatureNonce"])
        self._check_token(key, params)
        return key

    def authorize(self, key: AccessKey, action: str) -> None:
        """Refuse an action that the key's policy denies."""
        if action in key.denied or "*" in key.denied:
            raise ApiError(
                403,
                "Forbidden.RAM",
                "User not authorized to operate on the specified resource, or this API doesn't"
                " support RAM.",
                extra={
                    "AccessDeniedDetail": {
                        "AuthAction": f"ecs:{action}",
                        "AuthPrincipalType": "SubUser",
                        "AuthPrincipalDisplayName": "mockcloud",
                        "NoPermissionType": "ImplicitDeny",
                        "PolicyType": "AccountLevelIdentityBasedPolicy",
                    }
                },
            )

    def _check_time(self, params: Mapping[str, str]) -> None:
        _check_present(params, "Timestamp")
        text = params["Timestamp"]
        told = _moment(text)
        if told is None:
            raise ApiError(
                400,
                "InvalidTimeStamp.Format",
                "Specified time stamp or date value is not well formatted.",
            )
        if abs(self._now() - told) > WINDOW:
            raise ApiError(
                400,
                "InvalidTimeStamp.Expired",
                "Specified time stamp or date value is expired.",
            )

    def _check_nonce(self, key: AccessKey, nonce: str) -> None:
        """Only a rightly signed call burns its nonce, or anybody could burn another's."""
        now = self._now()
        if len(self._nonces) > 10_000:  # noqa: PLR2004 - a few minutes of a busy test
            self._nonces = {k: at for k, at in self._nonces.items() if now - at <= 2 * WINDOW}
        seen = self._nonces.get((key.id, nonce))
        if seen is not None and now - seen <= WINDOW:
            raise ApiError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self._nonces[(key.id, nonce)] = now

    def _check_token(self, key: AccessKey, params: Mapping[str, str]) -> None:
        given = params.get("SecurityToken", "")
        if not key.token and not given:
            return
        if not given:
            raise ApiError(
                400, "MissingSecurityToken", "SecurityToken is mandatory for this action."
            )
        if given != key.token:
            foreign = any(given == other.token for other in self._keys.values())
            kind = "MismatchWithAccessKey" if foreign else "Malformed"
            said = "mismatch with the AccessKey" if foreign else "is malformed"
            raise ApiError(400, f"InvalidSecurityToken.{kind}", f"Specified SecurityToken {said}.")
        if key.token_expires is not None and self._now() >= key.token_expires:
            raise ApiError(
                400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired."
            )


def _moment(text: str) -> datetime | None:
    if not TIMESTAMP.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:  # the thirteenth month
        return None


def check_call(method: str, params: Mapping[str, str]) -> None:
    """The checks before the key is looked at: verb, version and format."""
    if method not in ("GET", "POST"):
        raise ApiError(400, "UnsupportedHTTPMethod", "This http method is not supported.")
    _check_present(params, "Action")
    _check_present(params, "Version")
    if params["Version"] != VERSION:
        raise ApiError(400, "InvalidVersion", "Specified parameter Version is not valid.")
    if params.get("Format", "XML").upper() not in ("JSON", "XML"):
        raise ApiError(
            400, "InvalidParameter.Format", "Specified parameter Format is neither XML nor JSON."
        )


def _check_method(params: Mapping[str, str]) -> None:
    if params.get("SignatureMethod") != "HMAC-SHA1" or params.get("SignatureVersion") != "1.0":
        raise ApiError(400, "InvalidSignatureMethod", "Specified signature method is not valid.")


def _check_present(params: Mapping[str, str], name: str) -> None:
    if not params.get(name):
        raise ApiError(400, f"Missing{name}", f"{name} is mandatory for this action.")
