"""
How a database of an older version becomes one of this version.
"""

from telemetry.storage.migrations.apply import create_missing_indexes, migrate

__all__ = ["create_missing_indexes", "migrate"]
