from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from diskcsi.model import errors as model
from diskcsi.providers.alibaba.codes import BY_CALL, BY_CALL_AND_STATUS, BY_CODE
from diskcsi.providers.alibaba.errors import error_for, mutating

CALLS = (
    "CreateDisk", "DeleteDisk", "ResizeDisk", "DescribeDisks", "AttachDisk", "DetachDisk",
    "CreateSnapshot", "DeleteSnapshot", "DescribeSnapshots", "DescribeInstances",
)  # fmt: skip
CHANGING = tuple(name for name in CALLS if not name.startswith("Describe"))
READING = tuple(name for name in CALLS if name.startswith("Describe"))


class Row(NamedTuple):
    call: str
    status: int
    code: str
    error: str


def _rows() -> list[Row]:
    text = (Path(__file__).parent / "data" / "codes.txt").read_text()
    rows = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            call, status, code, error = line.split()
            named = ("CreateDisk", "DescribeDisks") if call == "*" else (call,)
            rows += [Row(name, int(status), code, error) for name in named]
    return rows


ROWS = _rows()


def _told(row: Row) -> model.DiskError:
    body = {"Code": row.code, "Message": "It is so.", "RequestId": "R-1"}
    return error_for(row.call, row.status, body, "d-1")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.call}-{row.status}-{row.code}")
def test_each_documented_code_means_what_it_says(row: Row) -> None:
    """Every code of every call we make becomes the error that its meaning asks for."""
    assert type(_told(row)).__name__ == row.error


def test_the_table_holds_the_documented_codes_and_no_others() -> None:
    """No documented code is left to be guessed, and no row stands there without a reason."""
    assert set(BY_CODE) == {row.code for row in ROWS}


def test_a_row_of_one_call_speaks_of_a_documented_code_of_that_call() -> None:
    """Rows for one call are no leftovers: the pages list the code for it."""
    own = {key[:2] for key in [*BY_CALL, *((call, code) for call, code, _ in BY_CALL_AND_STATUS)]}

    assert own <= {(row.call, row.code) for row in ROWS}


@pytest.mark.parametrize("action", CHANGING)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("code", ["InternalError", "ServiceUnavailable", "InvalidDiskId.NotFound"])
def test_a_changing_call_that_fails_with_5xx_has_an_unknown_outcome(
    action: str, status: int, code: str
) -> None:
    """Whatever code a broken server sends along, the change may have happened."""
    error = error_for(action, status, {"Code": code}, "d-1")

    assert type(error) is model.UnknownOutcome


@pytest.mark.parametrize("action", READING)
@pytest.mark.parametrize(
    "code",
    ["InternalError", "ServiceUnavailable", "ServiceUnavailable.RegionMaintaining", "UnknownError",
     "LimitedOperation.ServiceUnavailable", "NobodyKnows"],
)  # fmt: skip
def test_a_read_that_fails_with_5xx_is_unreachable(action: str, code: str) -> None:
    """A read changes nothing, so its failure is only a failure to ask."""
    assert type(error_for(action, 503, {"Code": code}, "d-1")) is model.Unreachable


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, model.InvalidArgument), (401, model.Denied), (403, model.WrongState),
        (409, model.Pending), (429, model.Throttled),
    ],
)  # fmt: skip
def test_an_unknown_code_is_read_from_the_status(
    status: int, expected: type[model.DiskError]
) -> None:
    """A code that nobody has told us of still has a status."""
    assert type(error_for("CreateDisk", status, {"Code": "Brand.New"}, "x")) is expected


@pytest.mark.parametrize("action", CHANGING)
def test_an_unknown_404_is_never_taken_for_absence(action: str) -> None:
    """Deleting and detaching take NotFound for success, so only a known code may say it."""
    error = error_for(action, 404, {"Code": "Something.NotFound"}, "d-1")

    assert not isinstance(error, model.NotFound)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("Throttling.Brand.New", model.Throttled), ("Forbidden.New", model.Denied),
        ("InvalidSecurityToken.New", model.Unreachable), ("QuotaExceed.New", model.Exhausted),
        ("InvalidDataDiskCategory.New", model.Exhausted), ("MissingThing", model.InvalidArgument),
    ],
)  # fmt: skip
def test_a_new_member_of_a_family_means_what_the_family_means(
    code: str, expected: type[model.DiskError]
) -> None:
    """Families such as Throttling get new members without a word."""
    assert type(error_for("CreateDisk", 400, {"Code": code}, "x")) is expected


