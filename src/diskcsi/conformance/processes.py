"""The driver with this provider, as controller and node in processes of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from diskcsi.conformance.report import Subject
from diskcsi.orchestrator.plugin import Plugin
from diskcsi.orchestrator.processes import answering, running


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two sockets and what is behind them."""

    controller_socket: Path
    node_socket: Path
    controller: Plugin
    node: Plugin


@asynccontextmanager
async def serving(subject: Subject) -> AsyncIterator[Pair]:
    """Both while the block runs.

    Raises:
        ProgramFailed: one doesn't start; its last words say why.
    """
    async with AsyncExitStack() as stack:

        async def start(name: str, *flags: str) -> tuple[Path, Plugin]:
            socket = subject.directory / f"{name}.sock"
            arguments = [
                "diskcsi", "run", f"--provider={subject.provider.name}", *subject.flags,
                f"--endpoint=unix://{socket}", "--http-port=-1",
                f"--kubelet-root-dir={subject.directory}", *flags,
            ]  # fmt: skip
            program = await stack.enter_async_context(
                running(
                    name, arguments, directory=subject.directory, environment=subject.environment
                )
            )
            await answering(program, socket)
            return socket, await stack.enter_async_context(Plugin(socket))

        controller_socket, controller = await start("controller", "--run-node-service=false")
        node_socket, node = await start("node", "--run-controller-service=false")
        yield Pair(
            controller_socket=controller_socket,
            node_socket=node_socket,
            controller=controller,
            node=node,
        )
