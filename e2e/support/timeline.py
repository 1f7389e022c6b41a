"""What happened to the volumes of one scenario, from all sides, in the order of time.

Events, the logs of controller, nodes and sidecars, and the cloud's call log are bound by the ids
that they share: the claim's uid is in the volume's name, the volume has a disk's id.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import pytest

from e2e.support.cloud import MockCloud
from e2e.support.kube import Kube
from e2e.support.machines import Machines
from e2e.support.orders import Orders

LOGGED: Final = re.compile(
    r"[^_]+_(?P<pod>[^_]+)_[^/]+/(?P<container>[^/]+)/(?P<run>\d+)\.log:"
    r"(?P<when>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)\S* \S+ \S+ (?P<text>.*)"
)
"""A line of a container's log: the path of its file, as kubelet names it, and what the runtime wrote."""

LINES_MOST: Final = 250
"""Of a timeline: more than that is read in the logs themselves."""

UNANSWERED: Final = (AssertionError, subprocess.SubprocessError, ValueError)
"""How a side tells that it can't be asked: by a refusal, by silence, by something that is no answer."""

Entry = tuple[str, str, str]
"""When, who and what."""


class Timeline:
    """Of the volumes of one namespace; it can be told when that namespace is gone, too.

    Args:
        kube: in the scenario's namespace.
        driver: the namespace of the driver.
        first_call: the number of the cloud's call before which nothing is of interest.
    """

    def __init__(
        self, *, kube: Kube, cloud: MockCloud, machines: Machines, driver: str, first_call: int
    ) -> None:
        self._kube = kube
        self._cloud = cloud
        self._machines = machines
        self._namespaces = (driver, kube.namespace)
        self._first_call = first_call
        self._since = _now()
        self._ids: set[str] = set()
        self._events: dict[str, Entry] = {}

    def note(self) -> None:
        """Remember what goes with the namespace: the ids of its volumes, and its events."""
        self._note_ids()
        self._note_events()

    def told(self) -> str:
        """A table, the latest at the end; a side that can't be asked says so in a line of its own."""
        unanswered = [
            *self._asked("Kubernetes", self._note_ids), *self._asked("events", self._note_events),
        ]  # fmt: skip
        entries = [
            *self._events.values(),
            *self._asked("logs", self._logs),
            *self._asked("cloud", self._calls),
        ]
        ordered = sorted(entry for entry in entries if entry[0] >= self._since)[-LINES_MOST:]
        rows = [f"{when:<27} {who:<38} {what}" for when, who, what in (*ordered, *unanswered)]
        return "\n".join([f"volumes: {', '.join(sorted(self._ids)) or 'none'}", *rows])

    def _asked(self, who: str, ask: Callable[[], Iterable[Entry] | None]) -> list[Entry]:
        try:
            return list(ask() or ())
        except UNANSWERED as error:
            return [(_now(), who, f"can't be asked: {error}")]

    def _note_ids(self) -> None:
        """Names of volumes and ids of disks that belong to the namespace."""
        found = set()
        for volume in self._kube.list("pv"):
            claim = volume["spec"].get("claimRef", {})
            if claim.get("namespace") == self._kube.namespace:
                found |= {volume["metadata"]["name"], volume["spec"]["csi"]["volumeHandle"]}
        found |= {claim["metadata"]["uid"] for claim in self._kube.list("pvc")}
        self._ids |= found
        orders = Orders.read(
            cloud=self._cloud, since=self._first_call, namespace=self._kube.namespace
        )
        for name, disks in orders.disks().items():  # those that are gone by now as well
            self._ids |= {name, *disks}

    def _note_events(self) -> None:
        for event in self._kube.list("events"):
            when = event.get("lastTimestamp") or event.get("eventTime") or ""
            about = f"{event['involvedObject']['kind']} {event['involvedObject']['name']}"
            what = f"{event['reason']}: {event['message']}"
            self._events[event["metadata"]["uid"]] = when.rstrip("Z"), about[:38], what

    def _logs(self) -> Iterable[Entry]:
        for node in self._kube.list("nodes") if self._ids else ():
            name = node["metadata"]["name"]
            yield from self._asked(name, partial(self._logs_of, name))

    def _logs_of(self, node: str) -> Iterable[Entry]:
        lines = self._machines.logs(node, namespaces=self._namespaces, words=sorted(self._ids))
        for line in filter(None, map(LOGGED.match, lines)):
            run = f" run {line['run']}" if line["run"] != "0" else ""
            yield (
                line["when"][:26],
                f"{line['pod'][-20:]}/{line['container']}{run}"[:38],
                line["text"][:400],
            )

    def _calls(self) -> Iterable[Entry]:
        return [
            (datetime.fromtimestamp(call["at"], UTC).isoformat()[:26], "cloud", _told(call))
            for call in self._cloud.calls(since=self._first_call)
            if self._concerns(call)
        ]

    def _concerns(self, told: Mapping[str, Any]) -> bool:
        words = json.dumps(told)
        return any(one in words for one in self._ids)


TIMELINE: Final = pytest.StashKey[Timeline]()
"""Where a scenario has its own; that is told when it fails."""


def _now() -> str:
    return datetime.now(UTC).isoformat()[:19]


def _told(call: Mapping[str, Any]) -> str:
    answer = call["code"] or call["status"]
    lost = " (the answer was lost)" if call["lost"] else ""
    return f"{call['action']} {json.dumps(call['params'])[:300]} -> {answer}{lost}"
