"""
Plugins: loaded alone, asked alone, and never the agent's problem.
"""

from __future__ import annotations

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, SimpleNamespace

import attrs
import click
import pytest

from telemetry.config import TelemetryConfig
from telemetry.hookspecs import hookimpl
from telemetry.model.errors import PluginError
from telemetry.runtime import notices
from telemetry.runtime.entrypoints import EntryPoint
from telemetry.runtime.plugins import Plugins, State
from telemetry.runtime.returns import NoJournal
from telemetry.sinks import Journal
from telemetry.testing import MemorySink

HEAD = "from telemetry.hookspecs import hookimpl\nfrom telemetry.testing import MemorySink\n"
GOOD = (
    HEAD + "@hookimpl\ndef telemetry_register_sinks(config):\n    return [MemorySink({name!r})]\n"
)


@pytest.fixture
def config(tmp_path):
    """
    Return settings for a directory of this test.
    """
    return TelemetryConfig(base_dir=tmp_path)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """
    Write a plugin's module and return its entry point.
    """
    directory = tmp_path / "modules"
    directory.mkdir()
    monkeypatch.syspath_prepend(directory)
    names = []

    def write(name, text, distribution="strangers"):
        names.append(f"plugin_{name}")
        (directory / f"plugin_{name}.py").write_text(text)
        return EntryPoint(name, f"plugin_{name}", distribution, "1.0")

    yield write
    for name in names:
        sys.modules.pop(name, None)


def loaded(config, *entry_points, plugins=(), **settings):
    """
    Load these entry points under these settings.
    """
    return Plugins.load(attrs.evolve(config, **settings), plugins, installed=entry_points)


def names(plugins, config):
    """
    Return the names of the sinks.
    """
    return [sink.name for sink in plugins.sinks(config)]


def status(plugins, name):
    """
    Return the line about one plugin.
    """
    (found,) = [each for each in plugins.statuses if each.name == name]
    return found


class Hooks:
    """
    A plugin made of functions.
    """

    def __init__(self, **functions):
        for name, function in functions.items():
            setattr(self, f"telemetry_{name}", hookimpl(function))


def test_an_installed_plugin_is_loaded(config, module):
    """
    Its status says where it comes from and what it does.
    """
    plugins = loaded(config, module("good", GOOD.format(name="good")))

    assert names(plugins, config) == ["good"]
    found = status(plugins, "good")
    assert (
        found.distribution,
        found.version,
        found.module,
        found.state,
        found.hooks,
        found.problem,
    ) == ("strangers", "1.0", "plugin_good", State.LOADED, ("telemetry_register_sinks",), "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def (:", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise BaseException('no')", "BaseException: no"),
        ("1/0", "ZeroDivisionError: division by zero"),
        ("class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd", "Odd"),
        (
            HEAD + "@hookimpl\ndef telemetry_register_sinks(config, more): pass",
            "PluginValidationError",
        ),
        (
            "def __dir__(): raise RuntimeError('no')",
            "RuntimeError",
        ),
    ],
)
def test_a_plugin_that_cannot_be_loaded_harms_no_other(text, problem, config, module, said):
    """
    One notice, one line in the statuses, and the good one beside it works.
    """
    plugins = loaded(config, module("bad", text), module("good", GOOD.format(name="good")))

    assert names(plugins, config) == ["good"]
    found = status(plugins, "bad")
    assert found.state is State.FAILED
    assert problem in found.problem
    assert len(said.about("plugin bad cannot be loaded")) == 1


def test_ctrl_c_while_loading_is_the_users(config, module):
    """
    An interrupt is not a plugin's fault.
    """
    with pytest.raises(KeyboardInterrupt):
        loaded(config, module("slow", "raise KeyboardInterrupt"))


def test_an_entry_point_that_names_nothing_fails(config, module):
    """
    None is no plugin, and neither is what is not there.
    """
    none = module("none", "plugin = None")
    missing = module("missing", "")

    plugins = loaded(
        config,
        none._replace(value=f"{none.value}:plugin"),
        missing._replace(value=f"{missing.value}:plugin"),
    )

    assert [each.state for each in plugins.statuses] == [State.FAILED, State.FAILED]
    assert "names None" in status(plugins, "none").problem


def test_an_unknown_hook_is_named_and_the_others_work(config, module):
    """
    A plugin written for another version keeps what this version knows.
    """
    text = (
        GOOD.format(name="good")
        + "@hookimpl\ndef telemetry_register_snks(config): pass\n@hookimpl(optionalhook=True)\ndef telemetry_future(): pass\n"
    )

    plugins = loaded(config, module("good", text))

    assert names(plugins, config) == ["good"]
    assert status(plugins, "good").state is State.LOADED
    assert status(plugins, "good").problem == "implements telemetry_register_snks, which is no hook"


