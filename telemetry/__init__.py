"""
Record what agents do: one decorator, a journal that survives ``kill -9``, sinks that follow it.
"""

from __future__ import annotations
