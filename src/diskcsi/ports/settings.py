"""How a settings field explains itself: one declaration serves flags, environment, file and help.

A settings class is a frozen dataclass whose fields are made by `setting`. The driver has one, and
so has each provider; the command line reads the declarations and fills them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Final

METADATA_KEY: Final = "diskcsi.setting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is told of one field.

    Attributes:
        help: what it is, its unit, and why the default.
        env: environment names that fill it, the first one that is set wins.
        secret: never shown, and no flag: process arguments are public.
        parse: text to value; raises ValueError with what is allowed. None: by the field's type
            (str, int, float, bool, or a comma list for tuples of str).
    """

    help: str
    env: tuple[str, ...] = ()
    secret: bool = False
    parse: Callable[[str], Any] | None = None


def setting(
    *,
    default: Any = MISSING,  # noqa: ANN401 - as in dataclasses.field
    help: str,  # noqa: A002 - the word that click and argparse use
    env: tuple[str, ...] = (),
    secret: bool = False,
    parse: Callable[[str], Any] | None = None,
) -> Any:  # noqa: ANN401 - as in dataclasses.field
    """A dataclass field that explains itself; without a default it must be given."""
    told = Setting(help=help, env=env, secret=secret, parse=parse)
    return field(default=default, repr=not secret, metadata={METADATA_KEY: told})


def settings_of(settings_type: type) -> dict[str, Setting]:
    """The declarations of a settings class, by field name in the order of the class.

    Raises:
        TypeError: a field was not made by `setting`.
    """
    told: dict[str, Setting] = {}
    for item in fields(settings_type):
        if METADATA_KEY not in item.metadata:
            raise TypeError(f"{settings_type.__name__}.{item.name} is not declared by setting()")
        told[item.name] = item.metadata[METADATA_KEY]
    return told
