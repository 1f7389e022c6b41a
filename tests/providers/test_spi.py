"""The public face is whole: whoever can name a thing there can name all that it is made of."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import NewType, get_args, get_type_hints

from diskcsi import spi

PUBLIC = {name: getattr(spi, name) for name in spi.__all__}

FOR_THE_DRIVER = {"Parsed", "Disks", "Attachments", "Snapshots"}
"""What an author gets and never names: the result of a schema, and the chapters of the port."""


def _parts(hint: object) -> Iterator[object]:
    yield hint
    for part in get_args(hint):
        for one in part if isinstance(part, list) else (part,):
            yield from _parts(one)


def _hints(thing: object) -> Iterator[object]:
    """Every type that a public class or function mentions."""
    functions = [thing]
    if inspect.isclass(thing):
        yield from get_type_hints(thing, localns=PUBLIC).values()
        functions = [one for _, one in inspect.getmembers(thing, inspect.isfunction)]
        functions += [
            one.fget
            for _, one in inspect.getmembers(thing, lambda member: isinstance(member, property))
            if one.fget is not None
        ]
    for function in functions:
        if inspect.isfunction(function) and function.__module__.startswith("diskcsi"):
            yield from get_type_hints(function, localns=PUBLIC).values()


def test_all_that_the_public_face_mentions_is_part_of_it() -> None:
    """An author never has to import from elsewhere."""
    mentioned = {
        str(part.__name__)
        for thing in PUBLIC.values()
        for hint in _hints(thing)
        for part in _parts(hint)
        if isinstance(part, type | NewType) and part.__module__.startswith("diskcsi")
    }
    assert mentioned - set(PUBLIC) - FOR_THE_DRIVER == set()


def test_every_public_thing_tells_what_it_is() -> None:
    """The docstrings are the reference."""
    silent = {
        name
        for name, thing in PUBLIC.items()
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and not inspect.getdoc(thing)
    }
    assert silent == set()
