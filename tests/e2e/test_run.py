"""A run of scenarios: how it ends when somebody interrupts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from e2e import run
from e2e.cluster.place import ROOT, Place
from e2e.cluster.shell import CommandFailed
from e2e.run import FULL, INTERRUPTED

SCENARIO = """
import os

import pytest


@pytest.fixture
def node():
    yield
    with open("{directory}/told", "a") as told:
        told.write("the node is up again\\n")


def test_a_node_is_lost(node):
    with open("{directory}/told", "a") as told:
        told.write("{name}\\n")
    open("{directory}/under-way", "w").close()
    open("{directory}/go-on").close()
"""
"""It waits until somebody interrupts it, and its fixture has something to put right."""

RUN = """
import signal, sys
from pathlib import Path

from e2e import run
from e2e.cluster.place import Place

signal.signal(signal.SIGINT, signal.default_int_handler)
directory = Path("{directory}")
run.here = lambda: Place(cache=directory, work=directory, own_docker=False)
run.refuse_unusable = lambda place: None
run.PARTS = {{name: (str(directory / f"test_{{name}}.py"),) for name in ("first", "second")}}
sys.exit(run.main([]))
"""
"""A run with parts of its own; whoever started the tests may have had it ignore the signal."""


@pytest.fixture
def usable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster, of which these scenarios see nothing."""
    monkeypatch.setattr(run, "refuse_unusable", lambda _: None)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The scenarios of two parts, and the pipes by which they wait."""
    for name in ("first", "second"):
        text = SCENARIO.format(directory=tmp_path, name=name)
        (tmp_path / f"test_{name}.py").write_text(text)
    for pipe in ("under-way", "go-on"):
        os.mkfifo(tmp_path / pipe)
    return tmp_path


def place_of(directory: Path) -> Place:
    return Place(cache=directory, work=directory, own_docker=False)


@pytest.fixture
def one_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of one part, in which there is one scenario."""
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n")
    monkeypatch.setattr(run, "here", lambda: place_of(tmp_path))
    monkeypatch.setattr(run, "PARTS", {"first": (str(tmp_path),)})


def test_an_interrupted_run_lets_the_scenario_put_right_what_it_changed(directory: Path) -> None:
    """The terminal tells both, and the run only waits for pytest; the parts to come do not begin."""
    command = [sys.executable, "-c", RUN.format(directory=directory)]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as run:
        (directory / "under-way").read_text()  # until it is
        os.killpg(run.pid, signal.SIGINT)
        end = run.wait(timeout=60)
    assert end == INTERRUPTED
    assert (directory / "told").read_text() == "first\nthe node is up again\n"


@pytest.mark.usefixtures("usable")
@pytest.mark.parametrize(
    ("arguments", "slow"),
    [([], False), ([FULL], True), (["-k", "frozen"], True), (["--collect-only"], True)],
)
def test_the_slow_ones_run_where_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], *, slow: bool
) -> None:
    """By name, or with all others; a change is judged without them."""
    chosen: list[list[str]] = []

    def part(place: Place, words: list[str], lock: int) -> int:
        chosen.append(words)
        return 0

    monkeypatch.setattr(run, "here", lambda: place_of(tmp_path))
    monkeypatch.setattr(run, "_part", part)
    run.main(arguments)
    assert ("disruptive" in chosen[-1]) is slow
    assert FULL not in chosen[-1]


@pytest.mark.usefixtures("usable", "one_scenario")
def test_scenarios_chosen_by_name_or_only_named_leave_the_reports_of_a_run_of_all(
    tmp_path: Path,
) -> None:
    """They have reports of their own."""
    assert run.main([]) == 0
    told = (tmp_path / "report-first.xml").read_text()
    assert run.main(["-k", "it"]) == 0
    assert run.main(["--collect-only"]) == 0
    assert (tmp_path / "report-first.xml").read_text() == told
    found = {one.name for one in tmp_path.glob("*.xml")}
    assert found == {"report-first.xml", "report-chosen-first.xml"}


@pytest.mark.usefixtures("usable", "one_scenario")
def test_a_mistyped_choice_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The parts to come would only say so again."""
    monkeypatch.setattr(run, "PARTS", run.PARTS | {"second": run.PARTS["first"]})
    assert run.main(["-k", "("]) == run.USAGE_ERROR
    assert capfd.readouterr().err.count("Wrong expression passed to '-k'") == 1


@pytest.mark.usefixtures("usable", "one_scenario")
def test_a_choice_of_nothing_is_told_with_the_way_to_the_names(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Who mistypes a word finds the right one."""
    assert run.main(["-k", "drian or drained"]) == run.NONE_CHOSEN
    told = capfd.readouterr().err
    assert "no scenario is chosen by -k 'drian or drained'; `make e2e ARGS=--collect-only`" in told


@pytest.mark.usefixtures("one_scenario")
def test_scenarios_without_a_cluster_are_told_how_to_get_one() -> None:
    """Before any of them fails of it."""
    with pytest.raises(CommandFailed, match="there is no cluster that answers: `make e2e-up`"):
        run.main([])


@pytest.mark.usefixtures("one_scenario")
@pytest.mark.parametrize("asked", run.ONLY_NAMES)
def test_names_and_words_of_pytest_are_had_without_a_cluster(asked: str) -> None:
    """Nothing is run for them."""
    assert run.main([asked]) == 0


@pytest.mark.usefixtures("one_scenario")
def test_words_of_pytest_are_told_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every part would tell the same."""
    monkeypatch.setattr(run, "PARTS", run.PARTS | {"second": run.PARTS["first"]})
    run.main(["--help"])
    told = capfd.readouterr().out
    assert (told.count("python -m e2e.run [--full]"), told.count("--fixtures-per-test")) == (1, 1)
