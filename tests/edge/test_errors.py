"""What callers are told of our errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

import diskcsi.wiring  # noqa: F401 - so that every error class of the driver is there
from diskcsi.edge.errors import BUG_MESSAGE, STATUS, is_bug, translate
from diskcsi.model import errors
from diskcsi.model.errors import DiskError, InvalidArgument, NotFound, Pending

NOT_FINAL = {Status.CANCELLED, Status.DEADLINE_EXCEEDED, Status.UNAVAILABLE, Status.ABORTED}
"""After these the sidecars go on trying; after any other nothing must exist."""

BUG = KeyError("a secret of the request")


def tree(kind: type[DiskError]) -> Iterator[type[DiskError]]:
    for child in kind.__subclasses__():
        yield child
        yield from tree(child)


@pytest.mark.parametrize(
    "kind", sorted(set(tree(DiskError)), key=str), ids=lambda kind: kind.__name__
)
def test_every_error_of_the_model_has_a_status(kind: type[DiskError]) -> None:
    """A new error class can't be forgotten."""
    assert translate(kind("what happened"), mutated=False).status is not Status.INTERNAL


def test_every_row_stands_for_an_error_that_exists() -> None:
    """The table is no longer than the tree."""
    assert set(STATUS) <= {*tree(DiskError), TimeoutError}


@pytest.mark.parametrize("kind", errors.MAYBE_RUNNING, ids=lambda kind: kind.__name__)
def test_what_may_still_happen_is_told_as_not_final(kind: type[Exception]) -> None:
    """Or a disk that comes to exist later would be leaked."""
    assert translate(kind("what happened"), mutated=False).status in NOT_FINAL


def test_an_error_tells_what_happened_where_and_what_to_do() -> None:
    """The message is for people: the cloud's code, its request id and the way out are in it."""
    error = errors.Denied("disk d-1", code="Forbidden.RAM", request_id="R-1", hint="grant it")
    told = translate(error, mutated=False).message
    assert told == "disk d-1 (Forbidden.RAM, request R-1); grant it"


@pytest.mark.parametrize(
    ("error", "mutated", "status"),
    [
        (InvalidArgument("x"), False, Status.INVALID_ARGUMENT),
        (TimeoutError(), False, Status.DEADLINE_EXCEEDED),
        (ExceptionGroup("g", [InvalidArgument("x"), Pending("y")]), False, Status.ABORTED),
        (
            ExceptionGroup("g", [NotFound("x"), ExceptionGroup("h", [TimeoutError()])]),
            False,
            Status.DEADLINE_EXCEEDED,
        ),
        (ExceptionGroup("g", [BUG, NotFound("x")]), False, Status.NOT_FOUND),
        (ExceptionGroup("g", [BUG, NotFound("x")]), True, Status.ABORTED),
        (ExceptionGroup("g", [BUG, errors.Throttled("x")]), True, Status.UNAVAILABLE),
        (GRPCError(Status.OUT_OF_RANGE, "x"), True, Status.OUT_OF_RANGE),
        (ExceptionGroup("g", [GRPCError(Status.OUT_OF_RANGE)]), False, Status.OUT_OF_RANGE),
        (BUG, False, Status.INTERNAL),
        (BUG, True, Status.ABORTED),
        (PermissionError(13, "denied"), False, Status.INTERNAL),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_the_status_of(error: Exception, *, mutated: bool, status: Status) -> None:
    """Of a group the error decides after which something may still happen."""
    assert translate(error, mutated=mutated).status is status


@pytest.mark.parametrize("mutated", [False, True])
def test_a_bug_s_own_words_never_leave_the_process(*, mutated: bool) -> None:
    """They may repeat a part of the request."""
    assert translate(BUG, mutated=mutated).message == BUG_MESSAGE


def test_our_own_deadline_is_told_in_words() -> None:
    """A TimeoutError has none of its own."""
    assert "deadline" in (translate(TimeoutError(), mutated=False).message or "")


@pytest.mark.parametrize(
    ("error", "bug"),
    [
        (BUG, True),
        (OSError(5, "I/O error"), True),
        (errors.Broken("midway"), True),
        (ExceptionGroup("g", [NotFound("x"), BUG]), True),
        (NotFound("x"), False),
        (TimeoutError(), False),
        (GRPCError(Status.UNIMPLEMENTED), False),
    ],
    ids=repr,
)
def test_what_the_log_has_to_explain(error: Exception, *, bug: bool) -> None:
    """A traceback stands there for what no row foresaw, and for nothing else."""
    assert is_bug(error) is bug
