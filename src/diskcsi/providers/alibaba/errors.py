"""What an answer of ECS that is an error means, in our words.

A call that changes something and fails with 5xx may have had its effect, so it is `UnknownOutcome`
whatever the code; a 4xx is a refusal that came before any effect. An answer without a code was
given by something else than the API, and tells nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from diskcsi.model.errors import Denied, DiskError, UnknownOutcome, Unreachable
from diskcsi.providers.alibaba.codes import SERVER_FAILURE, Kind, kind_of

CREDENTIAL_PREFIXES: Final = (
    "InvalidSecurityToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "MissingSecurityToken",
    "Forbidden.AccessKeyDisabled", "InvalidParameter",
)  # fmt: skip
"""Codes of `Unreachable` after which other credentials may help; the last one is the odd way of
some gateways to say that a session token is over."""

TOKEN_PARAMETER: Final = "SecurityToken"  # noqa: S105 - a parameter's name
"""Which parameter an `InvalidParameter` is about stands in its message alone."""

SENT_TWICE: Final = "SignatureNonceUsed"
"""A nonce is drawn for every try, so something on the way sent one try twice, and it is the second
one that was refused."""

BROKEN_PREFIXES: Final = (
    "InternalError", "ServiceUnavailable", "UnknownError", "LimitedOperation.ServiceUnavailable",
    SENT_TWICE,
)  # fmt: skip
"""Codes after which a read is asked again at once."""

WHICH_REGION: Final = "set REGION_ID to a region that this endpoint serves, such as cn-hangzhou"

HINTS: Final[Mapping[str, str]] = {
    "IncorrectDiskStatus.NeverAttached": "use the volume in a pod once, then snapshot it",
    "IncorrectDiskStatus.NeverUsed": "write something to the volume, then snapshot it",
    "InvalidZoneId.NotFound": "name a zone of the region in the class's zoneId, or none",
    "ResourcesNotInSameZone": "a disk attaches to machines of its own zone only",
    "InstanceDiskLimitExceeded": "the machine holds as many disks as its type takes",
    "DiskAttachedNumberExceeded": "detach the disk from another machine first",
    "InvalidInstanceStatus.NotRunning": "start the machine, or detach the volume, then grow it",
    "DiskInArrears": "pay what the account owes",
    "InstanceExpiredOrInArrears": "renew the machine, or pay what the account owes",
    "Account.Arrearage": "pay what the account owes",
    "UserNotInTheWhiteList": "ask the cloud's support to open this feature for the account",
    "InvalidDiskCategory.ValueUnauthorized": "ask the cloud's support to open this category",
    "InvalidParameter.KMSKeyId.CMKUnauthorized": "let ECS use the KMS key",
    "InvalidParameter.KMSKeyId.KMSUnauthorized": "let ECS use KMS in this account",
    "Forbidden.AccessKeyDisabled": "enable the key, or give another key pair",
    "InvalidAccessKeyId.Inactive": "enable the key, or give another key pair",
    "InvalidTimeStamp.Expired": "the clock of this machine is off: set it",
    "SignatureDoesNotMatch": "the key secret is not the one of this key id",
    "InvalidAccessKeyId.NotFound": "the key id does not exist in this account any more",
    "InvalidRegion.NotFound": WHICH_REGION,
    "InvalidRegionId.NotFound": WHICH_REGION,
    "InvalidRegionId.MalFormed": WHICH_REGION,
}
"""What a person can do about a code."""


def mutating(action: str) -> bool:
    """Whether a call changes something."""
    return not action.startswith(("Describe", "List"))


def error_for(action: str, status: int, body: Mapping[str, Any], about: str) -> DiskError:
    """What an answer that is an error means.

    Args:
        body: of the answer; its `Message` is shown, for ECS puts no secret there beside the text
            that was to be signed, which is left out.
        about: the objects that the call was for.
    """
    code, request_id = str(body.get("Code") or ""), str(body.get("RequestId") or "")
    if mutating(action) and (status >= SERVER_FAILURE or code == SENT_TWICE):
        return UnknownOutcome(
            f"{action} {about}: the cloud failed in the middle", code=code, request_id=request_id
        )
    if not code:
        return _not_of_the_api(action, status, about)
    kind = kind_of(action, status, code)
    message = str(body.get("Message") or "")
    if code == "InvalidParameter" and TOKEN_PARAMETER in message:
        kind = Unreachable
    said = message.partition("string to sign")[0].strip()
    return kind(
        f"{action} {about}: {said or code}",
        hint=_hint(kind, action, code, body),
        code=code,
        request_id=request_id,
    )


def asks_for_other_credentials(error: Unreachable) -> bool:
    """Whether the answer means that the key pair is old."""
    return error.code.startswith(CREDENTIAL_PREFIXES)


def is_broken(error: Unreachable) -> bool:
    """Whether the answer was lost or the cloud failed, so that asking again at once may help."""
    return not error.code or error.code.startswith(BROKEN_PREFIXES)


def _not_of_the_api(action: str, status: int, about: str) -> DiskError:
    kind = UnknownOutcome if mutating(action) else Unreachable
    return kind(
        f"{action} {about}: HTTP {status} without an error code, which the API never answers",
        hint="check the endpoint, and what stands in between",
    )


def _hint(kind: Kind, action: str, code: str, body: Mapping[str, Any]) -> str:
    if known := HINTS.get(code):
        return known
    if kind is not Denied:
        return ""
    detail = body.get("AccessDeniedDetail")
    wanted = detail.get("AuthAction") if isinstance(detail, Mapping) else None
    return f"grant the RAM action {wanted or f'ecs:{action}'} to the driver's user"
