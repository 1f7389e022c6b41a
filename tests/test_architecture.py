"""The house rules that a tool can hold: layers, budgets, who starts processes, how tests are told."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FILE_LINES = 500
FUNCTION_LINES = 60
EDGE_METHOD_LINES = 12
PROCESS_STARTERS = ("src/diskcsi/host/linux/run.py", "src/diskcsi/orchestrator/processes.py")

SOURCES = (
    "src",
    "mockcloud/src",
    "mockcloud/tests",
    "tests",
    "tools",
    "benchmarks",
    "e2e",
    "examples",
)

PLANTED = {
    "layers": ("src/diskcsi/model/sizes.py", "import diskcsi.ports.cloud"),
    "layers-new-module": ("src/diskcsi/unlisted.py", "VALUE = 1"),
    "independent": ("src/diskcsi/aio/backoff.py", "import mockcloud.errors"),
    "rules": ("src/diskcsi/controller/create.py", "import diskcsi.host.linux.run"),
    "grpc": ("src/diskcsi/node/stage.py", "import grpclib.const"),
    "sdk": ("src/diskcsi/telemetry/metrics.py", "import aliyunsdkcore.client"),
    "siblings": ("src/diskcsi/providers/local/store.py", "import diskcsi.providers.alibaba.limits"),
    "other-side": ("src/diskcsi/orchestrator/mock.py", "import diskcsi.model.ids"),
    "pure": ("src/diskcsi/model/ids.py", "import asyncio"),
}
"""For each contract a module, and an import that must not stand there."""


def _python_files() -> Iterator[Path]:
    for source in SOURCES:
        for path in sorted((ROOT / source).rglob("*.py")):
            if "_proto" not in path.parts and "build" not in path.parts:
                yield path


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            yield item


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _where(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def copied_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources and the contracts in another place, where a violation can be planted."""
    tree = tmp_path_factory.mktemp("planted")
    for source in ("src", "mockcloud/src"):
        shutil.copytree(
            ROOT / source, tree / source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    shutil.copy(ROOT / "pyproject.toml", tree)
    return tree


def _lint(tree: Path, contract: str | None = None) -> subprocess.CompletedProcess[str]:
    chosen = ["--contract", contract] if contract else []
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-logo", "--no-cache", *chosen],
        cwd=tree,
        env={"PYTHONPATH": f"{tree}/src:{tree}/mockcloud/src", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_import_contract_holds(copied_tree: Path) -> None:
    """The tree as it stands keeps all contracts."""
    done = _lint(copied_tree)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_import_breaks_its_contract(copied_tree: Path, planted: str) -> None:
    """Each contract sees the import that it forbids."""
    name, line = PLANTED[planted]
    contract = "layers" if planted.startswith("layers") else planted
    module = copied_tree / name
    former = module.read_text() if module.exists() else None
    module.write_text(f"{former or ''}\n{line}\n")
    try:
        done = _lint(copied_tree, contract)
    finally:
        if former is None:
            module.unlink()
        else:
            module.write_text(former)
    assert done.returncode == 1, done.stdout + done.stderr


def test_no_file_is_longer_than_its_budget() -> None:
    """A longer file hides an idea that deserves its own."""
    found = {
        _where(path): lines
        for path in _python_files()
        if (lines := len(path.read_text().splitlines())) > FILE_LINES
    }
    assert not found


def test_no_function_is_longer_than_its_budget() -> None:
    """A longer function does more than one thing."""
    found = {
        f"{_where(path)}:{function.name}": _lines(function)
        for path in _python_files()
        for function in _functions(path)
        if _lines(function) > FUNCTION_LINES
    }
    assert not found


def test_methods_of_the_edge_only_decode_call_and_encode() -> None:
    """An RPC's method is short: no rule lives at the edge."""
    found = {
        f"{name}.{function.name}": len(body)
        for name in ("identity", "controller", "node")
        for function in _functions(ROOT / f"src/diskcsi/edge/{name}.py")
        if (body := _body_lines(function)) and len(body) > EDGE_METHOD_LINES
    }
    assert not found


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> range:
    first = function.body[1] if len(function.body) > 1 else function.body[0]
    return range(first.lineno, (function.end_lineno or first.lineno) + 1)


def test_every_test_says_what_it_proves() -> None:
    """A test has a docstring of one sentence, for those who see it fail."""
    found = [
        f"{_where(path)}:{function.name}"
        for path in _python_files()
        if path.name.startswith("test_")
        for function in _functions(path)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert not found


def test_only_two_modules_start_processes() -> None:
    """The driver's tools are started in one place, and what drives a driver in another."""
    found = [
        _where(path)
        for path in sorted((ROOT / "src/diskcsi").rglob("*.py"))
        if any(
            word in path.read_text() for word in ("subprocess_exec", "subprocess_shell", "Popen")
        )
        and _where(path) not in PROCESS_STARTERS
    ]
    assert not found


@pytest.mark.parametrize("module", ["pytest", "rich", "aliyunsdkcore", "mockcloud"])
def test_server_processes_never_import_what_they_do_not_need(module: str) -> None:
    """What only people's commands use stays out of the long-lived processes."""
    script = (
        "import sys, diskcsi.app, diskcsi.wiring; from diskcsi.telemetry import logging;"
        f" logging.logger(); print({module!r} in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
