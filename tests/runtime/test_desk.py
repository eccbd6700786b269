"""
What a process offers to its sinks, and how it treats those that send.
"""

from __future__ import annotations

import pytest

from telemetry.client import TelemetryClient
from telemetry.config import TelemetryConfig
from telemetry.hookspecs import hookimpl
from telemetry.model.errors import OutOfTimeError, PausedSinkError, PermanentSinkError
from telemetry.model.records import Change
from telemetry.runtime import desk
from telemetry.runtime.deadletters import read_dead_letters
from telemetry.runtime.desk import WritingDesk
from telemetry.runtime.outage import PROBE_S
from telemetry.testing import MemorySink

TIMEOUT_S = 60


class Sayer(MemorySink):
    """
    Says of each ended run that it was posted, as a sink that sends does.
    """

    desk = None

    def attach(self, desk):
        self.desk = desk

    def write(self, batch, cursor, /):
        super().write(batch, cursor)
        for record in batch:
            if record.change == "ended":
                said = {"api_posted": True, "api_retry_count": 2}
                self.desk.record(Change.POSTED, record.event_id, record.run_id, said)


class Plugin:
    def __init__(self, *sinks):
        self.sinks = sinks

    @hookimpl
    def telemetry_register_sinks(self, config):
        return list(self.sinks)


@pytest.fixture
def make_client(tmp_path):
    made = []

    def make(*sinks, **settings):
        config = TelemetryConfig.from_env({}, base_dir=tmp_path / "base", **settings)
        made.append(TelemetryClient(config, plugins=[Plugin(*sinks)]))
        return made[-1]

    yield make
    for client in made:
        client.close()


def rows(client):
    from telemetry.storage.reader import Reader

    return Reader(client.config.db_path).runs()


@pytest.mark.parametrize("way", ["flush", "catch_up"])
def test_what_a_sink_says_of_a_run_is_recorded(way, make_client):
    """
    It reaches every sink, the sayer too; with threads, and on the caller's own.
    """
    sink = Sayer("sayer")
    settings = {"drain": "external"} if way == "catch_up" else {}
    client = make_client(sink, **settings)
    with client.track_run("agent", "job"):
        pass
    for _ in range(2):
        assert getattr(client, way)(TIMEOUT_S)

    (row,) = rows(client)
    assert (row["api_posted"], row["api_retry_count"], row["status"]) == (1, 2, "success")
    assert [r.change for r in sink.records if r.change == "posted"] == ["posted"]


def test_a_sink_that_cannot_be_attached_is_said(make_client, capsys):
    """
    It goes without a desk; nobody else is concerned.
    """

    class Broken(MemorySink):
        def attach(self, desk):
            raise ValueError("no desk for me")

    sink = Broken("broken")
    client = make_client(sink)
    with client.track_run("agent", "job"):
        pass

    assert client.flush(TIMEOUT_S)
    assert len(sink.records) >= 2
    assert "no desk for me" in capsys.readouterr().err


@pytest.mark.parametrize("without", [(), ("sqlite",)])
def test_a_run_is_recalled(without, make_client):
    """
    From the database; where there is none, from the journal; an unknown one is empty.
    """
    sink = Sayer("sayer")
    client = make_client(sink, plugins_disabled=without)
    run_id = client.start_run("agent", "job", product="p")
    client.log_event(run_id, "step", {})
    assert client.flush(TIMEOUT_S)
    event_id = client._runtime.find(run_id)

    assert sink.desk.recall(event_id).run().product == "p"
    assert sink.desk.recall("nobody").event_id == ""


def test_a_deleted_run_is_recalled_as_that(make_client):
    """
    Nothing brings it back.
    """
    sink = Sayer("sayer")
    client = make_client(sink)
    run_id = client.start_run("agent", "job")
    event_id = client._runtime.find(run_id)
    client._runtime.recorder.change(Change.DELETED, event_id, run_id, {})
    assert client.flush(TIMEOUT_S)

    assert sink.desk.recall(event_id).deleted


