"""
Handing runs over, one by one and many at once, and looking at them.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import httpx
import pytest
import time_machine

from telemetry import TelemetryClient
from telemetry.model.run import COLUMNS
from telemetry.service.routes.batches import MAX_ITEMS

RUNS = "/api/v1/runs"
BATCH = f"{RUNS}/batch"
SECRET = "hunter2-hunter2"


def stored(api, run):
    return api.get(f"{RUNS}/{run['event_id']}").json()


def test_a_new_run_is_created_and_seen_at_once(api, run):
    """
    201 means that it is in the journal, and the next read finds it.
    """
    answer = api.post(RUNS, json=run)

    assert (answer.status_code, answer.json()) == (
        201,
        {"status": "created", "event_id": run["event_id"], "run_id": run["run_id"]},
    )
    found = stored(api, run)
    assert {*COLUMNS, "commit_url", "repo_url"} == found.keys()
    assert found["start_time"] == "2026-11-22T04:13:00.500000Z"
    assert (found["status"], found["api_posted"], found["metrics_json"]) == ("running", False, None)


def test_a_repeat_never_rewrites_a_run(api, run):
    """
    The same event_id again is a duplicate: 201, what differs is named, and nothing is changed.
    """
    api.post(RUNS, json={**run, "status": "success", "items_failed": 1})
    before = stored(api, run)

    answer = api.post(RUNS, json={**run, "agent_name": "other", "status": "failed"})

    assert answer.status_code == 201
    said = answer.json()
    assert (said["status"], said["outcome_taken"]) == ("duplicate", False)
    assert said["differences"] == ["agent_name", "status"]
    assert stored(api, run) == before


def test_a_repeat_brings_the_outcome_of_a_running_run(api, run):
    """
    Where the stored run still runs, the end that a repeat carries is taken, and only that.
    """
    api.post(RUNS, json=run)

    answer = api.post(RUNS, json={**run, "agent_name": "other", "status": "ok", "items_failed": 2})

    assert answer.json()["outcome_taken"] is True
    assert answer.json()["differences"] == ["agent_name"]
    found = stored(api, run)
    assert (found["status"], found["items_failed"]) == ("success", 2)
    assert found["agent_name"] == run["agent_name"]


def test_a_clean_up_does_not_hide_the_outcome(api, run):
    """
    A run that a person took for stale was only slow: its own word on its end stands, once.
    """
    api.post(RUNS, json=run)
    clean_up = {"status": "cancelled", "error_summary": "Stale run cleaned up on startup"}
    api.patch(f"{RUNS}/{run['event_id']}", json=clean_up)
    outcome = {**run, "status": "success", "items_succeeded": 5}

    first, second = (api.post(RUNS, json=outcome).json() for _ in range(2))

    assert (first["outcome_taken"], second["outcome_taken"]) == (True, False)
    found = stored(api, run)
    assert (found["status"], found["items_succeeded"]) == ("success", 5)
    assert found["error_summary"] is None


def test_a_run_that_nobody_vouches_for_stays_open(own_server, run):
    """
    No process says of a run that was handed over that it goes on, so its silence means nothing.
    """
    with httpx.Client(base_url=own_server.url, timeout=60) as api:
        api.post(RUNS, json={**run, "start_time": "2020-01-01T00:00:00Z", "host": "elsewhere"})
    own_server.stop()
    client = TelemetryClient(base_dir=own_server.base)

    with time_machine.travel(datetime(2100, 1, 1, tzinfo=timezone.utc), tick=True):
        assert client.reap() == []

    client.close(60)


def test_of_many_at_once_one_creates_the_run(server, run):
    """
    Twenty clients hand over one event_id: one is told created, the others duplicate.
    """

    def post(_):
        return httpx.post(f"{server.url}{RUNS}", json=run, timeout=60).json()["status"]

    with ThreadPoolExecutor(20) as pool:
        said = sorted(pool.map(post, range(20)))

    assert said == ["created"] + ["duplicate"] * 19


def test_what_is_no_field_is_named_with_the_nearest_field(api, run):
    """
    An unknown name costs nothing but a line in the answer.
    """
    answer = api.post(RUNS, json={**run, "item_succeeded": 3, "zzz": 1})

    assert answer.status_code == 201
    assert answer.json()["ignored"] == [
        {"field": "item_succeeded", "did_you_mean": "items_succeeded"},
        {"field": "zzz", "did_you_mean": None},
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_id", ""),
        ("event_id", "a/b"),
        ("event_id", "  "),
        ("run_id", "x" * 256),
        ("agent_name", None),
        ("agent_name", " \t"),
        ("agent_name", 5),
        ("job_type", "x" * 256),
        ("start_time", "2026-11-22T05:13:00"),
        ("start_time", "yesterday"),
        ("end_time", 1732252380),
        ("end_time", "0001-01-01T00:00:00+14:00"),
        ("status", "done"),
        ("trigger_type", "robot"),
        ("items_failed", -1),
        ("items_failed", 2**63),
        ("items_failed", 1.5),
        ("items_failed", "3"),
        ("items_failed", True),
        ("api_posted", "yes"),
        ("error_summary", "x" * 501),
        ("metrics_json", [1]),
        ("metrics_json", "no json"),
        ("context_json", {"a": json.loads("[" * 40 + "]" * 40)}),
    ],
)
def test_a_bad_value_is_refused_by_its_name(api, run, field, value):
    """
    422 names the field, the rule, the value and the way out, and nothing is recorded.
    """
    answer = api.post(RUNS, json={**run, field: value})

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "urn:telemetry:problem:invalid-request"
    assert [error["field"] for error in problem["errors"]] == [field]
    assert all(problem["errors"][0][part] for part in ("rule", "value", "way_out"))
    assert problem["detail"][0]["loc"] == ["body", field]
    assert problem["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
        b'{"event_id": NaN}',
        b'{"event_id": "\\ud800"}',
        b'{"event_id": "\xff"}',
        b"\x00",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_json_object_is_refused(api, body):
    """
    Broken JSON is a 422 like any other, however it is broken.
    """
    answer = api.post(RUNS, content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["status"]) == (422, 422)


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("status", " Completed ", "success"),
        ("trigger_type", "CLI", "cli"),
        ("end_time", "2026-11-22 05:13:00.123456789 -02:30", "2026-11-22T07:43:00.123456Z"),
        ("end_time", "2026-11-22T05:13:00Z", "2026-11-22T05:13:00.000000Z"),
        ("items_failed", 3.0, 3),
        ("metrics_json", '{"pages": 3}', {"pages": 3}),
        (
            "metrics_json",
            {"big": 2**70, "in": {"deep": [1]}},
            {"big": str(2**70), "in": {"deep": [1]}},
        ),
        ("output_summary", "a\0b", "a\ufffdb"),
        ("output_summary", "ünï 🎉", "ünï 🎉"),
        ("output_summary", f"password={SECRET}", "password=[scrubbed:key]"),
        ("metrics_json", {"note": f"token: {SECRET}"}, {"note": "token: [scrubbed:key]"}),
        ("context_json", {"api_key": SECRET, "n": 1}, {"api_key": "[scrubbed:key]", "n": 1}),
    ],
)
def test_values_are_kept_in_one_form(api, run, field, value, kept):
    """
    Spellings become one, secrets are taken out, and what a row cannot hold is replaced.
    """
    assert api.post(RUNS, json={**run, field: value}).status_code == 201

    assert stored(api, run)[field] == kept


def test_secrets_never_reach_the_journal(server, api, run):
    """
    Not even in the journal does a secret stand.
    """
    text = f"Bearer {SECRET}0123456789"
    api.post(RUNS, json={**run, "error_details": text, "metrics_json": {"password": SECRET}})

    journal = b"".join(path.read_bytes() for path in (server.base / "raw").glob("*"))
    assert SECRET.encode() not in journal


def test_one_bad_run_spoils_no_batch(api, new):
    """
    Each item is answered for itself, in order; errors begin with the event_id.
    """
    good, again, bad = new(), new(), new(status="done")
    api.post(RUNS, json=again)

    answer = api.post(BATCH, json=[good, bad, again, 5, {}])

    assert answer.status_code == 200
    said = answer.json()
    assert (said["inserted"], said["duplicates"], said["total"]) == (1, 1, 5)
    statuses = [result["status"] for result in said["results"]]
    assert statuses == ["created", "error", "duplicate", "error", "error"]
    assert said["errors"][0].startswith(f"{bad['event_id']}: status must be one of")
    assert stored(api, good)["run_id"] == good["run_id"]


def test_a_batch_may_hold_the_start_and_the_end_of_a_run(api, new):
    """
    What came first is created, what follows in the same batch is a repeat.
    """
    run = new()

    said = api.post(BATCH, json=[run, {**run, "status": "failed"}, run, run]).json()

    assert (said["inserted"], said["duplicates"]) == (1, 3)
    assert stored(api, run)["status"] == "failed"


def test_a_batch_in_an_object_is_understood(api, run):
    """
    Some clients of the original send {"runs": [...]}.
    """
    assert api.post(BATCH, json={"runs": [run]}).json()["inserted"] == 1


def test_an_empty_batch_is_fine(api):
    """
    Nothing is nothing.
    """
    said = api.post(BATCH, json=[]).json()

    assert said == {"inserted": 0, "duplicates": 0, "errors": [], "total": 0, "results": []}


@pytest.mark.parametrize("body", [{}, {"runs": 5}, "x", [{}] * (MAX_ITEMS + 1)], ids=repr)
def test_what_is_no_batch_is_refused(api, body):
    """
    A batch is an array of at most so many runs.
    """
    assert api.post(BATCH, json=body).status_code == 422


def test_runs_are_listed_newest_first_page_by_page(api, new):
    """
    A bare array; Link leads to the next page and back.
    """
    runs = [new(agent_name="pager") for _ in range(5)]
    for run in runs:
        api.post(RUNS, json=run)
    wanted = [run["event_id"] for run in reversed(runs)]

    first = api.get(RUNS, params={"agent_name": "pager", "limit": 2})
    second = api.get(first.links["next"]["url"])
    back = api.get(second.links["prev"]["url"])

    assert [run["event_id"] for run in first.json() + second.json()] == wanted[:4]
    assert back.json() == first.json()
    offset = api.get(RUNS, params={"agent_name": "pager", "offset": 4}).json()
    assert [run["event_id"] for run in offset] == wanted[4:]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("status=done", 400),
        ("created_before=yesterday", 400),
        ("created_before=2026-11-22T05:13:00", 400),
        ("limit=0", 422),
        ("limit=1001", 422),
        ("limit=x", 422),
        ("offset=-1", 422),
        (f"offset={2**63}", 422),
        ("cursor=x", 422),
        ("sort=metrics", 422),
        ("agent=x", 422),
        ("&".join(f"a={n}" for n in range(300)), 422),
        ("status=failure&agent_name=", 200),
        ("created_before=2026-11-22T05:13:00+01:00", 200),
        ("run_id=%27%3B%20DROP%20TABLE%20agent_runs%3B--", 200),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_list_says_what_it_cannot_answer(api, query, status):
    """
    README's codes: a bad status or time is 400, a bad number or an unknown name 422.
    """
    assert api.get(f"{RUNS}?{query}").status_code == status


def test_a_run_that_is_not_there_is_not_found(api):
    """
    404 in the words that clients look for.
    """
    answer = api.get(f"{RUNS}/nobody")

    assert (answer.status_code, answer.json()["detail"]) == (404, "Run not found: nobody")


def test_other_methods_and_paths_are_answered_in_the_same_form(api):
    """
    405 names what would do, 404 what is missing; both are problem details.
    """
    wrong = api.put(RUNS, json={})
    missing = api.get("/api/v2/runs")

    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, POST")
    assert (missing.status_code, missing.json()["detail"]) == (404, "Not Found")
