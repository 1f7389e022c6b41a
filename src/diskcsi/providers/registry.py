"""Finds an installed provider by name, and loads that one only.

A package offers a provider by an entry point of the group `diskcsi.providers`, whose object is a
`diskcsi.spi.Provider`.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Final

from diskcsi.ports.provider import SPI_VERSION, AnyProvider, Provider

GROUP: Final = "diskcsi.providers"


class ProviderNotUsable(Exception):  # noqa: N818 - reads as what happened
    """No provider of this name can be used; the message says which are installed."""


def installed() -> dict[str, list[EntryPoint]]:
    """The entry points of every installed provider, by name; none is loaded."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found


def load(name: str) -> AnyProvider:
    """The provider of this name.

    Raises:
        ProviderNotUsable: none or several are installed under this name, it can't be imported,
            or it was written for another version of the interface.
    """
    candidates = installed()
    match candidates.get(name, []):
        case []:
            names = ", ".join(sorted(candidates)) or "none"
            raise ProviderNotUsable(f"no provider named {name!r}; installed: {names}")
        case [entry]:
            return _checked(name, _loaded(entry))
        case several:
            sources = ", ".join(
                sorted(f"{e.value} of {e.dist.name if e.dist else 'no package'}" for e in several)
            )
            raise ProviderNotUsable(
                f"several providers are named {name!r}: {sources}; uninstall all but one"
            )


def _loaded(entry: EntryPoint) -> object:
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise ProviderNotUsable(
            f"provider {entry.name!r} can't be imported from {entry.value}: {error}"
        ) from error


def _checked(name: str, loaded: object) -> AnyProvider:
    if not isinstance(loaded, Provider):
        raise ProviderNotUsable(
            f"the entry point of provider {name!r} is a {type(loaded).__name__},"
            " not a diskcsi.spi.Provider"
        )
    if loaded.spi_version != SPI_VERSION:
        raise ProviderNotUsable(
            f"provider {name!r} was written for version {loaded.spi_version} of the provider"
            f" interface; this driver has version {SPI_VERSION}: install a matching release"
        )
    return loaded
