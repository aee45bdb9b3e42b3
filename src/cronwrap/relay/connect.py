"""The way out: a relay, whatever its kind, behind ``connect`` and ``Session``.

    with relay.connect(endpoint) as session:
        delivery = session.send(envelope, content)

Nothing here raises for what a relay does: a ``Delivery`` tells it. What each kind needs is imported
when it is used, since a maildir has no need of asyncio and TLS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

    from cronwrap.mail import Delivery, Envelope
    from cronwrap.settings.relays import Endpoint


class _Way(Protocol):
    def send(self, envelope: Envelope, content: bytes) -> Delivery: ...

    def close(self) -> None: ...


class Session:
    """Messages to one relay, over as few connections as it allows."""

    def __init__(self, way: _Way) -> None:
        self._way = way

    def send(self, envelope: Envelope, content: bytes) -> Delivery:
        """Give what became of one message.

        Takes as long as an honest relay may need (minutes after the final dot), and
        ``relay_smtp.ATTEMPT_LIMIT`` at most. After a ``relay_fault`` this session answers the same
        without trying again.
        """
        return self._way.send(envelope, content)

    def close(self) -> None:
        """Say goodbye and let go of the connection, within seconds."""
        self._way.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect(endpoint: Endpoint) -> Session:
    """Give a session; the connection itself is opened by the first message."""
    return Session(_way(endpoint))


def _way(endpoint: Endpoint) -> _Way:
    if endpoint.kind == "sendmail":
        from cronwrap.relay.local import SendmailSession  # noqa: PLC0415  # see above

        return SendmailSession(endpoint)
    if endpoint.kind == "maildir":
        from cronwrap.relay.local import MaildirSession  # noqa: PLC0415

        return MaildirSession(endpoint)
    from cronwrap.relay.smtp import SmtpSession  # noqa: PLC0415

    return SmtpSession(endpoint)
