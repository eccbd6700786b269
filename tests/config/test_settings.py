"""
TelemetryConfig: what each setting means, where it comes from, and that nothing in the environment raises.
"""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import TelemetryClient
from telemetry.config import Secret, TelemetryConfig
from telemetry.config.listing import listing
from telemetry.config.names import RETIRED
from telemetry.config.reading import table_of
from telemetry.model.bounds import Limits
from telemetry.model.errors import SettingsError

BASE = {"TELEMETRY_BASE_DIR": str(Path.cwd() / "base")}
TABLE = table_of(TelemetryConfig)

#: A value of each setting that is not its default, as text and as the setting has it.
EXAMPLES = {
    "base_dir": ("/srv/t", Path("/srv/t")),
    "db_path": ("/srv/t/db/x.sqlite", Path("/srv/t/db/x.sqlite")),
    "ndjson_dir": ("/srv/journal", Path("/srv/journal")),
    "fsync": ("ALWAYS", "always"),
    "agent_owner": (" Data Team ", "Data Team"),
    "environment": ("production", "production"),
    "disabled": ("1", True),
    "strict": ("yes", True),
    "max_depth": ("7", 7),
    "max_items": ("50", 50),
    "max_string_bytes": ("1000", 1000),
    "max_line_bytes": ("5000", 5000),
    "scrub": ("off", False),
    "scrub_keys": ("pin, tan,pin", ("pin", "tan")),
    "scrub_patterns": ('["a{1,3}", "b"]', ("a{1,3}", "b")),
    "scrub_allow": ("author", ("author",)),
    "drain": ("external", "external"),
    "batch_size": ("12", 12),
    "exit_timeout_s": ("0.5", 0.5),
    "heartbeat_s": ("30", 30.0),
    "stale_after_s": ("1200", 1200.0),
    "plugins": ("sqlite,ndjson", ("sqlite", "ndjson")),
    "plugins_disabled": ('["git_linker"]', ("git_linker",)),
    "metrics_api_url": ("https://example.org/hook/", "https://example.org/hook"),
    "metrics_api_token": ("t0ken", Secret("t0ken")),
    "metrics_api_enabled": ("false", False),
    "api_url": ("http://box:9000", "http://box:9000"),
    "api_host": ("0.0.0.0", "0.0.0.0"),
    "api_port": ("9000", 9000),
    "api_auth_enabled": ("on", True),
    "api_auth_token": ("k", Secret("k")),
    "api_token": ("k", Secret("k")),
    "api_allow_unauthenticated": ("yes", True),
    "api_allowed_hosts": ("one.example,two", ("one.example", "two")),
    "api_allowed_origins": ("https://ops.example", ("https://ops.example",)),
    "api_max_body_bytes": ("4096", 4096),
    "api_request_timeout_s": ("2.5", 2.5),
    "api_max_connections": ("7", 7),
    "rate_limit_enabled": ("t", True),
    "rate_limit_rpm": ("5", 5),
    "log_level": ("debug", "DEBUG"),
    "service_log_level": ("error", "ERROR"),
    "access_log": ("ALL", "all"),
    "skip_validation": ("true", True),
    "test_mode": ("mock", "mock"),
}
VARIABLES = [
    (name, variable) for name, each in TABLE.by_name.items() for variable in each.variables
]

on_posix = pytest.mark.skipif(os.name == "nt", reason="the examples are POSIX paths")


def test_every_setting_has_an_example():
    """
    No setting is added without these tests seeing it.
    """
    assert EXAMPLES.keys() == TABLE.by_name.keys()


@on_posix
@pytest.mark.parametrize(("name", "variable"), VARIABLES)
def test_a_variable_sets_its_setting(name, variable):
    """
    Each variable of each setting is read, and `sources` says that it was.
    """
    text, expected = EXAMPLES[name]

    config = TelemetryConfig.from_env({variable: text})

    assert getattr(config, name) == expected
    assert config.sources[name] == variable
    assert config.problems == ()


