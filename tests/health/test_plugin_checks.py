"""
Checks of plugins: loaded like everything else of theirs, and unable to harm the others.
"""

from __future__ import annotations

import pytest

from telemetry.health import Check, Outcome, Result, Scene, perform
from telemetry.hookspecs import hookimpl
from telemetry.runtime.plugins import Plugins


class Plugin:
    def __init__(self, *checks):
        self.checks = checks

    @hookimpl
    def telemetry_register_health_checks(self, config):
        return self.checks


class Broken:
    @hookimpl
    def telemetry_register_health_checks(self, config):
        raise SystemExit("no")


def queue(scene):
    yield Result(name="queue", outcome=Outcome.OK, sentence=f"{scene.config.base_dir} is empty")


def test_a_plugins_checks_are_made(config):
    """
    Each sees the same base directory as the bundled ones.
    """
    plugins = Plugins.load(config, [Plugin(Check(name="queue", run=queue))], installed=[])
    (result,) = perform(plugins.health_checks(config), Scene(config))

    assert result.sentence == f"{config.base_dir} is empty"


def test_a_broken_plugin_leaves_the_others(config):
    """
    One that exits when it is asked is a line in its status.
    """
    good = Plugin(Check(name="queue", run=queue))
    plugins = Plugins.load(config, [Broken(), good], installed=[])

    assert [check.name for check in plugins.health_checks(config)] == ["queue"]
    (status,) = [each for each in plugins.statuses if each.name == "Broken"]
    assert "telemetry_register_health_checks failed" in status.problem


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        (object(), "a health check's name must be"),
        (Check(name="Upper Case", run=queue), "a health check's name must be"),
        (Check(name="queue", run=3), "a health check must have run()"),
    ],
)
def test_what_is_no_check_is_named(config, check, problem):
    """
    The rest of what the plugin returns still counts.
    """
    good = Check(name="good", run=queue)
    plugins = Plugins.load(config, [Plugin(check, good)], installed=[])

    assert plugins.health_checks(config) == [good]
    assert problem in plugins.statuses[0].problem


def test_a_name_is_taken_once(config):
    """
    Metrics and --only go by it.
    """
    first, second = (Plugin(Check(name="queue", run=queue)) for _ in range(2))
    plugins = Plugins.load(config, [first, second], installed=[])

    assert len(plugins.health_checks(config)) == 1
