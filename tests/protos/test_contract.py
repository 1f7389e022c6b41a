"""The contract in protos/ against the wire facts of CSI 1.12 and 1.13, in both directions."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import betterproto
import grpc_tools
import pytest
from google.protobuf import descriptor_pb2

from diskcsi._proto.csi import v1
from diskcsi._proto.secrets import SECRET_FIELDS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROTO = ROOT / "protos" / "csi" / "v1" / "csi.proto"
SECRET, ALPHA = 1059, 1060
Fact = tuple[object, ...]


def facts_of_wire(version: str) -> set[Fact]:
    """Everything that the wire table of one version says, one fact an element."""
    table = json.loads((HERE / "data" / f"csi-wire-{version}.json").read_text())
    facts: set[Fact] = set()
    for service, told in table["services"].items():
        facts.add(("service", service, bool(told.get("alpha"))))
        for rpc, kinds in told["rpcs"].items():
            facts.add(
                (
                    "rpc",
                    f"{service}.{rpc}",
                    kinds["request"],
                    kinds["response"],
                    bool(kinds.get("server_streaming")),
                    bool(kinds.get("alpha")),
                )
            )
    facts |= enum_facts("", table["enums"])
    for name, message in messages_of(table["messages"], ""):
        facts.add(("message", name, bool(message.get("alpha"))))
        facts |= enum_facts(f"{name}.", message.get("enums", {}))
        facts |= {field_fact(name, field) for field in message["fields"]}
    return facts


def messages_of(messages: dict[str, Any], scope: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, message in messages.items():
        yield scope + name, message
        yield from messages_of(message.get("messages", {}), f"{scope}{name}.")


def enum_facts(scope: str, enums: dict[str, dict[str, int]]) -> set[Fact]:
    return {
        ("enum", scope + name, value, number)
        for name, values in enums.items()
        for value, number in values.items()
    }


def field_fact(message: str, field: dict[str, Any]) -> Fact:
    return (
        "field",
        f"{message}.{field['name']}",
        field["number"],
        field["type"],
        field["label"],
        field.get("oneof"),
        bool(field.get("secret")),
        bool(field.get("alpha")),
    )


def facts_of_proto(proto: Path, build: Path) -> set[Fact]:
    """The same facts, read from what protoc makes of our file."""
    descriptors = build / "descriptors.bin"
    subprocess.run(
        [
            sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={proto.parents[2]}",
            f"--proto_path={Path(grpc_tools.__file__).parent / '_proto'}",
            f"--descriptor_set_out={descriptors}", "csi/v1/csi.proto",
        ],
        check=True,
    )  # fmt: skip
    (file,) = descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes()).file
    assert file.package == "csi.v1"
    facts: set[Fact] = set()
    for service in file.service:
        facts.add(("service", service.name, marked(service.options, ALPHA)))
        for rpc in service.method:
            facts.add(
                (
                    "rpc",
                    f"{service.name}.{rpc.name}",
                    bare(rpc.input_type),
                    bare(rpc.output_type),
                    rpc.server_streaming,
                    marked(rpc.options, ALPHA),
                )
            )
    facts |= described_enums("", file.enum_type)
    for message in file.message_type:
        facts |= described_message("", message)
    return facts


def described_message(scope: str, message: descriptor_pb2.DescriptorProto) -> set[Fact]:
    name = scope + message.name
    maps = {
        nested.name: f"map<{kind(nested.field[0])}, {kind(nested.field[1])}>"
        for nested in message.nested_type
        if nested.options.map_entry
    }
    facts: set[Fact] = {("message", name, marked(message.options, ALPHA))}
    facts |= described_enums(f"{name}.", message.enum_type)
    for nested in message.nested_type:
        if not nested.options.map_entry:
            facts |= described_message(f"{name}.", nested)
    for field in message.field:
        mapped = maps.get(field.type_name.rpartition(".")[2])
        repeated = field.label == descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
        facts.add(
            (
                "field",
                f"{name}.{field.name}",
                field.number,
                mapped or kind(field),
                "map" if mapped else "repeated" if repeated else "singular",
                message.oneof_decl[field.oneof_index].name
                if field.HasField("oneof_index")
                else None,
                marked(field.options, SECRET),
                marked(field.options, ALPHA),
            )
        )
    return facts


def described_enums(scope: str, enums: Any) -> set[Fact]:  # noqa: ANN401 - protobuf's container
    return {
        ("enum", scope + enum.name, value.name, value.number)
        for enum in enums
        for value in enum.value
    }


def bare(type_name: str) -> str:
    return type_name.removeprefix(".csi.v1.").removeprefix(".")


def kind(field: descriptor_pb2.FieldDescriptorProto) -> str:
    """The type as it is written in a proto file."""
    if field.type_name:
        return bare(field.type_name)
    return descriptor_pb2.FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def marked(options: Any, number: int) -> bool:  # noqa: ANN401 - any of protobuf's options
    """Whether the boolean extension of this number is set; it is an unknown field here."""
    tag = number << 3
    encoded = bytes([tag & 0x7F | 0x80, tag >> 7, 1])
    return encoded in options.SerializeToString()


@pytest.mark.parametrize("version", ["1.12", "1.13"])
def test_every_fact_of_the_version_is_in_our_contract(version: str, tmp_path: Path) -> None:
    """Callers of either version find every message, number, type, RPC and mark they know."""
    missing = facts_of_wire(version) - facts_of_proto(PROTO, tmp_path)
    assert missing - moved_by_a_later_version(version) == set()


def moved_by_a_later_version(version: str) -> set[Fact]:
    """Facts whose stage changed: 1.13's word on a thing that both versions have wins."""
    if version == "1.13":
        return set()
    later = {fact[:2] for fact in facts_of_wire("1.13") if fact[0] != "enum"}
    same_but_stage = {fact[:-1] for fact in facts_of_wire("1.13")}
    return {
        fact
        for fact in facts_of_wire("1.12")
        if fact[:2] in later and fact[0] != "enum" and fact[:-1] in same_but_stage
    }


