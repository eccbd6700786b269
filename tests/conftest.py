"""
What every test starts from: no setting of the developer's own, and no notice said before.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import hypothesis
import pytest
from examples import share_of

from telemetry.runtime import notices

# No test is about time: a busy machine must not fail one.
hypothesis.settings.register_profile(
    "telemetry",
    deadline=None,
    max_examples=share_of(100),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("telemetry")

#: What goes on until it is tired of it. One Python does, the others leave it out by `-m "not soak"`.
SOAKS = (
    "crash/",
    "model/test_machine.py",
    "service/test_schemathesis.py",
    "service/test_storm.py",
    "thirdparty/test_zoo.py",
)
#: What a test must not take over from where it runs: settings, a run around it, git, a terminal.
SETTINGS = (
    "TELEMETRY_",
    "METRICS_API_",
    "AGENT_",
    "TRACEPARENT",
    "GIT_",
    "NO_COLOR",
    "FORCE_COLOR",
    "COLUMNS",
    "LINES",
    "TTY_",
)
TESTS = Path(__file__).parent
#: How many tests of which file the options leave out.
LEFT_OUT = pytest.StashKey()


@pytest.fixture(autouse=True)
def _as_if_new(monkeypatch):
    """
    Forget the settings of the machine and the notices of earlier tests.
    """
    for name in list(os.environ):
        if name.startswith(SETTINGS) and "_TEST_" not in name:
            monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    # pytest gives the logger a handler of its own, and then it would have none for stderr.
    monkeypatch.setattr(notices.logger, "handlers", [])
    notices._set_up()
    notices.forget()


def pytest_make_parametrize_id(config, val, argname):
    """
    Name a case of long bytes by its argument: what was compressed differs from worker to worker.
    """
    is_long = isinstance(val, bytes) and len(val) > 40
    return argname if is_long else None


def pytest_collection_modifyitems(items):
    """
    Mark the soaks.
    """
    for item in items:
        is_ours = TESTS in item.path.parents  # and no example of the documentation
        if is_ours and item.path.relative_to(TESTS).as_posix().startswith(SOAKS):
            item.add_marker(pytest.mark.soak)


def pytest_deselected(items):
    """
    Remember what is left out, for the process that reports.
    """
    if items:
        config = items[0].config
        left_out = Counter(item.nodeid.partition("::")[0] for item in items)
        if hasattr(config, "workeroutput"):
            config.workeroutput["left_out"] = dict(left_out)
        config.stash[LEFT_OUT] = left_out


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """
    Take over what a worker left out: all of them leave out the same.
    """
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", {})


def pytest_terminal_summary(terminalreporter, config):
    """
    Tell what was left out.
    """
    left_out = config.stash.get(LEFT_OUT, {})
    if left_out:
        terminalreporter.section(f"{sum(left_out.values())} tests left out by options")
    for place, count in sorted(left_out.items()):
        terminalreporter.write_line(f"{count:4} of {place}")
