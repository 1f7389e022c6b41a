"""Controllers and node plug-ins in processes of their own, set up for a mockcloud."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from diskcsi.orchestrator.mock import KEY_ID, KEY_SECRET, Mock
from diskcsi.orchestrator.plugin import Plugin
from diskcsi.orchestrator.processes import Program, answering, running


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A driver that answers on its socket."""

    program: Program
    socket: Path
    plugin: Plugin


@asynccontextmanager
async def controller(
    name: str, mock: Mock, *, region: str, directory: Path, flags: Sequence[str] = ()
) -> AsyncIterator[Driver]:
    """A controller of one region while the block runs; `flags` are more of `diskcsi run`.

    Raises:
        ProgramFailed: it doesn't start.
    """
    environment = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": KEY_ID,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": KEY_SECRET,
        "REGION_ID": region,
        "ECS_ENDPOINT": mock.endpoint.removeprefix("http://"),
        "ALICLOUD_CLIENT_SCHEME": "http",
    }
    async with started(name, directory, environment, "--run-node-service=false", *flags) as driver:
        yield driver


@asynccontextmanager
async def node(
    name: str,
    mock: Mock,
    *,
    instance: str,
    region: str,
    directory: Path,
    flags: Sequence[str] = (),
) -> AsyncIterator[Driver]:
    """The plug-in of one instance while the block runs; it is given no key, and `flags` as above.

    Raises:
        ProgramFailed: it doesn't start.
    """
    own_flags = (
        "--run-controller-service=false",
        "--identity-sources=loop",
        f"--device-root={mock.device_root(instance)}",
        f"--metadata-url={mock.metadata_url(instance)}",
        f"--kubelet-root-dir={directory}",
    )
    async with started(name, directory, {"REGION_ID": region}, *own_flags, *flags) as driver:
        yield driver


@asynccontextmanager
async def started(
    name: str, directory: Path, environment: Mapping[str, str], *flags: str
) -> AsyncIterator[Driver]:
    """A driver of any provider while the block runs.

    Args:
        name: of its socket and its log in `directory`.
        environment: all that it gets, beside a search path.
        flags: of `diskcsi run`; the socket is not theirs to choose.

    Raises:
        ProgramFailed: it doesn't start; its last words say why.
    """
    socket = directory / f"{name}.sock"
    arguments = ["diskcsi", "run", "--http-port=-1", *flags, f"--endpoint=unix://{socket}"]
    async with running(name, arguments, directory=directory, environment=environment) as program:
        await answering(program, socket)
        async with Plugin(socket) as plugin:
            yield Driver(program=program, socket=socket, plugin=plugin)
