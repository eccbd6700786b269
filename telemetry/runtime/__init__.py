"""
One process at work: emission, followers, plugins, forks, locks, liveness.
"""
