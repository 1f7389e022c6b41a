"""What a failed scenario shows of its volumes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from e2e.support.kube import KubectlFailed, Object
from e2e.support.machines import Machines
from e2e.support.timeline import Timeline
from tests.e2e.stand_ins import ListedKube, StatedCloud, call, order, volume

pytest_plugins = ["pytester"]

LATER = "2999-01-01T00:00:0"
"""The first digits of times that are after the beginning of any scenario here."""

CALLED_AT_S = 32472144003.0
"""The third second of that time, since the epoch."""


class AnsweringKube(ListedKube):
    """A cluster whose API server may be away."""

    answers = True

    def list(self, kind: str, *, selector: str = "") -> Sequence[Object]:
        """Of this kind, unless it is away."""
        if not self.answers:
            raise KubectlFailed(f"no {kind}: connection refused")
        return super().list(kind, selector=selector)


class LoggingMachines(Machines):
    """Nodes with lines in their logs; one without an entry is frozen."""

    def __init__(self, **lines: Sequence[str]) -> None:
        super().__init__(environment={})
        self._lines = lines

    def logs(self, node: str, *, namespaces: Sequence[str], words: Sequence[str]) -> Sequence[str]:
        """As they were given."""
        assert node in self._lines, f"Container {node} is paused"
        return self._lines[node]


class CalledCloud(StatedCloud):
    """A cloud that was called for a disk of the scenario's, and for one of somebody else's."""

    called = (call("AttachDisk", DiskId="d-1"), call("AttachDisk", DiskId="d-9"))

    def calls(self, *, since: int = 0) -> Sequence[Object]:
        """These, all at one time."""
        return [{**one, "at": CALLED_AT_S} for one in self.called]


class OrderedCloud(CalledCloud):
    """A cloud that was called to make a disk, too."""

    called = (order("pv-0", "d-0"), call("DeleteDisk", DiskId="d-0"))


def line(second: int, text: str, *, pod: str = "diskcsi-node-x", run: int = 0) -> str:
    """As grep gives it, of a log that the container runtime has written."""
    path = f"diskcsi_{pod}_0-1-2/diskcsi/{run}.log"
    return f"{path}:{LATER}{second}.5Z stdout F {text}"


def event(second: int, message: str) -> Object:
    return {
        "metadata": {"uid": message}, "lastTimestamp": f"{LATER}{second}Z", "reason": "Told",
        "message": message, "involvedObject": {"kind": "Pod", "name": "db-0"},
    }  # fmt: skip


@pytest.fixture
def kube() -> AnsweringKube:
    """A cluster of two nodes with one volume of the scenario's."""
    return AnsweringKube(
        pv=[volume("pv-1", namespace="mine", disk="d-1")],
        nodes=[{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}],
        events=[event(1, "first"), event(5, "last")],
    )


def timeline_of(
    kube: ListedKube, machines: Machines, *, cloud: type[CalledCloud] = CalledCloud
) -> Timeline:
    return Timeline(kube=kube, cloud=cloud(), machines=machines, driver="diskcsi", first_call=0)


def after_the_time(rows: str) -> list[list[str]]:
    """What the rows tell, without their times."""
    return [row.split()[1:] for row in rows.splitlines()]


def test_all_sides_are_told_in_the_order_of_time(kube: ListedKube) -> None:
    """With the run of a container, where it was started again since."""
    machines = LoggingMachines(a=[line(2, "of d-1")], b=[line(4, "pv-1 again", run=1)])
    assert after_the_time(timeline_of(kube, machines).told()) == [
        ["d-1,", "pv-1"],
        ["Pod", "db-0", "Told:", "first"],
        ["diskcsi-node-x/diskcsi", "of", "d-1"],
        ["cloud", "AttachDisk", '{"DiskId":', '"d-1"}', "->", "200"],
        ["diskcsi-node-x/diskcsi", "run", "1", "pv-1", "again"],
        ["Pod", "db-0", "Told:", "last"],
    ]


def test_a_disk_that_is_gone_before_the_failure_is_told(kube: ListedKube) -> None:
    """The cloud's log knows for whom it was made."""
    kube.objects = {}
    told = timeline_of(kube, LoggingMachines(), cloud=OrderedCloud).told()
    assert told.startswith("volumes: d-0, pv-0\n")
    assert "DeleteDisk" in told


def test_what_went_with_the_namespace_is_told_from_memory(kube: ListedKube) -> None:
    """A scenario that fails because of what it left has its events and ids all the same."""
    timeline = timeline_of(kube, LoggingMachines(a=[line(2, "of d-1")], b=[]))
    timeline.note()
    kube.objects = {"nodes": kube.objects["nodes"]}
    told = timeline.told()
    assert told.startswith("volumes: d-1, pv-1\n")
    assert [word in told for word in ("first", "of d-1", "AttachDisk")] == [True] * 3


def test_a_node_that_cannot_be_asked_is_told_beside_the_others(kube: ListedKube) -> None:
    """One that is frozen hides nothing of what the others tell."""
    told = timeline_of(kube, LoggingMachines(b=[line(2, "of d-1")])).told()
    assert "can't be asked: Container a is paused" in told
    assert "of d-1" in told


def test_a_cluster_that_does_not_answer_leaves_the_cloud_s_side(kube: AnsweringKube) -> None:
    """With the ids of before; the reason stands at the end."""
    timeline = timeline_of(kube, LoggingMachines(a=[], b=[]))
    timeline.note()
    kube.answers = False
    told = timeline.told()
    assert "AttachDisk" in told
    assert told.endswith("can't be asked: no events: connection refused")


@pytest.fixture
def told_timelines(pytester: pytest.Pytester) -> pytest.Pytester:
    """A directory of tests whose failures are reported as those of scenarios."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    pytester.makeconftest(
        """
        import pytest
        from e2e.scenarios.conftest import TIMELINE, pytest_runtest_makereport

        class Known:
            def told(self):
                return "volumes: pv-1"

        @pytest.fixture
        def known(request):
            request.node.stash[TIMELINE] = Known()
        """
    )
    return pytester


@pytest.mark.parametrize("phase", ["setup", "call", "teardown"])
def test_a_scenario_that_fails_in_any_phase_has_a_timeline(
    told_timelines: pytest.Pytester, phase: str
) -> None:
    """Be it a fixture, the scenario itself, or the look for what it left."""
    told_timelines.makepyfile(
        f"""
        import pytest

        @pytest.fixture
        def part(known):
            assert {phase!r} != "setup"
            yield
            assert {phase!r} != "teardown"

        def test_it(part):
            assert {phase!r} != "call"
        """
    )
    done = told_timelines.runpytest("-p", "no:randomly")
    done.stdout.fnmatch_lines(["*the volumes' timeline*", "volumes: pv-1"])


def test_a_scenario_that_passes_has_none(told_timelines: pytest.Pytester) -> None:
    """Nothing is asked for it."""
    told_timelines.makepyfile("def test_it(known): pass")
    done = told_timelines.runpytest("-p", "no:randomly", "-rA")
    done.assert_outcomes(passed=1)
    done.stdout.no_fnmatch_line("*timeline*")
