"""
Any value becomes strict, bounded JSON without secrets.
"""

from __future__ import annotations

import json
import math
import string
import threading
from datetime import datetime, timedelta, timezone

import msgspec
import pytest
from examples import share_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from secret_corpus import NAMES, all_secrets, contexts, tokens

from telemetry.model.bounds import Limits
from telemetry.model.codec import MARKER
from telemetry.model.payload import FAST_CHARS, FAST_ITEMS, PayloadEncoder
from telemetry.model.scrub import Scrubber

ENCODER = PayloadEncoder(Limits(), Scrubber())
SMALL = Limits(max_depth=4, max_items=5, max_string=50, max_line_bytes=2000)
SMALL_ENCODER = PayloadEncoder(SMALL, Scrubber())
SECRETS = [secret.text for secret in all_secrets()][::3]


#: A busy machine is no failure.
some = settings(
    max_examples=share_of(50), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


class Hostile:
    """
    An object whose every method raises.
    """

    __slots__ = ()

    def __len__(self):
        raise ValueError("len")

    def __iter__(self):
        raise ValueError("iter")

    def __str__(self):
        raise ValueError("str")

    def __repr__(self):
        raise ValueError("repr")


def strictly(data: bytes) -> object:
    """
    Return what a parser without any leniency reads.
    """

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    value = json.loads(data.decode("utf-8", "strict"), parse_constant=refuse)
    assert msgspec.json.decode(data) == value
    return value


#: By number, so that a failure does not quote the whole corpus.
secrets = st.integers(0, len(SECRETS) - 1).map(SECRETS.__getitem__)
keys = (
    st.text(st.characters(), max_size=8)
    | st.sampled_from(["step", "lt", "password", "a", "1", "None", "null"])
    | st.integers()
    | st.booleans()
    | st.none()
    | st.floats()
    | st.tuples(st.integers(), st.text(max_size=2))
    | st.binary(max_size=4)
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | st.text(st.characters(), max_size=70)
    | secrets
    | st.binary(max_size=70)
    | st.datetimes(
        timezones=st.sampled_from([None, timezone.utc, timezone(timedelta(hours=-9, minutes=-30))])
    )
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals()
    | st.fractions()
    | st.complex_numbers()
    | st.uuids()
    | st.builds(Hostile)
    | st.builds(ValueError, st.text(max_size=10))
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.dictionaries(keys, inner, max_size=8)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers() | st.text(max_size=3), max_size=4)
        | st.sets(st.integers(), max_size=4)
    ),
    max_leaves=20,
)
#: What both the fast and the careful way accept.
plain_keys = st.text(string.ascii_letters + "_", min_size=1, max_size=8) | st.sampled_from(
    ["password", "lt", "token_count", *NAMES[:5]]
)
plain_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=40)
    | secrets
    | st.sampled_from(["a=b", "--pwd x", "x: y", "data.csv", ""])
)
plain_values = st.dictionaries(plain_keys, plain_scalars, max_size=6)
nested_values = st.recursive(
    plain_scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(plain_keys, inner, max_size=5),
    max_leaves=15,
)


@some
@given(values)
def test_any_value_is_strict_json_within_its_bounds(value):
    """
    Whatever is logged, the result is UTF-8 JSON of bounded size, and opens no record.
    """
    for encoder, limits in ((ENCODER, Limits()), (SMALL_ENCODER, SMALL)):
        data = encoder.encode(value)

        strictly(data)
        assert len(data) < limits.max_line_bytes * 3 // 4 + 8192
        assert MARKER not in data
        assert b"\n" not in data


@some
@given(values)
@example(["--user", "AKIA0000000000000000"])
def test_cleaning_what_is_clean_changes_nothing(value):
    """
    The plain form of a plain form is itself.
    """
    once = ENCODER.clean(value)

    assert ENCODER.clean(once) == once


@some
@given(plain_values | st.dictionaries(plain_keys, nested_values, max_size=3))
def test_the_fast_way_is_the_careful_way(value):
    """
    A payload has the same bytes whichever way it goes, seen for the first time or again.
    """
    encoder = PayloadEncoder(Limits(), Scrubber())
    careful = encoder._careful(value)

    for _ in range(2):
        assert encoder.encode(value) == careful


