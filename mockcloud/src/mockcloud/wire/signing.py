"""Version 1 signatures: HMAC-SHA1 over the sorted parameters, wherever they travelled."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote


def encode(text: str) -> str:
    """Percent-encoding as the signature wants it: all but letters, digits and `-_.~`."""
    return quote(text, safe="-_.~")


def string_to_sign(method: str, params: Mapping[str, str]) -> str:
    """What is signed: the verb, the path, and every parameter but the signature itself."""
    pairs = sorted(
        ((name, value) for name, value in params.items() if name != "Signature"),
        key=lambda pair: pair[0].encode(),
    )
    canonical = "&".join(f"{encode(name)}={encode(value)}" for name, value in pairs)
    return f"{method.upper()}&%2F&{encode(canonical)}"


def signature(method: str, params: Mapping[str, str], secret: str) -> str:
    """The signature of a call."""
    digest = hmac.new(
        f"{secret}&".encode(), string_to_sign(method, params).encode(), hashlib.sha1
    ).digest()
    return base64.b64encode(digest).decode()


def matches(method: str, params: Mapping[str, str], secret: str) -> bool:
    """Whether the call carries its right signature."""
    given = params.get("Signature", "")
    return hmac.compare_digest(signature(method, params, secret).encode(), given.encode())
