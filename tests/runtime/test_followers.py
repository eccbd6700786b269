from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

import attrs
import pytest
from forking import in_child

from telemetry.model.errors import PausedSinkError, PermanentSinkError, TransientSinkError
from telemetry.runtime.leadership import Leadership
from telemetry.runtime.surroundings import AGENT, State
from telemetry_plugins.sqlite import SqliteSink

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


class Gate:
    """
    Lets a sink fail or hang until it is opened.
    """

    def __init__(self):
        self.is_open = threading.Event()
        self.error = ConnectionError("away")

    def fail(self, batch):
        if not self.is_open.is_set():
            raise self.error

    def hang(self, batch):
        self.is_open.wait(60)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.is_open.set()


def threads():
    return {thread for thread in threading.enumerate() if "telemetry-" in thread.name}


def test_nothing_runs_before_the_first_record(station, collector):
    """
    Followers that were made and not rung have no thread; closing them is nothing.
    """
    before = threads()
    followers = station.follow(collector())

    assert threads() <= before
    assert followers.close(60)
    assert not followers.stats().is_started


def test_records_reach_every_sink_by_themselves(station, collector, eventually):
    """
    Nobody has to flush: followers are started by the first record and find it.
    """
    first, second = collector("first"), collector("second")
    followers = station.follow(first, second)
    ids = station.log(20, followers)

    eventually(lambda: first.ids == second.ids == ids)
    ids += station.log(5, followers)
    eventually(lambda: first.ids == second.ids == ids)


def test_headers_of_segments_are_not_records(station, collector):
    """
    A sink sees what was recorded, not how the journal is made.
    """
    sink = collector()
    followers = station.follow(sink)
    station.log(1, followers)
    assert followers.flush(60)

    assert {r.record_type for batch, _ in sink.batches for r in batch} == {"event"}


def test_a_sink_goes_on_where_it_stood(stations, collector):
    """
    The next process hands over what came after the stored position, and nothing twice.
    """
    before, after = collector(), collector()
    first = stations()
    followers = first.follow(before)
    ids = first.log(10, followers)
    assert followers.close(60)
    second = stations()
    followers = second.follow(after)
    more = second.log(10, followers)
    assert followers.flush(60)

    assert before.ids == ids
    assert after.ids == more


def test_batches_are_no_larger_than_allowed(stations, collector):
    """
    `batch_size` is the most that a sink is handed at once.
    """
    station, sink = stations(batch_size=7), collector()
    ids = station.log(100)
    followers = station.follow(sink)
    assert followers.flush(60)

    assert sink.ids == ids
    assert max(len(batch) for batch, _ in sink.batches) <= 7


def test_flush_waits_for_what_was_recorded_before_it(station, collector):
    """
    After a flush each sink has everything, also while others go on recording.
    """
    sink = collector()
    followers = station.follow(sink, SqliteSink(station.config.db_path))
    is_over = threading.Event()

    def record():
        while not is_over.wait(0.001):
            station.log(1, followers)

    recorder = threading.Thread(target=record)
    recorder.start()
    try:
        for _ in range(5):
            ids = station.log(3, followers)
            assert followers.flush(60)
            assert set(ids) <= set(sink.ids)
    finally:
        is_over.set()
        recorder.join()


def test_a_burst_that_begins_before_a_follower_rests_goes_on(station, collector, eventually):
    """
    What is recorded while a follower finishes is let go on, as where it wakes the follower.
    """
    has_idled = threading.Event()
    are_asked_for = []
    sink = collector(fails=lambda batch: are_asked_for.append(follower.requests.is_open))
    sink.linger_s = 3600.0
    followers = station.follow(sink)
    (follower,) = followers._followers

    def idle():
        if not has_idled.is_set():
            station.log(1, followers)
            has_idled.set()

    sink.idle = idle
    station.log()
    assert followers.flush(30)
    eventually(has_idled.is_set)
    assert followers.flush(30)

    assert len(sink.ids) == 2
    assert are_asked_for[1:] == [True]


def test_one_sink_can_be_asked_without_waiting(station, collector, gate, eventually):
    """
    A ticket tells when one sink has what the journal had, whatever the others do.
    """
    sink, hanging = collector("quick"), collector("hanging", gate.hang)
    followers = station.follow(sink, hanging)
    ids = station.log(30)

    ticket = followers.ask("quick")
    eventually(lambda: ticket.is_done)
    assert sink.ids == ids
    assert not ticket.is_refused
    assert not followers.ask("hanging").is_done
    assert followers.ask("nobody") is None
    gate.is_open.set()


