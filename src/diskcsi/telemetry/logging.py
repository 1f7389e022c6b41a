"""One log line where a call ends, bound to what it is about.

Request objects never reach a log: their text form shows the `secrets` maps. Callers log a chosen
list of ids, bound to the context by `bind`, so that every line of the call carries them.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import FilteringBoundLogger, Processor


def configure(*, level: str, form: str, stream: TextIO | None = None) -> None:
    """Send every log line, ours and the libraries', to `stream` (standard error).

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        form: `json`, one object a line, or `text` for people.
    """
    out = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if form == "json"
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
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
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


def logger() -> FilteringBoundLogger:
    """Where lines are written."""
    log: FilteringBoundLogger = structlog.get_logger()
    return log


def bind(**ids: str) -> None:
    """Carry these ids on every later line of the current call; empty ones are left out."""
    structlog.contextvars.bind_contextvars(**{key: value for key, value in ids.items() if value})


def unbind_all() -> None:
    """Forget what the current call was about."""
    structlog.contextvars.clear_contextvars()
