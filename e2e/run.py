"""Runs the scenarios: `python -m e2e.run [options of pytest]`.

Those that disturb nobody run side by side, since they mostly wait; then the others, one by one.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from e2e.cluster.place import ROOT, here

TIMEOUT_S: Final = 900
"""For one scenario; each wait in it has a limit of its own, which tells more."""

SIDE_BY_SIDE: Final = 6
"""Scenarios at once: on two cores more of them only wait for each other."""

NONE_CHOSEN: Final = int(pytest.ExitCode.NO_TESTS_COLLECTED)

SCENARIOS: Final = str(Path(__file__).parent / "scenarios")


def main(arguments: list[str]) -> int:
    """0 if all chosen scenarios passed; the reports are in `build/e2e`."""
    work = here().work
    parts = {
        "beside": ("-m", "not disruptive", "-n", str(SIDE_BY_SIDE)),
        "alone": ("-m", "disruptive"),
    }
    ends: list[int] = []
    rows: list[dict[str, object]] = []
    for name, flags in parts.items():
        began_s = time.monotonic()
        report = work / f"report-{name}.json"
        report.unlink(missing_ok=True)
        ends.append(int(pytest.main([*_common(work, name), *flags, *arguments, SCENARIOS])))
        rows += json.loads(report.read_text()) if report.exists() else []
        print(f"scenarios {name}: {time.monotonic() - began_s:.0f} s", flush=True)
    (work / "report.json").write_text(json.dumps(rows, indent=1))
    if all(end == NONE_CHOSEN for end in ends):
        print("no scenario has these words", file=sys.stderr)
        return NONE_CHOSEN
    return next((end for end in ends if end not in (0, NONE_CHOSEN)), 0)


def _common(work: Path, name: str) -> list[str]:
    return [
        "--verbose", "--tb=short", "-rfE", f"--timeout={TIMEOUT_S}", "-p", "no:randomly",
        "--durations=15", f"--junitxml={work / f'report-{name}.xml'}", f"--rootdir={ROOT}",
        f"--override-ini=cache_dir={work / 'pytest'}", "--override-ini=faulthandler_timeout=0",
        f"--report-json={work / f'report-{name}.json'}",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
