"""
What the pages show works.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent
RUNNER = DOCS / "examples.py"
PAGES = sorted([*DOCS.rglob("*.md"), DOCS.parent / "README.md"])
WITH_EXAMPLES = [
    page
    for page in PAGES
    if any(f"```{kind}\n" in page.read_text("utf-8") for kind in ("python", "console"))
]


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(DOCS.parent)))
def test_examples_of_the_page_run(page: Path, tmp_path: Path) -> None:
    """
    A reader who copies a page's examples in order sees no error.
    """
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("TELEMETRY_", "METRICS_"))}
    environ |= {"TELEMETRY_BASE_DIR": str(tmp_path / "base"), "TELEMETRY_STRICT": "1"}
    work = tmp_path / "work"
    work.mkdir()

    done = subprocess.run(
        [sys.executable, str(RUNNER), str(page)],
        cwd=work,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=100,
        check=False,
        encoding="utf-8",
    )

    assert done.returncode == 0, done.stdout
