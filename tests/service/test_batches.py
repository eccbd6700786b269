"""
Many runs handed over together become what each alone would.
"""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from posted_runs import posted_runs
from starlette.requests import Request

from telemetry.config import TelemetryConfig
from telemetry.service.app import create_app
from telemetry.service.routes.batches import AT_ONCE, BETWEEN_TURNS, PIECE_BYTES, create_runs

RUNS = "/api/v1/runs"
OF_ITS_OWN = {"event_id", "run_id", "created_at", "updated_at"}
SPOILT = st.sampled_from(
    [
        {"status": "bogus"},
        {"start_time": "2026-11-22T05:13:00"},
        {"start_time": '2026-11-22T05:13:00.123456Z","2026-11-22T05:13:00.123456Z'},
        {"agent_name": " "},
        {"metrics_json": {"deep": [[{"er": 1}]]}},
        {"metrics_json": {"lt": 1, "record_type": "run"}},
        {"no_field": 1},
        {},
    ]
)
_numbers = itertools.count()


def stored(api, event_id):
    row = api.get(f"{RUNS}/{event_id}").json()
    return {name: value for name, value in row.items() if name not in OF_ITS_OWN}


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(st.tuples(posted_runs(), SPOILT), min_size=1, max_size=4))
def test_a_batch_stores_what_its_runs_alone_would(api, pairs):
    """
    The quick way of a batch and the careful one of a single run with an unknown field agree.
    """
    mark = f"b-{next(_numbers)}"
    runs = [{**run, **spoilt} for run, spoilt in pairs]
    together = [{**run, "event_id": f"{mark}-{at}-t"} for at, run in enumerate(runs)]
    alone = [{**run, "event_id": f"{mark}-{at}-a", "~": 0} for at, run in enumerate(runs)]

    results = api.post(f"{RUNS}/batch", content=json.dumps(together)).json()["results"]

    for result, one, other in zip(results, together, alone):
        answer = api.post(RUNS, content=json.dumps(other))
        assert (result["status"] == "created") == (answer.status_code == 201), (result, answer.text)
        if result["status"] == "created":
            assert stored(api, one["event_id"]) == stored(api, other["event_id"])


@pytest.mark.parametrize("bad", [0, AT_ONCE - 1, AT_ONCE, 2 * AT_ONCE])
def test_each_result_stands_where_its_run_does(api, new, bad):
    """
    What cannot be taken is named by its place, however the batch is cut into pieces.
    """
    runs = [new() for _ in range(2 * AT_ONCE + 1)]
    runs[bad]["status"] = "bogus"

    answer = api.post(f"{RUNS}/batch", json=runs).json()

    assert [one["event_id"] for one in answer["results"]] == [run["event_id"] for run in runs]
    assert [at for at, one in enumerate(answer["results"]) if one["status"] == "error"] == [bad]
    assert answer["results"][bad]["detail"][0]["loc"] == ["body", bad, "status"]


@pytest.mark.parametrize(
    "bad", ['{"a": NaN}', '{"a": [-Infinity]}', r'{"a": "\ud800"}', '{"a": "é\udcff"}', '"\n"']
)
def test_what_no_json_has_spoils_one_run_only(api, new, bad):
    """
    NaN, half a pair and bytes that are no UTF-8 are in one run: it is named, the others taken.
    """
    runs = [new() for _ in range(3)]
    texts = [json.dumps(run) for run in runs]
    texts[1] = f'{texts[1][:-1]}, "metrics_json": {bad}}}'
    body = f" [{' , '.join(texts)}] ".encode("utf-8", "surrogateescape")

    answer = api.post(f"{RUNS}/batch", content=body).json()

    assert [one["status"] for one in answer["results"]] == ["created", "error", "created"]
    assert answer["results"][1]["detail"][0]["loc"][:2] == ["body", 1]
    if "\udcff" not in bad:
        assert answer["errors"][0].startswith(f"{runs[1]['event_id']}: ")


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63) + 1, 2**63, -(2**63) - 1, 2**64, 10**400])
def test_an_integer_is_kept_in_one_form(api, new, number):
    """
    One that no database holds becomes a text, by whichever way it comes.
    """
    alone, together, edited, nested = (new() for _ in range(4))
    metrics = {"metrics_json": {"a": number, "b": 1, "c": "text"}}
    api.post(RUNS, json={**alone, **metrics})
    api.post(f"{RUNS}/batch", json=[new(), {**together, **metrics}])
    api.post(RUNS, json=edited)
    api.patch(f"{RUNS}/{edited['event_id']}", json=metrics)
    api.post(RUNS, json={**nested, "metrics_json": {"a": [number]}})

    kept = number if abs(number) < 2**63 else str(number)
    for run in (alone, together, edited):
        assert stored(api, run["event_id"])["metrics_json"] == {"a": kept, "b": 1, "c": "text"}
    assert stored(api, nested["event_id"])["metrics_json"] == {"a": [kept]}


