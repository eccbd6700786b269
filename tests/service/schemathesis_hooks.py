"""
What schemathesis cannot know of this service; loaded by it, see test_schemathesis.py.
"""

from __future__ import annotations

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(context, value):
    """
    Send whatever was drawn as the text that it is.
    """
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@schemathesis.hook
def map_query(context, query):
    """
    Leave out cursors: only an answer's own mean something, which no schema can say.
    """
    return {name: value for name, value in query.items() if name != "cursor"} if query else query
