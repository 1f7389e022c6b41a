from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from diskcsi.aio.progress import Progress
from diskcsi.host.linux.patience import Patience
from tests.rows import row


async def test_an_answer_is_handed_on() -> None:
    """What the look returns, from a thread that is not the loop's."""
    answer = await Patience().ask("q", threading.get_ident)
    assert answer != threading.get_ident()


async def test_a_failed_look_raises_its_own_error() -> None:
    """The caller tells errors apart."""
    with pytest.raises(ZeroDivisionError):
        await Patience().ask("q", lambda: 1 // 0)


@row("disk-vanishes-mounted")
async def test_a_question_without_an_answer_is_given_up() -> None:
    """The caller gets an error that names the question."""
    patience, dead = Patience(), threading.Event()
    with pytest.raises(TimeoutError, match=r"usage of /x: no answer in 0.05 s"):
        await patience.ask("usage of /x", dead.wait, timeout_s=0.05)
    dead.set()


async def test_a_question_that_is_open_is_told_to_who_waits_for_it() -> None:
    """A caller's time may be over before the disk's is."""
    asked, dead = threading.Event(), threading.Event()

    def look() -> None:
        asked.set()
        dead.wait()

    progress = Progress("stage of volume d-1")
    with progress.current():
        asking = asyncio.ensure_future(Patience().ask("open /dev/vdb", look))
    await asyncio.to_thread(asked.wait)
    assert progress.waits_for() == "no answer yet to: open /dev/vdb"
    dead.set()
    await asking


@row("disk-vanishes-mounted")
async def test_a_question_that_hangs_takes_one_thread_however_often_it_is_asked() -> None:
    """Kubelet asks every minute for days."""
    patience, dead, looks = Patience(), threading.Event(), []

    def look() -> None:
        looks.append(1)
        dead.wait()

    for _ in range(5):
        with pytest.raises(TimeoutError):
            await patience.ask("q", look, timeout_s=0.01)
    assert (len(looks), patience.waiting) == (1, 1)
    dead.set()


async def test_a_question_is_asked_anew_once_it_was_answered() -> None:
    """A disk that comes back is looked at again."""
    patience, answers = Patience(), iter("ab")
    assert [await patience.ask("q", lambda: next(answers)) for _ in range(2)] == ["a", "b"]


async def test_a_late_answer_goes_to_who_asks_meanwhile() -> None:
    """The thread that was left behind still serves."""
    patience, dead = Patience(), threading.Event()
    with pytest.raises(TimeoutError):
        await patience.ask("q", dead.wait, timeout_s=0.01)
    asyncio.get_running_loop().call_later(0.02, dead.set)
    assert await patience.ask("q", lambda: False) is True


@row("stale-socket-sigterm")
def test_a_process_ends_although_a_disk_never_answers() -> None:
    """A dead disk must not keep a plug-in from stopping."""
    script = (
        "import asyncio, threading\n"
        "from contextlib import suppress\n"
        "from diskcsi.host.linux.patience import Patience\n"
        "async def main():\n"
        "    with suppress(TimeoutError):\n"
        "        await Patience().ask('q', threading.Event().wait, timeout_s=0.1)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], timeout=20, check=False)
    assert done.returncode == 0
