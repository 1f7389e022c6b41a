"""One log line where a call ends, bound to what it is about.

Request objects never reach a log: their text form shows the `secrets` maps. Callers log a chosen
list of ids, bound to the context by `bind`, so that every line of the call carries them.

structlog is imported with the first line, not with this module: the first answer on the socket
needs no line, and registration gives it little time.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """Where lines go and how they look; `ready` once structlog knows."""

    level: int = logging.INFO
    form: str = "json"
    stream: TextIO | None = None
    ready: bool = False


_form = _Form()
_ids: ContextVar[Mapping[str, str]] = ContextVar("diskcsi_log_ids", default={})  # noqa: B039 - never changed in place


def configure(*, level: str, form: str, stream: TextIO | None = None) -> None:
    """Send every log line, ours and the libraries', to `stream` (standard error).

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        form: `json`, one object a line, or `text` for people.
    """
    global _form  # noqa: PLW0603 - a process has one log
    _form = _Form(level=getattr(logging, level), form=form, stream=stream)


def tells(level: int) -> bool:
    """Whether lines of this level, such as `logging.DEBUG`, are written."""
    return level >= _form.level


def logger() -> FilteringBoundLogger:
    """Where lines are written."""
    global _form  # noqa: PLW0603 - a process has one log
    with _without_rich():
        import structlog

    if not _form.ready:
        _set_up(_form)
        _form = _Form(level=_form.level, form=_form.form, stream=_form.stream, ready=True)
    log: FilteringBoundLogger = structlog.get_logger()
    return log


def bind(**ids: str) -> None:
    """Carry these ids on every later line of the current call; empty ones are left out."""
    _ids.set({**_ids.get(), **{key: value for key, value in ids.items() if value}})


def unbind_all() -> None:
    """Forget what the current call was about."""
    _ids.set({})


def _set_up(chosen: _Form) -> None:
    import structlog

    out = chosen.stream or sys.stderr
    shared: list[Processor] = [
        _with_ids,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if chosen.form == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=out.isatty(),
                sort_keys=False,
                # the default one shows local variables, requests among them
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(chosen.level),
        logger_factory=structlog.PrintLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    # Libraries tell of connections and retries at lower levels, with addresses in the text.
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def _with_ids(
    logger: Any,  # noqa: ANN401, ARG001 - structlog's own signature
    method: str,  # noqa: ARG001
    event: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    for name, value in _ids.get().items():
        event.setdefault(name, value)
    return event


@contextmanager
def _without_rich() -> Iterator[None]:
    """Keep structlog from importing rich for tracebacks that are never written so.

    It does that on its own import wherever rich is installed, which costs a server process five
    megabytes; it takes an import that fails for "not installed".
    """
    if "structlog" in sys.modules or "rich" in sys.modules:
        yield
        return
    # None is how an import is refused
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["rich"]
