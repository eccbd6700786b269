from __future__ import annotations

import datetime as dt
import json

import msgspec
import pytest

from telemetry.api import Ignored, InvalidError, StoredRun, UnexpectedAnswerError
from telemetry.model.run import Run, Status

NOW = dt.datetime(2026, 11, 22, 5, 13, tzinfo=dt.timezone.utc)


def new_run(number=1, **fields):
    return {
        "event_id": f"e{number}",
        "run_id": f"r{number}",
        "agent_name": "agent",
        "job_type": "job",
        "start_time": NOW,
        **fields,
    }


def test_a_run_is_handed_over(api, service):
    """
    A run goes as JSON, its times in UTC, and the answer is an object; the token goes with it.
    """
    service.say({"status": "created", "event_id": "e1", "run_id": "r1", "new": 1}, 201)

    done = api.create_run(new_run(status=Status.FAILED, error_summary=None))

    assert (done.status, done.is_new, done.event_id, done.run_id) == ("created", True, "e1", "r1")
    (request,) = service.seen
    assert (request.method, request.path) == ("POST", "/api/v1/runs")
    assert request.headers["Authorization"] == "Bearer a-token"
    assert service.bodies() == [
        {**new_run(start_time="2026-11-22T05:13:00.000000Z"), "status": "failed"}
    ]


def test_a_run_object_is_handed_over(api, service):
    """
    A `Run` goes with all that is known of it, but what the service sets itself.
    """
    service.say({"status": "duplicate", "event_id": "e1", "message": "known"}, 201)

    done = api.create_run(Run(**new_run(metrics_json={"pages": 3}), updated_at=NOW))

    assert (done.is_new, done.message) == (False, "known")
    (body,) = service.bodies()
    assert body["metrics_json"] == {"pages": 3}
    assert not {"updated_at", "schema_version", "end_time"} & body.keys()


def test_many_runs_go_in_chunks(api, service):
    """
    Any number of runs goes in chunks of a thousand, and the answers are added up in their order.
    """
    for first, count in ((0, 1000), (1000, 200)):
        results = [{"status": "created", "event_id": f"e{first + i}"} for i in range(count - 1)]
        results.append({"status": "error", "detail": "no"})
        service.say(
            {
                "inserted": count - 1,
                "duplicates": 0,
                "errors": [f"e{first} is bad"],
                "total": count,
                "results": results,
            }
        )

    done = api.create_runs(new_run(i) for i in range(1200))

    assert [len(body) for body in service.bodies()] == [1000, 200]
    assert (done.inserted, done.total, len(done.results)) == (1198, 1200, 1200)
    assert done.errors == ("e0 is bad", "e1000 is bad")
    assert [i for i, item in enumerate(done.results) if item.status == "error"] == [999, 1199]


def test_an_item_of_many_says_as_much_as_one_run_alone(api, service):
    """
    That a run was deleted, and which names were passed over, is told of each item.
    """
    passed_over = {"field": "itmes_failed", "did_you_mean": "items_failed"}
    items = [
        {"status": "duplicate", "event_id": "e0", "message": "Run e0 was deleted, and stays so"},
        {"status": "created", "event_id": "e1", "ignored": [passed_over]},
    ]
    service.say({"inserted": 1, "duplicates": 1, "errors": [], "total": 2, "results": items})

    deleted, created = api.create_runs([new_run(0), new_run(1)]).results

    assert deleted.message == "Run e0 was deleted, and stays so"
    assert created.ignored == (Ignored(field="itmes_failed", did_you_mean="items_failed"),)


def test_large_runs_go_in_smaller_chunks(api, service, monkeypatch):
    """
    A request is no larger than the service takes, however few runs that are.
    """
    monkeypatch.setattr("telemetry.api.calls.MAX_BODY_BYTES", 400)
    service.say({"inserted": 1, "duplicates": 0, "errors": [], "total": 1})

    done = api.create_runs(new_run(i, output_summary="x" * 200) for i in range(3))

    assert done.inserted == 3
    assert [len(body) for body in service.bodies()] == [1, 1, 1]


