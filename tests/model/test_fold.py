from __future__ import annotations

import random
from itertools import permutations

import pytest
from examples import share_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import (
    EVENT_ID,
    RUN_ID,
    histories,
    histories_with_deletion,
    make_record,
    plain_runs,
    run_of,
)

from telemetry.model import fold as fold_module
from telemetry.model.converters import run_to_plain
from telemetry.model.errors import CodecError
from telemetry.model.fold import MAX_ASIDE, Fold, end_is_concluded, fold
from telemetry.model.run import COLUMNS, Status
from telemetry.model.values import run_from_row, to_row


def examples(count):
    return settings(
        max_examples=share_of(count), deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )


T0 = "2026-11-22T00:42:17.000000Z"
T1 = "2026-11-22T00:42:18.000000Z"
T2 = "2026-11-22T00:42:19.000000Z"
T3 = "2026-11-22T00:42:20.000000Z"
STARTED = {"agent_name": "a", "job_type": "j", "status": "running", "start_time": T0}
ENDED = {**STARTED, "status": "success", "end_time": T1, "duration_ms": 1000}


def fold_of(*records):
    state = Fold()
    for record in records:
        state.apply(record)
    return state


def state_of(records):
    state = fold_of(*records)
    return state.row(), state.dump()


def record_at(time, change, body=None, **envelope):
    return make_record(
        change, body, timestamp=time, id=f"00000000000000aa-{time[17:19]}", **envelope
    )


def row_of(*records):
    """
    Fold records in each order, hold that all agree, and return the row.
    """
    states = [state_of(order) for order in permutations(records)]

    assert all(state == states[0] for state in states)
    return states[0][0]


# Order


