"""
What a forked child answers.
"""

from __future__ import annotations

import os
import traceback


def in_child(work):
    """
    Return what a function returns in a forked child, as text.

    The child ends there, whatever the function raises: nothing of it goes on as this test.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(reading)
            os.write(writing, str(work()).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0, "the child's traceback is on standard error"
    return text
