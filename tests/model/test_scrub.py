"""
Secrets are found wherever they stand, and nothing else is.
"""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from secret_corpus import (
    NAMES,
    PLAIN_KEYS,
    PLAIN_TEXTS,
    all_secrets,
    assigned,
    contexts,
    cut_and_typed,
    located,
    tokens,
)

from telemetry.model.bounds import Limits
from telemetry.model.custom_patterns import SLOW_MARKER, CustomPattern
from telemetry.model.errors import SettingsError
from telemetry.model.scrub import (
    KEY_MARKER,
    MAX_EFFORT,
    MAX_KEY_CHARS,
    MAX_VERDICTS,
    REST_MARKER,
    Scrubber,
)
from telemetry.model.secret_tokens import TOKENS

SCRUBBER = Scrubber()
SECRETS = all_secrets()
#: Pieces that come near a rule each, for texts that try to be slow.
NEAR_MISSES = (
    "a", "-", "_", ".", "=", ":", " ", "A", "J", "a=", "k-", "sk-", "sk-aaaa ", "eyJ", "eyJaaaaaaaa ", "eyJaaaaaaaa-",
    "://", "://a:", "://a:b", "://a:b@", "@", "--a", "--password ", "-----BEGIN ", "-----BEGIN PRIVATE KEY", "key",
    "keykey=", "password=", "password=abcd ", "token: 'x", "Bearer ", "Basic ", "Basic abcd", "p_", "f_1", "pass",
    "AKIA", "\\n", '"', '\\"', "key='\\", "</password>", "<password>", " -u", " -u a:b", " -pa", "mysql -pa ", "%3A%2F%2Fa%3A", "token%3Da",
    "('key', '", "['token', 'a", "-----END PRIVATE KEY", "AAAA\n-----END PRIVATE KEY-----", "Private-Lines: 1\n",
    'name="password" value="', "key: token\n value: ", "password: |\n a\n", 'password=\n"', 'password\\\\"=', "ghp_aaaaaaaaaaaaaaaa1 ", "Authorization: ", "cookie:a", "secret", "ya29.",
)  # fmt: skip


def test_the_corpus_is_large_and_has_no_doubles():
    """
    At least 300 secrets are looked for, each another one.
    """
    assert len({secret.secret for secret in SECRETS}) >= 300


def test_a_token_is_found_in_any_context():
    """
    A token is replaced wherever it stands in a text, and the marker does not quote it.
    """
    texts = [
        (token, text, SCRUBBER.scrub_text(text)) for token in tokens() for text in contexts(token)
    ]

    assert [text for token, text, scrubbed in texts if token[8:] in scrubbed] == []
    assert [text for _, text, scrubbed in texts if "[scrubbed:" not in scrubbed] == []


def test_a_secret_is_found_by_where_it_stands():
    """
    A value after the name of a secret, in a URL, a header, a key block or a flag is replaced.
    """
    secrets = [*assigned(), *located(), *cut_and_typed()]
    scrubbed = [(secret, SCRUBBER.scrub_text(secret.text)) for secret in secrets]

    assert [secret.text for secret, text in scrubbed if secret.secret[-9:] in text] == []


def test_what_only_looks_like_a_secret_stays():
    """
    Hashes, ids, URLs, paths, prose and counters are left as they are.
    """
    assert [SCRUBBER.scrub_text(text) for text in PLAIN_TEXTS] == list(PLAIN_TEXTS)


def test_scrubbing_twice_changes_nothing():
    """
    A marker is no secret.
    """
    once = [SCRUBBER.scrub_text(secret.text) for secret in SECRETS]

    assert [SCRUBBER.scrub_text(text) for text in once] == once


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.sampled_from([secret.text for secret in SECRETS]) | st.sampled_from(NEAR_MISSES),
        max_size=6,
    ).map("".join)
)
def test_any_mixture_is_scrubbed_at_once(text):
    """
    A second pass finds nothing, whatever stands next to what.
    """
    once = SCRUBBER.scrub_text(text)

    assert SCRUBBER.scrub_text(once) == once


