from __future__ import annotations

import pytest
from examples import share_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import SETTABLE, column_values, make_record

from telemetry.model import claims
from telemetry.model.claims import fit, read_claims
from telemetry.model.codec import decode_line, seal
from telemetry.model.run import COLUMNS
from telemetry.model.values import to_sql

ENVELOPE = b'{"lt":1,"record_type":"run","change":"updated","id":"w-1","timestamp":"t"'


@settings(max_examples=share_of(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_quick_way_and_the_slow_way_agree(data):
    """
    A line is read alike by the decoder's own checks and value by value.
    """
    names = data.draw(st.lists(st.sampled_from([*SETTABLE, "colour"]), unique=True, max_size=5))
    body = {
        name: data.draw(column_values(COLUMNS.get(name, COLUMNS["product"])) | st.none())
        for name in names
    }
    record = make_record("updated", body)
    fields, cleared, aside = read_claims(record)
    slow_fields, slow_cleared, slow_aside = claims._read_each(record)

    assert (fields, list(cleared), aside) == (slow_fields, slow_cleared, slow_aside)


def test_a_line_says_fields_nulls_and_the_rest():
    """
    Fields come as a row holds them; nulls and unknown names apart; the record's own keys not at all.
    """
    body = {
        "metrics_json": {"a": 1},
        "api_posted": True,
        "product": None,
        "colour": 1,
        "base_status": "running",
        "force": True,
        "updated_at": "x",
    }

    assert read_claims(make_record("edited", body)) == (
        {"metrics_json": '{"a":1}', "api_posted": 1},
        ["product"],
        {"colour": 1},
    )


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b',"product":"a,b,\\"c"', {"product": 'a,b,"c'}),
        (b',"product":"a\\u0000b"', {"product": "a\ufffdb"}),
        (b',"product":"a\\u0007b"', {"product": "a\x07b"}),
        (
            b',"start_time":"2026-11-22T01:00:00+01:00"',
            {"start_time": "2026-11-22T00:00:00.000000Z"},
        ),
        (b',"status":"Failure"', {"status": "failed"}),
        (b',"metrics_json":"[1]"', {"metrics_json": "[1]"}),
        (b',"metrics_json":"text"', {"metrics_json": '"text"'}),
        (b',"api_posted":1', {"api_posted": 1}),
        (b',"pid":1,"pid":2', {"pid": 2}),
        (b' , "pid" : 3', {"pid": 3}),
    ],
)
def test_other_forms_of_a_value_are_understood(body, fields):
    """
    What means a value of the column is that value, however it is written.
    """
    assert read_claims(decode_line(seal(ENVELOPE + body))) == (fields, (), {}) or read_claims(
        decode_line(seal(ENVELOPE + body))
    ) == (fields, [], {})


@pytest.mark.parametrize(
    ("body", "aside"),
    [
        (b',"pid":-1', {"pid": -1}),
        (b',"pid":true', {"pid": True}),
        (b',"pid":1.5', {"pid": 1.5}),
        (b',"pid":"1"', {"pid": "1"}),
        (b',"pid":9223372036854775808', {"pid": 9223372036854775808}),
        (b',"pid":1e999', {"pid": "1e999"}),
        (b',"product":5', {"product": 5}),
        (b',"product":{"a":1}', {"product": {"a": 1}}),
        (b',"start_time":0', {"start_time": 0}),
        (b',"start_time":"soon"', {"start_time": "soon"}),
        (b',"status":"skipped"', {"status": "skipped"}),
        (b',"api_posted":"yes"', {"api_posted": "yes"}),
        (b',"a\\u0000":1', {"a\ufffd": 1}),
        (b',"colour":{"lt":1}', {"colour": {"lt": 1}}),
    ],
)
def test_what_fits_no_column_is_aside(body, aside):
    """
    A value of the wrong type, sign, size or choice is kept under its name, and sets nothing.
    """
    fields, _, found = read_claims(decode_line(seal(ENVELOPE + body)))

    assert (fields, found) == ({}, aside)


def test_long_text_is_cut_to_its_column():
    """
    However long a hostile writer's text is, the row stays bounded.
    """
    fields, _, aside = read_claims(make_record("updated", {"error_summary": "x" * 100_000}))

    assert len(str(fields["error_summary"])) == COLUMNS["error_summary"].max_length
    assert aside == {}


@settings(max_examples=share_of(200), deadline=None)
@given(st.data())
def test_what_a_column_holds_fits(data):
    """
    A column's own values fit it, as a row holds them.
    """
    column = COLUMNS[data.draw(st.sampled_from(SETTABLE))]
    value = data.draw(column_values(column))

    assert fit(column, value) == to_sql(column, value)