@some
@given(nested_values, st.integers(0, 4), st.integers(0, 6), st.integers(0, 30))
def test_the_fast_way_keeps_the_limits(value, max_depth, max_items, max_string):
    """
    However small the limits are, both ways keep to them alike.
    """
    limits = Limits(max_depth=max_depth, max_items=max_items, max_string=max_string)
    encoder = PayloadEncoder(limits, Scrubber())
    careful = encoder._careful(value)

    for _ in range(2):
        assert encoder.encode(value) == careful


def test_plain_text_is_returned_as_it_is():
    """
    A short text is cleaned without a detour; others are bounded and scrubbed.
    """
    for text in ("x", "a=b", "two words", "x" * 20, "é", "x" * (FAST_CHARS + 1)):
        assert ENCODER.clean(text) == text
    assert ENCODER.clean("--pwd x") == "--pwd [scrubbed:flag]"


def nest(text: str, place: int) -> object:
    """
    Return a payload with a text in one of many places.
    """
    return [
        text,
        {"a": text},
        {"a": {"b": [1, (text,)]}},
        [[[{"x": text}]]],
        {text: 1},
        {"a": {text: {"b": 1}}},
        {(text, 1): 2},
        {"m": f"before {text} after"},
        ValueError(text),
        {text},
        text.encode(),
        {"x" * 10: "y" * 3000 + " " + text},
        {"e": bytearray(text.encode())},
        type("Custom", (), {"__repr__": lambda self: f"<Custom {text}>"})(),
    ][place]


@pytest.mark.parametrize("place", range(14))
def test_no_secret_survives_at_any_place(place):
    """
    Values, keys, nested containers, exceptions, bytes and representations are all scrubbed, on each call anew.
    """
    for token in tokens()[::2]:
        for _ in range(2):
            assert token[8:].encode() not in ENCODER.encode(nest(token, place))
    for secret in all_secrets()[::5]:
        assert secret.secret[-9:].encode() not in ENCODER.encode(nest(secret.text, place))


def test_texts_around_a_token_in_a_flat_payload():
    """
    The fast way lets no token through.
    """
    for token in tokens():
        for text in contexts(token):
            payload = {"step": 1, "text": text}
            ENCODER.encode(payload)

            assert token[8:].encode() not in ENCODER.encode(payload)


@pytest.mark.parametrize("name", NAMES)
def test_values_under_the_name_of_a_secret_are_hidden(name):
    """
    A secret's name hides any value under it that can be one.
    """
    assert strictly(ENCODER.encode({name: "x", "n": 1})) == {name: "[scrubbed:key]", "n": 1}
    assert strictly(ENCODER.encode({name: {"user": "u", "pin": 1}})) == {name: "[scrubbed:key]"}
    assert strictly(ENCODER.encode({name: 1234})) == {name: "[scrubbed:key]"}
    plain = {name: None}
    assert strictly(ENCODER.encode(plain)) == plain
    assert strictly(ENCODER.encode({name: True})) == {name: True}
    assert strictly(ENCODER.encode({name: ""})) == {name: ""}
    assert strictly(ENCODER.encode({name.encode(): "x"})) == {name: "[scrubbed:key]"}


def test_the_marker_of_a_record_opens_no_object():
    """
    An object that begins like a record is written with a blank, and reads the same.
    """
    values = ({"lt": 1}, [{"lt": 1}], {"a": {"lt": {"lt": 1}}}, {"a": [{"lt": 1}]}, {"a": '{"lt":'})
    for value in values * 2:  # the second time, all keys have been seen
        data = ENCODER.encode(value)

        assert MARKER not in data
        assert strictly(data) == value


def test_what_is_scrubbed_off_is_still_bounded():
    """
    Without scrubbing, secrets stay and bounds hold.
    """
    encoder = PayloadEncoder(SMALL, Scrubber(enabled=False))

    assert strictly(encoder.encode({"password": "x"})) == {"password": "x"}
    assert strictly(encoder.encode({"password": "x"})) == {"password": "x"}
    assert len(encoder.encode(["x" * 10_000])) < 200


