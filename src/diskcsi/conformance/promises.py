"""The contract as a test module; `contract` hands it to pytest with the fixtures it needs."""

from __future__ import annotations

from diskcsi.testing.contract import CloudProviderContract


class TestPromises(CloudProviderContract):
    """Every promise of the port, held by the provider that is to be proved."""
