"""
What a process does while nothing is recorded.
"""

from __future__ import annotations

from telemetry.runtime.leadership import Leadership


def test_an_idle_leader_gives_way_to_the_preferred(station, collector, eventually):
    """
    An operator's command, or a service, need not wait for an agent that has nothing to do.
    """
    sink = collector()
    followers = station.follow(sink)
    station.log(1, followers)
    assert followers.flush(60)
    preferred = Leadership(station.config.state_dir, sink.name, is_preferred=True)
    try:
        assert eventually(preferred.may_work)
    finally:
        preferred.release()
