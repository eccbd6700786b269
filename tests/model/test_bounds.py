"""
Each kind of value has one plain form, and nothing a value does gets out.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import fractions
import json
import pathlib
import time
import types
import uuid
from datetime import date, datetime, timedelta, timezone
from datetime import time as clock_time
from decimal import Decimal
from typing import NamedTuple

import attrs
import msgspec
import pytest

from telemetry.model.bounds import Limits, Walker
from telemetry.model.payload import PayloadEncoder
from telemetry.model.scrub import Scrubber


def clean(value, **limits):
    """
    Return a value's plain form.
    """
    return PayloadEncoder(Limits(**limits), Scrubber()).clean(value)


class Color(enum.Enum):
    RED = "red"
    DEEP = (1, "password=abc")


class Level(enum.IntEnum):
    HIGH = 3


class Text(str):
    __slots__ = ()

    def __str__(self):
        raise ValueError("never asked")


class Number(int):
    def __index__(self):
        raise ValueError("never asked")


@dataclasses.dataclass
class Point:
    x: int
    y: object


@attrs.define
class Server:
    host: str
    password: str


class Message(msgspec.Struct):
    id: int
    text: str


class Pair(NamedTuple):
    left: int
    right: str


class Scalar:
    """
    Stands for numpy's scalar.
    """

    dtype = "int64"
    shape = ()

    def item(self):
        return 7

    def tolist(self):
        return 7


class Array:
    """
    Stands for numpy's array.
    """

    dtype = "int64"

    def __init__(self, size):
        self.shape = (size,)
        self.size = size

    def tolist(self):
        return list(range(self.size))

    def __repr__(self):
        return "array([0, 1, ...])"


class EndlessScalar(Scalar):
    def item(self):
        return self


class Mapped(collections.abc.Mapping):
    def __init__(self, **values):
        self._values = values

    def __getitem__(self, key):
        return self._values[key]

    def __iter__(self):
        return iter(self._values)

    def __len__(self):
        return len(self._values)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, "9223372036854775808"),
        (-(2**63) - 1, "-9223372036854775809"),
        (Number(5), 5),
        (True, True),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        ("a\0\u2028b", "a\0\u2028b"),
        ("a\ud800b\udfff", "a\ufffdb\ufffd"),
        (Text("x"), "x"),
        (b"abc", "abc"),
        (bytearray("é".encode()), "é"),
        (memoryview(b"abcdef")[::2], "ace"),
        (b"a\xff", "a\\xff"),
        (date(2026, 11, 22), "2026-11-22"),
        (clock_time(1, 2, 3), "01:02:03"),
        (timedelta(minutes=1, microseconds=1), 60.000001),
        (Decimal("1.10"), "1.10"),
        (Decimal("nan"), "NaN"),
        (Decimal("-inf"), "-Infinity"),
        (Decimal("inf"), "Infinity"),
        (fractions.Fraction(1, 3), "1/3"),
        (1 + 2j, "(1+2j)"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Color.RED, "red"),
        (Color.DEEP, [1, "password=[scrubbed:key]"]),
        (Level.HIGH, 3),
        ((1, 2), [1, 2]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset("ba"), ["a", "b"]),
        ({}.keys(), []),
        ({"a": 1}.values(), [1]),
        (collections.deque([1, 2]), [1, 2]),
        (range(3), [0, 1, 2]),
        (Pair(1, "x"), {"left": 1, "right": "x"}),
        (Point(1, Point(2, None)), {"x": 1, "y": {"x": 2, "y": None}}),
        (Server("h", "p"), {"host": "h", "password": "[scrubbed:key]"}),
        (Message(1, "t"), {"id": 1, "text": "t"}),
        (Mapped(a=1), {"a": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (ValueError("bad token=abc"), {"type": "ValueError", "message": "bad token=[scrubbed:key]"}),
        (KeyboardInterrupt(), {"type": "KeyboardInterrupt", "message": ""}),
        (json.JSONDecodeError("m", "d", 0), {"type": "json.decoder.JSONDecodeError", "message": "m: line 1 column 1 (char 0)"}),
        (int, "builtins.int"),
        (len, "builtins.len"),
        (json, "json"),
        (json.dumps, "json.dumps"),
        ("".join, "str.join"),
        (Scalar(), 7),
        (Array(3), [0, 1, 2]),
        ({1: 1, None: 2, 1.5: 3, (1, "a"): 4, b"b": 5}, {"1": 1, "null": 2, "1.5": 3, '[1,"a"]': 4, "b": 5}),
        ({"1": "a", 1: "b", b"1": "c"}, {"1": "a", "1#2": "b", "1#3": "c"}),
        ({"a": 1, b"a": 2, "a#2": 3}, {"a": 1, "a#2": 2, "a#2#2": 3}),
        ({Text("k"): 1}, {"k": 1}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_each_kind_has_one_form(value, expected):
    """
    The table of forms holds, alone and inside a container.
    """
    assert clean(value) == expected
    assert clean([value]) == [expected]
    assert type(clean(value)) is type(expected)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="a process cannot change its zone here")
def test_naive_datetimes_are_local(monkeypatch):
    """
    A naive datetime is local time with its fold; an aware one keeps its instant.
    """
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert clean(datetime(2026, 10, 25, 2, 30)) == "2026-10-25T00:30:00.000000Z"  # noqa: DTZ001
        assert clean(datetime(2026, 10, 25, 2, 30, fold=1)) == "2026-10-25T01:30:00.000000Z"  # noqa: DTZ001
        assert (
            clean(datetime(2028, 2, 29, 12, tzinfo=timezone(timedelta(hours=5, minutes=45))))
            == "2028-02-29T06:15:00.000000Z"
        )
    finally:
        monkeypatch.undo()
        time.tzset()


def test_times_at_the_ends_of_the_calendar():
    """
    An instant that has no UTC form keeps its own.
    """
    assert (
        clean(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == "0001-01-01T00:00:00+01:00"
    )
    assert (
        clean(datetime(9999, 12, 31, tzinfo=timezone(timedelta(hours=-12))))
        == "9999-12-31T12:00:00.000000Z"
    )
    assert (
        clean(datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12))))
        == "9999-12-31T23:00:00-12:00"
    )


def test_huge_integers_are_not_converted():
    """
    An integer with thousands of digits is a marker, at once.
    """
    assert clean(10**5000) == {"[cut]": "integer of about 5001 digits"}
    assert clean(-(1 << 10_000_000))["[cut]"].startswith("integer of about 3010")
    assert clean(fractions.Fraction(10**5000, 3))["[cut]"].startswith("Fraction raised ")
    assert clean(10**4200) == str(10**4200)


def test_nothing_is_consumed():
    """
    A generator or another iterator is shown, and stays as it was.
    """
    numbers = iter([1, 2])
    generator = (number for number in [1])

    assert clean(numbers).startswith("<list_iterator object")
    assert clean({"a": generator})["a"].startswith("<generator object")
    assert list(numbers) == [1, 2]
    assert list(generator) == [1]


def test_strings_are_cut():
    """
    A long string keeps its beginning and says how much is missing, bytes too.
    """
    assert clean("x" * 25, max_string=10) == "x" * 10 + "…[cut 15 chars]"
    assert clean(b"x" * 25, max_string=10) == "x" * 10 + "…[cut 15 chars]"
    assert clean(Text("x" * 25), max_string=10) == "x" * 10 + "…[cut 15 chars]"
    assert clean("é" * 10, max_string=10) == "é" * 10
    assert clean({"k" * 2000: 1}) == {"k" * 1024 + "…": 1}


def test_a_secret_on_the_cut_is_hidden():
    """
    A secret that a cut would halve is found first.
    """
    token = "ghp" + "_" + "aB3" * 12

    assert "aB3aB3" not in clean("x" * 95 + " " + token, max_string=110)


def test_containers_are_cut():
    """
    Beyond its items a container says how many are missing, and beyond its depth why.
    """
    assert clean([1, 2, 3, 4], max_items=3) == [1, 2, 3, {"[cut]": "1 items"}]
    assert clean({"a": 1, "b": 2, "c": 3}, max_items=1) == {"a": 1, "[cut]": "2 items"}
    assert len(clean(set(range(10)), max_items=3)) == 4
    assert clean([[[[]]]], max_depth=2) == [[{"[cut]": "deeper than 2"}]]
    assert clean({"a": {"b": {1}}}, max_depth=2) == {"a": {"b": {"[cut]": "deeper than 2"}}}
    assert clean([Scalar()], max_depth=1) == [{"[cut]": "deeper than 1"}]
    assert clean(Array(5), max_items=3) == "array([0, 1, ...])"


def test_depth_of_any_kind_ends():
    """
    A hundred thousand levels, cycles and an object that is its own item are cut.
    """
    deep = bottom = {}
    for _ in range(100_000):
        bottom["a"] = bottom = {}
    cycle = [1]
    cycle.append({"again": cycle})

    assert json.dumps(clean(deep)).count('"a"') == 20
    assert clean(cycle) == [1, {"again": {"[cut]": "contains itself"}}]
    assert clean([cycle, cycle])[1] == [1, {"again": {"[cut]": "contains itself"}}]
    assert clean(EndlessScalar()) == {"[cut]": "deeper than 20"}
    while deep:
        deep = deep.pop("a")


def test_shared_containers_end_by_their_size():
    """
    A small value that would unfold to billions of items is cut by the size of the line.
    """
    value = ["x"] * 10
    for _ in range(10):
        value = [value] * 10

    encoder = PayloadEncoder(Limits(max_line_bytes=200_000), Scrubber())

    assert len(encoder.encode(value)) < 200_000


class Raising:
    """
    Raises in the method that is named.
    """

    def __init__(self, error):
        self.error = error

    def __repr__(self):
        raise self.error


class BadItems(dict):
    def items(self):
        raise OSError("items")


class BadLength(collections.abc.Sequence):
    def __len__(self):
        raise ValueError("len")

    def __getitem__(self, index):
        if index > 1:
            raise IndexError
        return index


class Liar(BadLength):
    def __len__(self):
        return 10**6


class Restless(dict):
    """
    Changes each time it is read, for a number of times.
    """

    times = 1

    def items(self):
        self.times -= 1
        if self.times >= 0:
            raise RuntimeError("dictionary changed size during iteration")
        return super().items()


class BadStringError(Exception):
    def __str__(self):
        raise ValueError("str")


class BadMeta(type):
    def __getattr__(cls, name):
        raise RuntimeError(name)

    def __subclasscheck__(cls, other):
        raise RuntimeError("subclass")


class Strange(metaclass=BadMeta):
    def __repr__(self):
        return "strange"


class HalfSet(Point):
    y = property(lambda self: 1 / 0, lambda self, value: None)


class ReprOfLies:
    def __repr__(self):
        return Text("x" * 5000)


def test_what_raises_is_named():
    """
    The value's own code may raise anything: a marker stands for what it was.
    """
    for error in (ValueError("x"), RecursionError(), MemoryError(), StopIteration()):
        assert clean(Raising(error)) == "<Raising>"
    assert clean([BadItems()]) == [{"[cut]": "BadItems raised OSError"}]
    assert clean(BadLength()) == [0, 1]
    assert clean(Liar()) == [0, 1, {"[cut]": "999998 items"}]
    assert clean(BadStringError())["message"] == "<str raised ValueError>"
    assert clean(Strange()) == "strange"
    assert clean(HalfSet(1, 2)) == {"x": 1, "y": {"[cut]": "y raised ZeroDivisionError"}}
    assert clean(ReprOfLies()) == "x" * 4096 + "…[cut 904 chars]"


def test_what_changes_is_read_again():
    """
    A container that changes while it is read is read anew, a few times.
    """
    calm, restless = Restless(a=1), Restless(a=1)
    restless.times = 100

    assert clean(calm) == {"a": 1}
    assert clean(restless) == {"[cut]": "Restless raised RuntimeError"}


def test_each_value_is_asked_once():
    """
    A slow or side-effecting `__repr__` is called a single time.
    """
    calls = []

    class Counted:
        def __repr__(self):
            calls.append(1)
            return "counted"

    assert clean({"a": Counted()}) == {"a": "counted"}
    assert len(calls) == 1


def test_many_equal_keys_take_no_time():
    """
    Ten thousand keys with the same text are numbered in one pass.
    """

    class Same:
        def __repr__(self):
            return "same"

    cleaned = clean({Same(): 1 for _ in range(5000)})

    assert len(cleaned) == 5000
    assert "same#5000" in cleaned


def test_no_room_is_left():
    """
    A walker without room for more says how much it left out.
    """
    walker = Walker(Limits(), Scrubber(), 60)

    assert walker.clean({"a": ["x" * 100, 1, 2], "b": 1, "c": 2})["[cut]"] == "2 items"


@pytest.mark.parametrize(("name", "is_hidden"), [("DB_PASSWORD", True), ("loss", False)])
def test_each_value_beside_a_name_is_judged_by_it(name, is_hidden):
    """
    However often a value stands beside a name, in whatever case, the name tells of all.
    """
    pairs = {"value": "abc123", "name": name, "Value": "def456"}
    walked = Walker(Limits(), Scrubber(), 4096).clean(pairs)

    hidden = {key for key, text in pairs.items() if walked[key] != text}
    assert hidden == ({"value", "Value"} if is_hidden else set())
