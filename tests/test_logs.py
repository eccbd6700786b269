"""
structlog and logging, configured as applications do it.
"""

from __future__ import annotations

import io
import json
import logging
import logging.config
import sqlite3

import pytest
import structlog

from telemetry import TelemetryClient, current_run, in_context
from telemetry.hookspecs import hookimpl
from telemetry.logs import RecordEvents, RunHandler, add_run_context
from telemetry.model.codec import decode_lines
from telemetry.runtime.notices import notice


@pytest.fixture
def client(tmp_path):
    """
    A client of a directory of its own.
    """
    client = TelemetryClient(base_dir=tmp_path)
    yield client
    client.close(60)


@pytest.fixture
def application():
    """
    An application's structlog, to the end of the test: its output, one JSON object a line.
    """
    structlog.reset_defaults()
    out = io.StringIO()

    def configure(*processors):
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                *processors,
                structlog.processors.JSONRenderer(),
            ],
            logger_factory=structlog.PrintLoggerFactory(out),
        )
        return lambda: [json.loads(line) for line in out.getvalue().splitlines()]

    yield configure
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def root():
    """
    The root logger, as it was before at the end.
    """
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield root
    root.setLevel(level)
    root.handlers[:] = handlers


def events(client):
    """
    Return the events in the journal: type and payload.
    """
    journal = b"".join(path.read_bytes() for path in sorted(client.config.ndjson_dir.iterdir()))
    return [
        (record.event_type, record.payload_value())
        for record in decode_lines(journal).records
        if record.record_type == "event"
    ]


def test_a_log_line_carries_its_run(client, application):
    """
    Within a run the entry names it; what the entry says already stays; outside nothing is added.
    """
    lines = application(add_run_context)
    log = structlog.get_logger()

    with client.track_run("my_agent", "job") as run:
        log.info("inside", a=1)
        log.info("own", run_id="mine")
    log.info("outside")

    inside, own, outside = lines()
    assert inside == {
        "event": "inside",
        "a": 1,
        "run_id": run.run_id,
        "event_id": run.event_id,
        "trace_id": run.trace_id,
    }
    assert own["run_id"] == "mine"
    assert outside == {"event": "outside"}


def test_structlog_s_context_is_recorded_too(client, application):
    """
    What was bound to the logger and to the context is part of the event; the line is unchanged.
    """
    lines = application(RecordEvents())

    with client.track_run("my_agent", "job"):
        structlog.contextvars.bind_contextvars(request="r1")
        structlog.get_logger().bind(part="p").warning("odd", n=2)

    assert lines() == [{"event": "odd", "n": 2, "part": "p", "request": "r1"}]
    assert events(client) == [
        ("log", {"event": "odd", "n": 2, "part": "p", "request": "r1", "level": "warning"})
    ]


def test_a_dropped_entry_is_not_recorded(client, application):
    """
    A processor before that raises DropEvent has the last word, as for the output.
    """

    def drop(_, __, event_dict):
        if event_dict["event"] == "noise":
            raise structlog.DropEvent
        return event_dict

    lines = application(drop, RecordEvents())
    log = structlog.get_logger()

    with client.track_run("my_agent", "job"):
        log.info("noise")
        log.info("news")

    assert [line["event"] for line in lines()] == ["news"]
    assert [payload["event"] for _, payload in events(client)] == ["news"]


@pytest.mark.parametrize(
    ("level", "recorded"),
    [
        (logging.DEBUG, ["debug", "info", "warning", "error", "critical"]),
        (logging.WARNING, ["warning", "error", "critical"]),
    ],
)
def test_entries_below_the_level_are_left_out(client, application, level, recorded):
    """
    The level is that of the method's name.
    """
    application(RecordEvents(level))
    log = structlog.get_logger()

    with client.track_run("my_agent", "job"):
        for name in ("debug", "info", "warning", "error", "critical"):
            getattr(log, name)("x")

    assert [payload["level"] for _, payload in events(client)] == recorded


def test_secrets_in_entries_are_scrubbed(client, application):
    """
    An entry goes the way of any event, and the application's own line stays as it is.
    """
    lines = application(RecordEvents())

    with client.track_run("my_agent", "job"):
        structlog.get_logger().info("login", password="hunter2-hunter2")

    assert lines()[0]["password"] == "hunter2-hunter2"
    assert "hunter2" not in json.dumps(events(client))