def test_followers_start_again_after_close(station, collector):
    """
    Closing releases the sinks; the next record opens them again.
    """
    sink = collector()
    followers = station.follow(sink)
    ids = station.log(3, followers)
    assert followers.close(60)
    assert sink.close_count == 1
    assert not followers.stats().is_started
    ids += station.log(3, followers)
    assert followers.flush(60)

    assert sink.ids == ids


def test_a_close_right_after_the_first_record_ends_every_follower(station, collector):
    """
    Followers that get their threads while they are told to stop do stop, and need no time-out.
    """
    for _ in range(20):
        followers = station.follow(*(collector(f"sink-{number}") for number in range(8)))
        station.log(1, followers)
        followers.close(60)

        assert {follower.state.value for follower in followers.stats().followers} <= {
            "closed",
            "new",
        }


def test_with_an_external_drainer_there_are_no_threads(stations, collector):
    """
    TELEMETRY_DRAIN=external starts nothing; who waits drains for himself.
    """
    station, sink = stations(drain="external"), collector()
    before = threads()
    followers = station.follow(sink)
    ids = station.log(10, followers)
    followers.start()
    assert threads() <= before
    assert sink.ids == []

    assert followers.flush(60)
    assert sink.ids == ids
    assert sink.close_count == 0
    assert followers.close(1)
    assert threads() <= before


def test_catching_up_needs_no_thread(station, collector):
    """
    A command that answers from a sink drains what others left, on its own thread.
    """
    sink = collector()
    ids = station.log(10)
    before = threads()
    followers = station.follow(sink)

    assert followers.catch_up(10)
    assert sink.ids == ids
    assert threads() <= before


def test_an_outage_is_told_once_and_caught_up(station, collector, gate, said, eventually):
    """
    A sink that is away is retried until it is back; one notice when it goes, one when it returns.
    """
    sink, other = collector("http", gate.fail), collector("good")
    followers = station.follow(sink, other)
    ids = station.log(10, followers)
    eventually(lambda: sink.attempt_count >= 3)
    ids += station.log(10, followers)
    eventually(lambda: other.ids == ids)
    assert not followers.flush(0.1)
    assert sink.ids == []
    gate.is_open.set()

    eventually(lambda: sink.ids == ids)
    eventually(lambda: said.about("takes records again"))
    assert len(said.about("sink http takes nothing")) == 1
    assert [level for level, _ in said.messages] == ["WARNING", "INFO"]
    assert not station.dead("http").exists()


@pytest.mark.parametrize("error", [RuntimeError("odd"), SystemExit(3), TransientSinkError("busy")])
def test_whatever_a_broken_sink_raises_is_an_outage(
    station, collector, gate, said, eventually, error
):
    """
    A sink that takes nothing loses nothing, whatever it raises.
    """
    gate.error = error
    sink = collector("odd", gate.fail)
    followers = station.follow(sink)
    ids = station.log(5, followers)
    eventually(lambda: followers.stats().followers[0].state is State.OUTAGE)
    gate.is_open.set()

    assert followers.flush(60)
    assert set(sink.ids) == set(ids)
    assert not station.dead("odd").exists()


def test_poison_is_isolated_and_the_rest_arrives(station, collector, said):
    """
    One record of ten thousand that a sink cannot digest goes to its dead letters, alone.
    """
    sink, other = collector("picky"), collector("good")
    followers = station.follow(sink, other)
    ids = station.log(10_000)
    bad = ids[6543]

    def fail(batch):
        if any(record.id == bad for record in batch):
            raise KeyError("poison")

    sink.fails = fail
    followers.ring()
    assert followers.flush(60)

    assert set(sink.ids) == set(ids) - {bad}
    assert other.ids == ids
    assert station.dead("picky").read_text().count("\n") == 1
    assert bad in station.dead("picky").read_text()
    assert followers.stats().followers[0].dead_count == 1


def test_a_refused_record_is_buried(station, collector, said):
    """
    What the sink says it will never take goes to the dead letters at once.
    """
    sink = collector("strict")
    followers = station.follow(sink)
    ids = station.log(5)

    def fail(batch):
        if any(record.id == ids[2] for record in batch):
            raise PermanentSinkError("never", record_ids=[ids[2]])

    sink.fails = fail
    assert followers.flush(60)

    assert sink.ids == [one for one in ids if one != ids[2]]
    assert len(said.about("sink strict must take every record")) == 1


