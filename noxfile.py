"""The sessions that check the project; `make test` and continuous integration run them.

They run in the environment that nox itself is in, `build/dev`, which `make dev` fills from the lock
file with hashes: one installation serves all. Sessions that need other packages make their own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = [
    "lint", "types", "imports", "protos", "tests", "host", "sanity", "k8s", "minimums",
]  # fmt: skip

BIN = Path(sys.executable).parent
LOCK = "requirements/dev.lock"
MINIMUMS = "requirements/minimums.lock"
CODE = (
    "src",
    "mockcloud/src",
    "mockcloud/tests",
    "tests",
    "tools",
    "benchmarks",
    "e2e",
    "examples",
    "conftest.py",
    "noxfile.py",
)
UNAIDED = "not host and not sanity and not k8s and not images"
"""The tests that need neither root nor a tool that is built first."""

AT_ONCE = "--numprocesses=4"
"""Tests at once: they mostly wait, for a tool or a device, so two cores serve more than two."""

SANITY = Path("build/bin/csi-sanity")
SANITY_ENV = "DISKCSI_CSI_SANITY"


def tool(session: nox.Session, name: str, *arguments: str, **env: str) -> None:
    """Run a tool of this environment; what it starts finds the others beside it."""
    path = f"{BIN}:{os.environ.get('PATH', os.defpath)}"
    session.run(str(BIN / name), *arguments, env={"PATH": path, **env}, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, complexity and format with ruff."""
    tool(session, "ruff", "check", *CODE)
    tool(session, "ruff", "format", "--check", *CODE)


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy in strict mode, tests included."""
    tool(session, "mypy", *CODE)


@nox.session
def imports(session: nox.Session) -> None:
    """Check who imports whom against the layers of the architecture page."""
    tool(session, "lint-imports", "--no-logo", PYTHONPATH="src:mockcloud/src")


@nox.session
def protos(session: nox.Session) -> None:
    """Compare the CSI messages and stubs with what protos/ gives; `-- --write` generates them."""
    mode = [] if "--write" in session.posargs else ["--check"]
    tool(session, "python", "tools/protos.py", *mode)


@nox.session
def tests(session: nox.Session) -> None:
    """Run every test that needs neither root nor a tool that is built first."""
    tool(session, "pytest", AT_ONCE, "-m", UNAIDED, *session.posargs)


@nox.session
def host(session: nox.Session) -> None:
    """Run the tests that need root and loop devices."""
    tool(session, "pytest", AT_ONCE, "-m", "host and not sanity and not images", *session.posargs)


@nox.session
def sanity(session: nox.Session) -> None:
    """Run the stock csi-sanity against the driver and a cloud with loop disks."""
    tool(session, "python", "tools/csi_sanity.py", str(SANITY))
    tool(
        session, "pytest", AT_ONCE, "-m", "sanity", "-rs", *session.posargs,
        **{SANITY_ENV: str(SANITY.resolve())},
    )  # fmt: skip


@nox.session
def k8s(session: nox.Session) -> None:
    """Hold charts and manifests to what they promise, with helm and kubectl of our own."""
    told = session.run(
        str(BIN / "python"), "-m", "e2e.cluster", "programs", "helm", "kubernetes",
        silent=True, external=True,
    )  # fmt: skip
    helm, kubernetes = str(told).split()
    tool(
        session, "pytest", AT_ONCE, "-m", "k8s", "-rs", *session.posargs,
        DISKCSI_HELM=f"{helm}/helm", DISKCSI_KUBECTL=f"{kubernetes}/kubectl",
    )  # fmt: skip


@nox.session(venv_backend="venv", reuse_venv=True)
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest versions of our dependencies that we say will do."""
    session.install("--quiet", "--no-deps", "--require-hashes", "--requirement", MINIMUMS)
    session.install(
        "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".", "--editable", "mockcloud"
    )
    # what the architecture tests read is our source: tools of today do that, in `tests`
    code_tests = (AT_ONCE, "-m", UNAIDED, "--ignore=tests/test_architecture.py")
    session.run("pytest", *code_tests, *session.posargs)


@nox.session(venv_backend="venv", reuse_venv=True)
def locks(session: nox.Session) -> None:
    """Make the lock files anew from pyproject.toml, with hashes and without an index address."""
    session.install("--quiet", "uv")
    compiling = (
        "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes",
        "--no-emit-index-url", "--no-annotate", "--no-header", "--python-version", "3.11",
    )  # fmt: skip
    projects = ("pyproject.toml", "mockcloud/pyproject.toml", "--group", "dev")
    session.run(*compiling, *projects, "--output-file", LOCK, *session.posargs)
    session.run(*compiling, *projects, "--resolution", "lowest-direct", "--output-file", MINIMUMS)
    session.run(*compiling, "requirements/go.in", "--output-file", "requirements/go.lock")
    # what the images run is what the tests ran
    tested = (*compiling, "--constraint", LOCK)
    for sources, lock in (
        (("pyproject.toml", "--extra", "rust-codec"), "diskcsi"),
        (("mockcloud/pyproject.toml",), "mockcloud"),
        (("requirements/images.in",), "images"),
    ):
        session.run(*tested, *sources, "--output-file", f"requirements/{lock}.lock")


@nox.session
def news(session: nox.Session) -> None:
    """Show the changelog entry that the fragments in docs/news make."""
    tool(session, "towncrier", "build", "--draft", "--version", "next")
