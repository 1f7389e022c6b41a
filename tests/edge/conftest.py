"""Every test of the edge runs on both codecs of betterproto."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from io import BytesIO, StringIO
from typing import Any

import pytest
import structlog
from betterproto import Message

from diskcsi.telemetry.logging import configure


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


class Log:
    """The log of one test."""

    def __init__(self) -> None:
        self._stream = StringIO()
        self.set_level("DEBUG")

    def set_level(self, level: str) -> None:
        """Write lines of this level and above from now on."""
        configure(level=level, form="json", stream=self._stream)

    @property
    def text(self) -> str:
        """All of it."""
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its lines."""
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def log() -> Iterator[Log]:
    """Everything that is logged."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Log()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    configure(level="INFO", form="json")
