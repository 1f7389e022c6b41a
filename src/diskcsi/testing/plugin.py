"""The pytest plug-in: the contract's markers, and assertions that explain themselves.

It is loaded into every test run of an environment where this package is installed, so it imports
nothing but pytest.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("diskcsi.testing.contract")

MARKERS = (
    "needs(capability): a promise of providers that have this capability",
    "needs_faults: a promise that is tested where the world can cause faults",
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known, so that strict runs accept them."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
