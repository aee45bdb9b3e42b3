"""The records of a mail: what it is made of, the message itself, and what a relay did with it.

Apart from ``model`` since a quiet run has no use for them.
"""

from __future__ import annotations

from cronwrap.model import Outcome, Record, Verdict
from cronwrap.past import Past


class Report(Record):
    """All that a mail is made of."""

    run_id: str
    job: str
    command: str
    """``Command.text``."""
    user: str
    host: str
    """The host name in full; the subject has it up to the first dot."""
    sender: str
    """An address, ``local@domain``: the header's and the envelope's."""
    recipients: tuple[str, ...]
    """As the user wrote them, ``a@b`` or ``Name <a@b>``."""
    verdict: Verdict
    outcomes: tuple[Outcome, ...]
    """One for each try, the last one last; empty for a run that did not come to a try."""
    started: float
    ended: float
    duration: float
    environment: dict[str, str]
    """The job's environment; only SHELL HOME PATH LOGNAME USER are shown."""
    past: Past = Past()
    format: str = "report"
    """``report`` or ``cron``."""
    timestamps: bool = False
    by_hand: bool = False
    """Whether a person asked for the run (``cronwrap run``)."""
    faults: tuple[str, ...] = ()
    """What was wrong with cronwrap itself (a configuration that could not be used, say)."""
    facts: tuple[tuple[str, str], ...] = ()
    """What stands below, labels and values, of what was no run: another host of the fleet, say."""


class Envelope(Record):
    """What a relay is told beside the message (RFC 5321, 2.3.1)."""

    sender: str
    """Return path: a bare address, never empty."""
    recipients: tuple[str, ...]
    """Bare addresses."""


class Message(Record):
    """A message that is ready to be stored and sent."""

    envelope: Envelope
    content: bytes
    """RFC 5322, 7-bit clean, CRLF line ends, no line over 998 octets."""
    job: str
    subject: str
    """For people; decoded."""
    sender_from_settings: bool = False
    """Whether the sender is what the configuration says, or stands in for what it does not say."""
    recipients_from_settings: bool = False
    """The same for the recipients; those of a crontab or a flag are not."""
    recipients_written: str = ""
    """The recipients as a crontab or a flag names them, where settings say who is meant; else empty."""


class Delivery(Record):
    """What a relay did with one message in one attempt."""

    delivered: tuple[str, ...] = ()
    """Recipients that the relay has taken responsibility for."""
    refused: tuple[tuple[str, str], ...] = ()
    """Recipients refused for good, each with the relay's words."""
    deferred: tuple[tuple[str, str], ...] = ()
    """Recipients to try again, each with the reason."""
    too_large: tuple[tuple[str, str], ...] = ()
    """Recipients for whom the message is too large, each with the relay's words: a smaller one may go."""
    size_limit: int = 0
    """Octets of the largest message that the relay takes; 0 when it names none."""
    relay_fault: str = ""
    """Set when the relay as a whole could not be used (connection, TLS, login): the reason and what to
    do. Every recipient is then in ``deferred``, and no other message need be tried with it now."""
    login_refused: bool = False
    """Whether that fault was a refused login: to repeat it often may lock the account."""
