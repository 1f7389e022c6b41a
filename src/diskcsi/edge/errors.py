"""The one table from our errors to gRPC statuses.

It is total: a test walks every error class of the model. What no row knows is a bug: INTERNAL, or
ABORTED once a changing call went out, since callers take INTERNAL for "nothing was made" (the
finality that CSI's sidecars read into a status).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from diskcsi.model import errors

STATUS: Final[dict[type[BaseException], Status]] = {
    errors.InvalidArgument: Status.INVALID_ARGUMENT,
    errors.OutOfRange: Status.OUT_OF_RANGE,
    errors.NotFound: Status.NOT_FOUND,
    errors.AlreadyExists: Status.ALREADY_EXISTS,
    errors.Denied: Status.PERMISSION_DENIED,
    errors.Exhausted: Status.RESOURCE_EXHAUSTED,
    errors.InUse: Status.FAILED_PRECONDITION,
    errors.WrongState: Status.FAILED_PRECONDITION,
    errors.InvalidToken: Status.ABORTED,
    errors.Pending: Status.ABORTED,
    errors.Throttled: Status.UNAVAILABLE,
    errors.Unreachable: Status.UNAVAILABLE,
    errors.Unreadable: Status.UNAVAILABLE,
    errors.UnknownOutcome: Status.DEADLINE_EXCEEDED,
    TimeoutError: Status.DEADLINE_EXCEEDED,
    errors.Unsupported: Status.UNIMPLEMENTED,
}

BUG_MESSAGE: Final = "internal error; the driver's log tells more"


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in `error`: itself, or those of an exception group, however nested."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def status_of(error: BaseException) -> Status | None:
    """The table's row for this error, None when it is a bug."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)


def translate(error: Exception, *, mutated: bool) -> GRPCError:
    """The status that callers get; of a group, one error after which work may go on decides.

    Args:
        mutated: whether a call that changes something went out before.
    """
    found = [(status_of(leaf), leaf) for leaf in leaves(error)]
    unfinished = [(status, leaf) for status, leaf in found if _maybe_running(leaf)]
    if mutated and not unfinished and is_bug(error):
        return GRPCError(Status.ABORTED, BUG_MESSAGE)
    for status, leaf in unfinished or found:
        if isinstance(leaf, GRPCError):
            return leaf
        if status is not None:
            return GRPCError(status, str(leaf) or "the driver's own deadline has passed")
    return GRPCError(Status.INTERNAL, BUG_MESSAGE)


def is_bug(error: BaseException) -> bool:
    """Whether the log must show where it comes from: some error in it is none of the table's."""
    return any(
        isinstance(leaf, errors.Broken)
        or (status_of(leaf) is None and not isinstance(leaf, GRPCError))
        for leaf in leaves(error)
    )


def _maybe_running(error: BaseException) -> bool:
    return isinstance(error, errors.MAYBE_RUNNING)
