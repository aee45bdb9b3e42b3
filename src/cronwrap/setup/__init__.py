"""Setting cronwrap up and looking it over: what ``init``, ``doctor`` and ``config import`` compute.

Use ``draft`` for a configuration in the making, ``importers`` for other mailers' files, ``mail_checks``
and ``cron_checks`` for what is wrong, ``trial`` for a test message, ``providers`` for what is known of them.
"""
