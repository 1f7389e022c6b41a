"""The parameters of one call: flat names, as ECS' RPC style has them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from mockcloud.errors import ApiError


class Params:
    """Reads parameters, and refuses what is missing or has the wrong form as ECS does."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def items(self) -> Iterator[tuple[str, str]]:
        """Every parameter as it was sent."""
        return iter(self._values.items())

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name))

    def text(self, name: str, default: str = "") -> str:
        """A text, `default` when it is absent or empty."""
        return self._values.get(name) or default

    def required(self, name: str, *, status: int = 400, code: str = "MissingParameter") -> str:
        """A text that must be there."""
        value = self._values.get(name)
        if not value:
            raise ApiError(
                status,
                code,
                f'The input parameter "{name}" that is mandatory for processing this request is'
                " not supplied.",
            )
        return value

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number."""
        value = self._values.get(name)
        if not value:
            return default
        try:
            return int(value)
        except ValueError:
            raise ApiError(
                400, "InvalidParameter", f'The specified parameter "{name}" is not a number.'
            ) from None

    def boolean(self, name: str, *, default: bool = False) -> bool:
        """`true` or `false` in any case: SDKs differ in how they spell them."""
        value = self._values.get(name)
        if not value:
            return default
        if value.lower() not in ("true", "false"):
            raise ApiError(
                400, "InvalidParameter", f'The specified parameter "{name}" is not valid.'
            )
        return value.lower() == "true"

    def repeated(self, name: str) -> list[str]:
        """`Name.1`, `Name.2`, ... by number; gaps are tolerated."""
        pattern = re.compile(rf"{re.escape(name)}\.(\d+)$")
        numbered = [
            (int(match[1]), value)
            for key, value in self._values.items()
            if (match := pattern.match(key)) and value
        ]
        return [value for _, value in sorted(numbered)]

    def structs(self, name: str, fields: Sequence[str]) -> list[dict[str, str]]:
        """`Name.1.Field`, ... by number; the older spelling in lower case is taken as well."""
        pattern = re.compile(rf"{re.escape(name)}\.(\d+)\.(\w+)$")
        by_lower = {field.lower(): field for field in fields}
        found: dict[int, dict[str, str]] = {}
        for key, value in self._values.items():
            match = pattern.match(key)
            if match and match[2].lower() in by_lower:
                found.setdefault(int(match[1]), {})[by_lower[match[2].lower()]] = value
        return [found[number] for number in sorted(found)]

    def id_list(self, name: str, *, too_many: str, bad: str) -> list[str] | None:
        """A JSON list of at most 100 ids in one text; None when it is absent."""
        value = self._values.get(name)
        if not value:
            return None
        try:
            ids = json.loads(value)
        except ValueError:
            ids = None
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            raise ApiError(400, bad, f'The specified parameter "{name}" is no JSON array.')
        if len(ids) > 100:  # noqa: PLR2004 - what ECS documents for every such list
            raise ApiError(403, too_many, f'The specified "{name}" holds more than 100 ids.')
        return ids
