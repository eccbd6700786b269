"""
The HTTP service: one process that takes records over the network and answers from the database.

A 2xx means that it is in the journal. Everything else is as in an agent: followers carry the
journal on, and a run is the fold of its records.
"""
