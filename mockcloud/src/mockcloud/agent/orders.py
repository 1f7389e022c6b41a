"""What the server says to an agent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mockcloud.agent.devices import Wanted


class Garbled(Exception):  # noqa: N818 - reads as what is so
    """That was no message of this channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """The machine is an instance of this cloud."""

    instance: str
    zone: str
    instance_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """It is none.

    Attributes:
        ended: it was deleted, so that its devices must go; that is said explicitly or not so.
        final: it can never be one.
    """

    reason: str
    ended: bool
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """All the disks that the machine shall have.

    Attributes:
        force: what it shall not have goes although it is mounted, as when a machine is switched off.
    """

    revision: int
    force: bool
    disks: tuple[Wanted, ...]


def heard(words: str) -> Welcome | Refusal | Order:
    """A message as it comes.

    Raises:
        Garbled: it is none.
    """
    try:
        return _parsed(json.loads(words))
    except (KeyError, TypeError, ValueError) as error:
        raise Garbled(repr(error)) from error


def _parsed(told: Mapping[str, Any]) -> Welcome | Refusal | Order:
    match told["type"]:
        case "welcome":
            return Welcome(
                instance=str(told["instance"]),
                zone=str(told["zone"]),
                instance_type=str(told["instance_type"]),
            )
        case "refused":
            return Refusal(
                reason=str(told.get("reason") or "it gives no reason"),
                ended=told.get("ended") is True,
                final=told.get("final") is True,
            )
        case "wanted":
            return Order(
                revision=int(told["revision"]),
                force=_flag(told["force"]),
                disks=tuple(map(Wanted.parse, _list(told["disks"]))),
            )
        case other:
            raise ValueError(f"it has no message {other!r}")


def _flag(told: object) -> bool:
    if not isinstance(told, bool):
        raise TypeError(f"{told!r} is neither true nor false")
    return told


def _list(told: object) -> list[Any]:
    """An order that tells no list must not be taken for one that wants no disk."""
    if not isinstance(told, list):
        raise TypeError(f"{told!r} is no list")
    return told
