"""Which words of a class may reach mkfs: an allow list, since some options name a second device.

Only the disk is proved blank. A word that isn't an option's value is a device to mkfs, and so is the
value of `logdev=` or `device=`; others read or write files of the node. What isn't listed here is
refused, so a tool's later version brings no surprise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from diskcsi.model.blank import FAMILIES

Takes: TypeAlias = tuple[str, ...] | None
"""None: a flag. Empty: a value of its own. Else a comma list of these settings alone."""

FLAG: Final[Takes] = None
VALUE: Final[Takes] = ()

OPTIONS: Final[Mapping[str, Mapping[str, Takes]]] = {
    "ext": {
        **dict.fromkeys(("-D", "-F", "-j", "-q", "-v"), FLAG),
        **dict.fromkeys(
            ("-b", "-C", "-E", "-e", "-G", "-g", "-I", "-i", "-L", "-m", "-N", "-O", "-T", "-U"),
            VALUE,
        ),
        "-J": ("size", "location", "fast_commit_size"),
    },
    "xfs": {
        **dict.fromkeys(("-f", "-K", "-q"), FLAG),
        **dict.fromkeys(("-b", "-i", "-L", "-m", "-n", "-s"), VALUE),
        "-d": ("agcount", "agsize", "noalign", "sectsize", "su", "sunit", "sw", "swidth"),
        "-l": ("internal", "lazy-count", "sectsize", "size", "su", "sunit", "version"),
    },
    "btrfs": {
        **dict.fromkeys(("-f", "-K", "-M", "-q", "-v"), FLAG),
        **dict.fromkeys(("--force", "--nodiscard", "--mixed", "--quiet", "--verbose"), FLAG),
        **dict.fromkeys(("-d", "-L", "-m", "-n", "-O", "-R", "-s", "-U", "--csum"), VALUE),
        **dict.fromkeys(("--data", "--metadata", "--label", "--nodesize", "--features"), VALUE),
        **dict.fromkeys(("--sectorsize", "--uuid", "--checksum", "--runtime-features"), VALUE),
    },
}  # fmt: skip
"""By the family of filesystems: mke2fs(8), mkfs.xfs(8), mkfs.btrfs(8)."""


class _BadWordError(ValueError):
    """A word that is refused."""


def why_not(fs_type: str, words: Sequence[str]) -> str:
    """Why these words may not reach the mkfs of `fs_type`; empty when they may."""
    family = FAMILIES.get(fs_type, fs_type)
    known = OPTIONS.get(family, {})
    try:
        for name, value in _given(known, words):
            _check(name, value, known[name])
    except _BadWordError as bad:
        return f"{bad}; mkfs of {family} may be given {' '.join(_shown(known)) or 'no options'}"
    return ""


def why_never(words: Sequence[str]) -> str:
    """Why no filesystem's mkfs may get these words; empty when some may."""
    reasons = [why_not(family, words) for family in OPTIONS]
    return ". ".join(reasons) if all(reasons) else ""


def _given(known: Mapping[str, Takes], words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each option with its value, as getopt(3) reads them; a flag's value is empty."""
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            name, attached, value = word.partition("=")
            takes = _takes(known, name)
            if takes is FLAG and attached:
                raise _BadWordError(f"{name!r} takes no value")
            yield name, value if attached or takes is FLAG else _next(rest, name)
        elif word.startswith("-") and word != "-":
            yield from _cluster(known, word[1:], rest)
        else:
            raise _BadWordError(
                f"{word!r} is no option's value, and mkfs would take it for a device"
            )


def _cluster(
    known: Mapping[str, Takes], letters: str, rest: Iterator[str]
) -> Iterator[tuple[str, str]]:
    """Flags may be written together, and a value right behind its option's letter."""
    for place, letter in enumerate(letters, start=1):
        name = f"-{letter}"
        if _takes(known, name) is not FLAG:
            yield name, letters[place:] or _next(rest, name)
            return
        yield name, ""


def _takes(known: Mapping[str, Takes], name: str) -> Takes:
    if name not in known:
        raise _BadWordError(f"the option {name!r} is not allowed")
    return known[name]


def _next(rest: Iterator[str], name: str) -> str:
    value = next(rest, None)
    if value is None:
        raise _BadWordError(f"the option {name!r} lacks its value")
    return value


def _check(name: str, value: str, takes: Takes) -> None:
    if "/" in value:
        raise _BadWordError(f"the value {value!r} of {name!r} is a path")
    for setting in value.split(",") if takes else ():
        if setting.partition("=")[0] not in (takes or ()):
            raise _BadWordError(f"{setting!r} is not allowed as a value of {name!r}")


def _shown(known: Mapping[str, Takes]) -> Iterator[str]:
    for name, takes in known.items():
        yield f"{name} ({', '.join(takes)})" if takes else name
