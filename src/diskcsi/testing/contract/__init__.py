"""The provider contract, as tests: what `diskcsi.ports.cloud` promises, promise by promise.

The author of a provider subclasses `CloudProviderContract` in a test module and gives two fixtures:
`cloud`, an opened provider, and `world`, a `World` that tells what is there to test with. Whatever
a test makes it takes away again. Tests of capabilities that the provider lacks, and of faults that
the world can't cause, are skipped and say so.
"""

from __future__ import annotations

from diskcsi.testing.contract.attachments import AttachmentPromises
from diskcsi.testing.contract.disks import DiskPromises
from diskcsi.testing.contract.faults import FaultPromises
from diskcsi.testing.contract.snapshots import SnapshotPromises
from diskcsi.testing.contract.world import Account, FaultMaker, World

__all__ = ["Account", "CloudProviderContract", "FaultMaker", "World"]


class CloudProviderContract(DiskPromises, AttachmentPromises, SnapshotPromises, FaultPromises):
    """Every promise; subclass it."""
