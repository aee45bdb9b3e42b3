"""The runs of the past: a small file a run while it is young, SQLite for the rest; the only SQL.

Use ``journal`` to put a run on record, ``folding`` to bring the journal into the database. Asked are ``past``
by a run, of its job; ``finding`` for the run that a person means; ``runs`` and ``lists`` for many.
"""
