"""Names of the fault scenarios that a driver must survive, as ids of the tests that play them."""

from __future__ import annotations

import pytest


def row(name: str) -> pytest.MarkDecorator:
    """The test plays this scenario; reports compare runs by the name in its id."""
    return pytest.mark.parametrize((), [pytest.param(id=name)])
