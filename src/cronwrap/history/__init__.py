"""The runs of the past: a small file a run while it is young, SQLite for the rest; the only SQL.

Use ``journal`` to put a run on record, ``runs`` to ask and to fold the journal into the database.
"""