def test_names_of_secrets_are_known():
    """
    Case and separators do not matter.
    """
    spellings = [
        spelling
        for name in NAMES
        for spelling in (name, name.upper(), name.replace("_", "-"), f"my_{name}", f"  {name}")
    ]

    assert [name for name in spellings if not SCRUBBER.is_secret_key(name)] == []


def test_other_names_are_not():
    """
    A word that only contains, counts or describes a secret's name is an ordinary key.
    """
    assert [key for key in PLAIN_KEYS if SCRUBBER.is_secret_key(key)] == []


@pytest.mark.parametrize(
    "key",
    [
        "db_pass",
        "dbpass",
        "session",
        "password_hash",
        "api_key_2",
        "AWS_ACCESS_KEY_ID",
        "passwords",
        "seed_phrase",
        "recovery_codes",
        "keystore_pass",
    ],
)
def test_more_names(key):
    """
    Abbreviations, hashes, numbered and plural names are names of secrets too.
    """
    assert SCRUBBER.is_secret_key(key)


def test_the_users_own_names_and_exceptions():
    """
    A name from the settings is a secret in any spelling, as a key and in texts; an allowed one is none.
    """
    scrubber = Scrubber(keys=["employee_no", "", "Badge"], allow=["auth", "password=public1"])

    assert scrubber.is_secret_key("employeeNo")
    assert scrubber.is_secret_key("BADGE")
    assert not scrubber.is_secret_key("auth")
    assert scrubber.scrub_text("Employee-No: 4711, n=1") == "Employee-No: [scrubbed:key], n=1"
    assert (
        scrubber.scrub_text("badge=4711 BADGE=4712") == "badge=[scrubbed:key] BADGE=[scrubbed:key]"
    )
    assert scrubber.scrub_text("auth=abc token=abc") == "auth=abc token=[scrubbed:key]"
    assert scrubber.scrub_text("employee of the month: B = 2") == "employee of the month: B = 2"


def test_neighbours_are_told_apart():
    """
    Secrets without a gap are all taken out, and a marker before a colon is no name.
    """
    token = "gh" + "p_" + "a1" * 8
    block = "-----BEGIN PRIV" + "ATE KEY-----x-----END PRIV" + "ATE KEY-----"

    assert SCRUBBER.scrub_text(token + token) == "[scrubbed:github]"
    assert SCRUBBER.scrub_text(f"{block}: found") == "[scrubbed:private-key]: found"


def test_an_allowed_secret_stays():
    """
    A secret that is allowed word for word is left where it stands.
    """
    token = tokens()[0]
    scrubber = Scrubber(allow=[token])

    assert scrubber.scrub_text(f"use {token} here") == f"use {token} here"


def test_off_means_off():
    """
    A scrubber that is switched off changes nothing.
    """
    scrubber = Scrubber(keys=["a"], patterns=["b"], enabled=False)
    text = "password=hunter22 b"

    assert scrubber.scrub_text(text) == text
    assert listed("x", "--password", "y", scrubber=scrubber) == ["x", "--password", "y"]
    assert not scrubber.is_secret_key("password")


def test_own_patterns_do_not_quote_what_they_match():
    """
    A pattern's marker names neither the pattern nor the match.
    """
    scrubber = Scrubber(patterns=[r"EMP-\d{4}", "scrub"])

    once = scrubber.scrub_text("EMP-1234 and EMP-5678, password=abcd")

    assert once == "[scrubbed:custom] and [scrubbed:custom], password=[scrubbed:key]"
    assert scrubber.scrub_text(once) == once
    assert scrubber.look.search("anything") is not None


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [
        ("x" * 513, "at most 512 characters"),
        ("(", "be a regular expression"),
        ("a*", "match at least one character"),
        ("(a+)+b", "at most 2 open repetitions"),
        ("(?:a{2,3}){4}b", "at most 2 open repetitions"),
        (".*a.*b.*c", "at most 2 open repetitions"),
        (r"(a)\1", "no back-reference"),
        (r"(a)(?(1)b|c)", "no back-reference"),
        ("[" + "a" * 3 + "]" + "x{99999999999999999999}", "be a regular expression"),
    ],
)
def test_a_pattern_that_could_take_for_ever_is_refused(pattern, rule):
    """
    Too long, broken, empty, nested and many-times open patterns are errors that say the rule.
    """
    with pytest.raises(SettingsError, match=rule) as caught:
        Scrubber(patterns=[pattern])

    assert caught.value.setting == "scrub_patterns"


