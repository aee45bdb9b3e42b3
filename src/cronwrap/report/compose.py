"""From a report to a message that is ready to be stored and sent: envelope and RFC 5322 octets. Pure.

Every run that fails comes through here, two hundred at the same instant in a bad minute: nothing that
is slow to import may be needed for it.
"""

from __future__ import annotations

from cronwrap.address import Address, addresses, domain, fallback, usable
from cronwrap.mail import Envelope, Message
from cronwrap.model import Record
from cronwrap.report import body, charset, details, html, mime
from cronwrap.report.verdict import ABANDONED, RUNNING
from cronwrap.text import one_line, visible

try:  # what hashlib itself would load, after a millisecond and OpenSSL
    from _blake2 import blake2b
except ImportError:  # a Python that was built otherwise
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cronwrap.mail import Report
    from cronwrap.model import Output
    from cronwrap.report.body import View
    from cronwrap.report.charset import Reading

__all__ = ["Address", "addresses", "annotate_delay", "compose", "output_digest"]

FORMAT_CRON = "cron"
SHOWN_VARIABLES = ("SHELL", "HOME", "PATH", "LOGNAME", "USER")
"""The only ones that leave the machine: others hold secrets."""
SENDER_NAME = '"(Cron Daemon)"'
ID_LIMIT = 64
"""Characters of a run id that go into a Message-ID as they are."""
LABEL_WIDTH = 13
_ID = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def compose(report: Report) -> Message:
    """Give the message about a run. It never raises for what a report may hold.

    A recipient that is no address is passed over and named in the body; when none is left (or none was
    given) the message goes to the user at this host. A sender that is no address is the user at this host.
    """
    recipients, faults = _recipients(report)
    sender = _sender(report)
    report = report.replace(faults=report.faults + faults)
    subject = f"Cron <{report.user}@{short_host(report.host)}> {report.command}"
    content = b"".join(
        (
            f"From: {SENDER_NAME} <{sender}>\r\n".encode(),
            mime.address_field("To", [(recipient.name, recipient.spec) for recipient in recipients]),
            mime.field("Subject", subject),
            *_trace(report),
            *_variables(report),
            mime.field("X-Cronwrap-Job", report.job),
            mime.field("X-Cronwrap-Result", report.verdict.label),
            b"MIME-Version: 1.0\r\n",
            *(_cron_form(report) if report.format == FORMAT_CRON else _report_form(report)),
        )
    )
    envelope = Envelope(sender=sender, recipients=tuple({recipient.spec: None for recipient in recipients}))
    return Message(envelope=envelope, content=content, job=report.job, subject=one_line(subject))


def short_host(host: str) -> str:
    """Give a host's name up to its first dot, as crond shows it."""
    return host.partition(".")[0]


def output_digest(output: Output) -> str:
    """Give a digest of an output, to tell whether another run's is the same: 32 hexadecimal digits."""
    digest = blake2b(output.head, digest_size=16)
    digest.update(output.tail)
    digest.update(b"%d %d %d" % (len(output.head), output.left_out_bytes, output.left_out_lines))
    return digest.hexdigest()


def annotate_delay(content: bytes, waited: float, reason: str) -> bytes:
    """Give a stored message that says in its body that it waited (seconds) for a relay, and why.

    A message that is no report of ours gets a header field ``X-Cronwrap-Delayed`` alone. Give it the
    message as it was stored, not one that says so already.
    """
    from cronwrap.report.delay_note import annotate  # noqa: PLC0415 - a run whose relay answers has no use for it

    return annotate(content, waited, reason)


def _recipients(report: Report) -> tuple[tuple[Address, ...], tuple[str, ...]]:
    """Give whom to write to (at least one), and what was wrong with those who were named."""
    found: dict[str, Address] = {}
    faults = []
    for text in report.recipients:
        good, wrong = usable(text, report.host)
        for address in good:
            found.setdefault(address.spec, address)
        # Where the settings' own fault tells of the very recipient, once is enough.
        told = [fault for fault in wrong if not any(known.endswith(fault) for known in report.faults)]
        faults += [f"recipient passed over: {fault}" for fault in told]
    if not found:
        found[""] = Address(name="", spec=fallback(report.user, report.host))
    return tuple(found.values()), tuple(faults)


def _sender(report: Report) -> str:
    """Give the return path, never empty: some relays refuse mail without one."""
    try:
        return addresses(report.sender, report.host)[0].spec
    except (ValueError, IndexError):
        return fallback(report.user, report.host)