def test_a_run_is_read(api, service, a_run):
    """
    A run is what `Run` is, with its links and its state; names that are not known are passed over.
    """
    service.say(a_run(), ETag='"7"')

    run = api.run("e1")

    assert isinstance(run, Run)
    assert isinstance(run, StoredRun)
    assert (run.status, run.metrics_json, run.etag) == (Status.SUCCESS, {"pages": 3}, '"7"')
    assert (run.start_time, run.end_time) == (NOW, None)
    assert run.repo_url == "https://github.com/a/b"


def test_ids_are_quoted(api, service, a_run):
    """
    Whatever an event_id holds, it is one part of the path.
    """
    service.say(a_run())

    api.run("a b?c#d%e")

    assert service.seen[0].environ["REQUEST_URI"] == "/api/v1/runs/a%20b%3Fc%23d%25e"


@pytest.mark.parametrize("event_id", ["", ".", "..", "\ud800"])
def test_ids_that_are_none_are_refused(api, service, event_id):
    """
    What cannot be a part of a path is no run's key, and is not sent.
    """
    with pytest.raises(InvalidError, match="event_id must be"):
        api.run(event_id)

    assert service.seen == []


def test_runs_are_read_to_the_last_page(api, service, a_run):
    """
    The pages are followed by their links, with the filters of the first.
    """
    link = '</api/v1/runs?limit=2&cursor=abc%3D>; rel="next", <x?cursor=p>; rel="prev"'
    service.say([a_run(event_id="e1"), a_run(event_id="e2")], Link=link)
    service.say([a_run(event_id="e3")])

    found = list(
        api.runs(
            page_size=2,
            sort="start_time",
            status=["failed", Status.TIMEOUT],
            created_before=NOW,
            api_posted=False,
            product=None,
        )
    )

    assert [run.event_id for run in found] == ["e1", "e2", "e3"]
    first, second = (request.args.to_dict(flat=False) for request in service.seen)
    assert first == {
        "status": ["failed", "timeout"],
        "created_before": ["2026-11-22T05:13:00.000000Z"],
        "api_posted": ["false"],
        "sort": ["start_time"],
        "limit": ["2"],
    }
    assert second == {**first, "cursor": ["abc="]}


def test_a_limit_ends_the_list(api, service, a_run):
    """
    No more rows are asked for than are wanted.
    """
    link = '</api/v1/runs?cursor=abc>; rel="next"'
    service.say([a_run(event_id="e1"), a_run(event_id="e2")], Link=link)
    service.say([a_run(event_id="e3")], Link=link)

    assert [run.event_id for run in api.runs(limit=3, page_size=2)] == ["e1", "e2", "e3"]
    assert [request.args["limit"] for request in service.seen] == ["2", "1"]
    assert list(api.runs(limit=0)) == []


def test_a_page_has_both_neighbours(api, service, a_run):
    """
    One page says where the next and the one before begin.
    """
    link = '<x?cursor=n>; rel="next", <x?cursor=p>; rel="prev"'
    service.say([a_run()], Link=link)

    page = api.page(limit=10, offset=20, agent_name="a&b")

    assert ([run.event_id for run in page.runs], page.next, page.previous) == (["e1"], "n", "p")
    assert service.seen[0].args.to_dict() == {
        "agent_name": "a&b",
        "sort": "-created_at",
        "limit": "10",
        "offset": "20",
    }


