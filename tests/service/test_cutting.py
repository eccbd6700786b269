from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telemetry.service.cutting import pieces_of

VALUES = st.recursive(
    st.none() | st.integers() | st.sampled_from(["", "}", "},{", '"},{"', "}, {", "]", "\\"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "},{", "b"]), inner, max_size=3)
    ),
    max_leaves=8,
)
BATCHES = st.lists(st.dictionaries(st.sampled_from(["a", "},{", "c"]), VALUES), max_size=6)
FORMS = st.sampled_from(
    [{"separators": (",", ":")}, {}, {"indent": 1}, {"separators": (" ,\r\n\t", ":")}]
)


def array_of_objects(piece):
    """
    Return the items of a piece; None where it is no array of objects.
    """
    try:
        items = json.loads(piece)
    except ValueError:
        return None
    return (
        items if isinstance(items, list) and all(isinstance(one, dict) for one in items) else None
    )


@given(BATCHES, FORMS, st.integers(0, 40))
@example([{"a": [{}, {}]}, {"c": "},{"}], {}, 0)
@example([{}, {}], {"separators": (",", ":")}, 0)
def test_pieces_that_are_arrays_make_up_the_whole(batch, form, least):
    """
    However an array is written and cut: either a piece is no array of objects, or nothing is lost.
    """
    pieces = list(pieces_of(json.dumps(batch, **form).encode(), least))
    found = [array_of_objects(piece) for piece in pieces]

    if None not in found:
        assert [one for some in found for one in some] == batch
    assert all(len(piece) >= least for piece in pieces[:-1])


@given(
    st.binary(max_size=60) | st.text('[]{}, "a:1', max_size=40).map(str.encode), st.integers(0, 9)
)
def test_what_is_no_array_is_not_made_one(raw, least):
    """
    Where the whole is no array of objects, a piece is none either.
    """
    if array_of_objects(raw) is None:
        assert None in [array_of_objects(piece) for piece in pieces_of(raw, least)]


@pytest.mark.parametrize("form", [{}, {"separators": (",", ":")}, {"indent": 2}])
def test_a_batch_is_cut_between_its_runs(form):
    """
    In whatever form it is written.
    """
    batch = [{"a": number} for number in range(9)]

    pieces = list(pieces_of(json.dumps(batch, **form).encode(), 1))

    assert [json.loads(piece) for piece in pieces] == [[one] for one in batch]
