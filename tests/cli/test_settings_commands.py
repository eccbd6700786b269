"""
``telemetry config``, ``plugins``, ``init`` and ``completion``.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess

import pytest

TIMEOUT_S = 60


def test_config_tells_value_and_source(telemetry):
    """
    Each setting comes with its value, where that came from, and its variables.
    """
    settings = {each["name"]: each for each in telemetry.json("config")["settings"]}

    assert settings["base_dir"]["value"] == str(telemetry.base)
    assert settings["base_dir"]["source"] == "TELEMETRY_BASE_DIR"
    assert settings["fsync"] == {**settings["fsync"], "value": "interval", "source": "default"}
    assert not telemetry.base.exists()


def test_config_masks_secrets(telemetry):
    """
    A token is never shown, in a table, in JSON, or by name.
    """
    env = {"METRICS_API_TOKEN": "s3cret-t0ken", "METRICS_API_URL": "https://user:pw@host/x?key=v"}
    for args in (["config"], ["config", "--json"], ["config", "metrics_api_token"]):
        done = telemetry.ask(*args, **env)

        assert done.returncode == 0
        assert not any(word in done.stdout for word in ("s3cret", "pw@", "key=v"))
        assert "****" in done.stdout


def test_config_of_one_setting_is_its_value(telemetry):
    """
    A name, or a variable, gives the value alone; an unknown one the nearest, and 3.
    """
    by_name, by_variable = (telemetry.ask("config", n) for n in ("base_dir", "TELEMETRY_BASE_DIR"))
    unknown = telemetry.ask("config", "base_dri")

    assert by_name.stdout == by_variable.stdout == f"{telemetry.base}\n"
    assert unknown.returncode == 3
    assert "did you mean 'base_dir'" in unknown.stderr


def test_a_setting_that_cannot_be_used_is_a_finding(telemetry):
    """
    An unusable value and a misspelt name are warnings, and config exits with 1.
    """
    done = telemetry.ask("config", TELEMETRY_BATCH_SIZE="many", TELEMETRY_BASEDIR="/x")

    assert done.returncode == 1
    assert "TELEMETRY_BATCH_SIZE must be" in done.stderr
    assert "TELEMETRY_BASE_DIR" in done.stderr


def test_plugins_lists_the_bundled_ones(telemetry):
    """
    The journal and the SQLite sink are plugins like any other.
    """
    plugins = {each["name"]: each for each in telemetry.json("plugins")["plugins"]}

    assert plugins["ndjson"]["state"] == plugins["sqlite"]["state"] == "loaded"
    assert "telemetry_register_journal" in plugins["ndjson"]["hooks"]


def test_a_broken_plugin_is_a_finding(telemetry, tmp_path):
    """
    A plugin that cannot be imported is named with its error; the others are loaded.
    """
    info = tmp_path / "site" / "broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[telemetry.plugins]\nbroken = no_such_module\n")
    path = os.pathsep.join([telemetry.env()["PYTHONPATH"], str(tmp_path / "site")])
    done = telemetry("plugins", env={"PYTHONPATH": path})
    helped = telemetry("--help", env={"PYTHONPATH": path})

    assert done.returncode == 1
    assert "no_such_module" in done.stdout
    assert "loaded" in done.stdout
    assert helped.returncode == 0
    assert "Look after:" in helped.stdout


def test_a_plugins_command_joins_the_group(telemetry, tmp_path):
    """
    A command from a plugin is listed and called like a bundled one, which it cannot replace.
    """
    site = tmp_path / "site"
    info = site / "greeter-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: greeter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[telemetry.plugins]\ngreeter = greeter\n")
    (site / "greeter.py").write_text(
        "import click\nfrom telemetry import hookimpl\n"
        "@click.command('greet')\ndef greet():\n    click.echo('hello')\n"
        "@click.command('runs')\ndef runs():\n    click.echo('mine')\n"
        "@hookimpl\ndef telemetry_register_commands():\n    return [greet, runs]\n"
    )
    env = {"PYTHONPATH": os.pathsep.join([telemetry.env()["PYTHONPATH"], str(site)])}

    assert telemetry("greet", env=env).stdout == "hello\n"
    assert "greet" in telemetry("--help", env=env).stdout
    assert "mine" not in telemetry("runs", env=env).stdout


def test_init_makes_everything_once(telemetry):
    """
    The directories are private, the database has its tables, and a second time changes nothing.
    """
    first, second = telemetry("init", "--json"), telemetry("init", "--json")
    made = json.loads(first.stdout)["made"]
    with sqlite3.connect(telemetry.base / "db" / "telemetry.sqlite") as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    database.close()

    assert (first.returncode, second.returncode) == (0, 0)
    assert json.loads(second.stdout)["made"] == []
    assert {"agent_runs", "run_events"} <= tables
    assert str(telemetry.base / "backups") in made
    assert json.loads(first.stdout)["source"] == "TELEMETRY_BASE_DIR"
    if os.name == "posix":
        assert stat.S_IMODE((telemetry.base / "raw").stat().st_mode) == 0o700


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_the_shell_reads(telemetry, shell, tmp_path):
    """
    The script names the program, and the shell, if it is here, finds no fault in it.
    """
    done = telemetry.ask("completion", shell)
    script = tmp_path / "script"
    script.write_text(done.stdout)

    assert "_TELEMETRY_COMPLETE" in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(script)], check=True, timeout=TIMEOUT_S)


def test_completion_completes_commands(telemetry):
    """
    What the script asks for is answered: commands and options that begin so.
    """
    env = {"_TELEMETRY_COMPLETE": "bash_complete", "COMP_WORDS": "telemetry ru", "COMP_CWORD": "1"}
    done = telemetry(env=env)

    assert {line.partition(",")[2] for line in done.stdout.split()} == {"run", "runs"}


def test_completion_completes_runs(recorded):
    """
    The name of a run is completed from the newest ones; hostile names are not offered.
    """
    words = {"COMP_WORDS": "telemetry show ", "COMP_CWORD": "2"}
    done = recorded(env={"_TELEMETRY_COMPLETE": "bash_complete", **words})
    offered = [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert {"@last", "@last-failed", "own-1"} < set(offered)
    assert "evil" not in done.stdout


def test_completion_of_an_unknown_shell_exits_with_2(telemetry):
    """
    Only shells that click knows can be completed.
    """
    done = telemetry.ask("completion", SHELL="/bin/tcsh")

    assert done.returncode == 2
    assert "bash, zsh, fish" in done.stderr
