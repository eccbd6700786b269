import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.model.run import COLUMNS, Kind
from telemetry.storage.queries import PARAMETERS, Condition, FilterError, Filters, Operator

NOON = "2026-11-22T12:00:00.000000Z"


def parsed(**params):
    return list(Filters.parse(params).conditions)


def test_every_field_can_be_asked_for():
    """
    Each column but JSON has a parameter; the names that existing clients use are among them.
    """
    asked = {parameter.column.name for parameter in PARAMETERS.values()}

    assert asked == {name for name, column in COLUMNS.items() if column.kind is not Kind.JSON}
    assert PARAMETERS.keys() >= {
        "agent_name",
        "status",
        "job_type",
        "created_before",
        "created_after",
        "start_time_from",
        "start_time_to",
        "run_id",
        "parent_run_id",
        "api_posted",
        "exclude_job_type",
        "min_duration_ms",
        "max_items_failed",
    }


def test_each_parameter_says_what_it_asks_for():
    """
    The words of a parameter name its column, for the pages that list them.
    """
    assert all(one.column.name in one.doc for one in PARAMETERS.values())


@pytest.mark.parametrize(
    ("params", "condition"),
    [
        ({"agent_name": "seo"}, Condition("agent_name", Operator.IS, ("seo",))),
        ({"agent_name": ["a", "b", "a"]}, Condition("agent_name", Operator.IS, ("a", "b"))),
        ({"agent_name": "a,b"}, Condition("agent_name", Operator.IS, ("a,b",))),
        ({"status": "failure"}, Condition("status", Operator.IS, ("failed",))),
        ({"status": "ok, error"}, Condition("status", Operator.IS, ("success", "failed"))),
        ({"trigger_type": "CLI"}, Condition("trigger_type", Operator.IS, ("cli",))),
        ({"exclude_job_type": "test"}, Condition("job_type", Operator.IS_NOT, ("test",))),
        ({"exclude_status": "ok"}, Condition("status", Operator.IS_NOT, ("success",))),
        ({"created_before": NOON}, Condition("created_at", Operator.BELOW, (NOON,))),
        ({"created_after": NOON}, Condition("created_at", Operator.ABOVE, (NOON,))),
        ({"start_time_from": NOON}, Condition("start_time", Operator.FROM, (NOON,))),
        ({"start_time_to": NOON}, Condition("start_time", Operator.TO, (NOON,))),
        ({"api_posted": "true"}, Condition("api_posted", Operator.IS, (1,))),
        ({"api_posted": "0"}, Condition("api_posted", Operator.IS, (0,))),
        ({"duration_ms": "5"}, Condition("duration_ms", Operator.IS, (5,))),
        ({"min_duration_ms": "5"}, Condition("duration_ms", Operator.FROM, (5,))),
        ({"max_duration_ms": str(2**63 - 1)}, Condition("duration_ms", Operator.TO, (2**63 - 1,))),
    ],
)
def test_reads_what_is_asked(params, condition):
    """
    A parameter becomes one condition on its column, in the form that the column holds.
    """
    assert Filters.parse(params).conditions == (condition,)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T12:00:00Z",
        "2026-11-22T12:00Z",
        "20261122T120000z",
        "2026-11-22T14:00:00+02:00",
        "2026-11-22T14:00:00 02:00",
        "2026-11-22 14:00:00 0200",
        "2026-11-22T07:00:00-05",
        " 2026-11-22T12:00:00.0000009Z ",
    ],
)
def test_times_of_any_zone(text):
    """
    A time with a zone is understood in every form, also where a plus arrived as a blank.
    """
    assert parsed(created_before=text) == [Condition("created_at", Operator.BELOW, (NOON,))]


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        ("2026-11-22T12:00:00", "such as 2026-11-22T12:00:00Z"),
        ("2026-11-22 12:00", "such as 2026-11-22T12:00:00Z"),
        ("2026-11-22", "such as 2026-11-22T00:00:00Z"),
        ("yesterday", "such as 2026-11-22T00:42:17Z"),
        ("2026-13-22T12:00:00Z", "such as 2026-11-22T00:42:17Z"),
        ("0001-01-01T00:00:00+14:00", "such as 2026-11-22T00:42:17Z"),
        ("9" * 10_000, "such as 2026-11-22T00:42:17Z"),
    ],
)
def test_times_without_a_zone_are_refused(text, way_out):
    """
    A time that could be any zone's is a bad request, and the answer shows it with one.
    """
    with pytest.raises(FilterError) as caught:
        parsed(start_time_from=text)

    assert (caught.value.status, caught.value.way_out) == (400, way_out)
    assert len(str(caught.value)) < 300


