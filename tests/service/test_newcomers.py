from __future__ import annotations

from telemetry.service.newcomers import MAX_RECENT, Newcomers


def test_what_is_above_all_that_was_stored_is_new():
    """
    An id above the highest one of the database is new until it was written.
    """
    newcomers = Newcomers(lambda: "e5")

    assert newcomers.are_new(["e6", "e7"], 1)
    newcomers.add(["e6"])
    assert not newcomers.are_new(["e6"], 1)
    assert not newcomers.are_new(["e7", "e6"], 1)
    assert newcomers.are_new(["e7"], 1)


def test_what_may_be_stored_is_asked_for():
    """
    Of an id below the highest one nobody can tell without a look.
    """
    newcomers = Newcomers(lambda: "e5")

    assert not newcomers.are_new(["e5"], 1)
    assert not newcomers.are_new(["e7", "e4"], 1)


def test_what_others_wrote_is_asked_for():
    """
    When others have written something, the highest id is read again; it never falls.
    """
    found = iter(["e5", "e8", "e1"])
    newcomers = Newcomers(lambda: next(found))

    assert newcomers.are_new(["e7"], 1)
    assert not newcomers.are_new(["e7"], 2)
    assert newcomers.are_new(["e9"], 2)
    assert not newcomers.are_new(["e7"], 3)


def test_many_ids_are_forgotten_and_never_new_again():
    """
    Only the recent ones are remembered one by one; the others are below what counts as new.
    """
    newcomers = Newcomers(str)
    ids = [f"{number:08d}" for number in range(5 * MAX_RECENT)]
    for first in range(0, len(ids), 1000):
        newcomers.add(ids[first : first + 1000])

    assert not any(newcomers.are_new([one], 1) for one in ids[::997])
    assert newcomers.are_new(["a"], 1)
    assert len(newcomers._recent) + len(newcomers._older) <= 2 * MAX_RECENT + 1000