@pytest.mark.parametrize("marker", ["hookwrapper", "wrapper"])
def test_a_wrapper_is_named_and_not_called(marker, config, module):
    """
    Implementations are called one by one, so there is nothing to wrap.
    """
    text = (
        HEAD
        + f"@hookimpl({marker}=True)\ndef telemetry_register_sinks(config):\n    raise AssertionError\n    yield\n"
    )

    plugins = loaded(config, module("w", text))

    assert names(plugins, config) == []
    assert "wraps telemetry_register_sinks" in status(plugins, "w").problem


def test_the_block_list_blocks_without_importing(config, module):
    """
    A plugin that is blocked does not run a line.
    """
    plugins = loaded(
        config,
        module("a", "raise AssertionError"),
        module("b", GOOD.format(name="b")),
        plugins_disabled=("a",),
    )

    assert names(plugins, config) == ["b"]
    assert status(plugins, "a").state is State.DISABLED
    assert "plugin_a" not in sys.modules


def test_the_allow_list_allows_only_those(config, module):
    """
    What is not on the list is not imported.
    """
    installed = [module("a", "raise AssertionError"), module("b", GOOD.format(name="b"))]

    plugins = Plugins.load(attrs.evolve(config, plugins=("b",)), installed=installed)

    assert names(plugins, config) == ["b"]
    assert status(plugins, "a").state is State.DISABLED


def test_a_listed_name_that_is_no_plugin_is_noticed(config, said):
    """
    A slip of the pen in a list does not go unseen.
    """
    Plugins.load(attrs.evolve(config, plugins=("sqlit",), plugins_disabled=("htpp",)), installed=[])

    assert said.about("TELEMETRY_PLUGINS must name installed plugins (got 'sqlit')")
    assert said.about("TELEMETRY_PLUGINS_DISABLED must name installed plugins (got 'htpp')")


JOURNAL = HEAD + (
    "class J:\n    name = {name!r}\n    def append(self, line, second, /): return True\n"
    "    def segments(self): return ()\n    def read(self, *a): ...\n"
    "    def sync(self): ...\n    def after_fork(self): ...\n    def close(self): ...\n"
    "@hookimpl{how}\ndef telemetry_register_journal(config): return J()\n"
)


def test_the_allow_list_cannot_take_the_journal_away(config, module):
    """
    The list chooses what follows the journal; telemetry's own journal stays where no other is allowed.
    """
    installed = [
        module("other", GOOD.format(name="other"), "telemetry"),
        module("theirs", JOURNAL.format(name="theirs", how="")),
        module("own", JOURNAL.format(name="own", how=""), "telemetry"),
        module("mine", GOOD.format(name="mine")),
    ]

    plugins = Plugins.load(attrs.evolve(config, plugins=("mine",)), installed=installed)

    assert plugins.journal(config).name == "own"
    assert names(plugins, config) == ["mine"]
    assert [each.name for each in plugins.statuses if each.state is State.LOADED] == ["own", "mine"]


def test_a_blocked_journal_stays_blocked(config, module, said):
    """
    Who blocks the journal by name gets none: records wait in memory, and a notice says so.
    """
    own = module("own", JOURNAL.format(name="own", how=""), "telemetry")

    plugins = loaded(config, own, plugins_disabled=("own",))

    journal = plugins.journal(config)
    assert isinstance(journal, NoJournal)
    assert isinstance(journal, Journal)
    assert journal.append(b"{}\n", 0) is False
    assert said.about("no plugin offers a journal")


def test_a_journal_of_no_use_gives_way_to_the_next(config, module):
    """
    A stranger's journal comes first, the bundled one last, and a broken one is passed over.
    """
    broken = module(
        "broken", HEAD + "@hookimpl\ndef telemetry_register_journal(config): return object()\n"
    )
    absent = module(
        "absent", HEAD + "@hookimpl\ndef telemetry_register_journal(config): return None\n"
    )
    last = module("last", JOURNAL.format(name="last", how="(trylast=True)"))
    theirs = module("theirs", JOURNAL.format(name="theirs", how=""))

    plugins = loaded(config, last, theirs, absent, broken)

    assert plugins.journal(config).name == "theirs"
    assert "a journal must have append()" in status(plugins, "broken").problem


def test_a_journal_that_takes_nothing_has_nothing():
    """
    Where there is no journal, there is nothing to follow either.
    """
    journal = NoJournal()

    journal.sync()
    journal.after_fork()
    journal.close()
    assert journal.segments() == ()
    with pytest.raises(PluginError):
        journal.read(None, None, 0)


def leave():
    """
    Exit, as a careless plugin does.
    """
    sys.exit()


def raise_later(config):
    """
    Fail behind the first sink.
    """
    yield MemorySink("early")
    raise ValueError("late")


