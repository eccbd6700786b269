"""
The `telemetry` command line, one module a command.
"""
