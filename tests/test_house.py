"""
Rules of the house that no checker knows.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, entry_points
from pathlib import Path

import pytest

from telemetry.model.run import COLUMNS

ROOT = Path(__file__).resolve().parent.parent
CODE = sorted(
    [
        *ROOT.glob("telemetry/**/*.py"),
        *ROOT.glob("telemetry_plugins/**/*.py"),
        *ROOT.glob("docs/*.py"),
    ]
)
TESTS = sorted(ROOT.glob("tests/**/test_*.py"))
FIELDS = ROOT / "telemetry" / "model" / "run.py"
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
#: Names of fields that stand together in one literal: more of them are a list of the fields.
MAX_FIELDS_TOGETHER = 15
MAX_FUNCTION_LINES = 60
#: What an agent's process must not pay for.
HEAVY = (
    "alembic,fastapi,httpx,jinja2,pandas,plotly,psycopg,pydantic,requests,rich,sqlalchemy,starlette,"
    "streamlit,urllib3,uvicorn"
).split(",")


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT).as_posix()}:{getattr(node, 'lineno', 1)}"


def nodes(paths: list[Path]) -> Iterator[tuple[Path, ast.AST]]:
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield path, node


def body_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    return node.body[1:] if ast.get_docstring(node) else node.body


def strings_in(node: ast.AST) -> set[str]:
    children = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.Constant)]
    return {child.value for child in children if isinstance(child.value, str)}


@pytest.mark.once
def test_each_test_states_its_rule():
    """
    A test's docstring says what holds.
    """
    silent = [
        place(path, node)
        for path, node in nodes(TESTS)
        if isinstance(node, FUNCTIONS)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert silent == []


@pytest.mark.once
def test_functions_are_short():
    """
    No function is too long to be read at once; its docstring does not count.
    """
    too_long = [
        place(path, node)
        for path, node in nodes(CODE)
        if isinstance(node, FUNCTIONS)
        and (body := body_of(node))
        and (node.end_lineno or 0) - body[0].lineno >= MAX_FUNCTION_LINES
    ]

    assert too_long == []


@pytest.mark.once
def test_the_fields_of_a_run_are_listed_once():
    """
    Only `telemetry.model.run` lists the run's fields; everything else derives them.
    """
    lists = [
        place(path, node)
        for path, node in nodes(CODE)
        if path != FIELDS and len(strings_in(node) & COLUMNS.keys()) > MAX_FIELDS_TOGETHER
    ]

    assert lists == []


def test_an_agent_imports_no_more_than_it_uses(tmp_path):
    """
    A process that records a run and drains it loads no server, table, HTTP or terminal library.
    """
    program = (
        "import sys, telemetry\n"
        "telemetry.tracked_run('agent', 'job')(lambda: None)()\n"
        "client = telemetry.TelemetryClient()\n"
        "assert client.flush(60)\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"TELEMETRY_BASE_DIR": str(tmp_path), "PATH": "", "SYSTEMROOT": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout.strip(), done.stderr, done.returncode) == ("[]", "", 0)


@pytest.mark.parametrize("name", ["ndjson", "sqlite", "git_linker", "http"])
def test_bundled_plugins_are_found_by_entry_point(name):
    """
    A bundled plugin registers like a stranger's, and can be loaded.
    """
    points = entry_points()
    group = (
        points.select(group="telemetry.plugins")
        if hasattr(points, "select")
        else points["telemetry.plugins"]
    )
    (point,) = {point.value: point for point in group if point.name == name}.values()

    assert point.load().__name__ == f"telemetry_plugins.{name}"


def test_what_is_installed_is_all_there_is():
    """
    The built distribution has each file of the packages.
    """
    site = sysconfig.get_path("purelib")
    (installed,) = Distribution.discover(name="telemetry", path=[site])
    files = {str(file) for file in installed.files or ()}
    if "telemetry/__init__.py" not in files:
        pytest.skip("an editable installation has no files of its own")
    packages = [
        path for name in ("telemetry", "telemetry_plugins") for path in ROOT.glob(f"{name}/**/*")
    ]

    missing = {
        path.relative_to(ROOT).as_posix()
        for path in packages
        if path.is_file() and "__pycache__" not in path.parts
    } - files

    assert missing == set()


@pytest.mark.once
def test_links_between_pages_lead_somewhere():
    """
    A link in the README or the documentation names a file that is there.
    """
    broken = [
        f"{page.relative_to(ROOT).as_posix()}: {link}"
        for page in PAGES
        for link in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]

    assert broken == []