def test_our_contract_has_nothing_beyond_the_two_versions(tmp_path: Path) -> None:
    """A slip of ours would be a field that no caller knows."""
    known = facts_of_wire("1.12") | facts_of_wire("1.13")
    assert facts_of_proto(PROTO, tmp_path) - known == set()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("string volume_id = 1;", "string volume_id = 31;"),
        ("int64 required_bytes = 1;", "int32 required_bytes = 1;"),
        ("  NodeGetVolumeStats(", "  NodeGetVolumeStat("),
        (" = 5 [(csi_secret) = true]", " = 5"),
        ("EXPAND_VOLUME = 9;", "EXPAND_VOLUME = 90;"),
    ],
)
def test_the_comparison_notices_a_slip(before: str, after: str, tmp_path: Path) -> None:
    """One altered number, type, name or mark is found."""
    copy = tmp_path / "csi" / "v1" / "csi.proto"
    copy.parent.mkdir(parents=True)
    text = PROTO.read_text()
    if before.startswith("  "):
        before, after = f"rpc{before[1:]}", f"rpc{after[1:]}"
    assert before in text
    copy.write_text(text.replace(before, after, 1))
    wanted = facts_of_wire("1.12") | facts_of_wire("1.13")
    assert facts_of_proto(copy, tmp_path) - wanted != set()


def test_the_generated_classes_have_the_contracts_numbers(tmp_path: Path) -> None:
    """What is generated is what was declared."""
    generated = set()
    for name, cls in vars(v1).items():
        if isinstance(cls, type) and issubclass(cls, betterproto.Message):
            for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # Message hides it
                generated.add((name, field.metadata["betterproto"].number))
    declared = {
        (str(fact[1]).rpartition(".")[0].replace(".", "").replace("RPC", "Rpc"), fact[2])
        for fact in facts_of_proto(PROTO, tmp_path)
        if fact[0] == "field"
    }
    assert {(name.lower(), number) for name, number in generated} == {
        (name.lower(), number) for name, number in declared
    }


def test_the_list_of_secret_fields_is_the_contracts(tmp_path: Path) -> None:
    """Every field that must not be logged is known by name."""
    marked_fields = {
        str(fact[1])
        for fact in facts_of_wire("1.12") | facts_of_wire("1.13")
        if fact[0] == "field" and fact[6]
    }
    listed = {f"{message}.{name}" for message, names in SECRET_FIELDS.items() for name in names}
    assert listed == marked_fields
    assert len(listed) == 22