def test_a_sink_that_wants_to_be_left_alone_is(station, collector, said, eventually):
    """
    A pause is told once; a flush does not wait for it, and the others go on.
    """

    def fail(batch):
        raise PausedSinkError("a database from the future; upgrade")

    sink, other = collector("old", fail), collector("good")
    followers = station.follow(sink, other)
    ids = station.log(5, followers)
    eventually(lambda: followers.stats().followers[0].state is State.PAUSED)

    assert not followers.flush(10)
    assert other.ids == ids
    assert sink.attempt_count <= 2
    assert len(said.about("must be left alone")) == 1


def test_a_sink_that_hangs_holds_up_nobody(station, collector, gate, eventually):
    """
    It occupies its own thread; the others go on, and closing leaves it behind in time.
    """
    stuck, good = collector("stuck", gate.hang), collector("good")
    followers = station.follow(stuck, good)
    ids = station.log(5, followers)
    eventually(lambda: stuck.attempt_count == 1)
    ids += station.log(5, followers)
    eventually(lambda: good.ids == ids)
    assert not followers.flush(0.05)
    assert not followers.close(0.1)

    assert good.close_count == 1
    gate.is_open.set()
    eventually(lambda: stuck.close_count == 1)


def test_a_sink_that_hung_goes_on_with_the_same_thread(station, collector, gate, eventually):
    """
    Closing and recording again does not pile up threads behind a sink that hangs.
    """
    stuck = collector("stuck", gate.hang)
    followers = station.follow(stuck)
    ids = station.log(1, followers)
    eventually(lambda: stuck.attempt_count == 1)
    for _ in range(3):
        followers.close(0.01)
        ids += station.log(1, followers)
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("telemetry-stuck") == 1
    gate.is_open.set()

    assert followers.flush(60)
    assert set(stuck.ids) == set(ids)


def test_a_sink_that_cannot_be_closed_is_told_and_left(station, collector, said):
    """
    Closing is as guarded as writing.
    """
    sink = collector()
    followers = station.follow(sink)
    station.log(1, followers)

    def close():
        raise SystemExit

    sink.close = close
    assert followers.close(60)
    assert said.about("cannot be closed")
    del sink.close


def test_a_sink_is_told_when_it_has_caught_up(station, collector, eventually):
    """
    `idle` is called when there is nothing left, and may fail.
    """
    sink = collector()
    calls = []

    def idle():
        calls.append(len(sink.ids))
        raise RuntimeError

    sink.idle = idle
    followers = station.follow(sink)
    station.log(5, followers)

    eventually(lambda: 5 in calls)


def test_logging_inside_a_sink_is_not_recorded_again(station, collector):
    """
    What a sink logs is marked, so that the logging bridge does not feed it back.
    """
    from telemetry.runtime.notices import is_suppressed

    fed = []

    class Bridge(logging.Handler):
        def emit(self, record):
            if not is_suppressed():
                fed.append(record)

    bridge = Bridge()
    logger = logging.getLogger("a.sink")
    logger.addHandler(bridge)
    sink = collector(fails=lambda batch: logger.warning("sending %d", len(batch)))
    followers = station.follow(sink)
    station.log(5, followers)
    assert followers.flush(60)
    logger.removeHandler(bridge)

    assert fed == []


def test_a_stopped_leader_is_passed_by(stations, collector, eventually):
    """
    A leader that shows nothing for a lease does not keep the others from working.
    """
    station, sink = stations(), collector("x")
    stuck = Leadership(station.config.state_dir, "x")
    assert stuck.may_work()
    followers = station.follow(sink, manners=attrs.evolve(AGENT, lease_s=0.05))
    ids = station.log(5, followers)

    eventually(lambda: sink.ids == ids)
    assert not followers.stats().followers[0].is_leader
    stuck.release()


def test_a_flush_does_not_need_the_lead_where_the_sink_keeps_cursors(stations, eventually):
    """
    The database's own cursors keep it right, so who waits may work beside a leader.
    """
    station = stations()
    sink = SqliteSink(station.config.db_path)
    leader = Leadership(station.config.state_dir, sink.name)
    assert leader.may_work()
    followers = station.follow(sink)
    station.log(5, followers)

    assert followers.flush(60)
    leader.release()


def test_a_flush_beside_a_leader_waits_for_him(stations, collector, eventually):
    """
    Where cursors lie in a file only the leader works; a flush ends when he has passed.
    """
    first, second = stations(), stations()
    leading, waiting = collector("x"), collector("x")
    leader = first.follow(leading)
    first.log(1, leader)
    assert leader.flush(60)
    follower = second.follow(waiting)
    ids = second.log(5, follower)

    assert follower.flush(60)
    assert set(ids) <= set(leading.ids)
    assert waiting.ids == []


