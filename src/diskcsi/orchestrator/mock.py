"""A mockcloud in a process of its own, and what it tells of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from diskcsi.orchestrator.processes import Program, ProgramFailed, first_line, running

KEY_ID = "mockcloud-key-id"
KEY_SECRET = "mockcloud-key-secret"  # noqa: S105 - of a cloud that holds nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Mock:
    """A cloud that answers; asked when it doesn't, it raises ProgramFailed.

    Attributes:
        endpoint: its address, `http://HOST:PORT`.
        directory: where its disks are, and `INSTANCE/dev` of each instance.
    """

    program: Program
    endpoint: str
    directory: Path
    session: aiohttp.ClientSession

    def metadata_url(self, instance: str) -> str:
        """Where this instance finds its metadata."""
        return f"{self.endpoint}/_imds/{instance}"

    def device_root(self, instance: str) -> Path:
        """The directory that stands for this instance's `/dev`."""
        return self.directory / instance / "dev"

    async def calls(self, *, since: int = 0) -> Sequence[Mapping[str, Any]]:
        """The calls after number `since`, as the cloud's log has them."""
        return await self._get(f"calls?since={since}")  # type: ignore[no-any-return]

    async def state(self) -> Mapping[str, Any]:
        """Disks, snapshots and instances as they are."""
        return await self._get("state")  # type: ignore[no-any-return]

    async def fault(self, action: str, **told: object) -> None:
        """Let something go wrong from the next call on; see `mockcloud serve --help`."""
        url, body = f"{self.endpoint}/_mock/faults", {"action": action, **told}
        async with self.session.post(url, json=body) as answer:
            answer.raise_for_status()

    async def mend(self) -> None:
        """Let nothing go wrong any more."""
        async with self.session.delete(f"{self.endpoint}/_mock/faults") as answer:
            answer.raise_for_status()

    async def _get(self, what: str) -> Any:  # noqa: ANN401 - JSON
        try:
            async with self.session.get(f"{self.endpoint}/_mock/{what}") as answer:
                answer.raise_for_status()
                return await answer.json()
        except aiohttp.ClientError as error:
            last = self.program.last_words()
            raise ProgramFailed(f"mockcloud doesn't answer: {error}\n{last}") from error


@asynccontextmanager
async def serving(directory: Path, *flags: str) -> AsyncIterator[Mock]:
    """A mockcloud while the block runs; what it made on this machine is gone afterwards.

    Args:
        directory: takes its log and its disks.
        flags: of `mockcloud serve`.

    Raises:
        ProgramFailed: it doesn't start.
    """
    disks = directory / "cloud"
    arguments = ["mockcloud", "serve", "--port=0", f"--root={disks}", *flags]
    async with AsyncExitStack() as stack:
        program = await stack.enter_async_context(
            running("mockcloud", arguments, directory=directory, first_line=True)
        )
        word, _, endpoint = (await first_line(program)).partition(" ")
        if word != "endpoint":
            raise ProgramFailed(f"mockcloud said {word!r} where it should name its endpoint")
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Mock(program=program, endpoint=endpoint, directory=disks, session=session)


def counted(calls: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """How often each action was called."""
    return Counter(str(call["action"]) for call in calls)


def changing(calls: Sequence[Mapping[str, Any]]) -> list[str]:
    """The actions among the calls that change something."""
    return [one for one in counted(calls) if not one.startswith(("Describe", "List"))]
