"""The reference pages say what the code says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import reference
import reference_metrics
import reference_ram

ASKS_MORE = "async def look(self) -> None:\n    await self._cloud.get_node('i-1')\n"


def test_the_pages_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """Each page is what the tool would write now."""
    assert reference.main(["--check"]) == 0, capsys.readouterr().out


def test_a_call_that_no_feature_lists_is_noticed(tmp_path: Path) -> None:
    """What the rules begin to ask of a cloud must get into a policy."""
    shutil.copytree(reference.ROOT / "src", tmp_path / "src")
    (tmp_path / "src/diskcsi/controller/more.py").write_text(ASKS_MORE)
    with pytest.raises(ValueError, match="get_node"):
        reference_ram.page(tmp_path)


def test_every_feature_needs_some_action() -> None:
    """A feature whose methods make no call would have an empty policy."""
    actions = reference_ram.actions_by_method(reference.ROOT)
    assert all(any(actions[method] for method in one.asked) for one in reference_ram.FEATURES)


def test_every_number_is_told_of() -> None:
    """What a process with both halves serves is what the page describes."""
    assert set(reference_metrics.served()) == set(reference_metrics.PURPOSES)
