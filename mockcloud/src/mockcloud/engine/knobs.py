"""The odd ways of the cloud that one may choose."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final


class WorldError(ValueError):
    """The world can't be as it is told; the message says what and where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """Where the real cloud's answer is not known or differs, one may choose.

    How long things take, and what lags behind what, is told by the latency steps instead.

    Attributes:
        delete_unknown: status for deleting what doesn't exist: 404 or 200.
        token_mismatch_status: 400 or 403.
        token_recorded_on_failure: whether a create that failed spends its token.
        token_ttl_s: how long a token is remembered.
        snapshot_needs_attach: whether a disk must have been attached once to be snapshotted.
        restore_smaller: `enlarge` or `refuse` a disk that is smaller than its snapshot.
        attach_on_detaching: `refuse` an attach of a disk that is Detaching, or `accept` it and
            let it wait for the end of the detach.
        running_but_refused_s: how long a machine that reads Running still refuses attaches.
        in_use_delete_code: code for deleting a disk that is attached.
        stockout_code: code for a zone that is sold out.
        conflict_code: code for an attach beside another change of the machine, and for a detach
            beside an attach.
        detach_conflict_code: code for a second detach from a machine that takes one at a time.
        null_attachments: how an Available disk shows its attachments: `absent`, `empty`, `null`.
        unset_fields: how a disk shows texts that it lacks: `empty`, or `omitted` altogether.
        disk_capacity_gib: of one category in one zone before the quota is used up; 0: no limit.
        writes_per_minute, reads_per_minute: of one action before it is throttled; 0: no limit.
        throttle_status: 400, 403 or 429.
        parallel_attach, parallel_detach: caps of a machine that is tagged for parallel work.
        metadata_tokens_required: whether the metadata service answers nobody without a token.
    """

    delete_unknown: int = 404
    token_mismatch_status: int = 400
    token_recorded_on_failure: bool = False
    token_ttl_s: float = 86400.0
    snapshot_needs_attach: bool = True
    restore_smaller: str = "enlarge"
    attach_on_detaching: str = "refuse"
    running_but_refused_s: float = 0.0
    in_use_delete_code: str = "IncorrectDiskStatus"
    stockout_code: str = "InvalidDataDiskCategory.ValueNotSupported"
    conflict_code: str = "InvalidOperation.Conflict"
    detach_conflict_code: str = "DisksDetachingOnEcsExceeded"
    null_attachments: str = "absent"
    unset_fields: str = "empty"
    disk_capacity_gib: int = 0
    writes_per_minute: int = 500
    reads_per_minute: int = 1000
    throttle_status: int = 400
    parallel_attach: int = 32
    parallel_detach: int = 5
    metadata_tokens_required: bool = False

    def __post_init__(self) -> None:
        for item in fields(self):
            value, default = getattr(self, item.name), item.default
            if type(value) is not type(default) and not (
                type(default) is float and type(value) is int
            ):
                kind = type(default).__name__
                raise WorldError(
                    f"knob {item.name} is {value!r}: allowed is a value of type {kind}"
                )
            if value not in (allowed := CHOICES.get(item.name, (value,))):
                words = ", ".join(str(one) for one in allowed)
                raise WorldError(f"knob {item.name} is {value!r}: allowed are {words}")

    def changed(self, given: Mapping[str, str]) -> Knobs:
        """The same with some of them set, as one writes them on a command line.

        Raises:
            WorldError: one is unknown, or can't be read.
        """
        kinds = {item.name: type(item.default) for item in fields(self)}
        changes: dict[str, Any] = {}
        for name, text in given.items():
            if name not in kinds:
                raise WorldError(f"no knob {name!r}: allowed are {', '.join(kinds)}")
            changes[name] = _read(name, kinds[name], text)
        return dataclasses.replace(self, **changes)


CHOICES: Final[Mapping[str, tuple[object, ...]]] = {
    "delete_unknown": (404, 200),
    "token_mismatch_status": (400, 403),
    "restore_smaller": ("enlarge", "refuse"),
    "attach_on_detaching": ("refuse", "accept"),
    "in_use_delete_code": ("IncorrectDiskStatus", "DiskStillAttached"),
    "stockout_code": (
        "InvalidDataDiskCategory.ValueNotSupported",
        "OperationDenied.NoStock",
        "InvalidDiskCategory.NotSupported",
    ),
    "conflict_code": ("InvalidOperation.Conflict", "OperationConflict"),
    "detach_conflict_code": ("DisksDetachingOnEcsExceeded", "InvalidOperation.Conflict"),
    "null_attachments": ("absent", "empty", "null"),
    "unset_fields": ("empty", "omitted"),
    "throttle_status": (400, 403, 429),
}
"""The values of the knobs that take only some, the default first."""


def _read(name: str, kind: type, text: str) -> object:
    if kind is bool:
        if text not in ("true", "false"):
            raise WorldError(f"knob {name} is {text!r}: allowed are true, false")
        return text == "true"
    try:
        return kind(text)
    except ValueError:
        raise WorldError(f"knob {name} is {text!r}: allowed is a number") from None
