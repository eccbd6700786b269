"""
``python -m telemetry.service`` is ``telemetry serve``.
"""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    sys.argv.insert(1, "serve")
    runpy.run_module("telemetry", run_name="__main__", alter_sys=True)
