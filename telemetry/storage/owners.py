"""
Whose open runs are, in SQL.

Nothing is imported here: a command that only looks reads it too.
"""

from __future__ import annotations

#: The writer that began a run ``r``; null where the lock of its process is not in this base
#: directory: a run that was handed over whole, imported, or relayed from another one.
OWNER = (
    "(SELECT substr(k.id, 1, instr(k.id, '-') - 1) FROM run_records k"
    " WHERE k.event_id = r.event_id AND k.change = 'started'"
    """ AND k.body NOT LIKE '%,"relayed":true,"crc":"________"}'"""
    " ORDER BY k.timestamp LIMIT 1)"
)
#: Whether a run ``r`` was begun by a process that says every while that it lives. A run that was
#: handed over whole was not, so its silence means nothing.
HAS_HEARTBEAT = (
    "EXISTS (SELECT 1 FROM run_records k WHERE k.event_id = r.event_id AND k.change = 'started')"
)