@examples(2000)
@given(histories, st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(records, rng):
    """
    Every permutation of a set of records, with any of them repeated, gives the same row and state.
    """
    shuffled = records + rng.sample(records, rng.randint(0, len(records)))
    rng.shuffle(shuffled)

    assert state_of(shuffled) == state_of(records)


@examples(500)
@given(histories_with_deletion, st.randoms(use_true_random=False))
def test_a_deletion_does_not_depend_on_order(records, rng):
    """
    With a deletion among them, too.
    """
    shuffled = records + records[:2]
    rng.shuffle(shuffled)

    assert state_of(shuffled)[1] == state_of(records)[1]
    assert fold_of(*shuffled).deleted == any(record.change == "deleted" for record in records)


@examples(500)
@given(histories_with_deletion, st.integers(0, 8))
def test_states_can_be_merged(records, cut):
    """
    Folding two parts apart and merging them is folding the whole, whichever way round.
    """
    whole = state_of(records)
    one, other = fold_of(*records[:cut]), fold_of(*records[cut:])
    back, forth = fold_of(*records[cut:]), fold_of(*records[:cut])
    one.merge(other)
    back.merge(forth)

    assert (one.row(), one.dump()) == whole
    assert (back.row(), back.dump()) == whole


@examples(500)
@given(histories_with_deletion, st.integers(0, 8))
def test_a_stored_state_goes_on_as_if_it_had_never_been_stored(records, cut):
    """
    Dumped beside its row and loaded again, at any point, a fold ends in the same state.
    """
    state = fold_of(*records[:cut])
    loaded = Fold.load(state.dump(), state.row())

    assert (loaded.row(), loaded.dump()) == (state.row(), state.dump())
    for record in records[cut:]:
        loaded.apply(record)
    assert (loaded.row(), loaded.dump()) == state_of(records)


def test_a_thousand_records_in_any_order():
    """
    A long history of all kinds of changes folds alike in ten random orders.
    """
    rng = random.Random(8)
    records = [
        make_record(
            rng.choice(["started", "updated", "ended", "edited", "inferred"]),
            {
                rng.choice(list(COLUMNS)[2:-3]): rng.choice([1, "x", None, T1, "failed", [1]]),
                "base_status": rng.choice(["running", "failed"]),
            },
            timestamp=f"2026-11-22T00:00:{rng.randint(10, 59)}.000000Z",
            id=f"{rng.randint(1, 3):016x}-{n}",
        )
        for n in range(1000)
    ]
    expected = state_of(records)

    for _ in range(10):
        rng.shuffle(records)
        assert state_of(records) == expected


# Who wins


def test_the_later_word_of_an_agent_stands():
    """
    Of two records of one class, the later one sets the field.
    """
    row = row_of(
        record_at(T0, "started", STARTED),
        record_at(T1, "updated", {"items_failed": 5}),
        record_at(T2, "updated", {"items_failed": 3}),
    )

    assert row["items_failed"] == 3


def test_within_one_time_the_number_decides():
    """
    A writer's tenth record is later than its ninth at the same time.
    """
    row = row_of(
        make_record("updated", {"product": "nine"}, id="00000000000000aa-9"),
        make_record("updated", {"product": "ten"}, id="00000000000000aa-10"),
    )

    assert row["product"] == "ten"


def test_a_correction_stands_for_ever():
    """
    What a person set of a finished run is not undone by any later word of the agent.
    """
    row = row_of(
        record_at(T0, "ended", ENDED),
        record_at(T1, "edited", {"status": "partial", "base_status": "success"}),
        record_at(T2, "ended", ENDED),
    )

    assert row["status"] == "partial"


def test_a_clean_up_does_not_hide_a_real_end():
    """
    An edit of status, end and error by someone who saw the run running yields to the agent's end.
    """
    edit = {
        "status": "cancelled",
        "end_time": T3,
        "duration_ms": 9,
        "error_summary": "stale",
        "base_status": "running",
    }
    row = row_of(
        record_at(T0, "started", STARTED),
        record_at(T3, "edited", edit),
        record_at(T1, "ended", ENDED),
    )

    assert (row["status"], row["end_time"], row["duration_ms"]) == ("success", T1, 1000)
    assert row["error_summary"] is None


def test_an_error_that_ends_nothing_stands():
    """
    What a person notes of a run at work, without saying that it has ended, outlives its end.
    """
    edit = {"error_summary": "slow disk", "base_status": "running", "actor": "ops"}

    row = row_of(
        record_at(T0, "started", STARTED),
        record_at(T1, "edited", edit),
        record_at(T2, "ended", ENDED),
    )

    assert (row["status"], row["error_summary"]) == ("success", "slow disk")


def test_a_clean_up_stands_while_nothing_else_is_known():
    """
    Until the agent speaks, what the clean-up set is the run's state, and running does not undo it.
    """
    row = row_of(
        record_at(T0, "started", STARTED),
        record_at(T1, "edited", {"status": "cancelled", "base_status": "running"}),
        record_at(T2, "updated", {"status": "running", "items_failed": 1}),
    )

    assert (row["status"], row["items_failed"]) == ("cancelled", 1)


def test_force_makes_a_clean_up_a_correction():
    """
    With force, an edit of a running run stands above the agent's end.
    """
    row = row_of(
        record_at(T0, "started", STARTED),
        record_at(T1, "edited", {"status": "cancelled", "base_status": "running", "force": True}),
        record_at(T2, "ended", ENDED),
    )

    assert row["status"] == "cancelled"


@pytest.mark.parametrize("base_status", ["running", " Running "])
@pytest.mark.parametrize("force", [False, None, "true", 1])
def test_force_must_be_true(base_status, force):
    """
    Only the JSON value true is force.
    """
    body = {"status": "cancelled", "base_status": base_status, "force": force}

    row = row_of(record_at(T1, "edited", body), record_at(T0, "ended", ENDED))

    assert row["status"] == "success"


def test_the_end_clears_what_the_reaper_guessed():
    """
    An end sets status, end, duration and both error texts, also by leaving them out.
    """
    guess = {"status": "failed", "end_time": T2, "duration_ms": 2, "error_summary": "OwnerDied"}
    end = {"status": "success", "end_time": T1}
    row = row_of(
        record_at(T0, "started", {**STARTED, "input_summary": "in"}),
        record_at(T3, "inferred", guess),
        record_at(T1, "ended", end),
    )

    assert (row["status"], row["end_time"]) == ("success", T1)
    assert (row["duration_ms"], row["error_summary"], row["error_details"]) == (None, None, None)
    assert row["input_summary"] == "in"


def test_what_is_recorded_as_finished_is_an_end():
    """
    A whole run handed in with a final status clears as an end does; one that is running does not.
    """
    failed = record_at(T0, "ended", {**ENDED, "status": "failed", "error_summary": "E"})

    assert row_of(failed, record_at(T1, "recorded", ENDED))["error_summary"] is None
    assert row_of(failed, record_at(T1, "recorded", STARTED))["error_summary"] == "E"


@pytest.mark.parametrize("late", ["started", "updated", "inferred", "recorded"])
def test_running_never_undoes_an_end(late):
    """
    A status of running, from an agent or the reaper, is below every end, however late it comes.
    """
    row = row_of(record_at(T0, "inferred", {"status": "failed"}), record_at(T3, late, STARTED))

    assert row["status"] == "failed"


def test_a_person_may_open_a_run_again():
    """
    A corrected status of running stands above an agent's end, and below a corrected end.
    """
    ended = record_at(T1, "ended", ENDED)
    reopened = record_at(T3, "edited", {"status": "running", "base_status": "success"})
    closed = record_at(T2, "edited", {"status": "failed", "base_status": "success"})

    assert row_of(ended, reopened)["status"] == "running"
    assert row_of(ended, reopened, closed)["status"] == "failed"


def test_null_from_an_agent_is_nothing_said():
    """
    Only an edit clears with null.
    """
    row = row_of(
        record_at(T0, "started", {**STARTED, "product": "p"}),
        record_at(T1, "updated", {"product": None}),
    )

    assert row["product"] == "p"


def test_null_in_an_edit_clears():
    """
    A cleared field has its column's default again; a run without status or name there is not.
    """
    cleared = dict.fromkeys(("product", "items_failed", "status", "agent_name", "created_at"))
    row = row_of(
        record_at(T0, "ended", {**ENDED, "product": "p", "items_failed": 4}),
        record_at(T1, "edited", {**cleared, "base_status": "success"}),
    )

    assert (row["product"], row["items_failed"]) == (None, 0)
    assert (row["status"], row["agent_name"], row["created_at"]) == ("success", "a", T0)


def test_a_commit_stands_as_a_whole():
    """
    The author of one commit never stays with the hash of another.
    """
    row = row_of(
        record_at(T0, "started", STARTED),
        record_at(
            T1, "", {"git_commit_hash": "a" * 7, "git_commit_author": "A"}, record_type="commit"
        ),
        record_at(
            T2, "", {"git_commit_hash": "b" * 7, "git_commit_source": "ci"}, record_type="commit"
        ),
    )

    assert [row[f"git_commit_{part}"] for part in ("hash", "author", "source")] == [
        "bbbbbbb",
        None,
        "ci",
    ]


def test_a_commit_without_a_hash_clears_nothing():
    """
    What does not name a commit does not replace one.
    """
    row = row_of(
        record_at(T0, "", {"git_commit_hash": "a" * 7}, record_type="commit"),
        record_at(T1, "", {"git_commit_author": "A"}, record_type="commit"),
    )

    assert (row["git_commit_hash"], row["git_commit_author"]) == ("aaaaaaa", "A")


def test_delivery_is_posted():
    """
    A delivery sets its flag, as 0 or 1 in the row.
    """
    row = row_of(
        record_at(T0, "ended", ENDED),
        record_at(T1, "posted", {"api_posted": True, "api_posted_at": T1, "api_retry_count": 2}),
    )

    assert (row["api_posted"], row["api_posted_at"], row["api_retry_count"]) == (1, T1, 2)


# The run's life


def test_creation_and_last_sign():
    """
    A run was created when it started, and last heard of at its last record of any kind.
    """
    row = row_of(
        record_at(T1, "started", STARTED),
        record_at(T0, "updated", {"items_failed": 1}),
        record_at(T3, "updated"),
    )

    assert (row["created_at"], row["updated_at"]) == (T1, T3)


def test_a_recorded_run_brings_its_own_creation():
    """
    A whole run handed in may say when it was created, and only such a run may.
    """
    row = row_of(
        record_at(T2, "recorded", {**ENDED, "created_at": T0}),
        record_at(T1, "updated", {"created_at": "2020-01-01T00:00:00.000000Z"}),
    )

    assert row["created_at"] == T0


@pytest.mark.parametrize(
    ("record_type", "change"),
    [("event", ""), ("run", "updated"), ("run", "of_tomorrow"), ("parcel", "started")],
)
def test_a_run_known_by_anything_has_a_row(record_type, change):
    """
    An event, a heartbeat, or a record this version does not understand is enough for a row.
    """
    row = row_of(record_at(T1, change, record_type=record_type))

    assert (row["event_id"], row["run_id"]) == (EVENT_ID, RUN_ID)
    assert (row["agent_name"], row["job_type"], row["status"]) == ("", "", "running")
    assert (row["created_at"], row["updated_at"]) == (T1, T1)


def test_the_lowest_name_stands():
    """
    Should records of one run name it differently, order still does not matter.
    """
    row = row_of(
        record_at(T0, "updated", run_id="b", event_id="d"),
        record_at(T1, "updated", run_id="a", event_id="c"),
        record_at(T2, "updated", run_id="", event_id=""),
    )

    assert (row["run_id"], row["event_id"]) == ("a", "c")


def test_a_deleted_run_stays_deleted():
    """
    Nothing brings a deleted run back, and nothing of it is kept.
    """
    state = fold_of(
        record_at(T0, "started", STARTED), record_at(T1, "deleted"), record_at(T2, "ended", ENDED)
    )
    loaded = Fold.load(state.dump(), {})
    loaded.apply(record_at(T3, "started", STARTED))

    assert loaded.deleted
    assert loaded.dump() == state.dump() == b'{"deleted":true}'
    assert state.row()["agent_name"] == ""


# What does not fit


def test_what_does_not_fit_is_put_aside():
    """
    A value of the wrong type, sign or choice harms no other field, is kept, and is counted.
    """
    bad = {"status": "skipped", "items_failed": -1, "pid": True, "host": 5, "end_time": "noon"}
    state = fold_of(
        record_at(T0, "started", STARTED), record_at(T1, "updated", {**bad, "product": "p"})
    )

    assert state.row()["product"] == "p"
    assert state.row()["status"] == "running"
    assert state.aside == bad
    assert state.refused_count == len(bad)


def test_unknown_fields_are_kept():
    """
    A newer writer's fields survive this version, with the latest value, and no run has them.
    """
    state = fold_of(
        record_at(T1, "updated", {"colour": {"hue": 2}}), record_at(T0, "updated", {"colour": 1})
    )
    loaded = Fold.load(state.dump(), state.row())

    assert loaded.aside == {"colour": {"hue": 2}}
    assert loaded.refused_count == 0
    assert loaded.run() == state.run()


def test_a_field_that_was_unknown_is_one_after_an_upgrade():
    """
    What an older version put aside under a name that is a column now, is that column's value.
    """
    state = fold_of(record_at(T0, "started", STARTED))
    stored = (
        state.dump()[:-1] + b',"aside":{"product":["1 %b 00000000000000aa-3","p"]}}' % T1.encode()
    )

    loaded = Fold.load(stored, state.row())

    assert loaded.row()["product"] == "p"
    assert loaded.aside == {}


def test_names_put_aside_are_bounded():
    """
    A writer that invents names for ever does not grow the state for ever, in any order.
    """
    records = [
        make_record("updated", {f"name{n:05}": 1 for n in range(first, first + MAX_ASIDE // 2)})
        for first in range(0, 2 * MAX_ASIDE, MAX_ASIDE // 2)
    ]
    state = fold_of(*records)

    assert len(state.aside) == MAX_ASIDE
    assert state.dump() == fold_of(*reversed(records)).dump()


@pytest.mark.parametrize(
    "record_id", ["", "-", "x", "a-b-c", "w-\u0663", "w-" + "9" * 5000, "w w-1", "w\n-1"]
)
def test_any_id_will_do(record_id):
    """
    A record with an id that is none of ours is folded, stored and loaded like others.
    """
    state = fold_of(
        make_record("started", STARTED, id=record_id),
        make_record("updated", {"pid": 1}, id=record_id),
    )
    loaded = Fold.load(state.dump(), state.row())

    assert loaded.row()["agent_name"] == "a"
    assert loaded.dump() == state.dump()


def test_a_record_of_no_time_is_the_earliest():
    """
    A record whose time is none loses to every other, and does not date the run.
    """
    row = row_of(
        make_record("started", {**STARTED, "product": "p"}, timestamp="soon", id="w-9"),
        make_record("updated", {"product": "q"}, timestamp=T0, id="w-1"),
    )

    assert (row["product"], row["created_at"], row["updated_at"]) == ("q", T0, T0)
    assert row_of(make_record("updated", timestamp="soon"))["created_at"] is None


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b'{"*":1}',
        b'{"*":"1"}',
        b'{"*":"x y z-1"}',
        b'{"keys":[]}',
        b'{"keys":{"1 t w-1":["no_such_column"]}}',
        b'{"+":5}',
        b'{"+":["no_such_column"],"*":"1 t w-1"}',
        b'{"aside":{"x":5}}',
    ],
)
def test_a_damaged_state_is_an_error(state):
    """
    What was not dumped cannot be loaded, and says so.
    """
    row = fold_of(record_at(T0, "started", STARTED)).row()

    with pytest.raises(CodecError, match="fold"):
        Fold.load(state, row)


# Sizes and forms


def test_the_state_of_an_ordinary_finished_run_is_small():
    """
    Beside its row, a finished run needs fewer than 120 bytes.
    """
    always = {"schema_version": 8, "host": "box", "pid": 17}
    ended = {**ENDED, **always, "items_failed": 2, "items_skipped": 0}
    state = fold_of(
        record_at(T0, "started", {**STARTED, **always}),
        record_at(T1, "updated", {"items_failed": 2}),
        record_at(T2, "ended", ended),
    )

    assert len(state.dump()) < 120


def test_columns_that_are_never_blank_are_few():
    """
    A stored state relies on which columns have a value by themselves: these, in every version.
    """
    assert frozenset({"status", "schema_version"}) == fold_module._NEVER_BLANK


def test_a_fold_gives_the_run():
    """
    The run of a set of records is the row's, in Python's own types.
    """
    records = [
        record_at(T0, "started", {**STARTED, "metrics_json": {"a": [1, "x"]}}),
        record_at(T1, "ended", {**ENDED, "context_json": [1]}),
    ]
    run = fold(records)

    assert run == run_from_row(fold_of(*records).row())
    assert (run.status, run.metrics_json, run.context_json) == (
        Status.SUCCESS,
        {"a": [1, "x"]},
        [1],
    )
    assert run.api_posted is False
    assert run.end_time is not None
    assert run.end_time.isoformat() == "2026-11-22T00:42:18+00:00"


@examples(50)
@given(plain_runs)
def test_a_recorded_run_comes_back_whole(plain):
    """
    A run that is recorded, folded, and read from its row is the run that was recorded.
    """
    run = run_of(plain)
    body = {name: value for name, value in run_to_plain(run).items() if value is not None}
    record = make_record("recorded", body, event_id=run.event_id, run_id=run.run_id, timestamp=T1)
    row = fold_of(record).row()
    expected = {
        **to_row(run),
        "created_at": to_row(run)["created_at"] or T1,
        "updated_at": T1,
    }

    assert row == expected
    assert run_from_row(row).agent_name == run.agent_name


# Ends that were concluded

DIED = {"status": "failed", "end_time": T1, "error_summary": "OwnerDied"}
CLEANED_UP = {"status": "cancelled", "base_status": "running", "actor": "ops"}
CORRECTED = {"status": "partial", "base_status": "success", "actor": "ops"}


@pytest.mark.parametrize(
    ("changes", "is_concluded"),
    [
        ([("started", STARTED), ("inferred", DIED)], True),
        ([("started", STARTED), ("edited", CLEANED_UP)], True),
        ([("started", STARTED), ("inferred", DIED), ("ended", ENDED)], False),
        ([("started", STARTED), ("ended", ENDED), ("inferred", DIED)], False),
        ([("started", STARTED), ("ended", ENDED), ("edited", CORRECTED)], False),
        ([("recorded", ENDED)], False),
        ([("inferred", DIED)], True),
        ([("deleted", {})], False),
        ([], False),
    ],
)
def test_who_said_that_a_run_has_ended(changes, is_concluded):
    """
    A conclusion of others, until the agent's own end is there, however late.
    """
    times = (T0, T1, T2, T3)
    records = [record_at(time, *change) for time, change in zip(times, changes)]

    assert end_is_concluded(fold_of(*records).dump()) is is_concluded


@pytest.mark.parametrize(
    "state", [b"", b"[]", b"7", b'{"*":7}', b'{"*":"x"}', b'{"keys":[]}', b'{"keys":{"x":7}}']
)
def test_a_state_that_is_none_tells_of_no_conclusion(state):
    """
    A damaged database stops nobody from recording.
    """
    assert end_is_concluded(state) is False
