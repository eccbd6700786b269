"""
Which runs have ended, and so are posted to a webhook.
"""

from __future__ import annotations

import pytest
from badserver import TIMEOUT_S
from webhook import NOWHERE, Desk, run_line, whole

from telemetry.client import TelemetryClient
from telemetry.model.errors import PermanentSinkError
from telemetry.model.fold import Fold
from telemetry_plugins.http import finished, posts


def test_what_gives_a_run_its_end_posts_it(server, make_posts):
    """
    Its agent, the API, the reaper, a person; not a start, an update or a run that goes on.
    """
    sink = make_posts()
    sink.write(
        [
            run_line(1, "started", event_id="a", agent_name="x", status="running"),
            run_line(2, "updated", event_id="a", items_failed=2),
            run_line(3, "recorded", event_id="b", agent_name="x", status="running"),
            run_line(4, "recorded", event_id="c", agent_name="x", status="failed"),
            run_line(5, "started", event_id="d", agent_name="x", status="running"),
            run_line(6, "inferred", event_id="d", status="cancelled"),
            run_line(7, "started", event_id="f", agent_name="x", status="running"),
            run_line(8, "edited", event_id="f", status="cancelled", base_status="running"),
            run_line(9, "edited", event_id="b", output_summary="still going"),
        ],
        NOWHERE,
    )
    sink.write([run_line(10, "ended", event_id="a", status="success")], NOWHERE)
    sink.write([run_line(11, "recorded", event_id="b", status="partial")], NOWHERE)

    posted = [(r.json()["event_id"], r.json()["status"]) for r in server.seen()]
    assert posted == [
        ("c", "failed"), ("d", "cancelled"), ("f", "cancelled"), ("a", "success"), ("b", "partial"),
    ]  # fmt: skip
    assert server.requests[3].json()["items_failed"] == 2


@pytest.mark.parametrize(
    ("status", "keys"), [("cancelled", ["e-1"]), ("success", ["e-1", "e-1.success"])]
)
def test_a_real_end_after_an_inferred_one(status, keys, server, make_posts):
    """
    Is posted if it tells another story, under a key of its own; also by the next process.
    """
    first = make_posts()
    first.write(
        [whole(1, "started", "running"), run_line(2, "inferred", status="cancelled")], NOWHERE
    )
    second = make_posts()
    for _ in range(2):
        second.write([whole(3, "ended", status)], NOWHERE)

    assert server.kept() == keys


def test_a_run_that_says_it_was_posted_is_not(server, make_posts):
    """
    By its own record, or by what is known of it from before; a deleted one neither.
    """
    desk = Desk()
    desk.known["known"] = Fold()
    desk.known["known"].apply(run_line(1, "posted", event_id="known", api_posted=True))
    desk.known["gone"] = Fold()
    desk.known["gone"].apply(run_line(2, "deleted", event_id="gone"))
    sink = make_posts(desk)
    sink.write(
        [
            run_line(
                3, "recorded", event_id="said", agent_name="x", status="failed", api_posted=True
            ),
            run_line(4, "ended", event_id="known", status="failed"),
            run_line(5, "ended", event_id="gone", status="failed"),
        ],
        NOWHERE,
    )

    assert server.seen() == []


def test_what_was_recorded_before_this_process_is_posted_too(server, make_config):
    """
    A run that one process starts, another leaves behind and a third ends: one whole object.
    """
    config = make_config(METRICS_API_URL=server.url)
    first = TelemetryClient(config)
    run_id = first.start_run("agent", "job", product="p")
    assert first.flush(TIMEOUT_S)
    first._runtime.runs.after_fork()
    first.close()
    second = TelemetryClient(config)
    second.end_run(run_id, status="failed")
    assert second.flush(TIMEOUT_S)
    second.close()

    (request,) = server.seen()
    assert request.json().keys() >= {"agent_name", "product", "start_time", "end_time"}


def test_without_a_database_the_journal_is_searched(server, make_config):
    """
    The sink needs no other sink.
    """
    config = make_config(METRICS_API_URL=server.url, TELEMETRY_PLUGINS_DISABLED="sqlite,git_linker")
    first = TelemetryClient(config)
    run_id = first.start_run("agent", "job", product="p")
    event_id = first._runtime.find(run_id)
    assert first.flush(TIMEOUT_S)
    first._runtime.runs.after_fork()
    first.close()
    second = TelemetryClient(config)
    second._runtime.recorder.end_elsewhere(event_id, run_id, _outcome("failed"), {})
    assert second.flush(TIMEOUT_S)
    second.close()

    (request,) = server.seen()
    assert (request.json()["product"], request.json()["status"]) == ("p", "failed")


def _outcome(status):
    from telemetry.model.outcomes import Outcome
    from telemetry.model.run import Status

    return Outcome(Status(status))


def test_more_open_runs_than_are_remembered(server, make_posts, monkeypatch):
    """
    What is known of the oldest is asked for at its end.
    """
    monkeypatch.setattr(finished, "MAX_OPEN_RUNS", 1)
    monkeypatch.setattr(posts, "MAX_REMEMBERED", 1)
    desk = Desk()
    desk.known["a"] = Fold()
    desk.known["a"].apply(whole(1, "started", "running", event_id="a"))
    sink = make_posts(desk)
    sink.write(
        [whole(n, "started", "running", event_id=key) for n, key in enumerate("ab", 1)], NOWHERE
    )
    for _ in range(2):
        sink.write(
            [run_line(n, "ended", event_id=key, status="failed") for n, key in enumerate("ab", 3)],
            NOWHERE,
        )

    assert [(r.json()["event_id"], r.json()["agent_name"]) for r in server.seen()] == [
        ("a", "agent"),
        ("b", "agent"),
    ]


def test_a_run_that_ends_twice_in_a_batch_is_tried_once(server, make_posts):
    """
    Also where it is refused, and the batch comes again without the record that was buried.
    """
    server.will(then={"do": "answer", "status": 400})
    sink = make_posts()
    batch = [whole(1, "inferred", "cancelled"), whole(2, "ended", "failed")]
    with pytest.raises(PermanentSinkError) as caught:
        sink.write(batch, NOWHERE)
    sink.write([record for record in batch if record.id not in caught.value.record_ids], NOWHERE)

    (request,) = server.seen()
    assert request.json()["status"] == "failed"


def test_a_person_may_reopen_a_run(server, make_posts):
    """
    What runs again is not posted, though its end is in the batch.
    """
    reopened = run_line(3, "edited", status="running", base_status="success", force=True)
    make_posts().write([whole(1, "started", "running"), whole(2, "ended"), reopened], NOWHERE)

    assert server.seen() == []


def test_a_child_process_posts_on_its_own(server, make_posts):
    """
    Over a connection of its own, and by what is written down.
    """
    sink = make_posts()
    sink.write([whole(1, "ended")], NOWHERE)
    sink.after_fork()
    sink.write([whole(2, "ended", event_id="e-2")], NOWHERE)
    server.seen()

    assert server.kept() == ["e-1", "e-2"]
    assert server.connection_count == 2
