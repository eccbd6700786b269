"""
What a caller of a decorated function sees is what it saw of the bare one.

Hypothesis drives a decorated and a bare twin through the same calls and compares every answer.
"""

from __future__ import annotations

import asyncio
import gc
import inspect

import pytest
from examples import share_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry import TelemetryClient, tracked_run
from telemetry.runtime.context import current_context

steps = st.lists(
    st.one_of(
        st.tuples(st.just("next"), st.none()),
        st.tuples(st.just("send"), st.integers(0, 3)),
        st.tuples(st.just("throw"), st.sampled_from(["value", "key", "stop", "exit", "keyboard"])),
        st.tuples(st.just("close"), st.none()),
    ),
    max_size=8,
)
plans = st.lists(
    st.sampled_from(["yield", "swallow", "raise", "return", "finally-yield", "reyield"]), max_size=5
)
THROWN = {
    "value": ValueError,
    "key": KeyError,
    "stop": StopIteration,
    "exit": GeneratorExit,
    "keyboard": KeyboardInterrupt,
}
MAX_REFUSALS = 10
relaxed = settings(
    max_examples=share_of(120),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def scripted(plan):  # noqa: C901 (a user may write anything)
    """
    Return a generator function that follows a plan, of any behaviour a user may write.
    """

    def body():
        got = None
        for number, what in enumerate(plan):
            if what == "raise":
                raise LookupError(number)
            if what == "return":
                return ("returned", number)
            try:
                got = yield (number, what, got)
            except GeneratorExit:
                if what == "finally-yield":
                    yield "in spite of closing"
                if what == "return":
                    return "closed"
                raise
            except Exception as error:
                if what == "swallow":
                    got = repr(error)
                elif what == "reyield":
                    yield ("again", repr(error))
                else:
                    raise
        return ("done", got)

    return body


def attempt(action):
    """
    Return what an action gave, or the exception it raised, comparably.
    """
    try:
        return ("gave", action())
    except BaseException as error:
        cause = (type(error.__cause__), type(error.__context__))
        return ("raised", type(error), error.args, cause)


def drive(generator, script):
    """
    Follow a script, and return every answer and what was current after it.
    """
    """
    Follow a script, and return every answer and what was current after it.
    """
    seen = []
    for what, given_value in script:
        if what == "next":
            seen.append(attempt(lambda: next(generator)))
        elif what == "send":
            seen.append(attempt(lambda value=given_value: generator.send(value)))
        elif what == "throw":
            seen.append(attempt(lambda kind=given_value: generator.throw(THROWN[kind]("thrown"))))
        else:
            seen.append(attempt(generator.close))
        seen.append(current_context())
    return seen + closed(generator.close)


def closed(close):
    """
    Close what may refuse to be closed, and return its answers.
    """
    answers = [attempt(close)]
    while answers[-1][0] == "raised" and len(answers) <= MAX_REFUSALS:
        answers.append(attempt(close))
    return answers


@pytest.fixture
def client(tmp_path):
    """
    A client of a directory of its own.
    """
    client = TelemetryClient(base_dir=tmp_path)
    yield client
    client.close()


@relaxed
@given(plans, steps)
def test_a_generator_answers_as_before(client, plan, script):
    """
    Whatever is sent, thrown or closed, it gives the bare one's answers.

    Its run is never the caller's current one.
    """
    bare = scripted(plan)
    decorated = tracked_run("agent", "job", client=client)(scripted(plan))

    assert drive(decorated(), script) == drive(bare(), script)


async def drive_async(generator, script):
    """
    Follow a script, and return every answer and what was current after it.
    """
    seen = []
    for what, given_value in script:
        if what == "next":
            action = generator.__anext__()
        elif what == "send":
            action = generator.asend(given_value)
        elif what == "throw":
            action = generator.athrow(THROWN[given_value]("thrown"))
        else:
            action = generator.aclose()
        try:
            seen.append(("gave", await action))
        except BaseException as error:
            seen.append(("raised", type(error), error.args))
        seen.append(current_context())
    for _ in range(MAX_REFUSALS):
        try:
            await generator.aclose()
        except BaseException as error:
            seen.append(("refused", type(error), error.args))
        else:
            break
    return seen


def scripted_async(plan):  # noqa: C901 (a user may write anything)
    """
    Return an async generator function that follows a plan.
    """

    def make():
        async def body():
            got = None
            for number, what in enumerate(plan):
                if what == "raise":
                    raise LookupError(number)
                if what == "return":
                    return
                await asyncio.sleep(0)
                try:
                    got = yield (number, what, got)
                except GeneratorExit:
                    if what == "finally-yield":
                        yield "in spite of closing"
                    await asyncio.sleep(0)
                    raise
                except Exception as error:
                    if what == "swallow":
                        got = repr(error)
                    elif what == "reyield":
                        yield ("again", repr(error))
                    else:
                        raise

        return body

    return make()


@settings(relaxed, max_examples=share_of(60))
@given(plans, steps)
def test_an_async_generator_answers_as_before(client, plan, script):
    """
    A decorated async generator gives the bare one's answers.
    """
    script = [step for step in script if step[1] not in ("keyboard", "stop")]
    decorated = tracked_run("agent", "job", client=client)(scripted_async(plan))

    async def both():
        return (
            await drive_async(decorated(), script),
            await drive_async(scripted_async(plan)(), script),
        )

    got, expected = asyncio.run(both())

    assert got == expected


@settings(relaxed, max_examples=share_of(60))
@given(plans, steps)
def test_a_coroutine_answers_as_before(client, plan, script):
    """
    A decorated coroutine that is driven by hand gives the bare one's answers.
    """

    class Steps:
        def __await__(self):
            return (yield from scripted(plan)())

    async def bare():
        return await Steps()

    decorated = tracked_run("agent", "job", client=client)(bare)
    script = [("send", None) if what in ("next", "send") else (what, v) for what, v in script]

    def run(coroutine):
        seen = []
        for what, value in script:
            if what == "send":
                seen.append(attempt(lambda: coroutine.send(None)))
            elif what == "throw":
                seen.append(attempt(lambda kind=value: coroutine.throw(THROWN[kind]("thrown"))))
            else:
                seen.append(attempt(coroutine.close))
        return seen + closed(coroutine.close)

    got = attempt(lambda: run(decorated()))
    expected = attempt(lambda: run(bare()))
    assert got == expected


@relaxed
@given(
    st.lists(st.integers()),
    st.dictionaries(st.sampled_from(["a", "b", "missing"]), st.integers()),
    st.booleans(),
)
def test_a_call_answers_as_before(client, args, kwargs, fails):
    """
    Results are the same objects, exceptions the same objects, wrong arguments the same errors.
    """
    result, error = object(), ValueError("mine")

    def bare(*given, a=0, b=0):
        if fails:
            raise error
        return result if not given else (given, a, b)

    decorated = tracked_run("agent", "job", client=client)(bare)

    def answer(function):
        try:
            return ("gave", function(*args, **kwargs))
        except TypeError as wrong:
            return ("wrong", str(wrong))
        except ValueError as raised:
            return ("raised", raised is error)

    assert answer(decorated) == answer(bare)


def test_a_generator_that_is_forgotten_is_closed_as_before(client):
    """
    Garbage collection closes the generator inside, at once.
    """
    closed = []

    @tracked_run("agent", "job", client=client)
    def generator():
        try:
            yield 1
        finally:
            closed.append(True)

    running = generator()
    next(running)
    del running
    gc.collect()

    assert closed == [True]


def test_a_coroutine_never_awaited_warns_once(client):
    """
    Nobody awaits it: one warning, under the function's own name, and no run.
    """

    @tracked_run("agent", "job", client=client)
    async def forgotten():
        """
        Never runs.
        """

    made = forgotten()
    with pytest.warns(RuntimeWarning, match="forgotten' was never awaited") as caught:
        del made

    assert len(caught) == 1


@pytest.mark.parametrize(
    "predicate",
    [
        inspect.isfunction,
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        asyncio.iscoroutinefunction
        if hasattr(asyncio, "iscoroutinefunction")
        else inspect.isfunction,
    ],
)
def test_a_function_is_of_the_same_kind(client, predicate):
    """
    What inspect says of a function, it says of the decorated one.
    """

    def plain():
        """
        Nothing.
        """

    async def coroutine():
        """
        Nothing.
        """

    def generator():
        yield

    async def async_generator():
        yield

    for function in (plain, coroutine, generator, async_generator):
        decorated = tracked_run("agent", "job", client=client)(function)
        assert predicate(decorated) == predicate(function)
        assert inspect.signature(decorated) == inspect.signature(function)
        assert decorated.__name__ == function.__name__
