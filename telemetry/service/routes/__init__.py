"""
What the service answers, by subject: each module has the operations of one.
"""
