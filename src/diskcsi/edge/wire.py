"""Bytes to messages and back, refusing what is no message.

The codec of betterproto in Rust refuses broken bytes by one general error; the one in Python takes
some of them, such as a string that ends too early, for a message. Neither refuses an enum value
that the contract doesn't know. So every request is walked here first, and both codecs give the
same refusals, each with the field's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from betterproto import FieldMetadata, Message
from grpclib.const import Status
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""The wire types of Protocol Buffers that CSI uses (encoding guide, "Message structure")."""

WIRE_TYPES: Final = {
    "bool": VARINT, "enum": VARINT, "int32": VARINT, "int64": VARINT,
    "string": LENGTH, "message": LENGTH, "map": LENGTH,
}  # fmt: skip

MAX_VARINT_BYTES: Final = 10
"""A 64-bit number in groups of seven bits."""

MAP_PARTS: Final = (1, 2)
"""Key and value of a map's entry (language guide, "Maps"); no encoder sends more."""

MAX_VARINT: Final = 2**64 - 1

MAX_FIELD_NUMBER: Final = 2**29 - 1
"""The highest that the language lets a contract give."""

M = TypeVar("M", bound=Message)


class Malformed(ValueError):  # noqa: N818 - reads as what is wrong with the bytes
    """These bytes are no message of the expected type; the text names the field, no value."""


def type_info(message_type: type[Message]) -> Any:  # noqa: ANN401 - it has no public type
    """What betterproto knows of a message type: its fields by name and number."""
    about: Any = message_type
    return about._betterproto  # noqa: SLF001 - it offers no other reflection


def check(data: bytes, message_type: type[Message], path: str = "") -> None:
    """Walk a message and everything in it that the contract knows.

    Raises:
        Malformed: a length or number is cut off, a field has the wrong wire type, a text is no
            UTF-8, or an enum has a value that the contract doesn't know.
    """
    about = type_info(message_type)
    for number, wire_type, content in _fields(data, path or message_type.__name__):
        name = about.field_name_by_number.get(number)
        if name is None:
            continue  # of a later contract: Protocol Buffers keep them
        meta: FieldMetadata = about.meta_by_field_name[name]
        where = f"{path}.{name}" if path else name
        if WIRE_TYPES.get(meta.proto_type) != wire_type:
            raise Malformed(f"field {where} has the wrong wire type")
        _check_content(content, meta.proto_type, about.cls_by_field.get(name), where)


def _check_content(content: Any, proto_type: str, kind: Any, where: str) -> None:  # noqa: ANN401
    if proto_type == "string":
        _check_text(content, where)
    elif proto_type == "map":
        for number, wire_type, text in _fields(content, where):
            if wire_type != LENGTH or number not in MAP_PARTS:  # CSI's maps are from text to text
                raise Malformed(f"field {where} has an entry that is no pair of texts")
            _check_text(text, where)
    elif proto_type == "enum" and content not in {member.value for member in kind}:
        raise Malformed(f"field {where} has the unknown value {content}")
    elif proto_type == "message" and issubclass(kind, Message):
        check(content, kind, where)


def _check_text(content: bytes, where: str) -> None:
    try:
        content.decode()
    except UnicodeDecodeError:
        raise Malformed(f"field {where} is no UTF-8 text") from None


def _fields(data: bytes, where: str) -> Iterator[tuple[int, int, Any]]:
    """Number, wire type and content of each field: an int for varints, else bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at, where)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number <= MAX_FIELD_NUMBER:
            raise Malformed(f"{where} has a field of no possible number")
        if wire_type == VARINT:
            value, at = _varint(data, at, where)
            yield number, wire_type, value
            continue
        if wire_type == LENGTH:
            size, at = _varint(data, at, where)
        elif wire_type in (FIXED64, FIXED32):
            size = 8 if wire_type == FIXED64 else 4
        else:
            raise Malformed(f"{where} has a field of wire type {wire_type}")
        if at + size > len(data):
            raise Malformed(f"{where} ends in the middle of a field")
        yield number, wire_type, data[at : at + size]
        at += size


def _varint(data: bytes, at: int, where: str) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[at : at + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:  # noqa: PLR2004 - the highest bit says that more follows
            if value > MAX_VARINT:
                raise Malformed(f"{where} has a number of more than 64 bits")
            return value, at + place + 1
    raise Malformed(f"{where} ends in the middle of a number")


class CheckedCodec(CodecBase):
    """grpclib's codec for betterproto messages, with the check before each decoding.

    Args:
        decoded: told of every request that was decoded, in the call's own context.
    """

    __content_subtype__ = "proto"

    def __init__(self, *, decoded: Callable[[Message], None]) -> None:
        self._decoded = decoded

    def encode(self, message: Any, message_type: Any) -> bytes:  # noqa: ANN401 - as in grpclib
        """The message's bytes; TypeError for a message of another type: a bug of a handler."""
        if not isinstance(message, message_type):
            raise TypeError(f"{message_type.__name__} expected, not {type(message).__name__}")
        return bytes(message)

    def decode(self, data: bytes, message_type: type[M]) -> M:
        """The message in `data`; INVALID_ARGUMENT when there is none."""
        try:
            check(data, message_type)
            message = message_type().parse(data)
        except Exception as error:
            reason = str(error) if isinstance(error, Malformed) else "its content can't be read"
            raise GRPCError(
                Status.INVALID_ARGUMENT, f"{message_type.__name__} can't be decoded: {reason}"
            ) from error
        self._decoded(message)
        return message
