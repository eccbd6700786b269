"""
The files of a base directory: the journal's segments, the SQLite database and its backups.
"""