@pytest.mark.parametrize(
    ("value", "way_out"),
    [
        (NOW.replace(tzinfo=None), "such as 2026-11-22T05:13:00+00:00"),
        ("2026-11-22T05:13:00", "such as 2026-11-22T05:13:00Z"),
        ("2026-11-22 05:13", "such as 2026-11-22T05:13Z"),
        ("yesterday", "such as 2026-11-22T05:13:00Z"),
        (7, "such as 2026-11-22T05:13:00Z"),
    ],
)
def test_times_carry_a_zone(api, service, value, way_out):
    """
    A time that could mean several moments is refused unsent, wherever it stands.
    """
    calls = (
        lambda: list(api.runs(created_before=value)),
        lambda: api.create_run(new_run(start_time=value)),
        lambda: api.update_run("e1", {"end_time": value}),
        lambda: api.associate_commit("e1", "a1b2c3d", "llm", commit_timestamp=value),
    )
    for call in calls:
        with pytest.raises(InvalidError) as caught:
            call()
        assert caught.value.errors[0].way_out == way_out

    assert service.seen == []


@pytest.mark.parametrize(
    "text", ["2026-11-22T05:13:00+01:00", "2026-11-22T05:13:00z", "20261122T0513-05"]
)
def test_times_as_text_go_as_they_are(api, service, text):
    """
    A text with a zone is the service's to read.
    """
    service.say([])

    list(api.runs(start_time_from=text))

    assert service.seen[0].args["start_time_from"] == text


def test_corrections_name_what_they_are_based_on(api, service):
    """
    A correction sends its fields, null for one that is cleared, and the state it was based on.
    """
    service.say({"event_id": "e1", "updated": True, "fields_updated": ["end_time"]}, ETag='"8"')

    done = api.update_run("e1", {"end_time": NOW, "error_summary": None}, if_match='"7"')

    assert (done.fields_updated, done.etag) == (("end_time",), '"8"')
    (request,) = service.seen
    assert (request.method, request.headers["If-Match"]) == ("PATCH", '"7"')
    assert service.bodies() == [{"end_time": "2026-11-22T05:13:00.000000Z", "error_summary": None}]


def test_a_run_is_deleted(api, service):
    """
    A deletion has no body and needs none in its answer.
    """
    service.say(None, 204)

    assert api.delete_run("e1", if_match='"7"') is None
    (request,) = service.seen
    assert (request.method, request.headers["If-Match"], request.get_data()) == (
        "DELETE",
        '"7"',
        b"",
    )


def test_a_commit_is_linked(api, service):
    """
    What is not known of a commit is not sent.
    """
    service.say({"status": "success", "event_id": "e1", "run_id": "r1", "commit_hash": "a1b2c3d"})

    assert api.associate_commit("e1", "a1b2c3d", "llm", commit_author="Ann").run_id == "r1"
    assert service.bodies() == [
        {"commit_hash": "a1b2c3d", "commit_source": "llm", "commit_author": "Ann"}
    ]


def test_what_belongs_to_a_run_is_read(api, service, a_run):
    """
    Events, history and nested runs come from all their pages.
    """
    about = {"id": "w-1", "event_id": "e1", "run_id": "r1", "timestamp": "2026-11-22T05:13:00Z"}
    link = '</api/v1/runs/e1/events?cursor=abc>; rel="next"'
    service.say([{**about, "event_type": "row", "payload": {"n": 1}}], Link=link)
    service.say([{**about, "event_type": "end", "payload": None}])
    events = list(api.events("e1"))
    service.answers.clear()
    service.say([{**about, "change": "edited", "fields": {"status": "failed"}}])
    history = list(api.history("e1"))
    service.answers.clear()
    service.say([a_run(event_id="e2")])
    children = list(api.children("e1"))

    assert [(event.event_type, event.payload) for event in events] == [
        ("row", {"n": 1}),
        ("end", None),
    ]
    assert [(record.change, record.fields, record.timestamp) for record in history] == [
        ("edited", {"status": "failed"}, NOW)
    ]
    assert [run.event_id for run in children] == ["e2"]
    assert [request.path for request in service.seen] == [
        "/api/v1/runs/e1/events",
        "/api/v1/runs/e1/events",
        "/api/v1/runs/e1/history",
        "/api/v1/runs/e1/children",
    ]


