"""
The description of the API is of this API, whole and sound.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from telemetry.model.run import COLUMNS
from telemetry.service.app import OPERATIONS
from telemetry.service.openapi import document, text

COMMITTED = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"


def references(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_each_operation_is_described():
    """
    Every operation but the pages themselves, under a name of its own.
    """
    described = {
        (method.upper(), path): operation
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }
    names = [operation["operationId"] for operation in described.values()]

    assert described.keys() == {(o.method, o.path) for o in OPERATIONS if o.tag != "docs"}
    assert len(set(names)) == len(names)
    assert all(operation["description"] for operation in described.values())


def test_each_reference_leads_somewhere():
    """
    And everything among the components is used, but for the filters of lists.
    """
    whole = document()
    found = set(references(whole))
    for reference in found:
        node = whole
        for part in reference.removeprefix("#/").split("/") if hasattr(str, "removeprefix") else []:
            node = node[part]
        assert node
    defined = {f"#/components/schemas/{name}" for name in whole["components"]["schemas"]}
    assert defined == {one for one in found if "/schemas/" in one}


def test_every_field_of_a_run_is_in_it():
    """
    Bodies and answers derive from the fields.
    """
    schemas = document()["components"]["schemas"]

    assert COLUMNS.keys() <= schemas["Run"]["properties"].keys()
    patchable = {name for name, column in COLUMNS.items() if column.patchable}
    assert schemas["RunUpdate"]["properties"].keys() == patchable


def test_each_parameter_of_a_path_is_declared():
    """
    What stands in braces is a parameter of the operation.
    """
    whole = document()
    for path, methods in whole["paths"].items():
        names = set(re.findall(r"{(\w+)}", path))
        for operation in methods.values():
            used = {one["$ref"].rpartition("/")[2] for one in operation.get("parameters", ())}
            assert {f"path_{name}" for name in names} <= used


def test_what_is_committed_is_what_is_served(api):
    """
    Byte for byte.
    """
    assert api.get("/openapi.json").text == COMMITTED.read_text(encoding="utf-8") == text()
    assert json.loads(text()) == document()
