from __future__ import annotations

import inspect

import pytest

from telemetry.model import errors
from telemetry.model.errors import (
    PermanentSinkError,
    PluginError,
    SettingsError,
    TelemetryError,
    TransientSinkError,
)

CLASSES = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, Exception) and found.__module__ == errors.__name__
]


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_is_in_the_tree(error):
    """
    All of the library's errors have one base, and stand in the drawing at the module's top.
    """
    assert issubclass(error, TelemetryError)
    assert error.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("error", [found for found in CLASSES if found is not TelemetryError])
def test_every_error_refines_a_builtin(error):
    """
    Whoever knows only Python's own errors can catch each by its kind.
    """
    builtins = [base for base in error.__mro__ if base.__module__ == "builtins"]

    assert builtins[0] is not Exception


def test_errors_carry_their_parts():
    """
    What a handler needs is an attribute, beside the message.
    """
    assert SettingsError("m", setting="s").setting == "s"
    assert PluginError("m", plugin="p").plugin == "p"
    assert TransientSinkError("m", retry_after_s=1.5).retry_after_s == 1.5
    assert PermanentSinkError("m", record_ids=["a", "a"]).record_ids == {"a"}
    assert str(PermanentSinkError("m")) == "m"
