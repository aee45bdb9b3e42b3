"""Setting cronwrap up and looking it over: what ``init``, ``doctor`` and ``config import`` compute.

Use ``doctor.steps`` for all that is to be said of this host, ``draft`` for a configuration in the making,
``kept_answers`` for one that was interrupted, ``importers`` for other mailers' files, ``trial`` for a test
message, ``providers`` for what is known of them.
"""
