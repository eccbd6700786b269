"""
The stranger's own tests, as they would run them: with what telemetry brings for pytest.
"""

from __future__ import annotations

from telemetry_postbox import PostboxSink

from telemetry.testing import SinkConformance


class TestPostbox(SinkConformance):
    def make_sink(self, base):
        return PostboxSink(base)

    def delivered(self, base):
        path = base / "cards"
        return path.read_text().split() if path.exists() else []


def test_it_takes_what_a_client_records(make_telemetry_client, captured_runs, tmp_path):
    """
    Through the fixtures, without being installed.
    """
    import telemetry_postbox

    client = make_telemetry_client(plugins=[telemetry_postbox])
    with client.track_run("agent", "job") as run:
        run.log_event("sent")

    assert client.flush(60)
    assert captured_runs.events() == [("sent", {"sender": "somebody"})]
