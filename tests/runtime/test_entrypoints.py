"""
Finding installed plugins: the answer of importlib.metadata, without importing it.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import zipfile

import pytest

from telemetry.runtime.entrypoints import EntryPoint, entry_points

GROUP = "telemetry.plugins"


def install(
    place, directory, entry_points_text, metadata="Name: My.Plugin\nVersion: 1.2\n\nLong text: x\n"
):
    """
    Put the files of an installed distribution into a directory.
    """
    info = place / directory
    info.mkdir(parents=True)
    (info / "METADATA").write_text(metadata)
    (info / "entry_points.txt").write_text(entry_points_text)


def test_it_finds_the_lines_of_its_group(tmp_path):
    """
    Names, values, distribution and version come from the files that pip writes.
    """
    install(
        tmp_path,
        "my_plugin-1.2.dist-info",
        "[console_scripts]\nx = y:z\n\n[telemetry.plugins]\n# one\na = pkg.mod\nb=pkg.mod : Thing.plugin [extra]\n\n[telemetry.plugins.other]\nc = d\n",
    )

    found = entry_points(GROUP, [str(tmp_path)])

    assert found == (
        EntryPoint("a", "pkg.mod", "My.Plugin", "1.2"),
        EntryPoint("b", "pkg.mod : Thing.plugin [extra]", "My.Plugin", "1.2"),
    )
    assert [each.module for each in found] == ["pkg.mod", "pkg.mod"]


def test_the_first_of_two_versions_on_the_path_counts(tmp_path):
    """
    A distribution that is installed twice is the one that would be imported.
    """
    for place, value in (("first", "new"), ("second", "old")):
        install(
            tmp_path / place, f"My.Plugin-{value}.dist-info", f"[telemetry.plugins]\na = {value}\n"
        )
    (tmp_path / "second" / "My.Plugin-old.dist-info").rename(
        tmp_path / "second" / "my_plugin-old.dist-info"
    )

    found = entry_points(GROUP, [str(tmp_path / "first"), str(tmp_path / "second")])

    assert [each.value for each in found] == ["new"]


def test_broken_distributions_are_passed_over(tmp_path):
    """
    A file where a directory belongs, no metadata, bytes that are no text: the others are found.
    """
    (tmp_path / "a-1.dist-info").write_text("")
    (tmp_path / "b-1.dist-info").mkdir()
    install(tmp_path, "c-3.dist-info", "[telemetry.plugins]\nc = c\n", metadata="")
    (tmp_path / "d-1.dist-info").mkdir()
    (tmp_path / "d-1.dist-info" / "entry_points.txt").write_bytes(b"\xff[telemetry.plugins\n = \n")

    assert entry_points(GROUP, [str(tmp_path), str(tmp_path / "missing")]) == (
        EntryPoint("c", "c", "c", "3"),
    )


def test_archives_are_asked_through_importlib_metadata(tmp_path):
    """
    A distribution inside a zip file on the path is found like another.
    """
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("z-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: z\nVersion: 1\n")
        file.writestr("z-1.dist-info/entry_points.txt", "[telemetry.plugins]\nz = zmod\n")

    assert entry_points(GROUP, [str(archive)]) == (EntryPoint("z", "zmod", "z", "1"),)


def test_other_importers_are_asked_through_importlib_metadata(tmp_path, monkeypatch):
    """
    An importer that keeps distributions elsewhere, as frozen programs do, is not missed.
    """
    install(
        tmp_path,
        "q-1.dist-info",
        "[telemetry.plugins]\nq = qmod\n",
        "Metadata-Version: 2.1\nName: q\nVersion: 1\n",
    )

    class Finder:
        @staticmethod
        def find_spec(*_):
            return None

        @staticmethod
        def find_distributions(context=None):
            if context is None or context.name in {None, "q"}:
                yield importlib.metadata.PathDistribution(tmp_path / "q-1.dist-info")

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])

    assert EntryPoint("q", "qmod", "q", "1") in entry_points(GROUP)


def test_it_agrees_with_importlib_metadata_about_this_environment():
    """
    Over everything installed here, for every group there is, both find the same.
    """
    expected = {}
    for distribution in importlib.metadata.distributions():
        for each in distribution.entry_points:
            expected.setdefault(each.group, {}).setdefault(
                (distribution.metadata["Name"], each.name), each.value
            )

    found = {
        group: {(each.distribution, each.name): each.value for each in entry_points(group)}
        for group in expected
    }

    assert found == expected


def test_it_costs_no_import_of_importlib_metadata():
    """
    A fresh agent does not pay for the import.
    """
    program = "import sys; sys.path[:0] = sys.argv[1:]; from telemetry.runtime.entrypoints import entry_points; entry_points('telemetry.plugins'); print('importlib.metadata' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-S", "-c", program, *filter(None, sys.path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": ""},
    )

    assert done.stdout == "False\n"


@pytest.mark.parametrize("value", ["not a module", "", "json:nothing", "no_such_module_anywhere"])
def test_what_cannot_be_loaded_says_so(value):
    """
    A broken value is an error when it is loaded, not when it is found.
    """
    with pytest.raises((ImportError, AttributeError)):
        EntryPoint("x", value).load()


def test_it_loads_modules_and_objects():
    """
    A value names a module, or something in it.
    """
    import json

    assert EntryPoint("x", "json").load() is json
    assert EntryPoint("x", "json:JSONEncoder.encode [extra]").load() is json.JSONEncoder.encode
