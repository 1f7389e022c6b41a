"""What happened to the volumes of one scenario, from all sides, in the order of time.

Events, the logs of controller, nodes and sidecars, and the cloud's call log are bound by the ids
that they share: the claim's uid is in the volume's name, the volume has a disk's id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from e2e.support.cloud import MockCloud
from e2e.support.kube import Kube

STAMP: Final = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)")
LINES_MOST: Final = 250
"""Of a timeline: more than that is read in the logs themselves."""

Entry = tuple[str, str, str]
"""When, who and what."""


def timeline(*, kube: Kube, cloud: MockCloud, driver: Kube, since: str) -> str:
    """A table of the namespace's volumes, the latest at the end.

    Args:
        kube: in the scenario's namespace.
        driver: in the namespace of the driver.
        since: the UTC time before which nothing is of interest, as in RFC 3339.
    """
    ids = _ids(kube, cloud)
    entries = [*_events(kube), *_logs(driver, ids, since), *_calls(cloud, ids)]
    ordered = sorted(entry for entry in entries if entry[0] >= since)[-LINES_MOST:]
    rows = [f"{when:<27} {who:<28} {what}" for when, who, what in ordered]
    return "\n".join([f"volumes: {', '.join(sorted(ids)) or 'none'}", *rows])


def _ids(kube: Kube, cloud: MockCloud) -> frozenset[str]:
    """Names of volumes and ids of disks that belong to the namespace."""
    found = set()
    for volume in kube.list("pv"):
        claim = volume["spec"].get("claimRef", {})
        if claim.get("namespace") == kube.namespace:
            found |= {volume["metadata"]["name"], volume["spec"]["csi"]["volumeHandle"]}
    for claim in kube.list("pvc"):
        found.add(claim["metadata"]["uid"])
    for disk in cloud.state()["disks"]:
        if any(one in json.dumps(disk) for one in found):
            found.add(disk["id"])
    return frozenset(found)


def _events(kube: Kube) -> Iterable[Entry]:
    for event in kube.list("events"):
        when = event.get("lastTimestamp") or event.get("eventTime") or ""
        about = f"{event['involvedObject']['kind']} {event['involvedObject']['name']}"
        yield when.rstrip("Z"), about[:28], f"{event['reason']}: {event['message']}"


def _logs(driver: Kube, ids: frozenset[str], since: str) -> Iterable[Entry]:
    for pod in driver.list("pods"):
        name = pod["metadata"]["name"]
        for container in pod["spec"]["containers"]:
            done = driver.attempt(
                "logs", name, f"--container={container['name']}", "--timestamps",
                f"--since-time={since}Z",
            )  # fmt: skip
            for line in done.stdout.splitlines():
                if (stamp := STAMP.match(line)) and any(one in line for one in ids):
                    text = line.partition(" ")[2]
                    yield stamp[1], f"{name[-20:]}/{container['name']}"[:28], text[:400]


def _calls(cloud: MockCloud, ids: frozenset[str]) -> Sequence[Entry]:
    return [
        (datetime.fromtimestamp(call["at"], UTC).isoformat()[:26], "cloud", _told(call))
        for call in cloud.calls()
        if any(one in json.dumps(call) for one in ids)
    ]


def _told(call: Mapping[str, Any]) -> str:
    answer = call["code"] or call["status"]
    lost = " (the answer was lost)" if call["lost"] else ""
    return f"{call['action']} {json.dumps(call['params'])[:300]} -> {answer}{lost}"
