"""
Records of another machine's journal.
"""

from __future__ import annotations

import subprocess
import sys

import httpx
from servers import Server, clean_env

from telemetry.model.codec import decode_lines, encode_line, relayed, seal
from telemetry.model.ids import new_writer

RECORDS = "/api/v1/records"
NDJSON = {"Content-Type": "application/x-ndjson"}
TIME = "2026-11-22T05:13:00.000000Z"


def lines_of(run, *, writer=None, **start):
    writer = writer or new_writer()
    keys = {"event_id": run["event_id"], "run_id": run["run_id"], "timestamp": TIME}
    body = {"agent_name": run["agent_name"], "job_type": "job", "start_time": TIME, **start}
    return [
        encode_line("run", id=f"{writer}-1", change="started", body=body, **keys),
        encode_line("event", id=f"{writer}-2", event_type="step", payload=b'{"n":1}', **keys),
        encode_line(
            "run", id=f"{writer}-3", change="ended", body={**body, "status": "success"}, **keys
        ),
    ]


def send(api, *lines):
    answer = api.post(RECORDS, content=b"".join(lines), headers=NDJSON)
    assert answer.status_code == 200
    return answer.json()


def test_records_are_kept_as_they_are_and_once(server, api, run):
    """
    The run is there with its event, its start marked; a second delivery changes nothing.
    """
    lines = lines_of(run)

    assert send(api, *lines) == {"stored": 3, "duplicates": 0, "refused": [], "total": 3}
    assert send(api, *lines) == {"stored": 0, "duplicates": 3, "refused": [], "total": 3}

    found = api.get(f"/api/v1/runs/{run['event_id']}").json()
    assert (found["status"], found["created_at"]) == ("success", TIME)
    (event,) = api.get(f"/api/v1/runs/{run['event_id']}/events").json()
    assert (event["event_type"], event["payload"]) == ("step", {"n": 1})
    journal = b"".join(path.read_bytes() for path in (server.base / "raw").glob("*"))
    kept = [relayed(lines[0][:-1]) + b"\n", *lines[1:]]
    assert [journal.count(line) for line in kept] == [1, 1, 1]


def test_what_cannot_be_taken_is_named_and_the_rest_is_stored(api, run):
    """
    Per record: what was refused has its id and the reason.
    """
    start, event, end = lines_of(run)
    segment = encode_line("segment", id=f"{new_writer()}-1", timestamp=TIME)
    newer = seal(b'{"lt":9,"record_type":"run","id":"%b-1","timestamp":"x"' % new_writer().encode())
    nobody = encode_line("event", id=f"{new_writer()}-1", timestamp=TIME)
    odd = encode_line("event", id="odd", timestamp=TIME, run_id="r")

    said = send(api, start, event.replace(b"step", b"stop"), end, segment, newer, nobody, odd)

    assert (said["stored"], said["total"]) == (2, 7)
    slugs = [refusal["slug"] for refusal in said["refused"]]
    assert sorted(slugs) == ["bad-id", "bad-type", "damaged", "no-run", "unknown-format"]
    assert all(refusal["reason"] for refusal in said["refused"])


def test_a_secret_in_a_record_is_taken_out_under_the_same_id(server, api, run):
    """
    What another writer did not scrub is scrubbed here, and stays the same record.
    """
    secret = "hunter2-hunter2"
    writer = new_writer()
    lines = lines_of(run, writer=writer, metrics_json={"password": secret})
    keys = {"event_id": run["event_id"], "run_id": run["run_id"], "timestamp": TIME}
    payload = b'{"token":"%b"}' % secret.encode()
    lines.append(encode_line("event", id=f"{writer}-4", event_type="x", payload=payload, **keys))

    assert send(api, *lines)["stored"] == 4

    journal = b"".join(path.read_bytes() for path in (server.base / "raw").glob("*"))
    assert secret.encode() not in journal
    ids = {record.id for record in decode_lines(journal).records}
    assert {f"{writer}-{number}" for number in (1, 2, 3, 4)} <= ids


def test_a_run_that_was_shipped_is_known(api, run):
    """
    Handing over a run whose records have just come is a duplicate.
    """
    send(api, *lines_of(run))

    assert api.post("/api/v1/runs", json=run).json()["status"] == "duplicate"


def test_edits_need_the_scope_to_edit(tmp_path):
    """
    A token that may only hand over cannot ship corrections.
    """
    base = tmp_path / "base"
    made = subprocess.run(
        [sys.executable, "-m", "telemetry", "token", "create", "sink", "--scope", "ingest"],
        env=clean_env(base),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    token = next(word for word in made.stdout.split() if word.startswith("tlm_"))
    keys = {"timestamp": TIME, "event_id": "e", "run_id": "r"}
    lines = b"".join(
        encode_line("run", id=f"{new_writer()}-1", change=change, **keys)
        for change in ("edited", "deleted", "inferred")
    )
    with Server(base) as own:
        headers = {**NDJSON, "Authorization": f"Bearer {token}"}
        said = httpx.post(f"{own.url}{RECORDS}", content=lines, headers=headers, timeout=60).json()

    assert [refusal["slug"] for refusal in said["refused"]] == ["missing-scope"] * 2
