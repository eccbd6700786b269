"""
What only looks like the place of a secret.
"""

from __future__ import annotations

import pytest

from telemetry.model.scrub import Scrubber
from telemetry.model.secret_commands import find_flag
from telemetry.model.secret_markup import find_element


def always(name):
    return True


def test_a_number_is_no_flag():
    """
    A hyphen before a digit begins no flag.
    """
    assert find_flag("-1 abc", 0, always) is None


@pytest.mark.parametrize("text", ["</ >", "</", "</pass word>"])
def test_what_ends_no_element_is_left_alone(text):
    """
    Only an end tag tells what the text before it is.
    """
    assert find_element(f"<password>abc{text}", 13, always) is None


@pytest.mark.parametrize("key", ["recovery_code", "seed-phrase", "backupCodes"])
def test_two_words_may_mean_a_secret_together(key):
    """
    Words that are plain alone name a secret as a pair.
    """
    assert Scrubber().is_secret_key(key)
