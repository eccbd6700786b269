"""
Runs as clients hand them over to the service.
"""

from __future__ import annotations

from hypothesis import strategies as st

from telemetry.model.run import Kind
from telemetry.service.bodies import POSTED, REQUIRED

TEXTS = st.text(
    st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20
) | st.sampled_from(
    ["password=hunter2hunter2", "https://u:secretpw@host/x", "a\0b", " ", '{"lt":1']
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | TEXTS
VALUES = {
    Kind.TEXT: TEXTS,
    Kind.COUNT: st.integers(0, 2**63 - 1),
    Kind.FLAG: st.booleans(),
    Kind.TIME: st.sampled_from(
        [
            "2026-11-22T05:13:00Z",
            "2026-11-22T05:13:00.25+05:30",
            "2026-11-22T05:13:00.123456Z",
            "2026-11-22 05:13:00.5z",
        ]
    ),
    Kind.JSON: st.dictionaries(
        TEXTS | st.sampled_from(["api_key", "tokens", "lt"]),
        SCALARS | st.lists(SCALARS, max_size=3),
    ),
    Kind.STATUS: st.sampled_from(["running", "ok", "failure", "timeout"]),
    Kind.TRIGGER: st.sampled_from(["cli", "mcp"]),
    Kind.COMMIT_SOURCE: st.sampled_from(["ci", "llm"]),
}
KEYS = st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True)


@st.composite
def posted_runs(draw):
    """
    Draw a run as a client hands it over: good, in one of its spellings.
    """
    names = draw(st.sets(st.sampled_from(sorted(POSTED)), max_size=4)) | set(REQUIRED)
    run = {}
    for name in names:
        limit = POSTED[name].max_length
        value = draw(KEYS if name in ("event_id", "run_id") else VALUES[POSTED[name].kind])
        run[name] = value[:limit] if isinstance(value, str) and limit else value
    return run