@pytest.mark.parametrize("pattern", ["[a-z]+@x", "(?:ab|cd)+e", "a{2,3}b?", "(?=a)a", "(?i:x)y|z"])
def test_ordinary_patterns_are_accepted(pattern):
    """
    Groups, alternatives, look-around and one level of repetition are fine.
    """
    assert CustomPattern(pattern).scrub("-") == "-"


def test_a_slow_pattern_gives_up():
    """
    When a pattern's time over one text is up, the rest of the text is taken out unseen.
    """
    pattern = CustomPattern(".*x.*y")

    scrubbed = pattern.scrub("x" * 1_000_000)

    assert scrubbed.endswith(SLOW_MARKER)


def test_patterns_see_texts_in_pieces():
    """
    A long text is cut after lines, else after blanks, else anywhere, and nothing is lost.
    """
    pattern = CustomPattern("secret")
    for text in ("line\n" * 1000, "word " * 1000, "x" * 5000):
        assert pattern.scrub(text) == text
    assert pattern.scrub("word " * 300 + "secret") == "word " * 300 + "[scrubbed:custom]"


def test_too_many_secrets_take_the_rest_out():
    """
    A text with more candidates than the time allows loses its end, never its secrets.
    """
    text = "".join(f"password=secret{number} " for number in range(MAX_EFFORT))

    scrubbed = SCRUBBER.scrub_text(text)

    assert scrubbed.endswith(REST_MARKER)
    assert "secret1" not in scrubbed
    assert SCRUBBER.scrub_text(scrubbed) == scrubbed


