"""Generate messages and stubs from `protos/`, or check that the tree holds what they give.

python tools/protos.py            write src/diskcsi/_proto
python tools/protos.py --check    compare; exit status 1 and the differing files otherwise
"""

from __future__ import annotations

import filecmp
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import grpc_tools
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet

ROOT = Path(__file__).resolve().parent.parent
PROTOS = (Path("csi/v1/csi.proto"), Path("pluginregistration/v1/registration.proto"))
TARGET = ROOT / "src" / "diskcsi" / "_proto"
SECRET_OPTION = 1059
"""The field option that marks a secret (CSI spec, csi_secret)."""

SECRETS_HEAD = '''"""Fields whose values must never be logged or shown, by message.

Generated from protos/ by tools/protos.py: the generated messages don't keep the mark.
"""

from typing import Final

SECRET_FIELDS: Final[dict[str, frozenset[str]]] = {
'''
PACKAGE_HEAD = '"""Generated from protos/ by tools/protos.py; never edited. Start at `csi.v1`."""\n'


def generate(target: Path) -> None:
    """Write the whole package into the empty directory `target`."""
    descriptors = target / "descriptors.bin"
    include = Path(grpc_tools.__file__).parent / "_proto"
    plugin = Path(sysconfig.get_path("scripts")) / "protoc-gen-python_betterproto"
    command = [
        sys.executable, "-m", "grpc_tools.protoc",
        f"--proto_path={ROOT / 'protos'}", f"--proto_path={include}",
        f"--plugin=protoc-gen-python_betterproto={plugin}",
        f"--python_betterproto_out={target}",
        f"--descriptor_set_out={descriptors}",
        *map(str, PROTOS),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    (target / "__init__.py").write_text(PACKAGE_HEAD)
    (target / "secrets.py").write_text(secrets_module(descriptors.read_bytes()))
    descriptors.unlink()


def secrets_module(descriptors: bytes) -> str:
    """The module that lists the secret fields, from a serialized descriptor set."""
    files = FileDescriptorSet.FromString(descriptors).file
    messages = [message for file in files for message in file.message_type]
    lines = [SECRETS_HEAD]
    for message in sorted(messages, key=lambda message: message.name):
        if names := secret_fields(message):
            told = ", ".join(f'"{name}"' for name in names)
            lines.append(f'    "{message.name}": frozenset({{{told}}}),\n')
    return "".join((*lines, "}\n"))


def secret_fields(message: DescriptorProto) -> list[str]:
    """The names of the fields of `message` that carry the mark.

    The option is an extension, so it is among the unknown fields of the options: its tag as a
    varint field, then true.
    """
    mark = _varint(SECRET_OPTION << 3) + b"\x01"
    return [field.name for field in message.field if mark in field.options.SerializeToString()]


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number >= 0x80:  # noqa: PLR2004 - seven bits a byte
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*parts, number))


def files_of(directory: Path) -> set[Path]:
    """The generated files below `directory`, relative to it."""
    return {path.relative_to(directory) for path in directory.rglob("*.py")}


def differing(fresh: Path, kept: Path) -> list[Path]:
    """Files that are missing on either side or not the same."""
    names = files_of(fresh) | files_of(kept)
    _, mismatch, errors = filecmp.cmpfiles(fresh, kept, sorted(map(str, names)), shallow=False)
    return [Path(name) for name in sorted({*mismatch, *errors})]


def main(arguments: list[str]) -> int:
    """Generate or check."""
    with tempfile.TemporaryDirectory() as directory:
        fresh = Path(directory)
        generate(fresh)
        different = differing(fresh, TARGET)
        if arguments == ["--check"]:
            for name in different:
                print(f"not what protos/ gives: src/diskcsi/_proto/{name}", file=sys.stderr)
            if different:
                print("run: nox -s protos -- --write", file=sys.stderr)
            return 1 if different else 0
        for name in different:
            kept = TARGET / name
            if not (fresh / name).exists():
                kept.unlink()
                continue
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes((fresh / name).read_bytes())
            print(f"wrote {kept.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
