"""What is a message and what is not, on both codecs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from betterproto import Message
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diskcsi._proto.csi import v1
from diskcsi.edge.wire import LENGTH, VARINT, WIRE_TYPES, CheckedCodec, Malformed, type_info

REQUESTS = [
    kind
    for name, kind in inspect.getmembers(v1, inspect.isclass)
    if issubclass(kind, Message) and name.endswith("Request")
]

WHOLE = v1.CreateVolumeRequest(
    name="pvc-1",
    capacity_range=v1.CapacityRange(required_bytes=20 * 1024**3, limit_bytes=-1),
    volume_capabilities=[
        v1.VolumeCapability(
            mount=v1.VolumeCapabilityMountVolume(fs_type="ext4", mount_flags=["noatime"]),
            access_mode=v1.VolumeCapabilityAccessMode(
                mode=v1.VolumeCapabilityAccessModeMode(1),
            ),
        )
    ],
    parameters={"type": "cloud_ssd", "empty": ""},
    secrets={"key": "value"},
    volume_content_source=v1.VolumeContentSource(
        snapshot=v1.VolumeContentSourceSnapshotSource(snapshot_id="s-1")
    ),
    accessibility_requirements=v1.TopologyRequirement(
        requisite=[v1.Topology(segments={"zone": "a"}), v1.Topology(segments={"zone": "b"})]
    ),
)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3 | VARINT) + varint(value)


def piece(field: int, content: bytes) -> bytes:
    return varint(field << 3 | LENGTH) + varint(len(content)) + content


def unheard(message: Message) -> None:
    """Nobody wants to know."""


def decode(data: bytes, kind: type[Message]) -> Message:
    return CheckedCodec(decoded=unheard).decode(data, kind)


def refusal(data: bytes, kind: type[Message]) -> GRPCError:
    with pytest.raises(GRPCError) as refused:
        decode(data, kind)
    return refused.value


ACCESS_MODE = piece(3, piece(3, number(1, 99)))
"""CreateVolumeRequest.volume_capabilities.access_mode.mode = 99."""

MALFORMED = {
    "text cut off": (b"\x0a\x05ab", "CreateVolumeRequest ends in the middle of a field"),
    "length cut off": (b"\x0a\xff", "CreateVolumeRequest ends in the middle of a number"),
    "tag cut off": (b"\x80", "CreateVolumeRequest ends in the middle of a number"),
    "number too long": (b"\x08" + b"\xff" * 11, "ends in the middle of a number"),
    "no field number": (b"\x00\x01", "has a field of no possible number"),
    "huge field number": (varint(2**32) + b"\x01", "has a field of no possible number"),
    "huge number": (b"\x08" + b"\xff" * 9 + b"\x02", "has a number of more than 64 bits"),
    "wire type of no kind": (b"\x0f", "has a field of wire type 7"),
    "number where a text belongs": (number(1, 7), "field name has the wrong wire type"),
    "text where a number belongs": (
        piece(2, piece(1, b"1")), "field capacity_range.required_bytes has the wrong wire type",
    ),
    "fixed number where a number belongs": (
        piece(2, b"\x09" + bytes(8)), "field capacity_range.required_bytes has the wrong wire type",
    ),
    "bad text": (piece(1, b"\xff\xfe"), "field name is no UTF-8 text"),
    "bad text in a map": (
        piece(4, piece(1, b"k") + piece(2, b"\xc3")), "field parameters is no UTF-8 text",
    ),
    "number in a map": (
        piece(4, piece(1, b"k") + number(2, 1)), "field parameters has an entry that is no pair of texts",
    ),
    "third part in a map": (
        piece(4, piece(1, b"k") + piece(3, b"v")), "parameters has an entry that is no pair",
    ),
    "map entry cut off": (piece(4, b"\x0a\x09k"), "parameters ends in the middle of a field"),
    "sub-message cut off": (piece(2, b"\x08"), "capacity_range ends in the middle of a number"),
    "unknown enum value": (
        ACCESS_MODE, "field volume_capabilities.access_mode.mode has the unknown value 99",
    ),
}  # fmt: skip
"""Bytes that are no CreateVolumeRequest, and the words that tell why."""


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_message_is_refused_by_the_name_of_its_field(case: str) -> None:
    """The caller learns which field it got wrong."""
    data, words = MALFORMED[case]
    assert words in (refusal(data, v1.CreateVolumeRequest).message or "")


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_message_is_an_invalid_argument(case: str) -> None:
    """The same code from both codecs."""
    data, _ = MALFORMED[case]
    assert refusal(data, v1.CreateVolumeRequest).status is Status.INVALID_ARGUMENT


def test_a_refusal_shows_no_value() -> None:
    """What can't be read may be a secret."""
    data = piece(5, piece(1, b"key") + piece(2, b"hunter2\xff"))
    assert "hunter2" not in str(refusal(data, v1.CreateVolumeRequest))