@pytest.mark.parametrize(
    ("function", "kept", "problem"),
    [
        (lambda: 1 / 0, [], "ZeroDivisionError"),
        (leave, [], "SystemExit"),
        (lambda: MemorySink("x"), [], "must return a list (got a MemorySink)"),
        (lambda: {"x": MemorySink("x")}, [], "must return a list (got a dict)"),
        (lambda: "x", [], "must return a list (got a str)"),
        (lambda: None, [], ""),
        (lambda: [MemorySink("x")], ["x"], ""),
        (lambda: (MemorySink(name) for name in "xy"), ["x", "y"], ""),
        (lambda: [object(), MemorySink("x")], ["x"], "a sink's name must be"),
        (
            lambda: [MemorySink("../x"), MemorySink("x")],
            ["x"],
            "(got '../x', of a MemorySink)",
        ),
        (lambda: [MemorySink("")], [], "a sink's name must be"),
        (lambda: [MemorySink(7)], [], "(got 7, of a MemorySink)"),
        (lambda: [SimpleNamespace(name="x", write=print)], [], "a sink must have close()"),
        (lambda: [MemorySink("x"), MemorySink("X")], ["x"], "the name 'X' is taken"),
        (raise_later, [], "ValueError: late"),
    ],
)
def test_what_a_plugin_returns_is_checked(function, kept, problem, config):
    """
    What can be used is used; what cannot is named, and only that is left out.
    """
    plugins = loaded(config, plugins=[Hooks(register_sinks=function)])

    assert names(plugins, config) == kept
    assert problem in status(plugins, "Hooks").problem
    assert bool(status(plugins, "Hooks").problem) is bool(problem)


def test_a_generator_without_an_end_is_stopped(config):
    """
    Asking a plugin comes to an end.
    """
    plugins = loaded(config, plugins=[Hooks(register_sinks=lambda: itertools.repeat(object()))])

    assert names(plugins, config) == []


def test_names_are_unique_over_all_plugins(config):
    """
    A name is a file name in the state directory: two sinks cannot share one.
    """
    one, two = (Hooks(register_sinks=lambda: [MemorySink("x")]) for _ in "12")

    plugins = loaded(config, plugins=[one, two])

    assert names(plugins, config) == ["x"]
    assert "taken" in status(plugins, "Hooks").problem
    assert status(plugins, "Hooks#2").problem == ""


def test_processors_that_can_be_called_are_taken(config):
    """
    A list with one mistake in it still counts.
    """
    plugins = loaded(config, plugins=[Hooks(register_processors=lambda: [print, "no"])])

    assert plugins.processors(config) == [print]
    assert "a processor must be callable (got a str)" in status(plugins, "Hooks").problem


def test_commands_that_are_commands_are_taken(config):
    """
    Only what click can run joins the command line.
    """
    command = click.Command("hello")

    plugins = loaded(
        config,
        plugins=[
            Hooks(
                register_commands=lambda: [
                    command,
                    print,
                    click.Command(None),
                    click.Command("hello"),
                ]
            )
        ],
    )

    assert plugins.commands() == [command]
    assert "a command must be a click.Command" in status(plugins, "Hooks").problem


def test_observers_are_told_one_by_one(config, said):
    """
    An observer that fails is one notice; those before and after it are told.
    """
    seen = []
    bad = Hooks(run_started=lambda: 1 / 0)
    plugins = loaded(
        config,
        plugins=[
            Hooks(run_started=lambda run: seen.append(("a", run))),
            bad,
            Hooks(
                run_started=lambda: seen.append("b"),
                run_ended=lambda run: seen.append(f"{run} ended"),
            ),
        ],
    )
    observers = plugins.observers()

    for _ in range(3):
        for tell in observers.started:
            tell(SimpleNamespace(run="run"))
    for tell in observers.ended:
        tell(SimpleNamespace(run="over"))

    assert seen == ["b", ("a", "run")] * 3 + ["over ended"]
    assert len(said.about("telemetry_run_started failed: ZeroDivisionError")) == 1


@pytest.mark.parametrize(
    ("answer", "fields", "problem"),
    [
        (None, {}, ""),
        ({"git_branch": "main"}, {"git_branch": "main"}, ""),
        ("main", {}, "must return fields by name (got a str)"),
        ({1: 2}, {}, "must return fields by name (got a dict)"),
    ],
)
def test_an_observer_answers_with_fields(answer, fields, problem, config):
    """
    What a plugin finds out about a run is passed on; anything else is named and dropped.
    """
    plugins = loaded(config, plugins=[Hooks(run_ended=lambda: answer)])

    assert plugins.observers().ended[0](SimpleNamespace(run="run")) == fields
    assert problem in status(plugins, "Hooks").problem


def test_an_observer_that_exits_is_contained(config):
    """
    Not even SystemExit takes the worker's thread along.
    """
    plugins = loaded(config, plugins=[Hooks(run_ended=leave)])

    assert plugins.observers().ended[0](SimpleNamespace(run="run")) == {}


