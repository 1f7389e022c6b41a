"""ClientTokens: one text for one name, so that a repeat is known for a repeat.

The forms are those of the Go driver, so that a create that one driver began is the other's too.
"""

from __future__ import annotations

import base64
from typing import Final

TOKEN_LIMIT: Final = 64
"""ASCII characters in a ClientToken (ECS API, "Ensure idempotence")."""

PLAIN: Final = "n:"
HASHED: Final = "h:"

FNV_OFFSET: Final = 0x6C62272E07BB014262B821756295C58D
FNV_PRIME: Final = 0x0000000001000000000000000000013B


def client_token(name: str, attempt: int = 0) -> str:
    """The token of the `attempt`-th request for `name`.

    A later attempt gets another token: its forerunner's was spent on a request that made nothing.
    """
    if attempt:
        name = f"{name}#{attempt}"
    if name.isascii() and len(name) <= TOKEN_LIMIT - len(PLAIN):
        return PLAIN + name
    return HASHED + base64.b64encode(_fnv128a(name.encode())).decode().rstrip("=")


def _fnv128a(data: bytes) -> bytes:
    """The 128-bit hash of Fowler, Noll and Vo, variant 1a."""
    value = FNV_OFFSET
    for byte in data:
        value = ((value ^ byte) * FNV_PRIME) % 2**128
    return value.to_bytes(16, "big")
