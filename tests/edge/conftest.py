"""Every test of the edge runs on both codecs of betterproto."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import pytest
from betterproto import Message


def _parse(message: Message, data: bytes) -> Message:
    return message.load(BytesIO(data))


def _bytes(message: Message) -> bytes:
    stream = BytesIO()
    message.dump(stream)
    return stream.getvalue()


@pytest.fixture(autouse=True, scope="module", params=["python", "rust"])
def codec_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """The codec in use: the one in Python, or the one in Rust of the extra `rust-codec`.

    betterproto takes the Rust one by replacing `Message.parse` and `Message.__bytes__` at its import,
    wherever the package is found. So it is in use already, and for the one in Python both methods
    get the two lines back that they have in betterproto's source.
    """
    if request.param == "rust":
        pytest.importorskip(
            "betterproto_rust_codec", reason="betterproto-rust-codec is not installed"
        )
        yield request.param
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Message, "parse", _parse)
        patch.setattr(Message, "__bytes__", _bytes)
        yield request.param
