from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from diskcsi.orchestrator import view
from diskcsi.orchestrator.timeline import Step, Timeline

WIDTH = 100


class Cloud:
    """Has been asked what a test says."""

    def __init__(self) -> None:
        self.log: list[str] = []

    async def calls(self, *, since: int = 0) -> Sequence[Mapping[str, Any]]:
        numbered = enumerate(self.log, 1)
        return [{"seq": seq, "action": action} for seq, action in numbered if seq > since]


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def told() -> list[Step]:
    return []


@pytest.fixture
def timeline(cloud: Cloud, told: list[Step]) -> Timeline:
    return Timeline(cloud, told.append)


async def test_a_step_counts_the_calls_made_in_it(cloud: Cloud, timeline: Timeline) -> None:
    """Neither those before it nor those of its neighbours."""
    cloud.log += ["CreateDisk"]
    async with timeline.step("first"):
        cloud.log += ["DescribeDisks"]
    async with timeline.step("second"):
        cloud.log += ["AttachDisk", "DescribeDisks", "DescribeDisks"]
    assert timeline.steps[1].calls == {"AttachDisk": 1, "DescribeDisks": 2}


async def test_a_step_without_calls_forgets_no_earlier_ones(
    cloud: Cloud, timeline: Timeline
) -> None:
    """The sum is what the cloud was asked, each call once."""
    for actions in (["CreateDisk"], [], ["DeleteDisk"]):
        async with timeline.step("one"):
            cloud.log += actions
    assert timeline.calls == 2


async def test_a_step_is_told_when_it_is_over(timeline: Timeline, told: list[Step]) -> None:
    """With what came out of it."""
    async with timeline.step("one") as step:
        step.note = "done"
        assert not told
    assert [step.note for step in told] == ["done"]


async def test_a_failed_steps_error_names_it(timeline: Timeline, told: list[Step]) -> None:
    """Who reads the failure knows where it happened."""
    timeline.begin_chapter("xfs")
    with pytest.raises(ValueError, match="broken") as caught:
        async with timeline.step("attach"):
            raise ValueError("broken")
    assert view.told(caught.value) == "broken\nin the step 'xfs': attach"
    assert not told


@pytest.fixture(params=["rich", "plain"])
def looks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With rich, and as if it weren't installed."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    if request.param == "plain":
        monkeypatch.setitem(sys.modules, "rich", None)


@pytest.mark.usefixtures("looks")
async def test_the_table_has_every_step_and_how_all_ended(
    cloud: Cloud, timeline: Timeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """With rich and without it, the same facts."""
    timeline.begin_chapter("ext4")
    async with timeline.step("create"):
        cloud.log += ["CreateDisk", "DescribeDisks"]
    timeline.steps[0].seconds = 1.25
    view.summary(timeline, [("leaked disks", "0")])()
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[1:] == [
        ["ext4:", "create", "1.25", "2"], ["all", "1.25", "2"], ["leaked", "disks", "0"],
    ]  # fmt: skip


@pytest.mark.usefixtures("looks")
async def test_nothing_is_wider_than_a_terminal(
    timeline: Timeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """Long answers of the driver are wrapped."""
    async with timeline.step("a title as long as the longest one") as step:
        step.note = "a long story " * 40
    view.tell_step(step)
    view.summary(timeline, [("loop devices left", "0")])()
    assert max(map(len, capsys.readouterr().out.splitlines())) <= WIDTH