@pytest.mark.parametrize(
    ("call", "path", "answer", "found"),
    [
        (lambda api: api.commit_url("e1"), "/api/v1/runs/e1/commit-url", {"commit_url": "u"}, "u"),
        (lambda api: api.repo_url("e1"), "/api/v1/runs/e1/repo-url", {"repo_url": None}, None),
        (lambda api: api.stats("summary"), "/api/v1/stats/summary", {"a": [1]}, {"a": [1]}),
        (
            lambda api: api.metadata().agent_names,
            "/api/v1/metadata",
            {"agent_names": ["a"], "job_types": [], "counts": {"agent_names": 1}},
            ("a",),
        ),
        (lambda api: api.health().version, "/health", {"status": "ok", "version": "1"}, "1"),
        (
            lambda api: api.health().details,
            "/health",
            {"status": "ok", "x": 1},
            {"status": "ok", "x": 1},
        ),
        (lambda api: api.ready().is_ok, "/readyz", {"status": "ready"}, True),
        (
            lambda api: api.metrics().agents,
            "/metrics",
            {"total_runs": 1, "agents": {"a": 1}, "recent_24h": 1, "performance": {}},
            {"a": 1},
        ),
    ],
)
def test_the_rest_is_read(api, service, call, path, answer, found):
    """
    Each of the small questions goes where it belongs and is answered.
    """
    service.say(answer)

    assert call(api) == found
    assert service.seen[0].path == path


def test_lines_are_shipped_in_bodies_of_bounded_size(api, service, monkeypatch):
    """
    Lines go as they are, each with its newline, as many in a request as fit.
    """
    monkeypatch.setattr("telemetry.api.calls.MAX_BODY_BYTES", 11)
    refused = {"id": "w-3", "slug": "damaged", "reason": "no"}
    service.say({"stored": 2, "duplicates": 0, "total": 2, "refused": []})
    service.say({"stored": 0, "duplicates": 0, "total": 1, "refused": [refused]})

    done = api.send_records([b"12345", b"1234\n", b"a line longer than a body"])

    assert (done.stored, done.total, done.refused[0].slug) == (2, 3, "damaged")
    assert [request.get_data() for request in service.seen] == [
        b"12345\n1234\n",
        b"a line longer than a body\n",
    ]
    assert {request.headers["Content-Type"] for request in service.seen} == {"application/x-ndjson"}


def test_what_is_no_json_is_refused(api, service):
    """
    A value that JSON cannot hold is named, and nothing is sent.
    """
    with pytest.raises(InvalidError, match="must be JSON"):
        api.create_run(new_run(metrics_json={"f": object()}))

    assert service.seen == []


@pytest.mark.parametrize(
    "document",
    [
        [1],
        {"event_id": "e1"},
        "text",
        {"event_id": "e1", "run_id": "r", "agent_name": "a", "job_type": "j", "status": "odd"},
        {"event_id": "e1", "run_id": "r", "agent_name": "a", "job_type": "j", "pid": -1},
    ],
)
def test_an_answer_that_is_no_run_is_an_error(api, service, document):
    """
    What cannot be read is said to be the service's, not the caller's.
    """
    service.say(document)

    with pytest.raises(UnexpectedAnswerError, match="what this client cannot read"):
        api.run("e1")


def test_every_field_can_be_read(api, service, a_run):
    """
    All columns of a run, as the service shows them, come back as they were.
    """
    whole = Run(**new_run(status=Status.PARTIAL, pid=1, metrics_json={"a": 1}, api_posted=True))
    service.say(json.loads(msgspec.json.encode(whole)))

    found = api.run("e1")

    assert {name: getattr(found, name) for name in Run.__slots__ if name != "__weakref__"} == {
        name: getattr(whole, name) for name in Run.__slots__ if name != "__weakref__"
    }
