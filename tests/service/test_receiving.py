from __future__ import annotations

import asyncio

import pytest
from starlette.requests import ClientDisconnect, Request

from telemetry.service.receiving import whole_body


def body_of(*messages):
    """
    Return the body that comes as these messages.
    """
    waiting = iter(messages)

    async def receive():
        return next(waiting)

    return asyncio.run(whole_body(Request({"type": "http"}, receive)))


def test_a_body_is_put_together():
    """
    However many pieces a body comes in, it is all of them in order.
    """
    pieces = [
        {"type": "http.request", "body": b"a", "more_body": True},
        {"type": "http.request", "more_body": True},
        {"type": "http.request", "body": b"b", "more_body": False},
    ]

    assert body_of(*pieces) == b"ab"
    assert body_of({"type": "http.request", "body": b"ab"}) == b"ab"
    assert body_of({"type": "http.request"}) == b""


def test_a_client_that_goes_away_has_no_body():
    """
    Half a body is none.
    """
    with pytest.raises(ClientDisconnect):
        body_of(
            {"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.disconnect"}
        )
