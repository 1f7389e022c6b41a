"""How a map of class parameters is read: known keys are parsed, everything else is refused by name.

A provider declares `Key`s; `Schema.parse` gives a map from key name to parsed value, with every
default filled in. Keys that the stock sidecars add (`csi.storage.k8s.io/...`) always pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from diskcsi.model.errors import InvalidArgument

SIDECAR_PREFIX: Final = "csi.storage.k8s.io/"
TRUE_WORDS: Final = frozenset({"true", "yes", "1"})
FALSE_WORDS: Final = frozenset({"false", "no", "0"})


class Refused(ValueError):  # noqa: N818 - reads as what happened to the value
    """A parser's refusal; its text says what is allowed. `Schema.parse` adds the key's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One parameter.

    Attributes:
        name: as documented; matched as written unless `any_case`.
        parse: text (trimmed) to value; raises `Refused` with the allowed values.
        default: the value when the key is absent.
        help: one line for the generated reference.
        aliases: other spellings; giving two spellings with different texts is refused.
        prefix: the name is a prefix of keys (`diskTags/`); the value is a map from the rest of
            the key to its parsed value.
        any_case: whether upper and lower case don't matter in the name.
        warning: said when the key is present: accepted, without effect.
        refused: why a key that people know from elsewhere is not served; it is then refused with
            this reason, and isn't among the allowed ones.
    """

    name: str
    parse: Callable[[str], Any] = str
    default: Any = None
    help: str
    aliases: tuple[str, ...] = ()
    prefix: bool = False
    any_case: bool = False
    warning: str = ""
    refused: str = ""

    def matches(self, given: str) -> bool:
        """Whether `given` is this key."""
        names = (self.name, *self.aliases)
        if self.any_case:
            return given.lower() in {name.lower() for name in names}
        if self.prefix:
            return given.startswith(self.name) and len(given) > len(self.name)
        return given in names


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """Every key's value by its documented name, and the warnings of the keys that were given."""

    values: Mapping[str, Any]
    warnings: tuple[str, ...]


class Schema:
    """The keys of one kind of parameter map."""

    def __init__(self, *, what: str, keys: Iterable[Key]) -> None:
        self.what = what
        self.keys = tuple(keys)

    def parse(self, given: Mapping[str, str]) -> Parsed:
        """Read `given`.

        Raises:
            InvalidArgument: a key is unknown, a value has the wrong form, or two spellings of
                one key disagree; the message names the key and what is allowed.
        """
        values: dict[str, Any] = {key.name: {} if key.prefix else key.default for key in self.keys}
        texts: dict[str, str] = {}
        warnings: list[str] = []
        for name, text in sorted(given.items()):
            if name.startswith(SIDECAR_PREFIX):
                continue
            key = self._find(name)
            if key.refused:
                raise InvalidArgument(f"{self.what} key {name!r} is not served: {key.refused}")
            slot = name if key.prefix else key.name
            if texts.setdefault(slot, text.strip()) != text.strip():
                raise InvalidArgument(f"{self.what} gives {key.name} twice with different values")
            value = self._value(key, name, text.strip())
            if key.prefix:
                values[key.name][name.removeprefix(key.name)] = value
            else:
                values[key.name] = value
            if key.warning:
                warnings.append(f"{name}: {key.warning}")
        return Parsed(values=values, warnings=tuple(warnings))

    def _find(self, name: str) -> Key:
        for key in self.keys:
            if key.matches(name):
                return key
        served = [key for key in self.keys if not key.refused]
        known = sorted(f"{key.name}..." if key.prefix else key.name for key in served)
        by_lower = {key.name.lower(): key.name for key in served}
        near = get_close_matches(name.lower(), by_lower, n=1)
        guess = f"did you mean {by_lower[near[0]]}? " if near else ""
        raise InvalidArgument(
            f"{self.what} has an unknown key {name!r}",
            hint=f"{guess}allowed keys: {', '.join(known)}",
        )

    def _value(self, key: Key, name: str, text: str) -> object:
        try:
            return key.parse(text)
        except Refused as refusal:
            raise InvalidArgument(
                f"{self.what} key {name!r} has the value {text!r}: {refusal}"
            ) from refusal


def boolean(*, also_true: str = "", also_false: str = "") -> Callable[[str], bool]:
    """A parser of `true yes 1` and `false no 0` in any case, and of one more word for each."""
    true_words = TRUE_WORDS | ({also_true} if also_true else set())
    false_words = FALSE_WORDS | ({also_false} if also_false else set())

    def parse(text: str) -> bool:
        if text.lower() in true_words:
            return True
        if text.lower() in false_words:
            return False
        raise Refused(f"allowed are {', '.join(sorted(true_words) + sorted(false_words))}")

    return parse


def integer(*, low: int, high: int | None = None) -> Callable[[str], int]:
    """A parser of decimal integers between `low` and `high`, both included."""
    upper = "" if high is None else f" to {high}"

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit():
            raise Refused(f"allowed are whole numbers from {low}{upper}")
        number = int(text)
        if number < low or (high is not None and number > high):
            raise Refused(f"allowed are whole numbers from {low}{upper}")
        return number

    return parse


def one_of(allowed: Iterable[str]) -> Callable[[str], str]:
    """A parser that takes one of the given words as written."""
    words = tuple(allowed)

    def parse(text: str) -> str:
        if text not in words:
            raise Refused(f"allowed are {', '.join(words)}")
        return text

    return parse


def comma_list(item: Callable[[str], str] = str) -> Callable[[str], tuple[str, ...]]:
    """A parser of comma lists: spaces around items don't count, an empty item is refused."""

    def parse(text: str) -> tuple[str, ...]:
        items = [part.strip() for part in text.split(",")]
        if not all(items):
            raise Refused("allowed is a comma list without empty items")
        return tuple(dict.fromkeys(item(part) for part in items))

    return parse
