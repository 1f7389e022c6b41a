"""The form of the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from io import StringIO

import pytest
import structlog

from diskcsi.telemetry.logging import bind, configure, logger, tells, unbind_all


@pytest.fixture
def stream() -> Iterator[StringIO]:
    """Where a test has its lines sent; afterwards all is as before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield StringIO()
    unbind_all()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    configure(level="INFO", form="json")


def test_a_line_is_one_json_object(stream: StringIO) -> None:
    """With its time in UTC and its level."""
    configure(level="INFO", form="json", stream=stream)
    logger().info("done", size=7)
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "done", "size": 7, "level": "info"}


def test_text_is_for_people(stream: StringIO) -> None:
    """No braces, and no colours where no terminal is."""
    configure(level="INFO", form="text", stream=stream)
    logger().info("done", size=7)
    assert "[info     ] done" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def broken(password: str) -> None:
    """Fail with the argument at hand."""
    raise ValueError("no")


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_local_variable_is_shown_with_an_error(stream: StringIO, form: str) -> None:
    """A request would be among them, and its secrets."""
    configure(level="INFO", form=form, stream=stream)
    try:
        broken(f"hunter{len(form)}")  # told only where values are shown
    except ValueError as error:
        logger().error("failed", exc_info=error)
    text = stream.getvalue()
    assert ("ValueError: no" in text, f"hunter{len(form)}" in text) == (True, False)


@pytest.mark.parametrize(("level", "told"), [("DEBUG", True), ("INFO", False)])
def test_lines_below_the_level_are_left_out(stream: StringIO, level: str, *, told: bool) -> None:
    """And whoever would take trouble for one can ask before."""
    configure(level=level, form="json", stream=stream)
    logger().debug("detail")
    assert (bool(stream.getvalue()), tells(logging.DEBUG)) == (told, told)


def test_bound_ids_are_on_every_line(stream: StringIO) -> None:
    """Empty ones aren't."""
    configure(level="INFO", form="json", stream=stream)
    bind(volume_id="d-1", node_id="")
    logger().info("done")
    line = json.loads(stream.getvalue())
    assert (line["volume_id"], "node_id" in line) == ("d-1", False)


def test_a_line_s_own_word_wins_over_a_bound_one(stream: StringIO) -> None:
    """It knows better."""
    configure(level="INFO", form="json", stream=stream)
    bind(volume_id="d-1")
    logger().info("done", volume_id="d-2")
    assert json.loads(stream.getvalue())["volume_id"] == "d-2"


def test_after_unbinding_nothing_is_left(stream: StringIO) -> None:
    """The next call begins clean."""
    configure(level="INFO", form="json", stream=stream)
    bind(volume_id="d-1")
    unbind_all()
    logger().info("done")
    assert "volume_id" not in json.loads(stream.getvalue())


def test_libraries_write_the_same_form(stream: StringIO) -> None:
    """A collector reads the whole stream."""
    configure(level="INFO", form="json", stream=stream)
    logger()
    logging.getLogger("asyncio").warning("slow %s", "callback")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"]) == ("slow callback", "warning")


def test_what_libraries_chat_about_is_not_written(stream: StringIO) -> None:
    """At lower levels they tell addresses, which may hold secrets."""
    configure(level="DEBUG", form="json", stream=stream)
    logger()
    logging.getLogger("urllib3").info("GET http://cloud/?Signature=hunter2")
    assert not stream.getvalue()
