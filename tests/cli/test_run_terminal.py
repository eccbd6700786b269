"""
Commands under `telemetry run` on a real pseudo terminal.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import struct
import sys
import time

import pytest

pty = pytest.importorskip("pty")
fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

TIMEOUT_S = 60


class Terminal:
    """
    A terminal with a person at it, who waits for words and types.
    """

    def __init__(self, words, env):
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvpe(words[0], words, env)
        self.resize(33, 99)
        self.screen = b""

    def resize(self, lines, columns):
        """
        Give the terminal another size, as dragging its corner does.
        """
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys):
        """
        Press keys.
        """
        os.write(self._fd, keys)

    def wait_for(self, words, *, after=b""):
        """
        Read until words are on the screen, behind others.
        """
        deadline = time.monotonic() + TIMEOUT_S
        while after not in self.screen or words not in self.screen[self.screen.find(after) :]:
            assert time.monotonic() < deadline, self.screen
            assert self._read(), self.screen

    def end(self):
        """
        Read to the end and return the exit code.
        """
        while self._read():
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self._fd)
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)

    def _read(self):
        ready, _, _ = select.select([self._fd], [], [], TIMEOUT_S)
        if not ready:
            os.killpg(self.pid, signal.SIGKILL)
            raise AssertionError(f"nothing more came after {self.screen!r}")
        try:
            piece = os.read(self._fd, 4096)
        except OSError:
            return False
        self.screen += piece
        return bool(piece)


@pytest.fixture
def on_terminal(telemetry):
    """
    Start ``telemetry run -- sh -c SCRIPT`` on a terminal.
    """
    return lambda script: Terminal(
        telemetry.command("run", "--", "sh", "-c", script), telemetry.env()
    )


def test_a_terminal_stays_a_terminal(on_terminal):
    """
    All three streams are the command's terminal, of our size.
    """
    terminal = on_terminal("test -t 0 && test -t 1 && test -t 2 && echo all; stty size; exit 5")

    assert terminal.end() == 5
    assert b"all\r\n33 99\r\n" in terminal.screen


def test_keys_reach_the_command(on_terminal, telemetry):
    """
    What is typed is read by the command, and its end as well.
    """
    terminal = on_terminal("echo ready; cat; echo bye")
    terminal.wait_for(b"ready")
    terminal.type(b"hello\r")
    terminal.wait_for(b"hello\r\nhello")
    terminal.type(b"\x04")

    assert terminal.end() == 0
    assert terminal.screen.endswith(b"bye\r\n")
    assert "bye" in telemetry.json("show", "@last")["events"][0]["payload"]["stdout"]


def test_ctrl_c_interrupts_the_command(on_terminal, telemetry):
    """
    Ctrl+C ends the command, not its record: the run is cancelled and 130 passed on.
    """
    # Not a shell's own `sleep`: a shell that is about to start it may swallow the signal.
    program = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_DFL); "
        "print('ready', flush=True); time.sleep(60); print('never')"
    )
    terminal = on_terminal(f'exec {sys.executable} -c "{program}"')
    terminal.wait_for(b"ready")
    terminal.type(b"\x03")

    assert terminal.end() == 130
    assert b"never" not in terminal.screen
    assert telemetry.json("show", "@last")["run"]["status"] == "cancelled"


def test_a_command_may_live_through_ctrl_c(on_terminal):
    """
    A command that handles Ctrl+C gets it once and ends as it likes.
    """
    terminal = on_terminal(
        "trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 0.05; done"
    )
    terminal.wait_for(b"ready")
    terminal.type(b"\x03")

    assert terminal.end() == 7
    assert terminal.screen.count(b"caught") == 1


def test_a_new_size_reaches_the_command(on_terminal):
    """
    A window that is resized is resized for the command too.
    """
    terminal = on_terminal(
        "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done"
    )
    terminal.wait_for(b"ready")
    terminal.resize(20, 70)

    assert terminal.end() == 0
    assert b"20 70" in terminal.screen


def test_ctrl_z_stops_both_and_fg_goes_on(telemetry):
    """
    In a shell with job control Ctrl+Z gives the prompt back, and fg the command.
    """
    words = shlex.join(telemetry.command("run", "--", "sh", "-c"))
    script = 'echo "rea"dy; cat; echo "by"e'
    terminal = Terminal(
        ["bash", "--norc", "--noprofile", "-i"], telemetry.env(PS1="$ ", TERM="dumb")
    )
    terminal.type(f"{words} '{script}'\r".encode())
    terminal.wait_for(b"ready")
    terminal.type(b"\x1a")
    terminal.wait_for(b"Stopped")
    terminal.type(b"fg\r")
    terminal.wait_for(b"fg\r\n")
    terminal.type(b"again\r")
    terminal.wait_for(b"again\r\nagain")
    terminal.type(b"\x04")
    # A shell drops what was typed before its prompt.
    terminal.wait_for(b"$ ", after=b"\nbye")
    terminal.type(b"exit\r")

    assert terminal.end() == 0
    assert telemetry.json("show", "@last")["run"]["status"] == "success"


def test_the_terminal_is_given_back(telemetry):
    """
    After the command the terminal is as it was before.
    """
    words = shlex.join(telemetry.command("run", "--", "true"))
    script = f'before=$(stty -g); {words}; test "$before" = "$(stty -g)" && echo the same'
    terminal = Terminal(["sh", "-c", script], telemetry.env())

    assert terminal.end() == 0
    assert b"the same" in terminal.screen


def test_standard_error_stays_a_terminal_beside_a_pipe(telemetry):
    """
    Each stream is judged for itself: a piped output does not take the error's terminal.
    """
    words = shlex.join(telemetry.command("run", "--", "sh", "-c"))
    inner = "test -t 1 || echo piped; test -t 2 && echo terminal >&2"
    terminal = Terminal(["sh", "-c", f"{words} '{inner}' | cat"], telemetry.env())

    assert terminal.end() == 0
    assert b"piped\r\n" in terminal.screen
    assert b"terminal\r\n" in terminal.screen


def test_a_list_on_a_terminal_fits_it(recorded):
    """
    On a terminal lines are cut to its width and coloured; NO_COLOR takes only the colours.
    """
    for name, text in (("NO_COLOR", "1"), ("IGNORED", "")):
        terminal = Terminal(recorded.command("runs"), recorded.env(**{name: text, "TERM": "xterm"}))
        assert terminal.end() == 0
        lines = terminal.screen.decode().split("\r\n")

        assert ("\x1b[" in terminal.screen.decode()) is (name == "IGNORED")
        if name == "NO_COLOR":
            assert max(map(len, lines)) <= 99


@pytest.mark.parametrize("columns", ["20", "40", "80"])
def test_a_narrow_terminal_is_kept_to(recorded, columns):
    """
    COLUMNS narrows every page; no line is wider, down to where a table cannot be one.
    """
    for args in (["runs"], ["show", "@last"], ["config"], ["tail"]):
        env = recorded.env(COLUMNS=columns, LINES="24", NO_COLOR="1")
        terminal = Terminal(recorded.command(*args), env)
        assert terminal.end() == 0
        lines = terminal.screen.decode().replace("\r", "").split("\n")

        assert max(map(len, lines)) <= max(int(columns), 48), (args, lines)
