"""The sessions that check the project; `make test` and continuous integration run them.

Each session installs what its lock file names, with hashes, and nothing else.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "imports", "tests", "host"]
nox.options.error_on_missing_interpreters = True

LOCK = "requirements/dev.lock"
CODE = ("src", "mockcloud/src", "tests", "mockcloud/tests", "tools", "noxfile.py")


def install(session: nox.Session) -> None:
    """Install the locked tools and dependencies, and the project as a link to its source.

    The lock is complete, so pip resolves nothing: older ones trip over extras of pinned packages.
    """
    session.install("--quiet", "--no-deps", "--require-hashes", "--requirement", LOCK)
    session.install("--quiet", "--no-deps", "--editable", ".", "--editable", "mockcloud")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, complexity and format with ruff."""
    install(session)
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy in strict mode, tests included."""
    install(session)
    session.run("mypy", *CODE)


@nox.session
def imports(session: nox.Session) -> None:
    """Check who imports whom against the layers of the architecture page."""
    install(session)
    session.run("lint-imports", env={"PYTHONPATH": "src:mockcloud/src"})


@nox.session
def protos(session: nox.Session) -> None:
    """Generate the CSI messages and stubs; with `-- --check` only compare them with the tree."""
    install(session)
    session.run("python", "tools/protos.py", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run every test that needs no root."""
    install(session)
    session.run("pytest", "-m", "not host", *session.posargs)


@nox.session
def host(session: nox.Session) -> None:
    """Run the tests that need root and loop devices."""
    install(session)
    session.run("pytest", "-m", "host", *session.posargs)


@nox.session
def locks(session: nox.Session) -> None:
    """Make the lock files anew from pyproject.toml, with hashes and without an index address."""
    session.install("--quiet", "uv")
    session.run(
        "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes",
        "--no-emit-index-url", "--no-annotate", "--no-header", "--python-version", "3.11",
        "pyproject.toml", "mockcloud/pyproject.toml", "--group", "dev",
        "--output-file", LOCK, *session.posargs,
    )  # fmt: skip


@nox.session(name="news")
def news(session: nox.Session) -> None:
    """Show the changelog entry that the fragments in docs/news make."""
    install(session)
    session.run("towncrier", "build", "--draft", "--version", "next")
