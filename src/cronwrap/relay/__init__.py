"""Relays: SMTP servers, sendmail programs and maildirs, behind one ``Session``.

It knows no jobs and no outbox. Use ``connect.connect`` to talk to one, ``probe`` to try one without sending.
"""