def test_every_part_arrives() -> None:
    """Texts, numbers, maps, lists, oneofs and sub-messages."""
    assert decode(bytes(WHOLE), v1.CreateVolumeRequest) == WHOLE


def test_fields_of_a_later_contract_pass() -> None:
    """A newer sidecar may tell more than we know."""
    later = number(900, 1) + piece(901, b"\xff") + b"\xb5\x38" + bytes(4) + b"\xb9\x38" + bytes(8)
    message = decode(later + piece(1, b"a"), v1.CreateVolumeRequest)
    assert isinstance(message, v1.CreateVolumeRequest)
    assert message.name == "a"


def test_a_negative_number_arrives_as_one() -> None:
    """It takes ten bytes; whether it makes sense is for others to say."""
    data = piece(2, number(1, 2**64 - 1))
    message = decode(data, v1.CreateVolumeRequest)
    assert isinstance(message, v1.CreateVolumeRequest)
    assert message.capacity_range.required_bytes == -1


def test_no_bytes_are_an_empty_message() -> None:
    """As Protocol Buffers have it."""
    assert decode(b"", v1.ProbeRequest) == v1.ProbeRequest()


def test_whoever_wants_to_know_is_told_of_a_decoded_message() -> None:
    """The guard binds ids to its log lines by it."""
    told: list[Message] = []
    CheckedCodec(decoded=told.append).decode(piece(1, b"d-1"), v1.DeleteVolumeRequest)
    assert told == [v1.DeleteVolumeRequest(volume_id="d-1")]


def test_a_message_of_another_type_is_not_sent() -> None:
    """A handler that mixes answers up is a bug, not a lie."""
    codec = CheckedCodec(decoded=unheard)
    with pytest.raises(TypeError):
        codec.encode(v1.ProbeResponse(), v1.GetPluginInfoResponse)


def kinds_within(kind: type[Message]) -> Iterator[str]:
    about = type_info(kind)
    for name, meta in about.meta_by_field_name.items():
        yield meta.proto_type
        inner = about.cls_by_field.get(name)
        if meta.proto_type == "message" and issubclass(inner, Message):
            yield from kinds_within(inner)


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
def test_the_walk_knows_every_kind_of_field(kind: type[Message]) -> None:
    """A kind that a later contract brings would be refused for its wire type."""
    assert set(kinds_within(kind)) <= set(WIRE_TYPES)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good request with some bytes changed, cut out or put in."""
    data = bytearray(bytes(WHOLE))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 3))
        data[at : at + length] = draw(st.binary(max_size=4))
    return bytes(data)


def understood_or_refused(data: bytes, kind: type[Message]) -> bool:
    """Whether it is a message, or else refused with words of ours: never by the codec alone."""
    try:
        decode(data, kind)
    except GRPCError as refused:
        return refused.status is Status.INVALID_ARGUMENT and isinstance(
            refused.__cause__, Malformed
        )
    return True


@given(data=damaged())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_bytes_are_a_message_or_an_invalid_argument(data: bytes) -> None:
    """Both codecs refuse the same, for it is refused before them."""
    assert understood_or_refused(data, v1.CreateVolumeRequest)


@given(kind=st.sampled_from(REQUESTS), data=st.binary(max_size=64))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_bytes_are_a_message_or_an_invalid_argument(
    kind: type[Message], data: bytes
) -> None:
    """For every request of the contract."""
    assert understood_or_refused(data, kind)