def test_own_patterns_reach_short_texts():
    """
    A user's pattern is tried on every text, the shortest too.
    """
    encoder = PayloadEncoder(Limits(), Scrubber(patterns=["E[0-9]"]))
    for _ in range(2):
        assert strictly(encoder.encode({"a": "E1"})) == {"a": "[scrubbed:custom]"}


def test_edges_of_the_fast_way():
    """
    Values at each bound of the fast way are the same before and behind it.
    """
    for value in (
        {"a": 2**63 - 1, "b": -(2**63)},
        {"a": 1.5, "b": -0.0, "c": 1e308},
        {"a": "x" * FAST_CHARS},
        {"a": "x" * (FAST_CHARS + 1)},
        {"a": "x=" * FAST_CHARS},
        {"a": [[1]], "b": {"c": {"d": "e"}}},
        {"a": [[[[[1]]]]]},
        {"a": list(range(FAST_ITEMS + 1))},
        {f"k{number}": number for number in range(FAST_ITEMS)},
        {f"k{number}": number for number in range(FAST_ITEMS + 1)},
        {},
    ):
        for _ in range(2):
            assert strictly(ENCODER.encode(value)) == value
    for value, expected in (
        (2**63, "9223372036854775808"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        ("\ud800", "\ufffd"),
    ):
        for _ in range(2):
            assert strictly(ENCODER.encode({"a": value})) == {"a": expected}


def test_a_line_is_never_too_long():
    """
    What does not fit is cut, however it grows when it is encoded.
    """
    limits = Limits(max_line_bytes=100_000)
    encoder = PayloadEncoder(limits, Scrubber())
    for value in (
        "\0" * 1_000_000,
        ["\0" * 1000] * 1000,
        {f"k{number}": "\0" * 30 for number in range(10_000)},
        {f"k{number}": "x" * 2000 for number in range(64)},
        ["é" * 50_000] * 10,
        [[[[]] * 100] * 100] * 100,
        ['"' * 200_000],
        {"\0" * 1000 + str(number): 1 for number in range(1000)},
    ):
        data = encoder.encode(value)

        strictly(data)
        assert len(data) <= limits.max_line_bytes - 8192


def test_what_cannot_fit_says_its_size():
    """
    A limit that nothing fits into leaves a marker with the size.
    """
    encoder = PayloadEncoder(Limits(max_line_bytes=8), Scrubber())

    assert strictly(encoder.encode(["x", "y", "z"]))["[cut]"].endswith(" bytes")


def test_columns_are_the_inside_of_an_object():
    """
    A run's columns keep their keys, and their values are cleaned.
    """
    data = ENCODER.encode_fields(
        {"status": "running", "password": "kept as a column", "x": math.nan}
    )

    assert strictly(b"{" + data + b"}") == {
        "status": "running",
        "password": "kept as a column",
        "x": "NaN",
    }
    assert ENCODER.encode_fields({}) == b""


def test_a_changing_dict_is_read_as_it_was_at_one_moment():
    """
    Another thread may change a payload at any time: each result is whole, and nothing is raised.
    """
    shared = {"step": 0, "name": "a"}
    done = threading.Event()

    def change() -> None:
        number = 0
        while not done.is_set():
            number += 1
            shared[f"k{number % 50}"] = "password=hunter22" if number % 2 else number
            shared.pop(f"k{(number * 7) % 50}", None)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(400):
            data = ENCODER.encode(shared)
            strictly(data)
            assert b"hunter22" not in data
    finally:
        done.set()
        thread.join()


def test_interrupts_pass():
    """
    Ctrl+C while a value is looked at is the user's, and is not kept back.
    """

    class Interrupted:
        def __repr__(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ENCODER.encode({"a": Interrupted()})


def test_no_stack_left():
    """
    A call at the end of the stack is answered with a marker.
    """

    def at_the_end() -> bytes:
        try:
            return at_the_end()
        except RecursionError:
            return ENCODER.encode({"never seen": [1, [2]]})

    strictly(at_the_end())


def test_no_memory_left(monkeypatch):
    """
    An encoder that is out of memory is answered with a marker.
    """

    class Greedy(dict):
        def items(self):
            raise MemoryError

    assert strictly(ENCODER.encode(Greedy())) == {"[cut]": "Greedy raised MemoryError"}
    assert "while encoding" in strictly(b"{" + ENCODER.encode_fields(Greedy()) + b"}")["[cut]"]


def test_plain_values_are_cleaned_to_themselves():
    """
    `clean` returns plain values, the simplest at once.
    """
    assert ENCODER.clean(None) is None
    assert ENCODER.clean(True) is True
    assert ENCODER.clean({"at": datetime(2026, 1, 1, tzinfo=timezone.utc)}) == {
        "at": "2026-01-01T00:00:00.000000Z"
    }


BESIDE = "hunter" + "Qx7" * 5


@pytest.mark.parametrize(
    "value",
    [
        {"argv": ["x", "--password", BESIDE]},
        {"argv": ("curl", "-u", f"ada:{BESIDE}")},
        {"argv": ["mysql", "-uroot", f"-p{BESIDE}"]},
        ["x", "--api-key", BESIDE],
        {"headers": [["x-api-key", BESIDE], ["a", "b"]]},
        {"headers": [("x-api-key", BESIDE)]},
        {"headers": [(b"x-api-key", BESIDE.encode())]},
        {"name": "DB_PASSWORD", "value": BESIDE},
        {"env": [{"name": "DB_PASSWORD", "value": BESIDE}]},
        {"env": {"Key": "api_key", "Value": BESIDE}},
        {"lines": ["-----BEGIN PRIV" + "ATE KEY-----", BESIDE, "-----END PRIV" + "ATE KEY-----"]},
        {b"password": BESIDE},
        {"e": ValueError(f"password={BESIDE}")},
        {"repr": type("Login", (), {"__repr__": lambda _: f"Login(password={BESIDE!r})"})()},
        {"long": type("Login", (), {"__repr__": lambda _: "x" * 4080 + f" password={BESIDE}"})()},
    ],
    ids=range(15),
)
def test_a_secret_is_known_by_what_stands_beside_it(value):
    """
    A flag, the first of a pair, a name or a key's first line hide what comes after them.
    """
    data = ENCODER.encode(value)

    assert b"hunter" not in data


@pytest.mark.parametrize(
    "value",
    [
        {"argv": ["x", "--count", "3", "-v"]},
        {"pair": ["name", "Ada"], "empty": ["password", None]},
        {"name": "loss", "value": 0.5},
        {"points": [{"key": "a", "value": 1}, {"key": "b", "value": 2}]},
        {"fields": ["password", "email", "name"]},
    ],
    ids=range(5),
)
def test_neighbours_of_other_names_stay(value):
    """
    Lists, pairs and named values without a secret's name are written as they are.
    """
    assert msgspec.json.decode(ENCODER.encode(value)) == value


def test_a_list_of_markers_is_bounded():
    """
    What stands in place of hidden items counts as well.
    """
    encoder = PayloadEncoder(Limits(max_line_bytes=4096), Scrubber())

    data = encoder.encode([word for _ in range(5000) for word in ("--password", "x")])

    assert len(data) <= 4096


def test_nothing_and_truth_are_plain():
    """
    None, True and False are written as they are, wherever they stand.
    """
    value = {"a": None, "b": True, "c": False, "d": 1, "e": [None, True, {"f": False}]}

    for _ in range(2):  # the second time, all keys have been seen
        assert json.loads(ENCODER.encode(value)) == value


@pytest.mark.parametrize("place", [lambda pair: {"a": pair}, lambda pair: {"a": {"b": pair}}])
def test_a_nested_pair_is_judged_by_its_first(place):
    """
    A list of a secret's name and a value hides the value, however deep in a payload.
    """
    for _ in range(2):  # the second time, all keys have been seen
        assert b"xyzzy-12" not in ENCODER.encode(place(["DB_PASSWORD", "xyzzy-12"]))
