"""
The SQLite database: schema, rows, migrations, recovery.
"""
