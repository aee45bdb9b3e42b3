"""The fleet: one history, one lock and one watch over many hosts, in a PostgreSQL that its users have.

No server of cronwrap's own: each host sends its records in the background (``shipper``, woken by ``wake``),
and what is asked is asked of the database. ``database`` is the only place that knows psycopg; the statements
stand in ``schema/``, as functions that a host's role may call. Nothing here is loaded by a run that asks for
nothing of it, but for ``wake``, which is small.
"""
