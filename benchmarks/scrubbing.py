"""
What looks almost like a secret, as long as a payload lets it be: the time grows with the length.
"""

from __future__ import annotations

import time

from benchmarks.harness import Row
from telemetry.model.scrub import Scrubber

#: What a rule begins to look at and has to give up again, each at nearly every character.
NEAR_MISSES = (
    "--a", " -pa", " -u", "mysql -pa ", "a=", "keykey=", "key='\\", "token%3Da", "%3A%2F%2Fa%3A",
    "://a:", "://a:b", "f_1", "k-", "eyJaaaaaaaa ", "Basic abcd", "ya29.", "-----BEGIN ",
    'name="password" value="', "['token', 'a",
)  # fmt: skip
SHORT_CHARS = 1 << 13
GROWTH = 8


def _seconds(scrubber: Scrubber, text: str, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begun = time.thread_time()
        scrubber.scrub_text(text)
        times.append(time.thread_time() - begun)
    return min(times)


def measure(*, quick: bool) -> list[Row]:
    """
    Measure the near miss whose time grows most.
    """
    scrubber, repeats = Scrubber(), 3 if quick else 11
    worst = (0.0, "")
    for piece in NEAR_MISSES:
        short = piece * (SHORT_CHARS // len(piece))
        growth = _seconds(scrubber, short * GROWTH, repeats) / _seconds(scrubber, short, repeats)
        worst = max(worst, (growth, piece))
    return [
        Row(
            what=f"scrubbing {GROWTH} times the near misses / one time, the worst",
            value=worst[0],
            target=1.5 * GROWTH,
            note=f"of {worst[1]!r}",
        )
    ]