@on_posix
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_argument_wins_over_the_environment(name):
    """
    What the program says counts more than what its environment says.
    """
    text, expected = EXAMPLES[name]
    environ = dict.fromkeys(TABLE.by_name[name].variables, "9")

    config = TelemetryConfig.from_env({**BASE, **environ}, **{name: text.strip()})

    assert getattr(config, name) == expected
    assert config.sources[name] == "argument"


@pytest.mark.parametrize(
    "name", [name for name, each in TABLE.by_name.items() if len(each.variables) > 1]
)
def test_the_first_variable_of_a_setting_wins(name):
    """
    A setting with an older name is taken from the newer one where both are set.
    """
    text, expected = EXAMPLES[name]
    newer, older = TABLE.by_name[name].variables

    config = TelemetryConfig.from_env({older: text + "1", newer: text})

    assert getattr(config, name) == expected
    assert config.sources[name] == newer


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_empty_variable_is_unset(name):
    """
    `export NAME=` and a compose file's empty default mean what leaving it out means.
    """
    environ = dict.fromkeys(TABLE.by_name[name].variables, "  ")

    config = TelemetryConfig.from_env(environ)

    assert getattr(config, name) == getattr(TelemetryConfig.from_env({}), name)
    assert config.problems == ()


def test_defaults_are_those_of_the_documentation():
    """
    A process that is told nothing records everything, scrubbed, and drains for itself.
    """
    config = TelemetryConfig.from_env(BASE)

    assert (config.scrub, config.drain, config.fsync, config.disabled) == (
        True,
        "auto",
        "interval",
        False,
    )
    assert (config.exit_timeout_s, config.heartbeat_s, config.stale_after_s) == (2.0, 60.0, 900.0)
    assert (config.metrics_api_url, config.metrics_api_enabled) == (None, True)
    assert not config.metrics_api_token
    assert config.limits == Limits()


@pytest.mark.parametrize(
    ("variable", "text", "line"),
    [
        (
            "TELEMETRY_BATCH_SIZE",
            "x",
            "TELEMETRY_BATCH_SIZE must be an integer from 1 to 100000 (got 'x'); unset it for the default, 5000",
        ),
        (
            "TELEMETRY_EXIT_TIMEOUT_S",
            "-1",
            "TELEMETRY_EXIT_TIMEOUT_S must be a number >= 0 (got '-1'); unset it for the default, 2",
        ),
        (
            "TELEMETRY_DRAIN",
            "never",
            "TELEMETRY_DRAIN must be one of auto, external (got 'never'); unset it for the default, auto",
        ),
        (
            "METRICS_API_URL",
            "ftp://u:pw@h",
            "METRICS_API_URL must be a URL that begins with http:// or https:// (got '********@h'); unset it for none",
        ),
        (
            "METRICS_API_TOKEN",
            "to ken",
            "METRICS_API_TOKEN must be visible ASCII characters without spaces (got one that is not shown); unset it for none",
        ),
    ],
)
def test_a_useless_value_is_one_line_and_the_default(variable, text, line):
    """
    A value that cannot be used names the variable, the rule, the value and the way out.
    """
    config = TelemetryConfig.from_env({**BASE, variable: text})

    assert config.problems == (line,)
    assert config.sources[TABLE.by_variable[variable][0]] == "default"


@pytest.mark.parametrize(
    ("variable", "name", "side"),
    [
        ("TELEMETRY_SCRUB", "scrub", True),
        ("METRICS_API_ENABLED", "metrics_api_enabled", False),
        ("TELEMETRY_API_AUTH_ENABLED", "api_auth_enabled", True),
        ("TELEMETRY_RATE_LIMIT_ENABLED", "rate_limit_enabled", True),
    ],
)
def test_an_unreadable_switch_falls_on_the_safe_side(variable, name, side):
    """
    A switch that guards something is never left open by a typing error.
    """
    config = TelemetryConfig.from_env({**BASE, variable: "flase"})

    assert getattr(config, name) is side
    assert len(config.problems) == 1
    assert f"counts as {str(side).lower()}" in config.problems[0]


