"""The how-to is made of the example: what a reader copies is what was tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from diskcsi import spi
from diskcsi.model import errors

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/how-to/write-a-provider.md").read_text()
SNIPPET = re.compile(r"<!-- from (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
SNIPPETS = SNIPPET.findall(PAGE)


@pytest.mark.parametrize(("file", "snippet"), SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_stands_in_its_file(file: str, snippet: str) -> None:
    """Word by word, but for the indentation of a method."""
    lines = [line.strip() for line in snippet.strip().splitlines()]
    assert "\n".join(lines) in "\n".join(
        line.strip() for line in (ROOT / file).read_text().splitlines()
    )


def test_all_code_of_the_page_comes_from_the_example() -> None:
    """A block that no file holds would age unseen."""
    assert len(re.findall(r"```(?:python|toml)", PAGE)) == len(SNIPPETS)


def test_every_link_of_the_page_leads_to_a_file() -> None:
    """Files move."""
    page = ROOT / "docs/how-to"
    links = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    assert [link for link in links if not (page / link).exists()] == []


def test_an_author_finds_every_error_that_a_provider_may_raise() -> None:
    """But those that the rules alone raise."""
    tree = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.DiskError)
    }
    assert tree - set(spi.__all__) == {"Broken", "Unreadable"}
