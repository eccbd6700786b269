"""
Plugins of this process: found, loaded one by one, and asked one by one.

Whatever a plugin does while it is loaded or asked (it cannot be imported, it exits, its hooks have
the wrong arguments, it returns nonsense) is one notice and a line in `Plugins.statuses`; the other
plugins never know. pluggy keeps the hooks, but does not call them: its call stops at the first
implementation that raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import partial
from itertools import islice
from types import ModuleType
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

import attrs
import pluggy

from telemetry import hookspecs
from telemetry.model.errors import PluginError
from telemetry.runtime.entrypoints import EntryPoint, entry_points
from telemetry.runtime.natives import is_main_thread
from telemetry.runtime.notices import notice, suppressed
from telemetry.runtime.returns import (
    NoJournal,
    Unique,
    check_name,
    command_name,
    found_fields,
    journals,
    processors,
    sink_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import click

    from telemetry.config import TelemetryConfig
    from telemetry.health import Check
    from telemetry.logs import Processor
    from telemetry.runtime.observers import Heard
    from telemetry.sinks import Journal, Sink

#: Is told of a run, and returns the fields that it found out about it; never raises.
Observer = Callable[["Heard"], Mapping[str, Any]]
#: What one plugin may return from one hook; a generator without an end stops here.
MAX_RETURNED = 100
#: Names of sinks that the runtime has itself.
OWN_SINKS = frozenset({"hooks"})
OWN_DISTRIBUTION = "telemetry"
_JOURNAL_HOOK = "telemetry_register_journal"
_NAME_SEPARATOR = "#"


class State(str, Enum):
    """
    What became of a plugin.
    """

    LOADED = "loaded"
    FAILED = "failed"
    DISABLED = "disabled"


@attrs.frozen(kw_only=True)
class PluginStatus:
    """
    One plugin, as ``telemetry plugins`` lists it.
    """

    name: str
    distribution: str = ""
    version: str = ""
    module: str = ""
    state: State = State.LOADED
    #: Names of the hooks it implements.
    hooks: tuple[str, ...] = ()
    #: What is wrong with it, empty for nothing; also a loaded plugin may have a broken hook.
    problem: str = ""


class Observers(NamedTuple):
    """
    What plugins want to be told of runs; none of the functions raises.
    """

    started: tuple[Observer, ...]
    ended: tuple[Observer, ...]


class Plugins:
    """
    The plugins of one process and base directory.
    """

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
        self._manager.add_hookspecs(hookspecs)
        self._statuses: dict[str, PluginStatus] = {}

    @classmethod
    def load(
        cls,
        config: TelemetryConfig,
        plugins: Sequence[object] = (),
        *,
        installed: Optional[Sequence[EntryPoint]] = None,
    ) -> Plugins:
        """
        Load the installed plugins that the settings allow; never raises for a plugin.

        Args:
            plugins: Modules or objects with hook implementations, registered before the installed
                ones. The allow list does not concern them, the block list does.
            installed: Entry points to load instead of those that are found.
        """
        found = entry_points(hookspecs.ENTRY_POINT_GROUP) if installed is None else installed
        loaded = cls()
        for plugin in plugins:
            loaded.register(plugin, disabled=config.plugins_disabled)
        for entry_point in found:
            loaded._add(entry_point, config)
        loaded._ensure_journal(found, config)
        loaded._check_lists(found, config)
        return loaded

    @property
    def statuses(self) -> tuple[PluginStatus, ...]:
        """
        What became of each plugin, in the order in which they were met.
        """
        return tuple(self._statuses.values())

    def register(self, plugin: object, name: str = "", *, disabled: Sequence[str] = ()) -> None:
        """
        Take a plugin that is no entry point: a module, or an object with hook implementations.

        Never raises; the same object twice is once.
        """
        if any(plugin is known for known in self._manager.get_plugins()):
            return
        # Its type is asked, not the object, which may answer anything; a module says its own name.
        module = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__module__
        own_name = module if isinstance(plugin, ModuleType) else type(plugin).__qualname__
        status = PluginStatus(name=self._unused(name or own_name), module=module)
        if status.name in disabled:
            self._statuses[status.name] = attrs.evolve(status, state=State.DISABLED)
        else:
            self._take(status, lambda: plugin)

    def journal(self, config: TelemetryConfig) -> Journal:
        """
        Return the first journal that a plugin offers, one that takes nothing where there is none.
        """
        journal: Journal
        for journal in self._ask(_JOURNAL_HOOK, journals, config=config):
            return journal
        notice("journal", "no plugin offers a journal, records wait in memory; install telemetry")
        return NoJournal()

    def sinks(self, config: TelemetryConfig) -> list[Sink]:
        """
        Return the sinks of all plugins; a name that is taken already is left out.
        """
        return list(
            self._ask("telemetry_register_sinks", Unique(sink_name, set(OWN_SINKS)), config=config)
        )

    def processors(self, config: TelemetryConfig) -> list[Processor]:
        """
        Return the processors of all plugins, in the order in which they run.
        """
        return list(self._ask("telemetry_register_processors", processors, config=config))

    def commands(self) -> list[click.Command]:
        """
        Return the commands of all plugins; a name that is taken already is left out.
        """
        return list(self._ask("telemetry_register_commands", Unique(command_name, set())))

    def health_checks(self, config: TelemetryConfig) -> list[Check]:
        """
        Return the health checks of all plugins; a name that is taken already is left out.
        """
        hook = "telemetry_register_health_checks"
        return list(self._ask(hook, Unique(check_name, set()), config=config))

    def observers(self) -> Observers:
        """
        Return a function for each implementation that wants to be told of runs.
        """
        return Observers(
            started=tuple(self._observe("telemetry_run_started")),
            ended=tuple(self._observe("telemetry_run_ended")),
        )

    def _add(self, entry_point: EntryPoint, config: TelemetryConfig) -> None:
        """
        Load one entry point if the lists allow it.
        """
        status = PluginStatus(
            name=self._unused(entry_point.name),
            distribution=entry_point.distribution,
            version=entry_point.version,
            module=entry_point.module,
        )
        is_allowed = not config.plugins or entry_point.name in config.plugins
        if is_allowed and entry_point.name not in config.plugins_disabled:
            self._take(status, entry_point.load)
        else:
            self._statuses[status.name] = attrs.evolve(status, state=State.DISABLED)

    def _take(self, status: PluginStatus, load: Callable[[], Any]) -> None:
        """
        Import a plugin and register its hooks.
        """
        name = status.name
        self._statuses[name] = status
        try:
            with suppressed():
                plugin = load()
                if plugin is None:
                    raise PluginError("the entry point names None")
                self._manager.register(plugin, name)
        except BaseException as error:  # noqa: BLE001 (the guarded boundary: importing may exit)
            _pass_on_ctrl_c(error)
            if self._manager.has_plugin(name):  # pragma: no cover (from 1.7 on, pluggy cleans up)
                self._manager.unregister(name=name)
            self._statuses[name] = attrs.evolve(status, state=State.FAILED)
            self._blame(name, f"cannot be loaded: {_words(error)}")
            return
        callers = self._manager.get_hookcallers(plugin) or []
        hooks = tuple(sorted(caller.name for caller in callers if caller.has_spec()))
        self._statuses[name] = attrs.evolve(status, hooks=hooks)
        self._check_hooks(name, plugin, callers)

    def _check_hooks(self, name: str, plugin: Any, callers: Iterable[pluggy.HookCaller]) -> None:
        """
        Name what a plugin implements in vain.
        """
        for caller in callers:
            for implementation in caller.get_hookimpls():
                if implementation.plugin is not plugin or implementation.optionalhook:
                    continue
                if not caller.has_spec():
                    self._blame(name, f"implements {caller.name}, which is no hook")
                elif implementation.hookwrapper or implementation.wrapper:
                    self._blame(name, f"wraps {caller.name}, which is never called as a whole")

    def _ensure_journal(self, found: Sequence[EntryPoint], config: TelemetryConfig) -> None:
        """
        Add telemetry's own journal where the allow list has left none.

        The lists choose what follows the journal; without one nothing could be recorded at all.
        """
        if self._manager.hook.telemetry_register_journal.get_hookimpls():
            return
        for entry_point in found:
            status = self._statuses.get(entry_point.name)
            if status is None or status.state is not State.DISABLED:
                continue
            if entry_point.distribution != OWN_DISTRIBUTION:
                continue
            if entry_point.name in config.plugins_disabled:
                continue
            self._take(attrs.evolve(status, state=State.LOADED), entry_point.load)
            if _JOURNAL_HOOK in self._statuses[entry_point.name].hooks:
                return
            self._manager.unregister(name=entry_point.name)
            self._statuses[entry_point.name] = status

    def _check_lists(self, found: Sequence[EntryPoint], config: TelemetryConfig) -> None:
        """
        Notice names in the lists that are no plugin's.
        """
        known = {*self._statuses, *(entry_point.name for entry_point in found)}
        for variable, names in (
            ("TELEMETRY_PLUGINS", config.plugins),
            ("TELEMETRY_PLUGINS_DISABLED", config.plugins_disabled),
        ):
            for name in sorted(set(names) - known):
                notice(
                    f"plugin:{name}",
                    f"{variable} must name installed plugins (got {name!r}); "
                    "`telemetry plugins` lists them",
                )

    def _ask(
        self, hook: str, read: Callable[[Any], Iterable[Any]], **arguments: Any
    ) -> Iterator[Any]:
        """
        Yield what the implementations of a hook return, each called alone.
        """
        config: Optional[TelemetryConfig] = arguments.get("config")
        problems = config.problems if config is not None else ()
        for name, call in self._implementations(hook, arguments):
            try:
                with suppressed():
                    returned = list(islice(read(call()), MAX_RETURNED))
            except BaseException as error:  # noqa: BLE001 (the guarded boundary around a plugin)
                _pass_on_ctrl_c(error)
                self._blame(name, f"{hook} failed: {_words(error)}")
                continue
            for each in returned:
                if isinstance(each, PluginError):
                    self._blame(name, f"{hook}: {each}")
                else:
                    yield each
        # A plugin reads its own settings when it is asked.
        for problem in config.problems[len(problems) :] if config is not None else ():
            notice(f"config:{problem}", problem)

    def _observe(self, hook: str) -> Iterator[Observer]:
        """
        Yield a function that cannot raise for each implementation of a hook about a run.
        """
        for implementation in self._in_order(hook):
            yield self._guarded(hook, implementation)

    def _guarded(self, hook: str, implementation: pluggy.HookImpl) -> Observer:
        name = implementation.plugin_name
        function, wanted = implementation.function, implementation.argnames

        def tell(heard: Heard) -> Mapping[str, Any]:
            try:
                with suppressed():
                    return found_fields(function(*[getattr(heard, each) for each in wanted]))
            except BaseException as error:  # noqa: BLE001 (the guarded boundary around a plugin)
                _pass_on_ctrl_c(error)
                self._blame(name, f"{hook} failed: {_words(error)}")
                return {}

        return tell

    def _implementations(
        self, hook: str, arguments: dict[str, Any]
    ) -> Iterator[tuple[str, Callable[[], Any]]]:
        for implementation in self._in_order(hook):
            taken = [arguments[name] for name in implementation.argnames]
            yield implementation.plugin_name, partial(implementation.function, *taken)

    def _in_order(self, hook: str) -> Iterator[pluggy.HookImpl]:
        """
        Yield the implementations of a hook in the order in which pluggy would call them.
        """
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            if not implementation.hookwrapper and not implementation.wrapper:
                yield implementation

    def _blame(self, name: str, problem: str) -> None:
        """
        Note what is wrong with a plugin, in its status and as a notice.
        """
        status = self._statuses[name]
        if problem not in status.problem:
            joined = f"{status.problem}; {problem}" if status.problem else problem
            self._statuses[name] = attrs.evolve(status, problem=joined)
        notice(f"plugin:{name}", f"plugin {name} {problem}")

    def _unused(self, name: str) -> str:
        """
        Return a name that no other plugin has.
        """
        candidate, number = name, 2
        while candidate in self._statuses:
            candidate, number = f"{name}{_NAME_SEPARATOR}{number}", number + 1
        return candidate


def _pass_on_ctrl_c(error: BaseException) -> None:
    """
    Raise the user's own interrupt again; one that a plugin raises in a worker's thread is its own.
    """
    if isinstance(error, KeyboardInterrupt) and is_main_thread():
        raise error


def _words(error: BaseException) -> str:
    """
    Return an error in one line, its type included, whatever its text does.
    """
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 (a plugin's own exception class)
        text = ""
    return f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__
