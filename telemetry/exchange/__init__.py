"""
Runs in other people's formats: what goes out of a base directory, and what comes in.
"""
