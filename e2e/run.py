"""Runs the scenarios: `python -m e2e.run [options of pytest]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

from e2e.cluster.place import ROOT, here

TIMEOUT_S: Final = 900
"""For one scenario; each wait in it has a limit of its own, which tells more."""


def main(arguments: list[str]) -> int:
    """Pytest's exit status; the report is in `build/e2e`."""
    work = here().work
    flags = [
        "--quiet", "-rfE", f"--timeout={TIMEOUT_S}", "-p", "no:randomly",
        "--durations=15", f"--junitxml={work / 'report.xml'}", f"--rootdir={ROOT}",
        f"--override-ini=cache_dir={work / 'pytest'}",
    ]  # fmt: skip
    scenarios = str(Path(__file__).parent / "scenarios")
    return int(pytest.main([*flags, *arguments, scenarios]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
