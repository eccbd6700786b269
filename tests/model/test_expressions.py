"""
Expressions are compiled when they are used, once.
"""

from __future__ import annotations

import re

import pytest

from telemetry.model.expressions import Expression


def test_it_finds_what_the_compiled_one_does():
    """
    Each method is the compiled expression's own.
    """
    expression, compiled = Expression("B(.)", re.IGNORECASE), re.compile("B(.)", re.IGNORECASE)

    assert expression.findall("abcbd") == compiled.findall("abcbd") == ["c", "d"]
    assert expression.match("abc") is None
    assert expression.match("abc", 1)[1] == "c"
    assert expression.search("abc").span() == (1, 3)
    assert expression.search == compiled.search


def test_nothing_is_compiled_before_it_is_used():
    """
    What is wrong with a pattern is found out at its first use.
    """
    expression = Expression("(")

    with pytest.raises(re.error):
        expression.match("x")


def test_it_has_no_other_methods():
    """
    A method that is not there is no reason to compile.
    """
    with pytest.raises(AttributeError, match="sub"):
        Expression("(").sub("x", "y")