def test_each_refused_record_has_its_own_reason(make_client):
    """
    Where the error names one for each.
    """

    class Picky(MemorySink):
        def write(self, batch, cursor, /):
            refused = {r.id: f"no {r.event_type}" for r in batch if r.event_type in {"a", "c"}}
            if refused:
                raise PermanentSinkError("not these", reasons=refused)
            super().write(batch, cursor)

    sink = Picky("picky")
    client = make_client(sink)
    with client.track_run("agent", "job") as run:
        for kind in "abc":
            run.log_event(kind)
    assert client.flush(TIMEOUT_S)

    letters = read_dead_letters(client.config.state_dir / "dead" / "picky.ndjson")
    assert [letter.reason for letter in letters] == ["no a", "no c"]
    assert [r.event_type for r in sink.records if r.event_type] == ["b"]


def test_a_paused_sink_is_named_once(make_client, capsys):
    """
    However often it is asked; another reason is another word.
    """

    class Paused(MemorySink):
        words = "set a token"

        def write(self, batch, cursor, /):
            raise PausedSinkError(self.words)

    sink = Paused("paused")
    client = make_client(sink)
    with client.track_run("agent", "job"):
        pass
    for _ in range(3):
        assert not client.flush(TIMEOUT_S)

    assert capsys.readouterr().err.count("set a token") == 1
    assert PROBE_S > 1


def test_a_sink_may_let_a_burst_go_on(make_client, eventually):
    """
    It is handed what came until its time was over; whoever waits for it does not wait for that.
    """

    class Dear(MemorySink):
        linger_s = 3600.0

    sink, other = Dear("dear"), MemorySink("other")
    client = make_client(sink, other)
    with client.track_run("agent", "job"):
        pass
    assert client.flush(TIMEOUT_S)
    before = len(sink.cursors_seen)
    with client.track_run("agent", "job"):
        pass
    eventually(lambda: len(other.records) >= len(sink.records) + 2)
    assert len(sink.cursors_seen) == before

    assert client.flush(TIMEOUT_S)
    assert min(len(sink.records), len(other.records)) >= 4


class Leaver(Sayer):
    """
    Leaves to the next process what comes at the exit; nothing else wakes it a second time.
    """

    linger_s = 3600.0

    def __init__(self, name):
        super().__init__(name)
        self.left_s = []

    def write(self, batch, cursor, /):
        self.left_s.append(self.desk.time_left_s())
        if self.left_s[-1] is not None:
            raise OutOfTimeError("it would take too long")
        super().write(batch, cursor)


def test_what_is_left_for_want_of_time_is_no_outage(make_client, capsys):
    """
    A sink learns how long the process waits for it; the one that leaves the rest is not told of.
    """
    sink = Leaver("leaver")
    client = make_client(sink)
    assert sink.desk.sizes() == {}
    with client.track_run("agent", "job"):
        pass
    assert client.flush(TIMEOUT_S)
    assert min(sink.desk.sizes().values()) > 0
    assert set(sink.left_s) == {None}
    with client.track_run("agent", "job"):
        pass

    assert not client._runtime.close(TIMEOUT_S)
    assert 0 < sink.left_s[-1] <= TIMEOUT_S
    assert sink.desk.time_left_s() is None
    assert "leaver" not in capsys.readouterr().err


class Unreadable:
    """
    A journal whose files cannot be listed.
    """

    def segments(self):
        raise OSError("no such directory")


def test_what_cannot_be_read_is_not_known(tmp_path, make_client, monkeypatch):
    """
    Nor what is not found in time; nothing is raised.
    """
    empty = WritingDesk(None, tmp_path / "none.sqlite", Unreadable(), lambda: None)
    assert empty.recall("e").event_id == ""

    sink = Sayer("sayer")
    client = make_client(sink, plugins_disabled=("sqlite",))
    run_id = client.start_run("agent", "job")
    event_id = client._runtime.find(run_id)
    monkeypatch.setattr(desk, "SEARCH_BUDGET_S", -1)
    assert sink.desk.recall(event_id).event_id == ""