def test_where_no_thread_can_be_started_the_journal_has_it(station, collector, said, monkeypatch):
    """
    A refused thread is told once; who waits drains for himself.
    """

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    sink = collector()
    followers = station.follow(sink)
    ids = station.log(5, followers)
    assert len(said.about("sinks need threads")) == 1

    assert followers.flush(60)
    assert sink.ids == ids


def test_refused_lines_reach_the_sinks_and_then_the_journal(stations, collector, eventually):
    """
    While the journal takes nothing the sinks get records directly; later it gets them, same ids.
    """
    station, sink = stations(), collector()
    followers = station.follow(sink)
    is_full = threading.Event()
    is_full.set()
    append = station.journal.append
    station.journal.append = lambda line, second: not is_full.is_set() and append(line, second)
    lines = [station.line() for _ in range(3)]
    for line in lines:
        assert not station.journal.append(line, int(time.time()))
        followers.spill(line, int(time.time()))
    eventually(lambda: len(sink.ids) == 3)
    assert {cursor.segment for _, cursor in sink.batches} == {""}
    assert followers.stats().emergency.record_count == 3
    is_full.clear()

    eventually(lambda: followers.stats().emergency.record_count == 0)
    assert followers.flush(60)
    later = collector("later")
    assert station.follow(later).catch_up(10)
    assert sorted(later.ids) == sorted(set(sink.ids))


def test_a_damaged_journal_is_counted_and_passed(station, collector):
    """
    A torn line harms only itself.
    """
    sink = collector()
    followers = station.follow(sink)
    ids = station.log(2)
    (segment,) = station.journal.segments()
    with segment.path.open("ab") as file:
        file.write(b'{"lt":1,"torn\n')
    ids += station.log(2, followers)
    assert followers.flush(60)

    assert sink.ids == ids
    assert followers.stats().followers[0].damaged_count == 1


def test_a_torn_tail_does_not_hold_up_a_flush(station, collector):
    """
    What has no end yet is not waited for.
    """
    sink = collector()
    followers = station.follow(sink)
    ids = station.log(2)
    (segment,) = station.journal.segments()
    with segment.path.open("ab") as file:
        file.write(b'{"lt":1,"torn')
    followers.ring()

    assert followers.flush(60)
    assert sink.ids == ids


@needs_fork
def test_a_child_begins_afresh(station, collector, eventually):
    """
    A forked child has no thread until its first record, and delivers after it.
    """
    sink = SqliteSink(station.config.db_path)
    followers = station.follow(sink)
    station.log(5, followers)
    assert followers.flush(60)

    def begin():
        followers.after_fork()
        station.journal.after_fork()
        is_started = followers.stats().is_started
        station.log(5, followers)
        return is_started, threading.active_count() > 1, followers.flush(60)

    assert in_child(begin) == "(False, True, True)"
    assert followers.flush(60)


@needs_fork
def test_a_sink_that_forks_does_not_leave_a_second_follower(station, collector, eventually):
    """
    The child that a sink forked inside a write ends with that write.
    """
    pids = []

    def fork(batch):
        pid = os.fork()
        if pid:
            pids.append(pid)

    sink = collector(fails=fork)
    followers = station.follow(sink)
    station.log(1, followers)
    assert followers.flush(60)

    assert os.waitpid(pids[0], 0)[0] == pids[0]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_an_idle_process_hardly_wakes(station, collector, eventually):
    """
    With nothing to do, followers sleep and the watcher looks about once a second.
    """
    before = threading.enumerate()
    sinks = [collector(f"s{number}") for number in range(4)]
    followers = station.follow(*sinks)
    station.log(1, followers)
    assert followers.flush(60)
    ours = [thread for thread in threading.enumerate() if thread not in before]

    def wakes():
        return sum(switches(thread.native_id) for thread in ours)

    def sleeps_for_two_seconds():
        first, until = wakes(), time.monotonic() + 2
        eventually(lambda: time.monotonic() >= until)
        return wakes() - first <= 8

    eventually(sleeps_for_two_seconds)
    assert len(ours) == 5
    assert all(sink.attempt_count == 1 for sink in sinks)


def switches(thread_id):
    """
    Return how often a thread has gone to sleep.
    """
    status = Path(f"/proc/self/task/{thread_id}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])
