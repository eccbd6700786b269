"""
How much telemetry costs, beside the bare machine and its best peers, each as a ratio in one run.
"""
