import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.storage.queries import FilterError
from telemetry.storage.queries.positions import Position, read_position

values = st.none() | st.integers(0, 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"]))
HERE = Position(
    listing="runs", sort="-created_at", is_backward=False, value="2026-11-22", key="key-1"
)


@given(values, st.text(st.characters(exclude_categories=["Cs"]), max_size=255), st.booleans())
def test_comes_back(value, key, is_backward):
    """
    A position is read from its text as it was, and the text fits a URL as it is.
    """
    place = Position(listing="runs", sort="x", is_backward=is_backward, value=value, key=key)
    text = place.text()

    assert read_position(text, listing="runs", sort="x") == place
    assert text.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "====",
        "ключ",
        "\ud800",
        "a" * 100_000,
        HERE.text()[:-1],
        HERE.text() + "AA",
        HERE.text()[:9] + "A" + HERE.text()[10:],
        base64.urlsafe_b64encode(b'["runs","-created_at",false,null,""]').decode(),
    ],
)
def test_what_was_changed_is_refused(text):
    """
    A text that no answer brought is an error with a way out, and never an error of the decoder.
    """
    with pytest.raises(FilterError, match="must be one that an answer brought"):
        read_position(text, listing="runs", sort="-created_at")


def test_another_lists_is_refused():
    """
    A cursor is good for the list and the order that it is of.
    """
    with pytest.raises(FilterError, match="sorted by -created_at"):
        read_position(HERE.text(), listing="commits of x", sort="-created_at")
    with pytest.raises(FilterError, match="must be of this list, sorted by start_time"):
        read_position(HERE.text(), listing="runs", sort="start_time")


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_text_is_refused(text):
    """
    Whatever comes as a cursor is refused in words.
    """
    with pytest.raises(FilterError):
        read_position(text, listing="runs", sort="-created_at")