def interrupt():
    """
    Interrupt, as nobody but the user should.
    """
    raise KeyboardInterrupt


def test_ctrl_c_while_asking_is_the_users(config):
    """
    On the main thread an interrupt is no plugin's fault.
    """
    plugins = loaded(config, plugins=[Hooks(register_sinks=interrupt, run_ended=interrupt)])

    with pytest.raises(KeyboardInterrupt):
        plugins.sinks(config)
    with pytest.raises(KeyboardInterrupt):
        plugins.observers().ended[0](SimpleNamespace(run="run"))


def test_an_interrupt_on_a_workers_thread_is_the_plugins(config):
    """
    The user's interrupt arrives on the main thread only; the worker goes on.
    """
    tell = loaded(config, plugins=[Hooks(run_ended=interrupt)]).observers().ended[0]

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(tell, SimpleNamespace(run="run")).result() == {}


def test_the_runtimes_own_sinks_keep_their_names(config):
    """
    The follower of the hooks has a name, and so a cursor, of its own.
    """
    plugins = loaded(config, plugins=[Hooks(register_sinks=lambda: [MemorySink("hooks")])])

    assert names(plugins, config) == []


def test_a_useless_value_in_a_plugins_section_is_one_notice(tmp_path, module, said):
    """
    The section is read when the plugin is asked, which is after the settings' own notices.
    """
    text = (
        "import attrs\n" + HEAD + "@attrs.frozen\nclass Settings:\n    port: int = 1\n"
        "@hookimpl\ndef telemetry_register_sinks(config): config.section('mine', Settings)\n"
    )
    config = TelemetryConfig.from_env({"TELEMETRY_MINE_PORT": "x"}, base_dir=tmp_path)

    names(Plugins.load(config, installed=[module("mine", text)]), config)

    assert len(said.about("TELEMETRY_MINE_PORT must be an integer")) == 1


def test_what_plugins_log_while_they_work_is_telemetrys_own(config):
    """
    A hook that logs does not make events out of its own log.
    """
    seen = []

    plugins = loaded(
        config,
        plugins=[
            Hooks(
                register_sinks=lambda: seen.append(notices.is_suppressed()),
                run_ended=lambda: seen.append(notices.is_suppressed()),
            )
        ],
    )
    plugins.sinks(config)
    plugins.observers().ended[0](None)

    assert seen == [True, True]
    assert not notices.is_suppressed()


def test_a_program_may_hand_over_modules_and_objects(config):
    """
    An application needs no distribution to have a plugin; the same one twice is once.
    """
    hooks = Hooks(register_sinks=lambda: [MemorySink("x")])
    module = ModuleType("my_app.plugin")
    module.telemetry_register_sinks = hookimpl(lambda: [MemorySink("y")])

    plugins = loaded(config, plugins=[hooks, module, hooks])

    assert sorted(names(plugins, config)) == ["x", "y"]
    assert [each.name for each in plugins.statuses] == ["Hooks", "my_app.plugin"]


def test_the_block_list_concerns_a_programs_own_plugins_too(config):
    """
    Whoever runs the program has the last word.
    """
    plugins = loaded(
        config,
        plugins=[Hooks(register_sinks=lambda: [MemorySink("x")])],
        plugins_disabled=("Hooks",),
    )

    assert names(plugins, config) == []
    assert status(plugins, "Hooks").state is State.DISABLED


def test_two_entry_points_of_one_module_are_one_plugin(config, module):
    """
    The second is named, and its hooks are not called twice.
    """
    first = module("a", GOOD.format(name="a"))

    plugins = loaded(config, first, first._replace(name="b"))

    assert names(plugins, config) == ["a"]
    assert status(plugins, "b").state is State.FAILED


def test_two_distributions_may_use_one_name(config, module):
    """
    Each has its own line.
    """
    first, second = module("a", GOOD.format(name="a")), module("b", GOOD.format(name="b"))

    plugins = loaded(config, first, second._replace(name="a"))

    assert sorted(names(plugins, config)) == ["a", "b"]
    assert [each.name for each in plugins.statuses] == ["a", "a#2"]


def test_the_plugins_section_is_read_from_the_settings(tmp_path, module):
    """
    A plugin's own settings come with the configuration it is handed.
    """
    text = (
        "import attrs\n" + HEAD + "@attrs.frozen\nclass Settings:\n    label: str = 'none'\n"
        "@hookimpl\ndef telemetry_register_sinks(config):\n    return [MemorySink(config.section('mine', Settings).label)]\n"
    )
    config = TelemetryConfig.from_env({"TELEMETRY_MINE_LABEL": "told"}, base_dir=tmp_path)

    assert names(Plugins.load(config, installed=[module("mine", text)]), config) == ["told"]
