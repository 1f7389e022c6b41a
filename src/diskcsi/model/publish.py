"""What the controller tells a node of an attached disk beside the provider's own keys."""

from __future__ import annotations

from typing import Final

SIZE_KEY: Final = "sizeBytes"
"""The disk's size in bytes when it was attached; absent on attachments older than this driver."""
