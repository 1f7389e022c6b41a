"""The numbers that a process serves, asked of one that is built with both halves, and what for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final

from diskcsi import wiring
from diskcsi.aio.flights import Flights
from diskcsi.providers.alibaba import ALIBABA
from diskcsi.providers.alibaba.settings import AlibabaSettings
from diskcsi.settings import Plan, Settings

HEAD: Final = """# Metrics

Controller and node answer `/metrics` in Prometheus' text format. The chart makes Services for them with `metrics.enabled`, and what Prometheus'
operator and Grafana need with `metrics.serviceMonitor.enabled`, `metrics.prometheusRule.enabled` and `metrics.dashboard.enabled`.
What to do when one of the chart's alerts fires: [alerts](alerts.md).

```console
$ for pod in $(kubectl -n NS get pods -l app.kubernetes.io/name=diskcsi,app.kubernetes.io/component=controller -o name); do
    kubectl get --raw /api/v1/namespaces/NS/pods/${{pod#pod/}}:11270/proxy/metrics; done
```

`NS` is the release's namespace. Each replica counts what it did itself, and for each kind of call another may lead: ask all. A node's
port is 11260; it listens on 127.0.0.1 unless `metrics.enabled` or `node.httpHost` says otherwise.

| Metric | Kind | Labels | What it is for |
|---|---|---|---|
{rows}
Those that begin with `process_` are Prometheus' usual ones of a Linux process. The sidecars of the controller serve numbers of their own on
11271 (provisioner), 11272 (attacher), 11273 (resizer) and 11274 (snapshotter), `csi_sidecar_operations_seconds` above all: what they saw of
the same calls.

The two names that begin with `csi_grpc_` and their labels are those of the Go driver, but for one ending: its `csi_grpc_execution_count` is
`csi_grpc_execution_count_total` here, as Prometheus wants a counter to end. Add it to boards that you bring along. Its `node_volume_*` numbers are not served: kubelet's own `kubelet_volume_stats_*` tell how full volumes are.

## Questions, and what answers them

| Question | Expression |
|---|---|
| How long does an attach take? | `histogram_quantile(0.95, sum by (le) (rate(diskcsi_rpc_seconds_bucket{{method="ControllerPublishVolume"}}[15m])))` |
| What does the cloud take of it? | `histogram_quantile(0.95, sum by (le, action) (rate(diskcsi_cloud_call_seconds_bucket[15m])))` |
| Which calls to the cloud fail, and how? | `sum by (action, code) (increase(diskcsi_cloud_call_seconds_count{{code!="OK"}}[1h])) > 0` |
| Which CSI calls fail, and how? | `sum by (method, code) (increase(csi_grpc_execution_count_total{{code!="OK"}}[1h])) > 0` |
| How many calls does the account spend on us? | `sum by (action) (increase(diskcsi_cloud_call_seconds_count[1m]))` |

Generated from a process's own answer by `tools/reference.py`.
"""

PURPOSES: Final[Mapping[str, tuple[str, str]]] = {
    "csi_grpc_execution_count_total": (
        "method, type, code", "CSI calls that ended: how many fail, and with which code",
    ),
    "csi_grpc_execution_time_total": (
        "method, type, code", "seconds spent in them; divided by the count, their mean",
    ),
    "diskcsi_rpc_seconds": ("method", "how long CSI calls take: percentiles of attach, mount, create"),
    "diskcsi_rpcs_running": (
        "method", "CSI calls that run now; a number that stays up tells of calls that wait",
    ),
    "diskcsi_cloud_call_seconds": (
        "action, code",
        "calls to the cloud: how many, how long, and the cloud's own code, `OK`, or `lost`",
    ),
    "diskcsi_flights_running": (
        "", "changes that run, whether or not a call still waits for them; at a stop they are waited for",
    ),
    "diskcsi_node_changes_waiting": (
        "", "attaches and detaches that wait for their machine, which takes one at a time",
    ),
    "diskcsi_ready": (
        "", "1 while the last answer of `/readyz`, which kubelet asks for all the time, was well",
    ),
    "diskcsi_registered": ("", "of a node: 1 while kubelet knows the driver"),
    "diskcsi_registration_refusals_total": (
        "", "of a node: registrations that kubelet refused; the log has kubelet's words",
    ),
}  # fmt: skip
"""For each of our own: its labels, and what people look at it for."""

KIND: Final = re.compile(r"^# TYPE ([a-z_]+) ([a-z]+)$", re.MULTILINE)


def served() -> dict[str, str]:
    """Name to kind of every number of our own that a process with both halves serves."""
    return {
        name: kind
        for name, kind in KIND.findall(asyncio.run(_rendered()))
        if not name.startswith("process_") and not name.endswith("_created")
    }


async def _rendered() -> str:
    plan = Plan(
        settings=Settings(registration_dir="/var/lib/kubelet/plugins_registry"),
        provider=ALIBABA,
        provider_settings=AlibabaSettings(region="cn-hangzhou"),
    )
    async with AsyncExitStack() as resources, asyncio.TaskGroup() as tasks:
        parts = await wiring.build(plan, Flights(tasks=tasks), tasks, resources)
        return parts.metrics.render().decode()


def page() -> str:
    """The whole page.

    Raises:
        ValueError: what is served and what is described here differ.
    """
    kinds = served()
    if strange := set(kinds) ^ set(PURPOSES):
        raise ValueError(
            f"metrics that are served and that are told of differ in {sorted(strange)}"
        )
    rows = "".join(
        f"| `{name}` | {kind} | {PURPOSES[name][0]} | {PURPOSES[name][1]} |\n"
        for name, kind in kinds.items()
    )
    return HEAD.format(rows=rows)
