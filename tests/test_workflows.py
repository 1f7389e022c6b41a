"""Workflow files: what they may do, whom they trust, and that what they call is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))

RECIPE = ROOT / "docs/how-to/test-your-workflow.md"
COMMANDS = (*WORKFLOWS, RECIPE, ROOT / "docs/how-to/release.md", ROOT / "CONTRIBUTING.md")

MAY_WRITE = {
    ("checks", "test"): set(),
    ("checks", "e2e"): set(),
    ("release", "ready"): set(),
    ("release", "scenarios"): set(),
    ("release", "packages"): {"id-token", "attestations"},
    ("release", "images"): {"packages", "id-token", "attestations"},
    ("release", "charts"): {"packages", "id-token", "attestations"},
    ("release", "release"): {"contents"},
}
"""By workflow and job, what its token may change."""

EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
MAKE = re.compile(r"\bmake ((?:[A-Z]+=\S+ )*)([a-z][a-z0-9-]*)")
SCRIPT = re.compile(r"\bpython3? (tools/[a-z_]+\.py)")
SESSIONS = re.compile(r"\bnox -s ([a-z0-9 ]*[a-z0-9])")


def _parsed(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def _jobs() -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    for path in WORKFLOWS:
        whole = _parsed(path)
        for name, job in whole["jobs"].items():
            yield path.stem, name, whole, job


def _steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for workflow, name, _, job in _jobs():
        for number, step in enumerate(job["steps"], 1):
            yield f"{workflow}/{name}/{number}", step


def test_each_job_may_change_only_what_it_has_to() -> None:
    """A step that is taken over gets no more than its job's token allows."""
    granted = {
        (workflow, name): {
            scope
            for scope, level in job.get("permissions", whole["permissions"]).items()
            if level != "read"
        }
        for workflow, name, whole, job in _jobs()
    }
    assert granted == MAY_WRITE


def test_no_expression_is_written_into_a_script() -> None:
    """What a branch, a tag or an output says would be run; scripts read variables instead."""
    found = [where for where, step in _steps() if EXPRESSION.search(step.get("run", ""))]
    assert not found


def test_nothing_but_the_jobs_own_token_is_used() -> None:
    """Keys that don't exist can't leak, and the token never stays in the clone."""
    words = {
        word.strip()
        for path in WORKFLOWS
        for word in EXPRESSION.findall(path.read_text())
        if "secrets" in word or "token" in word
    }
    kept = [
        where
        for where, step in _steps()
        if step.get("uses", "").startswith("actions/checkout@")
        and step.get("with", {}).get("persist-credentials") is not False
    ]
    assert (words, kept) == ({"github.token"}, [])


def test_scripts_never_show_what_they_run() -> None:
    """A trace would show the token that is passed on standard input."""
    assert not [where for where, step in _steps() if re.search(r"set -\w*x", step.get("run", ""))]


def test_actions_are_githubs_own_at_a_major_version_or_pinned_by_commit() -> None:
    """A tag of another party's action can be moved to any code."""
    allowed = re.compile(r"actions/[a-z-]+@v\d+|[\w.-]+/[\w./-]+@[0-9a-f]{40}")
    used = {(where, step["uses"]) for where, step in _steps() if "uses" in step}
    assert not {one for one in used if not allowed.fullmatch(one[1])}


def test_every_job_ends_by_itself_on_a_system_that_is_named() -> None:
    """A job that hangs costs six hours, and `latest` changes on a day that nobody chose."""
    odd = [
        f"{workflow}/{name}"
        for workflow, name, _, job in _jobs()
        if "timeout-minutes" not in job or not re.fullmatch(r"ubuntu-\d\d\.\d\d", job["runs-on"])
    ]
    assert not odd


def test_every_job_that_publishes_waits_for_an_approval() -> None:
    """Whoever may push a tag doesn't release by that alone."""
    unguarded = [
        f"{workflow}/{name}"
        for workflow, name, _, job in _jobs()
        if MAY_WRITE[workflow, name] and job.get("environment") != "release"
    ]
    assert not unguarded


def test_a_release_starts_with_the_checks() -> None:
    """Nothing is built, signed or published from a tag that they or the scenarios refuse."""
    jobs = _parsed(ROOT / ".github/workflows/release.yml")["jobs"]
    needs = {name: job.get("needs", []) for name, job in jobs.items()}

    def reaches(name: str, first: str) -> bool:
        before = [needs[name]] if isinstance(needs[name], str) else needs[name]
        return name == first or any(reaches(one, first) for one in before)

    assert {name for name in jobs if not reaches(name, "ready")} == set()
    assert {name for name in jobs if not reaches(name, "scenarios")} == {"ready"}


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)
def test_what_is_called_is_there(path: Path) -> None:
    """Each make target, nox session and script that is named in a workflow or on its page."""
    text = path.read_text()
    targets = set(re.findall(r"(?m)^([a-z0-9-]+):", (ROOT / "Makefile").read_text()))
    sessions = set(
        re.findall(r"(?m)^@nox\.session.*\ndef (\w+)", (ROOT / "noxfile.py").read_text())
    )
    named = {name for found in SESSIONS.findall(text) for name in found.split()}
    absent = (
        {found[1] for found in MAKE.findall(_commands(path))} - targets,
        named - sessions,
        {script for script in SCRIPT.findall(text) if not (ROOT / script).exists()},
    )
    assert absent == (set(), set(), set())


def _commands(path: Path) -> str:
    """The code of a page, or the scripts of a workflow; prose speaks of making things, too."""
    if path.suffix == ".md":
        return "\n".join(re.findall(r"(?s)```\w*\n(.*?)```", path.read_text()))
    return "\n".join(
        step["run"]
        for job in _parsed(path)["jobs"].values()
        for step in job["steps"]
        if "run" in step
    )


def test_the_recipe_is_a_workflow_without_rights() -> None:
    """Who copies it gets a file that parses, reads only, and installs a chart that is there."""
    (recipe,) = re.findall(r"(?s)```yaml\n(name: storage.*?)```", RECIPE.read_text())
    charts = re.findall(r"k8s/chart/[a-z-]+", recipe)
    assert yaml.safe_load(recipe)["permissions"] == {"contents": "read"}
    assert charts
    assert all((ROOT / chart / "Chart.yaml").exists() for chart in charts)


@pytest.mark.parametrize("english", ["README.md", "docs/operations/rainbond.md"])
def test_pages_in_two_languages_name_each_other(english: str) -> None:
    """A reader finds the other language at the top of each."""
    page = ROOT / english
    other = page.with_name(f"{page.stem}.zh-CN.md")
    heads = [one.read_text().partition("\n## ")[0] for one in (page, other)]
    assert (f"({other.name})" in heads[0], f"({page.name})" in heads[1]) == (True, True)


def test_both_languages_give_the_same_commands() -> None:
    """A command that is mended on one page is mended on the other."""
    pages = [ROOT / f"docs/operations/rainbond{end}.md" for end in ("", ".zh-CN")]
    english, chinese = (
        [line for line in _commands(page).splitlines() if line.startswith("$ ")] for page in pages
    )
    assert english == chinese
