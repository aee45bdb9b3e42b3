"""A test message: composed, and handed to a relay, as a report is."""

from __future__ import annotations

from cronwrap.address import addresses
from cronwrap.mail import Report
from cronwrap.model import Command, Record, Verdict
from cronwrap.pipeline.addressing import recipients, sender
from cronwrap.pipeline.context import new_run
from cronwrap.relay.connect import connect
from cronwrap.report.compose import compose
from cronwrap.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.mail import Delivery, Message
    from cronwrap.settings.load import Settings
    from cronwrap.settings.relays import Endpoint

HEADLINE = "this is a test: cronwrap's reports reach you"
NOTE = "Nothing has failed. From now on a mail like this one tells of a job that did."


class People(Record):
    """Who a report is from and who it goes to, as bare addresses."""

    sender: str
    recipients: tuple[str, ...]
    fault: str = ""
    """Why an address cannot be used, or empty."""


class Told(Record):
    """What became of a test message."""

    ok: bool
    """Whether it was taken for everybody."""
    text: str
    advice: str = ""


def people(settings: Settings) -> People:
    """Give sender and recipients of a report outside of any job."""
    run = new_run(Command(argv=("cronwrap",), text="cronwrap"), settings)
    try:
        to = addresses(",".join(recipients(run)), run.host)
        by = addresses(sender(run), run.host)[0].spec
    except (ValueError, IndexError) as error:
        return People(sender="", recipients=(), fault=str(error))
    return People(sender=by, recipients=tuple(one.spec for one in to))


def message(settings: Settings, command: str) -> Message:
    """Give a test message in the form of a report; ``command`` is what it was asked for with."""
    run = new_run(Command(argv=("cronwrap",), text=command), settings)
    verdict = Verdict(result="ok", label="ok", headline=HEADLINE, failed=False, mail=True, notes=(NOTE,))
    return compose(
        Report(
            run_id=run.run_id,
            job="cronwrap-test",
            command=command,
            user=run.user,
            host=run.host,
            sender=sender(run),
            recipients=recipients(run),
            verdict=verdict,
            outcomes=(),
            started=run.started,
            ended=run.started,
            duration=0.0,
            environment={},
        )
    )


def send(endpoint: Endpoint, test: Message) -> Told:
    """Hand a test message to a relay, and say what became of it."""
    with connect(endpoint) as session:
        return _told(session.send(test.envelope, test.content), endpoint)


def _told(delivery: Delivery, endpoint: Endpoint) -> Told:
    if delivery.relay_fault:
        advice = "mend what is told of this relay, then try again"
        return Told(ok=False, text=one_line(delivery.relay_fault), advice=advice)
    left = [*delivery.refused, *delivery.too_large, *delivery.deferred]
    if left:
        words = "; ".join(f"{address}: {why}" for address, why in left)
        verb = "refused" if delivery.refused or delivery.too_large else "not taken now"
        advice = "correct mailto, mailfrom or the relay"
        return Told(ok=False, text=one_line(f"{verb}: {words}"), advice=advice)
    return Told(
        ok=True,
        text=f"{endpoint.display} has taken it for {', '.join(delivery.delivered)}",
        advice="" if delivery.delivered else "nobody is told: set mailto",
    )
