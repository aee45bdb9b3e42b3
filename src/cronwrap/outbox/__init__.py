"""Reports on their way: stored first, then sent, retried until a relay has taken them.

It knows octets and relays, no jobs. Use ``store.Outbox`` to keep a message, ``dispatch.dispatch`` to have
what is due sent, ``waiter`` for the process that retries, ``tend`` for what each run does about the queue.
"""
