"""A vendor's words stand in its own provider: all else would serve another cloud as it is.

What may name a vendor, and why, is listed here: the default of one option, and the demonstration,
which starts the mock of that very cloud.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "src" / "diskcsi"

WORDS = re.compile(
    r"alibaba|aliyun|alicloud|rainbond|(?<![a-z])(ecs|essd|imds|cn-[a-z]+)(?![a-z])", re.IGNORECASE
)

ALLOWED = {
    "cli.py": 'DEFAULT_PROVIDER: Final = "alibaba"',
    "orchestrator/demo.py": "it starts the mock of one cloud",
    "orchestrator/drivers.py": "it sets drivers up for that mock",
    "orchestrator/mock.py": "it is that mock",
}


def _lines_with_vendor_words() -> set[tuple[str, str]]:
    return {
        (str(path.relative_to(ROOT)), line.strip())
        for path in ROOT.rglob("*.py")
        if not path.is_relative_to(ROOT / "providers" / "alibaba")
        for line in path.read_text().splitlines()
        if WORDS.search(line)
    }


def test_no_vendors_word_stands_outside_its_provider() -> None:
    """Each other place has its reason."""
    found = {(name, line) for name, line in _lines_with_vendor_words() if name not in ALLOWED}
    assert not found


def test_the_command_line_names_a_vendor_in_its_default_alone() -> None:
    """A default has to be somebody's name."""
    lines = {line for name, line in _lines_with_vendor_words() if name == "cli.py"}
    assert lines == {ALLOWED["cli.py"]}
