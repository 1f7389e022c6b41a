"""Every error that a use-case or a provider raises, as one tree.

The policy: an error's class says what is known about the cloud's state, and the edge
translates classes to gRPC statuses by one total table, never by message text.

    DiskError
      InvalidArgument, OutOfRange   the caller must change something; nothing was made
      NotFound                      volume, node, snapshot or source is surely absent
      AlreadyExists                 same name or path, other arguments
      Denied                        the cloud refused the credentials' rights
      Exhausted                     stock, quota or node limit; surely nothing was made
      InUse, WrongState             the object exists and its state forbids the call
      InvalidToken                  a listing's token that can't be continued
      Pending                       an operation may still be running
        NodeBusy                    the node is changing another disk, perhaps taking it off
        Broken                      a bug ended it midway
      Throttled, Unreachable        nothing was done; a later try may succeed
      UnknownOutcome                a mutating call went out and its effect is not known
      Unreadable                    the cloud refuses to be read: what exists is not known
      Unsupported                   a capability that the provider lacks

CSI makes finality depend on the class: `MAYBE_RUNNING` lists those after which a disk or an
attachment may exist, so the caller has to keep trying (CSI spec, CreateVolume errors).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final


class DiskError(Exception):
    """The root: what happened, to which object, and what to do about it.

    Attributes:
        message: what happened and to which object; no secret, no signature, no signed URL.
        hint: what the operator can do; empty when the message says it all.
        code: the cloud's own error code, empty when the cloud was not asked.
        request_id: the cloud's request id, empty when the cloud was not asked.
    """

    def __init__(
        self, message: str, *, hint: str = "", code: str = "", request_id: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.request_id = request_id

    def __str__(self) -> str:
        cloud = ", ".join(
            part
            for part in (self.code, f"request {self.request_id}" if self.request_id else "")
            if part
        )
        text = f"{self.message} ({cloud})" if cloud else self.message
        return f"{text}; {self.hint}" if self.hint else text


class InvalidArgument(DiskError):  # noqa: N818 - the CSI word, and they all read as what happened
    """The request can't be served as written. Final: nothing was changed."""


class OutOfRange(DiskError):  # noqa: N818
    """A size lies outside what the category or the limits allow. Final."""


class NotFound(DiskError):  # noqa: N818
    """The named object surely does not exist. Delete and detach turn it into success."""


class AlreadyExists(DiskError):  # noqa: N818
    """The name or path is taken by something with other arguments. Final."""


class Denied(DiskError):  # noqa: N818
    """The credentials lack a right; the message names the missing action. Final."""


class Exhausted(DiskError):  # noqa: N818
    """Stock, quota or a node's limit is used up, and surely nothing was made."""


class InUse(DiskError):  # noqa: N818
    """The object is held by another.

    Attributes:
        by: the id of the holder, empty when the cloud does not tell.
    """

    def __init__(
        self, message: str, *, by: str = "", hint: str = "", code: str = "", request_id: str = ""
    ) -> None:
        super().__init__(message, hint=hint, code=code, request_id=request_id)
        self.by = by


class WrongState(DiskError):  # noqa: N818
    """The object's state forbids the call: other filesystem, not proved blank, never attached."""


class InvalidToken(DiskError):  # noqa: N818
    """A listing can't go on from this token: begin it anew (CSI ListVolumes, ListSnapshots)."""


class Pending(DiskError):  # noqa: N818
    """An operation on the object may still be running. Not final."""


class NodeBusy(Pending):
    """The node is changing another of its disks, and takes this change afterwards. Not final.

    That may be a detach that hangs: where the node can only be busy with attaches, it is `Pending`.
    """


class Broken(Pending):
    """A bug ended an operation midway, and what it began may exist; the cause is the bug."""


class Throttled(DiskError):  # noqa: N818
    """The cloud refused the call for its rate; it was not executed. Not final.

    Attributes:
        retry_after_s: the pause in seconds that the cloud asked for; None when it did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        hint: str = "",
        code: str = "",
        request_id: str = "",
    ) -> None:
        super().__init__(message, hint=hint, code=code, request_id=request_id)
        self.retry_after_s = retry_after_s


class Unreachable(DiskError):  # noqa: N818
    """The cloud, or its credentials, can't be used now, and the call was not sent. Not final.

    Attributes:
        ids: of a read of several, those that the cloud tells no sense of; the others can be read
            without them. Empty when the failure is nobody's own.
    """

    def __init__(
        self,
        message: str,
        *,
        ids: Collection[str] = (),
        hint: str = "",
        code: str = "",
        request_id: str = "",
    ) -> None:
        super().__init__(message, hint=hint, code=code, request_id=request_id)
        self.ids = frozenset(ids)


class UnknownOutcome(DiskError):  # noqa: N818
    """A mutating call went out and no answer tells its effect: read before saying more."""


class Unreadable(DiskError):  # noqa: N818
    """A read was refused, such as for a missing right: what exists can't be told. Not final.

    The rules raise it, for whatever a provider raises on a read: a refusal to look says nothing of
    what an earlier call has made.
    """


class Unsupported(DiskError):  # noqa: N818
    """The provider lacks the capability. Final."""


MAYBE_RUNNING: Final[tuple[type[BaseException], ...]] = (
    Pending,
    Throttled,
    Unreachable,
    UnknownOutcome,
    Unreadable,
    TimeoutError,
)
"""Errors after which the object may exist or come to exist: only non-final answers."""
