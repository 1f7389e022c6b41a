"""What holds for every test: no settings of the machine, and no loop but its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Final

import pytest

from diskcsi.ports.settings import settings_of
from diskcsi.providers import registry
from diskcsi.settings import Settings

FOREIGN_PREFIXES: Final = ("ALIBABA_", "ALICLOUD_", "CSI_", "DISK_")
"""Of names that a developer of such a driver may have set, whether a setting reads them yet or not."""


@pytest.fixture(autouse=True, scope="session")
def clean_environment() -> None:
    """Take every name out of the environment that a setting would read."""
    read = {
        name
        for kind in (Settings, registry.load("alibaba").settings_type)
        for told in settings_of(kind).values()
        for name in told.env
    }
    for name in [name for name in os.environ if name in read or name.startswith(FOREIGN_PREFIXES)]:
        del os.environ[name]


@pytest.fixture(autouse=True, scope="session")
def outer_loop() -> Iterator[None]:
    """Have a loop set before the first test.

    pytest-asyncio asks for the one to put back after each test; Python 3.11 makes one where none
    was ever set, nobody closes it, and a later test is blamed.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
