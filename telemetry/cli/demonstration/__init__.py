"""
The agent of ``telemetry demo``: honest work over real files, instrumented as any agent would be.
"""