def test_a_useless_older_variable_does_not_hide_behind_a_good_one():
    """
    Where the first variable is of no use, the second is taken, and the line is still there.
    """
    config = TelemetryConfig.from_env(
        {"TELEMETRY_BASE_DIR": "s3://bucket", "AGENT_METRICS_DIR": BASE["TELEMETRY_BASE_DIR"]}
    )

    assert config.sources["base_dir"] == "AGENT_METRICS_DIR"
    assert len(config.problems) == 1


def test_another_programs_log_level_is_not_wrong():
    """
    LOG_LEVEL is shared: a value that only the application understands says nothing about telemetry.
    """
    config = TelemetryConfig.from_env({**BASE, "LOG_LEVEL": "verbose"})

    assert config.problems == ()
    assert config.service_log_level == "INFO"


def test_times_that_would_declare_live_runs_dead_are_refused_together():
    """
    A run must miss more than one heartbeat before it can count as dead.
    """
    config = TelemetryConfig.from_env({**BASE, "TELEMETRY_STALE_AFTER_S": "70"})

    assert (config.heartbeat_s, config.stale_after_s) == (60.0, 900.0)
    assert len(config.problems) == 1


@pytest.mark.parametrize("name", sorted(RETIRED))
def test_a_retired_variable_is_one_line_that_says_what_replaced_it(name):
    """
    A variable of the original that means nothing any more is accepted, and explained once.
    """
    config = TelemetryConfig.from_env({**BASE, name: "12345"})

    (line,) = config.problems
    assert line.startswith(f"{name} has no effect: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, retired in RETIRED.items() for value in (*retired.harmless, "")],
)
def test_a_retired_variable_that_asks_for_what_happens_anyway_is_silent(name, value):
    """
    A compose file that spells out what is the case anyway need not be changed.
    """
    assert TelemetryConfig.from_env({**BASE, name: value.upper()}).problems == ()


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("TELEMETRY_BATHC_SIZE", "TELEMETRY_BATCH_SIZE"),
        ("TELEMETRY_BASEDIR", "TELEMETRY_BASE_DIR"),
        ("TELEMETRY_BASE_DIRECTORY", "TELEMETRY_BASE_DIR"),
        ("TELEMETRY_DISABLE", "TELEMETRY_DISABLED"),
        ("TELEMETRY_PLUGIN_DISABLED", "TELEMETRY_PLUGINS_DISABLED"),
        ("TELEMETRY_NDJSON_DIRS", "TELEMETRY_NDJSON_DIR"),
        ("METRICS_API_TOKENS", "METRICS_API_TOKEN"),
    ],
)
def test_a_misspelt_name_is_one_line_with_the_nearest(misspelt, meant):
    """
    A setting that has no effect because of a slip of the pen is noticed.
    """
    config = TelemetryConfig.from_env({**BASE, misspelt: "1"})

    assert config.problems == (f"{misspelt} must be the name of a setting; did you mean {meant}?",)


@pytest.mark.parametrize(
    "name",
    [
        "TELEMETRY_HTTP_TIMEOUT_S",
        "TELEMETRY_SYSLOG_LEVEL",
        "TELEMETRY_HTTP_BATCH_SIZE",
        "TELEMETRY_PARENT_RUN_ID",
        "TELEMETRY_",
        "TELEMETRY_" + "X" * 100_000,
        "DOTNET_CLI_TELEMETRY_OPTOUT",
        "DATABASE_URL",
    ],
)
def test_a_name_that_may_be_somebody_elses_passes(name):
    """
    Plugins have variables of their own, and so have other programs.
    """
    assert TelemetryConfig.from_env({**BASE, name: "1"}).problems == ()


