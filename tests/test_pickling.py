"""
Decorated functions travel to other processes, and are tracked there.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap

import cloudpickle
import pytest

from telemetry import TelemetryClient, tracked_run
from telemetry.wrapping import TrackedFunction


@tracked_run("agent", "module level")
def double(number):
    """
    Return twice a number.
    """
    return number * 2


class Agent:
    def __init__(self, factor):
        self.factor = factor

    @tracked_run("agent", "method")
    def times(self, number):
        return number * self.factor

    @classmethod
    @tracked_run("agent", "class method")
    def of_class(cls, number):
        return cls.__name__, number

    @tracked_run("agent", "static method")
    @staticmethod
    def static(number):
        return number


def runs_in(base):
    """
    Return the job types of the runs that were recorded.
    """
    from telemetry.model.codec import decode_lines

    journal = b"".join(path.read_bytes() for path in sorted((base / "raw").iterdir()))
    return [
        record.fields()["job_type"]
        for record in decode_lines(journal).records
        if record.change == "started"
    ]


@pytest.fixture
def base(tmp_path, monkeypatch):
    """
    The base directory of this process and the ones it starts.
    """
    import telemetry.client

    monkeypatch.setenv("TELEMETRY_BASE_DIR", str(tmp_path))
    monkeypatch.setattr(telemetry.client, "_default", None)
    yield tmp_path
    TelemetryClient().close()


def test_a_function_pickles_as_itself():
    """
    By reference, so it arrives as the very same object.
    """
    assert pickle.loads(pickle.dumps(double)) is double


def test_a_bound_method_pickles_with_its_object():
    """
    The object goes along, the method is found on it.
    """
    assert pickle.loads(pickle.dumps(Agent(3).times)).__self__.factor == 3


def test_a_class_method_and_a_static_method_pickle(base):
    """
    Both are found on the class again.
    """
    assert pickle.loads(pickle.dumps(Agent.of_class))(1) == ("Agent", 1)
    assert pickle.loads(pickle.dumps(Agent.static))(1) == 1
    assert runs_in(base) == ["class method", "static method"]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_pool_of_processes_tracks_its_calls(base, method):
    """
    However the processes are started, each call is a run.
    """
    with multiprocessing.get_context(method).Pool(2) as pool:
        answers = pool.map(double, range(4))
        pool.close()
        pool.join()

    assert answers == [0, 2, 4, 6]
    assert runs_in(base) == ["module level"] * 4


def test_cloudpickle_carries_a_local_function_by_value(base):
    """
    A function that no name leads to arrives whole, and is tracked where it arrives.
    """
    added = 5

    @tracked_run("agent", "local")
    def add(number):
        return number + added

    copy = pickle.loads(cloudpickle.dumps(add))

    assert type(copy) is TrackedFunction
    assert copy(1) == 6
    assert runs_in(base) == ["local"]


def test_cloudpickle_carries_a_script_s_own_function(base, tmp_path):
    """
    A function of ``__main__`` runs, and is tracked, in a process that has another one.
    """
    script = textwrap.dedent("""
        import sys, cloudpickle
        from telemetry import tracked_run
        @tracked_run("agent", "of the script")
        def answer(): return 42
        sys.stdout.buffer.write(cloudpickle.dumps(answer))
    """)
    path = tmp_path / "script.py"
    path.write_text(script)
    sent = subprocess.run(
        [sys.executable, str(path)], stdout=subprocess.PIPE, check=True, env=dict(os.environ)
    ).stdout

    received = pickle.loads(sent)

    assert received() == 42
    assert runs_in(base) == ["of the script"]


def test_what_pickles_carries_no_client(tmp_path):
    """
    A client is a process's own: where the function arrives, the default one takes over.
    """
    client = TelemetryClient(base_dir=tmp_path)

    @tracked_run("agent", "local", client=client)
    def local():
        return 1

    copy = pickle.loads(cloudpickle.dumps(local))

    assert copy._self_tracking.client is None
    client.close()
