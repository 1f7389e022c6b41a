"""The one error that an action raises: what the cloud would answer."""

from __future__ import annotations

from collections.abc import Mapping


class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        status: of HTTP.
        code: what clients act on.
        extra: more members of the error's body, such as `AccessDeniedDetail`.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str = "",
        *,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message or f"The request was refused with {code}."
        self.extra = dict(extra or {})
