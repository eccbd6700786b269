"""
A first look misses nothing, and most processes need no more than that.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from secret_corpus import all_secrets

from telemetry.model.bounds import Limits
from telemetry.model.payload import PayloadEncoder
from telemetry.model.scrub import SHORT_CHARS, Scrubber
from telemetry.model.secret_anchors import KEYWORDS, anchors
from telemetry.model.secret_looks import Look
from telemetry.model.secret_tokens import TOKENS

#: Looks with the expressions themselves, which the first text with other signs has compiled.
COMPILED = Scrubber()
COMPILED.scrub_text("0")
WORDS = sorted({before + rest for before, rest in KEYWORDS})
AS_IT_IS = PayloadEncoder(Limits(), Scrubber(enabled=False))
#: What the built-in shapes are made of, in small letters.
PIECES = sorted({*WORDS, *(token.prefix.lower() for token in TOKENS), "bearer", "basic"})
PLAIN_PAYLOADS = """
from telemetry.model.bounds import Limits
from telemetry.model.payload import PayloadEncoder
from telemetry.model.scrub import Scrubber
from telemetry.model.secret_anchors import anchors, assigned_anchors
from telemetry.model.secret_shapes import finders_for

encoder = PayloadEncoder(Limits(), Scrubber())
for _ in range(2):
    encoder.encode({"folder_name": "quarterly_reports", "count": 3, "seconds": 0.5, "parent": None})
    encoder.encode({"names": ["weekly_report_agent", "summarise_folders"], "n": {"is_final": True}})
print([made.cache_info().currsize for made in (anchors, assigned_anchors, finders_for)])
"""


@given(
    st.lists(st.sampled_from(PIECES) | st.text("abefkpstyz_", max_size=40), max_size=6).map("".join)
)
def test_no_secret_is_made_of_small_letters_alone(text):
    """
    Text that is not compiled for holds nothing that the shapes would find.
    """
    plain = "".join(character for character in text if character == "_" or "a" <= character <= "z")

    assert Look(anchors).search(plain) is None
    assert COMPILED.scrub_text(plain) == plain


def test_each_secret_of_the_corpus_is_looked_at():
    """
    The first look stops at every text in which a secret is found.
    """
    for secret in all_secrets():
        scrubber = Scrubber()
        look = scrubber.look_assigned if "=" in secret.text or ":" in secret.text else scrubber.look
        if scrubber.scrub_text(secret.text) != secret.text:
            assert look.search(secret.text) is not None, secret.text


@given(
    st.lists(
        st.sampled_from([*WORDS, "%3D", "%3d", "<", "</", ">", "('", "','", "')", "-", "_", "A", "eyJ", "sk-", "--"])
        | st.text("abAB01%</>'-_.", max_size=4),
        max_size=6,
    ).map("".join)
)  # fmt: skip
def test_a_short_text_has_room_for_no_secret(text):
    """
    What is passed over for its length is as it would be if it were scrubbed.
    """
    short = text[: SHORT_CHARS - 1]
    encoder = PayloadEncoder(Limits(), COMPILED)
    encoder.encode({"a": ""})  # from now on the key is known, and the fast way taken
    scrubbed = COMPILED.scrub_text(short)

    if scrubbed != short and encoder.encode({"a": short}) == AS_IT_IS.encode({"a": short}):
        before, _, rest = scrubbed.partition("[scrubbed:")
        assert len(short) - len(before) - len(rest.partition("]")[2]) <= 2


@pytest.mark.parametrize("text", ["pw%3Dhunter", "otp%3D12345", "pwd%3da1b2"])
def test_a_short_escaped_secret_is_found_the_second_time_too(text):
    """
    A secret of a few characters behind an escaped sign is found, also where the key is known.
    """
    encoder = PayloadEncoder(Limits(), Scrubber())

    for value in ({"a": text}, {"a": text}, {"a": [text]}, [text]):
        assert b"[scrubbed:key]" in encoder.encode(value)


def test_payloads_of_plain_words_compile_nothing():
    """
    The large expressions are not compiled where all texts are words.
    """
    done = subprocess.run(
        [sys.executable, "-c", PLAIN_PAYLOADS], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[0, 0, 0]\n"


def test_a_look_is_compiled_once():
    """
    From the first other text on the expression itself is what is called.
    """
    loads = []

    def load():
        loads.append(1)
        return anchors()

    look = Look(load)
    look.search("plain_words")
    assert loads == []

    assert look.search("nothing. Here") is None
    assert look.search("nothing. Here") is None
    assert loads == [1]
    assert look.search == anchors()
