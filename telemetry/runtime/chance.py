"""
Randomness of our own.

The `random` module's functions share one generator with the agent: drawing from it here would
change what a seeded agent draws, and seeding it there would make all its processes wait alike.
"""

from __future__ import annotations

import random

#: For jitter and samples, never for anything that must not be guessed.
chance = random.SystemRandom()