def test_any_value_of_an_entry_is_recorded(client, application):
    """
    An entry that only the renderer's own fallback can render is an event all the same.
    """

    class Odd:
        def __repr__(self):
            raise RuntimeError("no text")

    application(RecordEvents(), lambda _, __, entry: {"event": entry["event"]})

    with client.track_run("my_agent", "job"):
        structlog.get_logger().info("odd", value=Odd(), exc_info=True)

    (event,) = events(client)
    assert event[1]["event"] == "odd"


def test_outside_of_a_run_nothing_is_recorded(client, application, root):
    """
    There is nothing to record it in, and nothing is written.
    """
    application(RecordEvents())
    root.addHandler(RunHandler())
    root.setLevel(logging.DEBUG)

    structlog.get_logger().info("x")
    logging.getLogger("app").info("x")

    assert not client.config.ndjson_dir.exists() or events(client) == []


def test_the_handler_records_what_logging_logs(client, root):
    """
    The message with its arguments, the level, the logger, ``extra`` and the exception.
    """
    root.addHandler(RunHandler())
    root.setLevel(logging.INFO)
    log = logging.getLogger("app.part")

    with client.track_run("my_agent", "job"):
        log.info("read %d of %s", 3, "a.csv", extra={"rows": 7})
        log.debug("left out")
        try:
            raise ValueError("bad")
        except ValueError:
            log.exception("failed")

    (_, read), (_, failed) = events(client)
    assert read == {
        "event": "read 3 of a.csv",
        "level": "info",
        "logger": "app.part",
        "rows": 7,
    }
    assert failed["level"] == "error"
    assert failed["exception"].endswith("ValueError: bad")


def test_the_handler_can_be_named_in_a_configuration(client, root):
    """
    `dictConfig` makes it as it makes any handler.
    """
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"run": {"class": "telemetry.logs.RunHandler", "level": "WARNING"}},
            "root": {"handlers": ["run"], "level": "DEBUG"},
        }
    )

    with client.track_run("my_agent", "job"):
        logging.getLogger("app").info("left out")
        logging.getLogger("app").warning("taken")

    assert [payload["event"] for _, payload in events(client)] == ["taken"]


def test_a_message_that_cannot_be_made_is_logging_s_own_affair(client, root, monkeypatch):
    """
    The call does not raise, and `logging.raiseExceptions` decides what is said, as elsewhere.
    """
    monkeypatch.setattr(logging, "raiseExceptions", False)
    root.handlers[:] = [RunHandler()]
    root.setLevel(logging.INFO)

    with client.track_run("my_agent", "job"):
        logging.getLogger("app").info("%d", "no number")
        logging.getLogger("app").info("after")

    assert [payload["event"] for _, payload in events(client)] == ["after"]


