"""What a supervisor and a collector of metrics are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from diskcsi.telemetry import http
from diskcsi.telemetry.listener import listening
from diskcsi.telemetry.metrics import Metrics


async def well() -> None:
    """Nothing is amiss."""


async def ill() -> None:
    raise OSError(111, "connection refused")


async def wordless() -> None:
    raise AssertionError


@asynccontextmanager
async def asking(
    *,
    healthy: Callable[[], Awaitable[None]] = well,
    ready: Callable[[], Awaitable[None]] = well,
    metrics: Metrics | None = None,
) -> AsyncIterator[Callable[[str], Awaitable[tuple[int, str]]]]:
    """Serve on a free port while the block runs; gives a way to ask."""
    listener = listening("127.0.0.1", 0)
    port = listener.getsockname()[1]
    served = http.serving(
        listener=listener, metrics=metrics or Metrics(), healthy=healthy, ready=ready
    )
    async with served, aiohttp.ClientSession() as session:

        async def ask(path: str) -> tuple[int, str]:
            async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                return answer.status, await answer.text()

        yield ask


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_all_is_well(path: str) -> None:
    """Two letters for people, a status for machines."""
    async with asking() as ask:
        assert await ask(path) == (200, "ok\n")


async def test_what_is_amiss_is_told() -> None:
    """Who looks at the pod finds the reason."""
    async with asking(ready=ill) as ask:
        status, text = await ask("/readyz")
    assert (status, "connection refused" in text) == (503, True)


async def test_an_error_without_words_is_told_by_its_name() -> None:
    """An empty page tells nothing."""
    async with asking(ready=wordless) as ask:
        assert await ask("/readyz") == (503, "AssertionError\n")


async def test_not_ready_is_not_unhealthy() -> None:
    """A restart mends no cloud."""
    async with asking(ready=ill) as ask:
        assert (await ask("/healthz"))[0] == 200


async def test_unhealthy_is_not_unready() -> None:
    """Each question has its own answer."""
    async with asking(healthy=ill) as ask:
        assert ((await ask("/healthz"))[0], (await ask("/readyz"))[0]) == (503, 200)


async def test_a_check_that_hangs_is_answered_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes' own patience is short, and it would tell nothing."""
    monkeypatch.setattr(http, "CHECK_S", 0.05)
    async with asking(ready=asyncio.Event().wait) as ask:  # type: ignore[arg-type]
        assert await ask("/readyz") == (503, "no answer in 0.05 s\n")


async def test_metrics_are_served_as_prometheus_reads_them() -> None:
    """With the names that dashboards know."""
    metrics = Metrics()
    metrics.rpc_began("NodeStageVolume")
    metrics.rpc_ended("NodeStageVolume", code="OK", duration_s=2.0)
    async with asking(metrics=metrics) as ask:
        _, text = await ask("/metrics")
    labels = '{code="OK",method="NodeStageVolume",type="NodeOperation"}'
    assert f"csi_grpc_execution_count_total{labels} 1.0" in text
    assert f"csi_grpc_execution_time_total{labels} 2.0" in text


async def test_anything_else_is_not_there() -> None:
    """The port shows no more than it promises."""
    async with asking() as ask:
        assert (await ask("/debug"))[0] == 404
