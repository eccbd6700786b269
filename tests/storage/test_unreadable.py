from telemetry.storage.unreadable import unreadable_in


def test_only_what_cannot_be_read_is_named(tmp_path, journal, tell):
    """
    A directory in a segment's place is named with the reason; other files are none of the journal.
    """
    tell(1)
    journal.close()
    raw = tmp_path / "raw"
    assert unreadable_in(raw) == []
    (raw / "notes").mkdir()
    (raw / "events_20200101.ndjson").mkdir()
    (found,) = unreadable_in(raw)

    assert found.path == raw / "events_20200101.ndjson"
    assert found.reason


def test_no_directory_no_files(tmp_path):
    """
    A journal that was never written has nothing unreadable in it.
    """
    assert unreadable_in(tmp_path / "none") == []
