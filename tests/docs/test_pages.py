"""What the pages say of messages and files is true: people search for a message by its words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from diskcsi.model.errors import NodeBusy, Throttled
from diskcsi.providers.alibaba.codes import BY_CODE

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), ROOT / "k8s" / "README.md"])
DOCKERFILES = sorted((ROOT / "k8s" / "images").glob("*/Dockerfile"))
OF_K8S = sorted([*ROOT.glob("k8s/**/*.yaml"), *ROOT.glob("k8s/**/NOTES.txt")])
EXAMPLES = sorted((ROOT / "examples" / "kubernetes").glob("*.yaml"))

OF_OTHERS = re.compile(r"\(from (Kubernetes|helm|the cloud)")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#\s]*)(#[^)\s]*)?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED = re.compile(r"^(?:\d\.)? *```.*?^ *```", re.MULTILINE | re.DOTALL)


def keys() -> list[str]:
    """What the rows of the troubleshooting page are found by."""
    text = (DOCS / "operations" / "troubleshooting.md").read_text()
    return re.findall(r"^\| (`[^|]*) \|", text, flags=re.MULTILINE)


def messages() -> list[str]:
    """Those that the driver or its chart says."""
    return [key.strip("`") for key in keys() if not OF_OTHERS.search(key)]


@cache
def sayings() -> tuple[str, ...]:
    """Every text in the driver's source, a gap where a value is put in, and the chart's templates."""
    found = []
    for file in (ROOT / "src" / "diskcsi").rglob("*.py"):
        found += list(_texts(ast.parse(file.read_text())))
    templates = (ROOT / "k8s" / "chart" / "diskcsi" / "templates").glob("*.tpl")
    return (*found, *(file.read_text() for file in templates))


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("message", messages())
def test_a_message_is_one_that_is_said(message: str) -> None:
    """Each piece between two gaps stands in the source."""
    pieces = [piece.strip(" :;,") for piece in message.split("...")]
    unsaid = [piece for piece in pieces if not any(piece in saying for saying in sayings())]
    assert not unsaid


@pytest.mark.parametrize(
    "code", sorted(code for code, kind in BY_CODE.items() if kind in (Throttled, NodeBusy))
)
def test_a_code_that_is_told_while_calls_wait_is_found(code: str) -> None:
    """By itself, or by the beginning that it shares with others."""
    rows = [key for key in keys() if "(from the cloud)" in key]
    told = [one for row in rows for one in re.findall("`([^`]+)`", row)]
    assert any(code == one or code.startswith(f"{one}.") for one in told)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each link is to a file that there is, and to a heading in it."""
    text = FENCED.sub("", page.read_text())
    dead = []
    for path, anchor in LINK.findall(text):
        target = (page.parent / path).resolve() if path else page
        if "://" in path:
            continue
        if not target.exists() or (anchor and anchor[1:] not in anchors(target)):
            dead.append(path + anchor)
    assert not dead


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = HEADING.findall(FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(
    "page", [*PAGES, *DOCKERFILES], ids=lambda page: page.parent.name + page.stem
)
def test_a_tool_is_called_by_the_python_that_has_its_packages(page: Path) -> None:
    """Another one's may lack them, and is called `python3` or not at all."""
    assert not re.findall(r"(?<!build/dev/bin/)python3? tools/", page.read_text())


@pytest.mark.parametrize("file", [*PAGES, *OF_K8S], ids=lambda file: str(file.relative_to(ROOT)))
def test_no_command_has_a_secret_among_its_words(file: Path) -> None:
    """Words of a command are in the shell's history, and every user of the machine sees them."""
    assert "--from-literal" not in file.read_text()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_names_no_class(example: Path) -> None:
    """Whatever class is the cluster's default serves it."""
    objects = list(yaml.safe_load_all(example.read_text()))
    claims = [one["spec"] for one in objects if one["kind"] == "PersistentVolumeClaim"]
    claims += [
        made["spec"] for one in objects for made in one["spec"].get("volumeClaimTemplates", [])
    ]
    assert claims
    assert all("storageClassName" not in claim for claim in claims)
