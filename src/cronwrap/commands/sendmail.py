"""``cronwrap sendmail``: takes a message on standard input and sends it as a report is sent."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, BinaryIO

import click

from cronwrap.address import LOCAL, Address, addresses, fallback, own_names
from cronwrap.commands import outbox as outbox_command
from cronwrap.errors import CronwrapError, StateError
from cronwrap.job.signals import Signals
from cronwrap.log import log
from cronwrap.mail import Message
from cronwrap.outbox import dispatch, from_memory
from cronwrap.outbox.store import Outbox
from cronwrap.paths import user_name
from cronwrap.pipeline.mistakes import report_bug
from cronwrap.pipeline.reporting import no_relay, say
from cronwrap.sendmail.command_line import (
    ALIASES,
    EX_DATAERR,
    EX_IOERR,
    EX_OK,
    EX_SOFTWARE,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    FLUSH,
    LIST,
    Rejected,
    read,
)
from cronwrap.sendmail.submission import MESSAGE_LIMIT, Site, submit
from cronwrap.settings.load import Settings

if TYPE_CHECKING:
    from cronwrap.commands.cli import App

HELP = """Take a whole message on standard input and send it, as sendmail(8) does.

\b
cronwrap sendmail [-t] [-i] [-f ADDR] [-F NAME] [--] [ADDR]...

\b
-t        recipients are those of To, Cc and Bcc; Bcc is taken out
-i, -oi   a line with a dot alone does not end the message
-f ADDR   the sender (also -r)
-F NAME   the sender's full name, where the message has no From
-bp       list the outbox;  -q  send what is in it

Other flags of sendmail are accepted and ignored. Without -t and ADDR the recipients stand in the message.
"""


class AsTheyCome(click.Command):
    """A command whose words are not click's to understand: ``-oi`` is one flag here."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the words as they are."""
        if args in (["--help"], ["-h"]):
            click.echo(self.get_help(ctx))
            ctx.exit()
        ctx.params["words"] = tuple(args)
        return []


@click.command("sendmail", cls=AsTheyCome, help=HELP, add_help_option=False, options_metavar="")
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> int:
    """Do what sendmail's command line asks for; give one of sysexits(3), whatever happens.

    The program that called us knows no others: for some of them it would drop the message.
    """
    try:
        return _serve(ctx, words)
    except Rejected:
        raise
    except CronwrapError as error:
        say(str(error))
        return EX_TEMPFAIL
    except KeyboardInterrupt:
        return EX_TEMPFAIL
    except OSError as error:
        say(f"sendmail: {error.strerror}")
        return EX_IOERR
    except Exception as error:  # noqa: BLE001  # a bug
        report_bug(error)
        return EX_SOFTWARE


def _serve(ctx: click.Context, words: tuple[str, ...]) -> int:
    app: App = ctx.obj
    request = read(words)
    if request.mode == LIST:
        ctx.invoke(outbox_command.list_, as_json=False)
        return EX_OK
    if request.mode == FLUSH:
        settings = app.settings()
        if not dispatch.flush(settings, lambda _item, _words: None):
            return EX_TEMPFAIL
        dispatch.leave_waiter(settings)
        return EX_OK
    if request.mode == ALIASES:
        return EX_OK  # there are none: local names go to mailto
    with open(0, "rb", closefd=False) as stream:
        content = receive(stream, ends_with_dot=request.ends_with_dot)
    settings = app.settings()
    now = time.time()
    identity = f"{time.strftime('%Y%m%dT%H%M%S', time.localtime(now))}-{os.urandom(4).hex()}"
    submission = submit(content, request, site(settings), identity, now)
    for remark in (*settings.faults, *submission.remarks):
        say(remark)
        log(f"sendmail: {remark}")
    return hand_in(settings, identity, submission.message)


def receive(stream: BinaryIO, *, ends_with_dot: bool) -> bytes:
    """Read a message to its end; Rejected when it is too large."""
    if not ends_with_dot:
        content = stream.read(MESSAGE_LIMIT + 1)
    else:
        pieces: list[bytes] = []
        size, whole = 0, True
        while size <= MESSAGE_LIMIT and (piece := stream.readline(MESSAGE_LIMIT + 1)):
            if whole and piece in (b".\n", b".\r\n", b"."):
                break
            pieces.append(piece)
            size += len(piece)
            whole = piece.endswith(b"\n")
        content = b"".join(pieces)
    if len(content) > MESSAGE_LIMIT:
        raise Rejected(EX_DATAERR, f"the message is larger than {MESSAGE_LIMIT >> 20} MiB")
    return content


def hand_in(settings: Settings, identity: str, message: Message) -> int:
    """Store a message and have it sent; give the exit status for its author."""
    try:
        Outbox(settings.state_dir).store(identity, message, time.time())
    except StateError as error:
        log(str(error))
        why = from_memory.send_from_memory(settings, message)
        if not why:
            return EX_OK
        say(f"{error}, and the message could not be sent: {why}")
        return EX_TEMPFAIL
    if not settings.relays:
        say(no_relay(settings, "message"))
        return EX_OK
    words = dispatch.dispatch(settings, identity, Signals(terminal=False))
    if words.startswith("failed"):
        say(f"the message {words}")
        return EX_UNAVAILABLE
    return EX_OK


def site(settings: Settings) -> Site:
    """Give what local names stand for: the configured ``mailto`` and ``mailfrom``, or the relay's login."""
    host = os.uname().nodename
    here = Address(name="", spec=fallback(user_name(), host))
    login = settings.login
    senders = [*_full(settings["mailfrom"]), *(_full(login) if "@" in login else ())]
    # MAILTO says who reads one crontab's, and crond has put that into the message already.
    mailto = settings.house or settings["mailto"] or ""
    readers = _full(mailto) or _addresses(mailto, host) or (here,)
    # A host may bear the name of the mail domain itself: then its addresses are real ones.
    mail_domains = {address.spec.rpartition("@")[2].lower() for address in (*senders, *_full(mailto))}
    return Site(
        host=host,
        local_domains=frozenset(own_names(host)) - mail_domains,
        mailto=readers,
        sender=senders[0] if senders else here,
        sender_configured=bool(senders),
    )


def _addresses(text: str | None, host: str) -> tuple[Address, ...]:
    """Give the addresses of a setting; none where it cannot be read, which ``doctor`` tells."""
    try:
        return addresses(text or "", host)
    except ValueError:
        return ()


def _full(text: str | None) -> tuple[Address, ...]:
    """Give those that are no local names."""
    return tuple(a for a in _addresses(text, LOCAL) if a.spec.rpartition("@")[2] != LOCAL)