def test_empty_is_no_filter():
    """
    A parameter without a text asks for nothing, as a form sends it that was not filled in.
    """
    assert parsed(agent_name="", status="", created_before="", min_pid="") == []
    assert parsed(status=" , ,") == []
    assert Filters.parse([]) == Filters()


@pytest.mark.parametrize(
    ("params", "status", "words"),
    [
        ({"agent": "x"}, 422, "did you mean 'agent_name'?"),
        ({"statuss": "x"}, 422, "did you mean 'status'?"),
        ({"Limit": "5"}, 422, "did you mean 'limit'?"),
        ({"'; DROP TABLE agent_runs; --": "x"}, 422, "must be a parameter"),
        ({"": "x"}, 422, "must be a parameter"),
        ({"metrics_json": "{}"}, 422, "must be a parameter"),
        ({"status": "done"}, 400, "status must be one of running, success"),
        ({"status": "running,done"}, 400, "got 'done'"),
        ({"trigger_type": "magic"}, 400, "must be one of cli"),
        ({"agent_name": "a\0b"}, 422, "without NUL"),
        ({"agent_name": "\ud800"}, 422, "lone surrogates"),
        ({"agent_name": "x" * 256}, 422, "at most 255 characters (got '256 characters')"),
        ({"api_posted": "maybe"}, 422, "true or false"),
        ({"duration_ms": "-1"}, 422, "an integer from 0"),
        ({"duration_ms": "1.5"}, 422, "an integer from 0"),
        ({"duration_ms": "٣"}, 422, "an integer from 0"),
        ({"duration_ms": str(2**63)}, 422, "an integer from 0"),
        ({"duration_ms": "9" * 100_000}, 422, "an integer from 0"),
        ({"min_duration_ms": ["1", "2"]}, 422, "must be given once"),
        ({"agent_name": [str(n) for n in range(101)]}, 422, "at most 100 values"),
        ({f"name{n}": "x" for n in range(100_000)}, 422, "must be a parameter"),
        ([("agent_name", "x")] * 100_000, 422, "at most 200 parameters"),
    ],
)
def test_what_cannot_be_meant(params, status, words):
    """
    Rubbish is an error that names the parameter, its rule, what came and the way out, in few words.
    """
    with pytest.raises(FilterError) as caught:
        Filters.parse(params, passed_over=("limit",))

    assert words in str(caught.value)
    assert caught.value.status == status
    assert caught.value.rule
    assert caught.value.way_out
    assert len(str(caught.value)) < 400
    str(caught.value).encode()


def test_the_callers_own_names_are_passed_over():
    """
    What the caller reads itself is no filter.
    """
    params = [("limit", "5"), ("agent_name", "a"), ("limit", "6")]

    assert Filters.parse(params, passed_over=("limit",)) == Filters.parse({"agent_name": "a"})


@given(st.lists(st.tuples(st.sampled_from(sorted(PARAMETERS)) | st.text(), st.text()), max_size=5))
def test_anything_is_read_or_refused(params):
    """
    Whatever the parameters hold, the answer is filters or a `FilterError`.
    """
    try:
        found = Filters.parse(params)
    except FilterError as error:
        str(error).encode()
    else:
        hash(found)