@pytest.mark.parametrize(
    "processors",
    [
        [structlog.stdlib.render_to_log_kwargs],
        [structlog.stdlib.add_log_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    ],
    ids=["keyword arguments", "an event dictionary"],
)
def test_structlog_through_logging_is_recorded_once(client, root, processors):
    """
    With structlog's own bridge into logging, its private keys stay out.
    """
    handler = RunHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(structlog.dev.ConsoleRenderer()))
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    structlog.configure(
        processors=processors,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    try:
        with client.track_run("my_agent", "job"):
            structlog.get_logger("app").info("hello", a=1)
    finally:
        structlog.reset_defaults()

    assert events(client) == [
        ("log", {"event": "hello", "level": "info", "logger": "app", "a": 1}),
    ]


def test_a_thread_bound_to_the_run_logs_into_it(client, root):
    """
    The run is found by context, so `in_context` carries it.
    """
    import concurrent.futures

    root.addHandler(RunHandler())
    root.setLevel(logging.INFO)

    with client.track_run("my_agent", "job"), concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(in_context(logging.getLogger("app").info), "bound").result()
        pool.submit(logging.getLogger("app").info, "bare").result()

    assert [payload["event"] for _, payload in events(client)] == ["bound"]


class Failing:
    """
    A sink that logs on every level and then fails.
    """

    def __init__(self, name):
        self.name = name
        self.log = logging.getLogger(f"sink.{name}")

    def write(self, batch, cursor):
        self.log.error("sink %s has trouble", self.name)
        structlog.get_logger().error("trouble")
        if current_run():
            current_run().log_event("trouble")
        raise ConnectionError("no network")

    def close(self):
        self.log.error("closing")


class Plugin:
    """
    A plugin all of whose sinks fail.
    """

    @hookimpl
    def telemetry_register_sinks(self, config):
        return [Failing("one"), Failing("two")]


def test_telemetry_never_feeds_itself(tmp_path, root, application, capfd):
    """
    The bridges at the root, at DEBUG, propagation on, every sink failing: no line makes another.
    """
    application(RecordEvents(logging.DEBUG))
    root.handlers[:] = [RunHandler()]
    root.setLevel(logging.DEBUG)
    own = logging.getLogger("telemetry")
    client = TelemetryClient(base_dir=tmp_path, plugins=[Plugin()])
    before = own.propagate, own.level
    own.propagate = True
    own.setLevel(logging.DEBUG)
    try:
        with client.track_run("my_agent", "job") as run:
            for number in range(50):
                logging.getLogger("app").info("step %d", number)
                run.set_metrics(nonsense=number)
                own.propagate = True
            client.flush(0.3)
            notice("anything", "something is odd")
        client.close(0.5)
    finally:
        own.propagate, own.level = before

    assert [payload["event"] for _, payload in events(client)] == [
        f"step {number}" for number in range(50)
    ]
    said = capfd.readouterr().err.splitlines()
    assert len([line for line in said if line.startswith("telemetry: sink one")]) <= 2


def test_a_configuration_of_the_application_is_never_touched(client, application):
    """
    Importing, recording and closing leave structlog and the root logger as they are.
    """
    before = structlog.get_config(), list(logging.getLogger().handlers), logging.getLogger().level

    with client.track_run("my_agent", "job") as run:
        run.log_event("x")
    client.flush(60)

    with sqlite3.connect(client.config.db_path) as connection:
        assert connection.execute("SELECT count(*) FROM run_events").fetchone() == (1,)
    connection.close()
    after = structlog.get_config(), list(logging.getLogger().handlers), logging.getLogger().level
    assert after == before


def test_an_entry_s_traceback_is_recorded(client, application):
    """
    `exc_info` becomes the traceback, whether it is True, an exception or a triple.
    """
    application(RecordEvents(), structlog.processors.format_exc_info)
    log = structlog.get_logger()

    with client.track_run("a", "b"):
        try:
            raise ValueError("password=hunter22")
        except ValueError as error:
            log.exception("one")
            log.warning("two", exc_info=error)
            log.warning("three", exc_info=(type(error), error, error.__traceback__))
        log.error("four", exc_info=False)

    payloads = [payload for _, payload in events(client)]
    assert [payload["event"] for payload in payloads] == ["one", "two", "three", "four"]
    for payload in payloads[:3]:
        assert "ValueError: password=[scrubbed:key]" in payload["exception"]
        assert "Traceback" in payload["exception"]
    assert all("exc_info" not in payload for payload in payloads)


@pytest.mark.parametrize("entry", ["a text", ("a", "tuple"), None, b"bytes"])
def test_an_entry_that_is_no_mapping_goes_on(client, entry):
    """
    Behind a renderer, where an entry is a text, neither processor raises or changes it.
    """
    with client.track_run("a", "b"):
        assert add_run_context(None, "info", entry) is entry
        assert RecordEvents()(None, "info", entry) is entry

    assert len(events(client)) == 1


def test_an_entry_that_raises_goes_on(client):
    """
    A mapping of the application's own whose parts raise harms nobody.
    """

    class Broken(dict):
        def items(self):
            raise RuntimeError("broken")

    entry = Broken(event="x")

    with client.track_run("a", "b"):
        assert RecordEvents()(None, "info", entry) is entry

    assert len(events(client)) == 1


def test_the_handler_records_the_stack_that_was_asked_for(client, root):
    """
    `stack_info=True` is recorded like a traceback.
    """
    root.addHandler(RunHandler())

    with client.track_run("a", "b"):
        logging.getLogger("importer").warning("here", stack_info=True)

    ((_, payload),) = events(client)
    assert "test_the_handler_records_the_stack" in payload["stack"]