def test_the_section_of_a_plugin_that_is_named_passes_whatever_it_resembles():
    """
    The allow and block lists name plugins before any is loaded.
    """
    environ = {**BASE, "TELEMETRY_PLUGINS": "batch", "TELEMETRY_BATCH_SIZES": "1"}

    assert TelemetryConfig.from_env(environ).problems == ()


def test_an_argument_that_is_no_setting_is_a_line():
    """
    A misspelt keyword does not stop an agent either.
    """
    config = TelemetryConfig.from_env(BASE, batchsize=5, nothing_like_it=1)

    assert config.problems == (
        "batchsize must be a setting (got a int); did you mean batch_size?",
        "nothing_like_it must be a setting (got a int); `telemetry config` lists them",
    )


def test_an_argument_of_none_is_not_given():
    """
    A wrapper may pass on what it was not given itself.
    """
    config = TelemetryConfig.from_env({**BASE, "AGENT_OWNER": "me"}, agent_owner=None)

    assert config.agent_owner == "me"


def test_built_by_hand_it_takes_what_from_env_takes(tmp_path):
    """
    The constructor applies the same rules, and derives the same places.
    """
    config = TelemetryConfig(base_dir=str(tmp_path), scrub_keys=["pin"], metrics_api_token="t")

    assert config.base_dir == tmp_path
    assert config.db_path == tmp_path / "db" / "telemetry.sqlite"
    assert config.state_dir == tmp_path / "state"
    assert config.scrub_keys == ("pin",)
    assert config.metrics_api_token == Secret("t")


def test_built_by_hand_it_raises(tmp_path):
    """
    A programmer is told at once.
    """
    with pytest.raises(SettingsError, match="batch_size must be an integer") as caught:
        TelemetryConfig(base_dir=tmp_path, batch_size=0)

    assert caught.value.setting == "batch_size"


def test_it_cannot_be_changed(tmp_path):
    """
    A configuration is a value.
    """
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        TelemetryConfig(base_dir=tmp_path).batch_size = 1


@pytest.mark.parametrize(
    ("mode", "answers"),
    [("", (False, False, False)), ("mock", (True, True, False)), ("LIVE", (True, False, True))],
)
def test_test_modes(mode, answers):
    """
    The three questions of the original are answered.
    """
    config = TelemetryConfig.from_env({**BASE, "TELEMETRY_TEST_MODE": mode})

    assert (config.is_test_mode(), config.is_mock_mode(), config.is_live_mode()) == answers


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        lambda config: str(config.validate()),
        lambda config: str([*listing(config)]),
        lambda config: pickle.dumps(config).decode("latin-1"),
        lambda config: str(attrs.asdict(config)),
        lambda config: str(config.unclaimed),
    ],
)
def test_no_view_of_it_shows_a_secret(show):
    """
    Tokens, passwords in URLs and the plugins' own variables never leave by being printed.
    """
    config = TelemetryConfig.from_env(
        {
            **BASE,
            "METRICS_API_TOKEN": "canary-1",
            "TELEMETRY_API_AUTH_TOKEN": "canary-2",
            "METRICS_API_URL": "https://me:canary-3@example.org/?token=canary-4",
            "TELEMETRY_SYSLOG_TOKEN": "canary-5",
        }
    )

    shown = show(config)

    unavoidable = (
        ["canary-3", "canary-4"] if "canary-3" in shown and show not in (str, repr) else []
    )
    assert [word for word in re.findall(r"canary-\d", shown) if word not in unavoidable] == []


def test_the_listing_has_every_variable():
    """
    What people read is made from the settings, so none can be missing.
    """
    listed = [
        variable
        for line in listing(TelemetryConfig.from_env(BASE))
        for variable in line.setting.variables
    ]

    assert listed == [variable for _, variable in VARIABLES]


