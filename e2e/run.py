"""Runs the scenarios: `python -m e2e.run [options of pytest]`.

First the checks of the images that the cluster runs, then the scenarios: those that disturb nobody
side by side, since they mostly wait, and at last the others, one by one.
"""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from e2e.cluster.leftovers import refuse_unusable
from e2e.cluster.lock import alone
from e2e.cluster.place import ROOT, Place, here
from e2e.cluster.shell import CommandFailed

TIMEOUT_S: Final = 900
"""For one scenario; each wait in it has a limit of its own, which tells more."""

SIDE_BY_SIDE: Final = 6
"""Scenarios at once: on two cores more of them only wait for each other."""

NONE_CHOSEN: Final = int(pytest.ExitCode.NO_TESTS_COLLECTED)
INTERRUPTED: Final = int(pytest.ExitCode.INTERRUPTED)
USAGE_ERROR: Final = int(pytest.ExitCode.USAGE_ERROR)
FOR_NOTHING: Final = (INTERRUPTED, USAGE_ERROR)
"""After such an end the parts to come would only end so too."""

SCENARIOS: Final = str(Path(__file__).parent / "scenarios")

OF_PYTEST: Final = ("--help", "-h", "--version", "-V", "--markers", "--fixtures", "--funcargs")
"""Pytest's, by which it tells of itself, the same for every part."""

ONLY_NAMES: Final = (
    *OF_PYTEST, "--fixtures-per-test", "--collect-only", "--collectonly", "--co"
)  # fmt: skip
"""Those, and what names scenarios: nothing is run for them."""

FULL: Final = "--full"

USAGE: Final = f"""usage: python -m e2e.run [{FULL}] [options of pytest]

  {FULL}  also the slow scenarios, which a run of all leaves out; -k WORDS finds them as well

Needs a cluster (`make e2e-up`), unless only names are asked for. Pytest's own options:
"""

NOT_SLOW: Final = " and not slow"
"""What is left out of a run of all, so that it is done in the time that a change may take."""

PARTS: Final = {
    "images": ("-m", "images", str(ROOT / "tests" / "images")),
    "beside": ("-m", "not disruptive", "-n", str(SIDE_BY_SIDE), SCENARIOS),
    "alone": ("-m", f"disruptive{NOT_SLOW}", SCENARIOS),
}


def main(arguments: list[str]) -> int:
    """0 if all chosen scenarios passed; `build/e2e/report-PART.xml` tells of each.

    The slow ones run where --full asks for them, or -k chooses scenarios by their names. What was
    chosen by name, or only named, has reports of its own, `report-chosen-PART.xml`: those of a run of
    all stay.

    Raises:
        CommandFailed: another command is at work on the cluster, there is none to run them in, or
            scenarios that were cut off have left something in it.
    """
    if marks := [one for one in arguments if re.match("-m|--markexpr", one)]:
        print(f"{marks[0]} chooses the parts of a run; choose scenarios by -k", file=sys.stderr)
        return USAGE_ERROR
    place = here()
    if {"--help", "-h"} & set(arguments):
        print(USAGE, flush=True)
    with alone(place) as lock:
        if not set(ONLY_NAMES) & set(arguments):
            refuse_unusable(place)
        ends = _parts(place, arguments, lock)
    if all(end == NONE_CHOSEN for end in ends):
        print(
            f"no scenario is chosen by {shlex.join(arguments)}; `make e2e ARGS=--collect-only` names"
            " them all",
            file=sys.stderr,
        )
        return NONE_CHOSEN
    return next((end for end in ends if end not in (0, NONE_CHOSEN)), 0)


def _parts(place: Place, arguments: list[str], lock: int) -> list[int]:
    chooses = any(one.startswith("-k") or one in ONLY_NAMES for one in arguments)
    with_slow = chooses or FULL in arguments
    others = [one for one in arguments if one != FULL]
    ends: list[int] = []
    for name, part in PARTS.items():
        chosen = [one.removesuffix(NOT_SLOW) if with_slow else one for one in part]
        began_s = time.monotonic()
        report = place.work / f"report-{'chosen-' if chooses else ''}{name}.xml"
        ends.append(_part(place, [*chosen, f"--junitxml={report}", *others], lock))
        print(f"{name}: {time.monotonic() - began_s:.0f} s", flush=True)
        if ends[-1] in FOR_NOTHING or set(OF_PYTEST) & set(arguments):
            break
    return ends


def _part(place: Place, arguments: list[str], lock: int) -> int:
    command = [
        sys.executable, "-m", "pytest", "--verbose", "--tb=short", "-rfE", "-p", "no:randomly",
        "--durations=15", f"--timeout={TIMEOUT_S}", f"--rootdir={ROOT}",
        f"--override-ini=cache_dir={place.work / 'pytest'}",
        "--override-ini=faulthandler_timeout=0",
    ]  # fmt: skip
    # a child would inherit that a signal is ignored; a handler ends with the start of its program
    before = signal.signal(signal.SIGINT, _leave_to_pytest)
    try:
        return subprocess.run(
            [*command, *arguments], cwd=ROOT, check=False, env=place.environment(),
            pass_fds=(lock,),  # scenarios may outlive this process
        ).returncode  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)


def _leave_to_pytest(*_: object) -> None:
    """Let pytest, which the terminal tells as well, end what its scenarios have begun."""
    print("\npytest ends what it has begun; another interrupt cuts that off", file=sys.stderr)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CommandFailed as error:
        sys.exit(f"\n{error}")
