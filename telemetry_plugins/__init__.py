"""
The plugins that come with Local Telemetry.

Each module is found by entry point, as a stranger's would be, and imports only
what a stranger's may: the public modules of ``telemetry`` and, for the SQLite
sink, ``telemetry.storage``.
"""
