"""
The service against its own OpenAPI document: schemathesis looks for what the two disagree in.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from servers import ROOT, Server

# Not imported here, where each worker would pay for it.
pytestmark = pytest.mark.skipif(
    int(version("schemathesis").partition(".")[0]) < 4, reason="its command has other options"
)

HERE = Path(__file__).parent
DOCUMENT = ROOT / "docs" / "reference" / "openapi.json"
#: Examples of each operation; more where it is asked for.
EXAMPLES = os.environ.get("TELEMETRY_TEST_EXAMPLES", "2")
#: What a request that fits its schema may still be answered: known already, not allowed, not there,
#: ended, not any more as If-Match says, too long together. What one that does not fit must be
#: answered, likewise.
CONFIG = """
[checks]
positive_data_acceptance.expected-statuses = [
    "2xx", "304", "401", "403", "404", "409", "412", "414"
]
negative_data_rejection.expected-statuses = ["400", "404", "405", "412", "413", "414", "415", "422"]

# One bad item of many spoils nothing: the answer is 200, and names it.
[[operations]]
include-name = ["POST /api/v1/runs/batch", "POST /api/v1/records"]
checks.negative_data_rejection.enabled = false
"""


@pytest.mark.timeout(300)
def test_the_service_does_what_its_document_says(tmp_path):
    """
    No 5xx, no answer that the document does not describe, nothing good refused, nothing bad taken.
    """
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG, encoding="utf-8")
    with Server(tmp_path / "base") as server:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", config),
                *("run", DOCUMENT, "--url", server.url, "--phases", "coverage,fuzzing"),
                *("--max-examples", EXAMPLES, "--seed", "1", "--generation-allow-x00", "false"),
                *("--generation-database", "none", "--no-color"),
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "schemathesis_hooks"},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
