"""The secret that server and agents share, in a file that may be changed while both run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click


class NoToken(Exception):  # noqa: N818 - reads as what is so
    """The file has none now; the message tells why, and never what it has."""


def read_token(file: Path) -> str:
    """The token that the file holds now. It is read for each session: a Secret's files are replaced.

    Raises:
        NoToken: it holds none.
    """
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NoToken(f"{file} can't be read: {error}") from error
    if not token or not token.isprintable():
        raise NoToken(f"{file} holds no token: allowed is one line, the same for server and agents")
    return token


def token_of(
    context: click.Context, option: click.Parameter, file: Path | None
) -> Callable[[], str] | None:
    """What reads the file that an option names; refuses one that holds no token at the start."""
    if file is None:
        return None
    try:
        read_token(file)
    except NoToken as error:
        raise click.BadParameter(str(error), context, option) from error
    return partial(read_token, file)