def test_what_is_no_run_is_named_by_its_place(api, run):
    """
    An item without a name is told from the others by its number.
    """
    answer = api.post(f"{RUNS}/batch", json=[run, 1]).json()

    assert answer["errors"] == [
        "(no event_id): item 1 must be a JSON object (got 1); send the fields as one object"
    ]


@pytest.mark.parametrize("end", ["", ", NaN", "] x", ",]", "]]"])
def test_what_is_no_array_is_refused_whole(api, run, end):
    """
    Where it cannot be told what belongs to which run, nothing is taken.
    """
    answer = api.post(f"{RUNS}/batch", content=f"[{json.dumps(run)}, NaN{end}")

    assert answer.status_code == 422
    assert api.get(f"{RUNS}/{run['event_id']}").status_code == 404


def request_with(runs):
    """
    Return a request whose body has come as one piece.
    """

    async def receive():
        return {"type": "http.request", "body": json.dumps(runs).encode()}

    return Request({"type": "http"}, receive)


@pytest.mark.parametrize("more", [{}, {"~": 0}])
def test_a_large_batch_leaves_others_their_turn(tmp_path, new, more):
    """
    Between some runs and the next ones, whatever else is ready goes on.
    """
    turn_count = 4
    run_count = turn_count * BETWEEN_TURNS * AT_ONCE
    text = "x" * (2 * PIECE_BYTES // AT_ONCE)

    async def turns():
        # What waits for the followers' thread is no part of this, and would wait long for it while
        # this loop turns.
        await service.barrier.wait()
        request = request_with([{**new(), **more, "error_details": text} for _ in range(run_count)])
        handler = asyncio.get_running_loop().create_task(create_runs(service, request))
        count = 0
        while not handler.done():
            await asyncio.sleep(0)
            count += 1
        assert json.loads(handler.result().body)["inserted"] == run_count
        return count

    config = TelemetryConfig.from_env({}, base_dir=tmp_path / "base")
    service = create_app(config).state.service
    try:
        assert asyncio.run(turns()) >= turn_count
    finally:
        service.close(60)


def test_a_repeat_in_a_batch_is_compared_with_what_is_stored(api, new):
    """
    As a single one is: what it says else is named, whether its outcome was taken or not.
    """
    runs = [new(), new(), new()]
    api.post(f"{RUNS}/batch", json=runs)
    others = [
        {**runs[0], "agent_name": "other", "status": "failed"},
        {**runs[1]},
        {**runs[2], "items_failed": 3, "metrics_json": {"a": 1}},
        new(),
    ]

    results = api.post(f"{RUNS}/batch", json=others).json()["results"]
    alone = [api.post(RUNS, json=run).json() for run in others[:3]]

    assert [one["status"] for one in results] == ["duplicate"] * 3 + ["created"]
    assert [one.get("differences", []) for one in results[:3]] == [
        one["differences"] for one in alone
    ]
    assert results[0]["differences"] == ["agent_name"]
    assert set(results[2]["differences"]) == {"items_failed", "metrics_json"}