@pytest.mark.parametrize("status", [301, 400, 403, 404, 407, 413])
@pytest.mark.parametrize("action", CHANGING)
def test_an_answer_without_a_code_leaves_a_change_unknown(action: str, status: int) -> None:
    """A proxy's page is no word of the API: neither a refusal nor absence."""
    assert type(error_for(action, status, {}, "d-1")) is model.UnknownOutcome


@pytest.mark.parametrize("status", [301, 403, 404])
def test_an_answer_without_a_code_to_a_read_is_unreachable(status: int) -> None:
    """Nothing is known of the disks when something else than the API answers."""
    assert type(error_for("DescribeDisks", status, {}, "x")) is model.Unreachable


def test_a_nonce_that_was_used_leaves_a_change_unknown() -> None:
    """Each try has a nonce of its own, so the first copy of this try did arrive."""
    error = error_for("CreateDisk", 400, {"Code": "SignatureNonceUsed"}, "x")

    assert type(error) is model.UnknownOutcome


def test_the_message_does_not_decide() -> None:
    """Each code means the same whatever text comes with it."""
    odd = "InvalidDiskId.NotFound Throttling: the disk does not exist"
    kinds = {
        row: type(error_for(row.call, row.status, {"Code": row.code, "Message": odd}, "d-1"))
        for row in ROWS
    }

    assert kinds == {row: type(_told(row)) for row in ROWS}


def test_a_session_token_that_is_over_is_told_by_the_parameter_that_was_refused() -> None:
    """Some gateways refuse an old token as a parameter and name the parameter in the text only."""
    body = {"Code": "InvalidParameter", "Message": 'The parameter "SecurityToken.Expired" is bad.'}

    assert type(error_for("CreateDisk", 400, body, "x")) is model.Unreachable


def test_denied_names_the_action_that_the_cloud_wants_granted() -> None:
    """The cloud tells which right was missing; the hint passes it on."""
    detail = {"AccessDeniedDetail": {"AuthAction": "ecs:TagResources"}}
    error = error_for("CreateDisk", 403, {"Code": "Forbidden.RAM", **detail}, "pvc-1")

    assert error.hint == "grant the RAM action ecs:TagResources to the driver's user"


@pytest.mark.parametrize("detail", [{}, {"AccessDeniedDetail": None}, {"AccessDeniedDetail": "x"}])
def test_denied_names_the_call_where_the_cloud_tells_no_action(detail: dict[str, object]) -> None:
    """Without a detail the action of the call itself is the best guess."""
    error = error_for("AttachDisk", 403, {"Code": "Forbidden.RAM", **detail}, "d-1")

    assert "ecs:AttachDisk" in error.hint


@pytest.mark.parametrize(
    "code", ["UserNotInTheWhiteList", "InvalidParameter.KMSKeyId.CMKUnauthorized"]
)
def test_denied_for_another_reason_than_ram_does_not_ask_for_a_ram_action(code: str) -> None:
    """Granting a right would not help here, and the hint says what would."""
    error = error_for("CreateDisk", 403, {"Code": code}, "pvc-1")

    assert error.hint
    assert "RAM action" not in error.hint


def test_a_disk_that_was_never_attached_is_refused_with_a_way_out() -> None:
    """The person who wants a snapshot learns what has to happen first."""
    body = {"Code": "IncorrectDiskStatus.NeverAttached"}
    error = error_for("CreateSnapshot", 403, body, "d-1")

    assert "use the volume in a pod once" in error.hint


def test_an_error_tells_what_was_done_to_what_and_what_the_cloud_said() -> None:
    """One line is enough to find the call in the cloud's own logs."""
    body = {"Code": "ResourcesNotInSameZone", "Message": "Not in one zone.", "RequestId": "R-7"}
    error = error_for("AttachDisk", 403, body, "d-1 i-2")

    assert str(error) == (
        "AttachDisk d-1 i-2: Not in one zone. (ResourcesNotInSameZone, request R-7);"
        " a disk attaches to machines of its own zone only"
    )


def test_the_text_that_was_signed_is_never_shown() -> None:
    """ECS repeats every signed parameter, key id and token among them, after a wrong signature."""
    said = "Specified signature is not matched. server string to sign is:POST&%2F&AccessKeyId%3DAK"
    error = error_for("CreateDisk", 400, {"Code": "SignatureDoesNotMatch", "Message": said}, "x")

    assert "AccessKeyId" not in str(error)


@pytest.mark.parametrize("action", CALLS)
def test_every_call_that_is_no_read_counts_as_changing(action: str) -> None:
    """The name decides, so a new call is taken for a changing one until it says Describe."""
    assert mutating(action) is (action in CHANGING)
