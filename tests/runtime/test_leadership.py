from __future__ import annotations

import os
import time

from telemetry.runtime.leadership import Leadership


def test_one_leads_and_the_others_do_not(tmp_path):
    """
    A sink has one leader at a time; when he goes, another one leads.
    """
    first, second = Leadership(tmp_path, "x"), Leadership(tmp_path, "x")

    assert first.may_work()
    assert not second.may_work()
    assert not second.is_leader
    first.release()
    assert second.may_work()
    second.release()


def test_sinks_have_leaders_of_their_own(tmp_path):
    """
    One process may lead one sink, and another the next.
    """
    first, second = Leadership(tmp_path, "x"), Leadership(tmp_path, "y")

    assert first.may_work()
    assert second.may_work()
    first.release()
    second.release()


def test_a_leader_that_shows_nothing_is_passed_by_until_he_does(tmp_path):
    """
    A lease without a sign lets one other work beside him; a sign sends him back.
    """
    stuck, deputy, third = (Leadership(tmp_path, "x", lease_s=60) for _ in range(3))
    assert stuck.may_work()
    long_ago = time.time() - 90
    os.utime(stuck.path, (long_ago, long_ago))

    assert deputy.may_work()
    assert not deputy.is_leader
    assert not third.may_work()
    stuck._stamped = 0.0
    stuck.stamp()
    assert not deputy.may_work()
    for leadership in (stuck, deputy, third):
        leadership.release()


def test_when_the_deputy_is_stuck_too_anybody_works(tmp_path):
    """
    After two leases no lock is waited for: the cursors keep it right.
    """
    stuck, deputy, third = (Leadership(tmp_path, "x", lease_s=60) for _ in range(3))
    assert stuck.may_work()
    long_ago = time.time() - 150
    os.utime(stuck.path, (long_ago, long_ago))

    assert deputy.may_work()
    assert third.may_work()
    for leadership in (stuck, deputy, third):
        leadership.release()


def test_where_there_can_be_no_lock_everybody_works(tmp_path):
    """
    A state directory that cannot be made has no leaders.
    """
    (tmp_path / "state").write_text("a file")

    assert Leadership(tmp_path / "state", "x").may_work()


def test_the_next_claim_comes_at_a_random_time(tmp_path):
    """
    Candidates do not all knock at once.
    """
    leadership = Leadership(tmp_path, "x")
    waits = {leadership.retry_s() for _ in range(20)}

    assert len(waits) > 1
    assert all(1 <= wait <= 5 for wait in waits)


def test_who_leads_gives_way_to_the_preferred(tmp_path):
    """
    A service that comes later leads from the leader's next look on, and until it goes.
    """
    agent = Leadership(tmp_path, "x")
    service = Leadership(tmp_path, "x", is_preferred=True)

    assert agent.may_work()
    assert not service.may_work()
    assert not agent.may_work()
    assert service.may_work()
    assert service.is_leader
    service.release()
    assert agent.may_work()
    agent.release()


def test_a_preferred_one_that_is_stuck_is_passed_by(tmp_path):
    """
    Preference is no right to stand in the way.
    """
    agent = Leadership(tmp_path, "x", lease_s=60)
    service = Leadership(tmp_path, "x", lease_s=60, is_preferred=True)
    assert service.may_work()
    long_ago = time.time() - 90
    os.utime(service.path, (long_ago, long_ago))

    assert agent.may_work()
    assert not agent.is_leader
    agent.release()
    service.release()


def test_a_busy_leader_is_told_to_leave(tmp_path):
    """
    Whoever leads finds out in the middle of its work that another process is preferred.
    """
    leader = Leadership(tmp_path, "s")
    preferred = Leadership(tmp_path, "s", is_preferred=True)
    assert leader.may_work()
    assert not leader.is_asked_to_leave()
    assert not preferred.may_work()

    assert leader.is_asked_to_leave()
    assert not preferred.is_asked_to_leave()
    assert not leader.may_work()
    assert preferred.may_work()
    preferred.release()
    leader.release()