def _trace(report: Report) -> tuple[bytes, ...]:
    """Give the fields that date, name and thread the message, and keep automatic answers away.

    The Message-ID comes from the run and stays over every attempt, so that a relay that took a message
    without being heard can tell the second one (RFC 5322, 3.6.4; RFC 3834, 5).
    """
    host = domain(report.host)
    run = report.run_id
    if report.verdict.result in (ABANDONED, RUNNING):
        run += f"-{report.verdict.result}"  # the run has, or may have, a report of its own
    if not 0 < len(run) <= ID_LIMIT or not _ID.issuperset(run):
        run = _seed(report)
    thread = _digest(report.user, report.job, report.host)
    return (
        f"Date: {mime.date(report.ended)}\r\n".encode(),
        f"Message-ID: <{run}.cronwrap@{host}>\r\n".encode(),
        f"References: <{thread}.job.cronwrap@{host}>\r\n".encode(),
        mime.list_id(report.job, report.user, short_host(report.host), "cronwrap"),
        b"Auto-Submitted: auto-generated\r\n",
        b"Precedence: bulk\r\n",
        b"X-Auto-Response-Suppress: OOF, AutoReply\r\n",
    )


def _variables(report: Report) -> list[bytes]:
    """Give the fields that show the job's environment as crond does."""
    shown = [name for name in SHOWN_VARIABLES if name in report.environment]
    return [mime.field("X-Cron-Env", f"<{name}={report.environment[name]}>") for name in shown]


def _digest(*texts: str) -> str:
    """Give a short name for some texts: letters and digits."""
    return blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


def _seed(report: Report) -> str:
    """Give letters and digits that are the run's own."""
    return _digest(report.run_id, report.host)


class _Outputs(Record):
    """The outputs of a run's tries, one after the other."""

    readings: tuple[Reading, ...]
    views: tuple[View, ...]
    attached: dict[int, str]
    """The names of the attachments by the index of the try."""


def _outputs(report: Report) -> _Outputs:
    """Give what is shown of each try, and what has to be attached."""
    readings = tuple(charset.read(outcome.output, report.environment) for outcome in report.outcomes)
    views, attached = [], {}
    for index, reading in enumerate(readings):
        name = body.attachment_name(index + 1, len(readings), reading)
        limit = body.share(len(readings))
        views.append(body.view(reading.shown, limit, name, timestamps=report.timestamps))
        if not views[-1].whole:
            attached[index] = name
    return _Outputs(readings=readings, views=tuple(views), attached=attached)


def _with_attachments(part: bytes, report: Report, outputs: _Outputs) -> bytes:
    """Give a part together with the attachments it needs."""
    if not outputs.attached:
        return part
    files = [body.attachment(name, outputs.readings[index]) for index, name in outputs.attached.items()]
    return mime.multipart("mixed", [part, *files], _seed(report))


def _cron_form(report: Report) -> tuple[bytes, ...]:
    """Give the last fields and the body in crond's form: the output alone.

    A job that was not started has the reason in place of its output, as a shell would have put it there.
    Faults of our own become header fields.
    """
    outputs = _outputs(report)
    text = "".join(view.text for view in outputs.views)
    if not text:
        text = "".join(f"{visible(outcome.error)}\n" for outcome in report.outcomes if outcome.error)
    faults = (mime.field("X-Cronwrap-Fault", fault) for fault in report.faults)
    return (*faults, _with_attachments(mime.text_part(text), report, outputs))


def _report_form(report: Report) -> tuple[bytes, ...]:
    """Give the body in our own form, as plain text and as HTML."""
    outputs = _outputs(report)
    same = None
    if report.verdict.failed and report.past.last_failure_digest and report.outcomes:
        same = output_digest(report.outcomes[-1].output) == report.past.last_failure_digest
    tried = zip(report.outcomes, outputs.readings, strict=True)
    report = report.replace(outcomes=tuple(outcome.replace(output=read.output) for outcome, read in tried))
    rows = details.rows(report, outputs.attached, same_output=same)
    notes = [
        visible(text) for text in (*report.verdict.notes, *(f"cronwrap: {fault}" for fault in report.faults))
    ]
    plain = mime.text_part(_plain(report, outputs.views, notes, rows))
    page = mime.text_part(html.page(report, outputs.views, notes, rows), "html")
    alternative = mime.multipart("alternative", [plain, page], _seed(report))
    return (_with_attachments(alternative, report, outputs),)


def _plain(report: Report, views: Sequence[View], notes: list[str], rows: details.Rows) -> str:
    """Give the whole text: headline, notes, output, and the details below the signature's line."""
    blocks = [one_line(report.verdict.headline) + "\n"]
    if notes:
        blocks.append("".join(f"{text}\n" for text in notes))
    for number, (outcome, view) in enumerate(zip(report.outcomes, views, strict=True), 1):
        shown = view.text
        if len(views) > 1:
            shown = f"--- try {number} of {len(views)}: {details.status(outcome)} ---\n{shown}"
        if shown:
            blocks.append(shown if shown.endswith("\n") else f"{shown}\n")
    lines = ["-- "]
    for label, value in rows:
        first, *more = value.split("\n")
        lines.append(f"{label:<{LABEL_WIDTH}}  {first}")
        lines += [f"{'':<{LABEL_WIDTH}}  {line}" for line in more]
    return "\n".join([*blocks, "\n".join(lines)]) + "\n"
