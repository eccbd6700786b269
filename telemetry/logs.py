"""
structlog and the standard library's logging, both ways.

`add_run_context` puts the run into each log line; `RecordEvents` and `RunHandler` make log entries
events of the run. None of them touches the application's configuration of either library, and what
telemetry itself says is never recorded.

    structlog.configure(processors=[
        structlog.processors.TimeStamper(fmt="iso"),
        telemetry.logs.add_run_context,
        telemetry.logs.RecordEvents(),
        structlog.processors.JSONRenderer(),
    ])
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Callable

from telemetry.runtime.notices import is_suppressed, logger
from telemetry.tracking import current_run

EventDict = MutableMapping[str, Any]
#: A callable with structlog's signature: logger, method name, event dictionary.
Processor = Callable[[Any, str, EventDict], Any]

EVENT_TYPE = "log"
#: What structlog and logging put into an entry that is no payload of the application's.
_PRIVATE_KEYS = frozenset({"_record", "_from_structlog", "_logger", "_name"})
_LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "exception": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
#: Attributes that every LogRecord has; anything else came with ``extra``.
_STANDARD_ATTRIBUTES = frozenset(
    vars(logging.LogRecord("", 0, "", 0, "", (), None))
    | {"message": 0, "asctime": 0, "taskName": 0}
)


def add_run_context(_: Any, __: str, event_dict: EventDict) -> EventDict:
    """
    Add ``run_id``, ``event_id`` and ``trace_id`` of the current run to a log entry.

    A structlog processor. Keys that the entry has already stay; outside of a run nothing is added.
    An entry that a renderer made a text of goes on as it is.
    """
    run = current_run()
    if run and isinstance(event_dict, MutableMapping):
        event_dict.setdefault("run_id", run.run_id)
        event_dict.setdefault("event_id", run.event_id)
        event_dict.setdefault("trace_id", run.trace_id)
    return event_dict


class RecordEvents:
    """
    Record log entries as events of the current run; they go on to the next processor unchanged.

    A structlog processor, to be placed before the renderer; behind one it records the text. Outside
    of a run it does nothing. Where an entry has ``exc_info``, the traceback is recorded.

    Args:
        level: The least severe level to record, by number as in `logging`.
    """

    def __init__(self, level: int = logging.INFO) -> None:
        self._level = level

    def __call__(self, _: Any, method_name: str, event_dict: EventDict) -> EventDict:
        """
        Record one log entry, and return it as it came.
        """
        run = current_run()
        if run and not is_suppressed() and _LEVELS.get(method_name, logging.INFO) >= self._level:
            try:
                payload = _entry(event_dict)
                payload.setdefault("level", method_name)
            except Exception:  # noqa: BLE001 (an entry of the application's own making)
                payload = {"event": event_dict, "level": method_name}
            run.log_event(EVENT_TYPE, payload)
        return event_dict


class RunHandler(logging.Handler):
    """
    Record the standard library's log records as events of the current run.

    Telemetry's own logger is left out, and so is whatever a sink logs while it writes.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """
        Record one log record; never raises.
        """
        run = current_run()
        if not run or is_suppressed() or record.name.split(".")[0] == logger.name:
            return
        try:
            run.log_event(EVENT_TYPE, _payload(record))
        except Exception:  # noqa: BLE001 (its arguments may not fit, its parts may raise)
            self.handleError(record)


def _entry(entry: object) -> dict[str, Any]:
    """
    Return what an entry of structlog's says; what is no mapping is the text that was made of one.
    """
    if not isinstance(entry, Mapping):
        return {"event": entry}
    payload = _public(entry)
    exc_info = payload.pop("exc_info", None)
    if exc_info:
        payload.setdefault("exception", _traceback_of(exc_info))
    return payload


def _traceback_of(exc_info: Any) -> str:
    """
    Return the traceback that structlog's ``exc_info`` means: an exception, its triple, or True.
    """
    if isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    elif not isinstance(exc_info, tuple):
        exc_info = sys.exc_info()
    return logging.Formatter().formatException(exc_info) if exc_info[1] is not None else ""


def _public(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in _PRIVATE_KEYS}


def _payload(record: logging.LogRecord) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "event": record.getMessage(),
        "level": record.levelname.lower(),
        "logger": record.name,
    }
    if isinstance(record.msg, Mapping):  # structlog's, on its way to its own formatter
        payload.update(_entry(record.msg))
    if record.exc_info:
        payload["exception"] = _traceback_of(record.exc_info)
    if record.stack_info:
        payload["stack"] = record.stack_info
    for name, value in vars(record).items():
        if name not in _STANDARD_ATTRIBUTES and name not in _PRIVATE_KEYS:
            payload.setdefault(name, value)
    return payload
