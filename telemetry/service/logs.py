"""
The service's own log: one JSON object a line on standard error.

structlog makes it, by a logger of its own: the process-wide configuration stays as it is. Bodies
and tokens are never in it.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

EventDict = MutableMapping[str, Any]

_encode = msgspec.json.Encoder(enc_hook=str).encode
#: The server's own loggers; what they say goes into the log too.
_SERVER_LOGGER = "uvicorn"


def make_log(level: str) -> FilteringBoundLogger:
    """
    Return a log that writes to standard error.

    Args:
        level: The least severe level that is written.
    """
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.BytesLogger(getattr(sys.stderr, "buffer", None)),
        processors=[
            structlog.processors.add_log_level,
            _stamp,
            structlog.processors.format_exc_info,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        context_class=dict,
        cache_logger_on_first_use=True,
    ).bind()
    return log


def _number(level: str) -> int:
    number = logging.getLevelName(level.upper())
    return number if isinstance(number, int) else logging.INFO


def _stamp(_: Any, __: str, event_dict: EventDict) -> EventDict:
    """
    Add the time; structlog's own stamper costs ten times as much.
    """
    now = time.time()
    second = int(now)
    event_dict["timestamp"] = f"{_second_text(second)}.{int((now - second) * 1e6):06d}Z"
    return event_dict


@lru_cache(maxsize=2)
def _second_text(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _render(_: Any, __: str, event_dict: EventDict) -> bytes:
    """
    Return an entry as JSON, what happened first.
    """
    event_dict["message"] = event_dict.pop("event", "")
    try:
        return bytes(_encode(event_dict))
    except (TypeError, ValueError, UnicodeError):
        return bytes(_encode({"message": repr(event_dict)[:2000]}))


class ServerHandler(logging.Handler):
    """
    Takes what the server says into the log.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """
        Write one entry; never raises.
        """
        try:
            self._log.log(
                record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info
            )
        except Exception:  # noqa: BLE001 (a log must not end what it tells of)
            self.handleError(record)


def take_over(log: FilteringBoundLogger) -> None:
    """
    Send what the server's own loggers say to the log, and nowhere else.
    """
    server = logging.getLogger(_SERVER_LOGGER)
    server.handlers = [ServerHandler(log)]
    server.propagate = False
    server.setLevel(logging.WARNING)