def test_the_listing_says_where_a_value_comes_from():
    """
    `telemetry config` answers which of several ways won.
    """
    lines = {
        line.name: line
        for line in listing(
            TelemetryConfig.from_env({**BASE, "TELEMETRY_BATCH_SIZE": "7"}, drain="external")
        )
    }

    assert (lines["batch_size"].value, lines["batch_size"].source, lines["batch_size"].default) == (
        "7",
        "TELEMETRY_BATCH_SIZE",
        str(TABLE.defaults["batch_size"]),
    )
    assert lines["drain"].source == "argument"
    assert lines["fsync"].source == "default"


nonsense = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "nan",
            "inf",
            "-0",
            "1e400",
            "9" * 5000,
            "[",
            "[[[",
            '["a", 1]',
            "[" * 9_000,
            "a{99999}",
            "(",
            "\ud800",
            "~nobody-here/x",
            "http://[",
            "http://h:99999999",
            "x" * 9_000,
            "C:\\x",
            '""',
            "../..",
            "::",
            "\uff11",
        ]
    ),
)


anything = st.one_of(
    nonsense,
    st.none(),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.binary(max_size=5),
    st.lists(st.text(max_size=3), max_size=3),
    st.just({"a": object()}),
)


@given(
    st.lists(st.tuples(st.sampled_from(sorted(TABLE.by_variable)), nonsense), max_size=4).map(dict),
    st.lists(st.tuples(st.sampled_from(sorted(TABLE.by_name)), anything), max_size=4).map(dict),
)
def test_nothing_in_the_environment_or_the_arguments_raises(environ, arguments):
    """
    Whatever the values are, a usable configuration comes out, and each line about them is short.
    """
    config = TelemetryConfig.from_env(environ, **arguments)

    for name, each in TABLE.by_name.items():
        value = getattr(config, name)
        assert value == TABLE.defaults[name] or each.rule.parse(value) == value
    assert all(len(line) < 600 and line.isprintable() for line in config.problems)
    assert str(config)
    config.validate()


@given(
    st.dictionaries(
        st.one_of(
            st.text(max_size=30),
            st.text(alphabet="ABDEIRSTZ_", max_size=30).map("TELEMETRY_".__add__),
        ),
        st.text(max_size=10),
        max_size=80,
    )
)
def test_no_name_raises(environ):
    """
    Names are as hostile as values.
    """
    assert len(TelemetryConfig.from_env(environ).problems) <= 60


def test_importing_reads_no_environment_and_no_slow_library():
    """
    Import does no work, and an agent does not pay for cattrs or platformdirs before it needs them.
    """
    program = (
        "import os, sys\n"
        "class Watched(dict):\n"
        "    def __getitem__(self, key): raise AssertionError(key)\n"
        "real, os.environ = os.environ, Watched()\n"
        "import telemetry.config\n"
        "os.environ = real\n"
        "print(sorted({'cattrs', 'platformdirs', 'difflib', 'tempfile'} & set(sys.modules)))\n"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout == "[]\n"


@pytest.mark.parametrize("as_argument", [False, True])
def test_a_pattern_that_cannot_be_used_leaves_the_others(tmp_path, as_argument):
    """
    A refused pattern is a problem with its reason; the agent goes on, and the rest is scrubbed.
    """
    patterns = '["EMP-[0-9]+", "(a+)+b"]'
    variables = {} if as_argument else {"TELEMETRY_SCRUB_PATTERNS": patterns}
    arguments = {"scrub_patterns": ["EMP-[0-9]+", "(a+)+b"]} if as_argument else {}

    config = TelemetryConfig.from_env(variables, base_dir=tmp_path, **arguments)

    (problem,) = config.problems
    assert "scrub" in problem.lower()
    assert "(got '(a+)+b'); change or remove it" in problem
    assert config.scrub_patterns == ("EMP-[0-9]+",)
    client = TelemetryClient(config)
    with client.track_run("a", "b") as run:
        run.log_event("x", {"badge": "EMP-4711"})
    client.close()
    (journal,) = config.ndjson_dir.iterdir()
    assert b"EMP-4711" not in journal.read_bytes()