@pytest.mark.parametrize("piece", NEAR_MISSES)
def test_no_secret_hides_behind_near_misses(piece):
    """
    At the end of the longest text that a payload keeps a secret is found, or goes with the rest.
    """
    text = piece * (Limits().max_string // len(piece))

    scrubbed = SCRUBBER.scrub_text(f"{text} password=hunter2-and-more\n")

    assert "hunter2" not in scrubbed


def listed(*items, scrubber=SCRUBBER):
    """
    Return the items of a list as they are written.
    """
    hidden = scrubber.watch_list(are_pair=len(items) == 2)
    return [hidden(item) or item for item in items]


@pytest.mark.parametrize(
    "line",
    [
        "x --password [a b] --verbose yes",
        "x --api-key [abc] -token [abc]",
        "curl -u [me:pw] -u me --user [a:b] https://x",
        "/usr/bin/mysql -uroot -p[secret] -p db",
        "sshpass -p [secret] ssh h",
        "docker login -u me -p [secret] registry",
        "docker run -u 1000:1000 -p 8080:80 image",
        "x --password --verbose",
        "x -p 80:80",
        "tar --exclude a:b -p x",
    ],
)
def test_command_lines(line):
    """
    Flags and the programs that read a password behind `-p` are known, as a list and as a text.
    """
    words = [word.replace("\0", " ") for word in line.replace("a b", "a\0b").split(" ")]
    plain = [re.sub(r"\[(.*)\]", r"\1", word) for word in words]
    secrets = {found for word in words for found in re.findall(r"\[(.*)\]", word)}

    for hidden in (
        listed(*plain),
        [SCRUBBER.scrub_text(shlex.join(plain)), SCRUBBER.scrub_text(repr(plain))],
    ):
        assert [
            secret for secret in secrets for text in hidden if secret in re.findall(r"[\w:]+", text)
        ] == []
    if not secrets:
        assert listed(*plain) == plain
        assert SCRUBBER.scrub_text(shlex.join(plain)) == shlex.join(plain)
        assert SCRUBBER.scrub_text(repr(plain)) == repr(plain)


def test_an_allowed_argument_stays():
    """
    What is allowed word for word is no secret behind a flag either.
    """
    assert listed("x", "--password", "public", scrubber=Scrubber(allow=["public"]))[2] == "public"


def test_pairs():
    """
    Of two items the first may name the second; of more it does not, and nothing hides nothing.
    """
    assert listed("x-api-key", "abc") == ["x-api-key", KEY_MARKER]
    assert listed(b"x-api-key", b"abc") == [b"x-api-key", KEY_MARKER]
    assert listed("password", 4711) == ["password", KEY_MARKER]
    assert listed("password", None) == ["password", None]
    assert listed("name", "abc") == ["name", "abc"]
    assert listed("password", "email", "name") == ["password", "email", "name"]


def test_the_lines_of_a_key():
    """
    The lines of a private key are taken out of a list of lines, and those around it are not.
    """
    begin, end = (f"-----{side} PRIV" + "ATE KEY-----" for side in ("BEGIN", "END"))

    assert listed("a", begin, "MIIE", "x9", end, "b") == [
        "a", begin, "[scrubbed:private-key]", "[scrubbed:private-key]", "[scrubbed:private-key]", "b",
    ]  # fmt: skip


def test_a_value_beside_its_name():
    """
    The value of what has the name of a secret is one, in whatever case the two keys are.
    """
    assert SCRUBBER.names_value({"name": "DB_PASSWORD", "value": "x"})
    assert SCRUBBER.names_value({"Key": "api_key", "Value": "x"})
    assert not SCRUBBER.names_value({"name": "DB_HOST", "value": "x"})
    assert not SCRUBBER.names_value({"name": 1, "value": "x"})
    assert not Scrubber(enabled=False).names_value({"name": "DB_PASSWORD", "value": "x"})


def test_urls():
    """
    A URL loses its password and the secrets of its query, and nothing else.
    """
    assert (
        SCRUBBER.scrub_text("https://u:p@h/x?token=abc&n=1")
        == "https://[scrubbed:userinfo]@h/x?token=[scrubbed:key]&n=1"
    )
    assert SCRUBBER.scrub_text("https://h:80/x@y?n=1") == "https://h:80/x@y?n=1"
    assert SCRUBBER.scrub_text("/?to=https%3A%2F%2Fu%3Ap%40h%2F%3Ftoken%3Dabc%26n%3D1") == (
        "/?to=https%3A%2F%2F[scrubbed:userinfo]%40h%2F%3Ftoken%3D[scrubbed:key]%26n%3D1"
    )


def test_an_element_is_cut_no_matter_how_many_there_are():
    """
    Markup with more elements than are looked at in one text keeps its end.
    """
    page = "<li>item</li> -x <key>1</key> (see [1])" * MAX_EFFORT

    assert SCRUBBER.scrub_text(page) == page


def test_what_follows_a_prefix_begins_with_one_character():
    """
    The look ahead of a token is split after its first character, which must not be repeated.
    """
    assert [token for token in TOKENS if re.match(r"(?:\[[^]]*\]|\w)[{+*?]", token.ahead)] == []


def test_the_caches_are_bounded():
    """
    Verdicts on keys are kept for a bounded number of bounded keys.
    """
    scrubber = Scrubber()
    for number in range(2 * MAX_VERDICTS + 10):
        assert not scrubber.needs_care(f"name{number}x")
    assert scrubber.needs_care("x" * (MAX_KEY_CHARS + 1))
    assert scrubber.needs_care(tokens()[0])

    assert len(scrubber.careful_keys) <= MAX_VERDICTS
    assert max(map(len, scrubber.careful_keys)) <= MAX_KEY_CHARS
