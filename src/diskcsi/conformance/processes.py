"""The driver with this provider, as controller and node in processes of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from diskcsi.conformance.report import Subject
from diskcsi.orchestrator.drivers import Driver, started


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two sockets and what is behind them."""

    controller: Driver
    node: Driver


@asynccontextmanager
async def serving(subject: Subject) -> AsyncIterator[Pair]:
    """Both while the block runs.

    Raises:
        ProgramFailed: one doesn't start; its last words say why.
    """

    def start(name: str, half: str) -> AbstractAsyncContextManager[Driver]:
        return started(
            name, subject.directory, subject.environment,
            f"--provider={subject.provider.name}", *subject.flags,
            "--http-port=-1", f"--kubelet-root-dir={subject.directory}", half,
        )  # fmt: skip

    async with (
        start("controller", "--run-node-service=false") as controller,
        start("node", "--run-controller-service=false") as node,
    ):
        yield Pair(controller=controller, node=node)
