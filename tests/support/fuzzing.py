"""What reads from outside, as functions of octets that must come to an end and raise nothing of their own.

``tests/fuzz/test_corpus.py`` replays the corpus and tries a little more; ``make fuzz`` goes on for as long as
it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import socket
import tempfile

from cronwrap.address import Address
from cronwrap.crontab.edit import as_form, merged
from cronwrap.crontab.lines import decode, encode, parse
from cronwrap.crontab.lint import World, lint
from cronwrap.crontab.wrap import unwrap, wrap
from cronwrap.errors import ConfigError, StateError
from cronwrap.history import journal, records
from cronwrap.history import runs as history
from cronwrap.history.folding import fold
from cronwrap.history.past import past as past_of
from cronwrap.mail import Envelope, Message
from cronwrap.outbox.message_file import HEAD_LIMIT
from cronwrap.outbox.store import FAILED, QUEUE, Outbox
from cronwrap.relay.conversation import Conversation, on_the_wire
from cronwrap.relay.smtp import SmtpSession
from cronwrap.sendmail.command_line import Rejected, Request
from cronwrap.sendmail.submission import Site, submit
from cronwrap.settings import files, relays
from cronwrap.setup import importers

CORPUS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fuzz", "corpus")
NOW = 1_772_420_706.0
HOST = "web1.example.test"
WORLD = World(
    find=lambda _name, _path: None, is_user=lambda name: name == "root", subcommands=frozenset(("status",))
)
SITE = Site(
    host=HOST,
    local_domains=frozenset((HOST, "localhost")),
    mailto=(Address(name="", spec="ops@example.test"),),
    sender=Address(name="", spec="cron@example.test"),
)
ANSWER_LIMIT = 0.3
"""Seconds a relay that stopped talking is waited for."""


def crontab(octets):
    """Any file is read as a crontab, told about, wrapped and unwrapped; and no line is lost."""
    text = decode(octets)
    assert encode(text) == octets
    for system in (False, True):
        lines = parse(text, system=system)
        lint(text, WORLD, system=system)
        wrapped = wrap(text, system=system)
        assert len(parse(wrapped.text, system=system)) == len(lines)
        if not unwrap(text, system=system).changes:
            assert encode(unwrap(wrapped.text, system=system).text) == octets
        assert wrap(wrapped.text, system=system).text == wrapped.text
    form = as_form(octets)
    form.encode()  # a page has no lone surrogates
    assert merged(octets, form.replace("\n", "\r\n")) == octets


def submission(octets):
    """Any message is taken or rejected; what is taken is one message on the wire."""
    for request in (Request(from_header=True), Request(recipients=("a@example.test",))):
        try:
            message = submit(octets, request, SITE, "20260302T030506-4711", NOW).message
        except Rejected:
            continue
        wire = on_the_wire(message.content)
        assert wire.count(b"\r\n.\r\n") == 1
        assert wire.endswith(b"\r\n.\r\n")
        assert b"\n" not in wire.replace(b"\r\n", b"")
        assert b"\r" not in wire.replace(b"\r\n", b"")
        for address in (message.envelope.sender, *message.envelope.recipients):
            assert "\n" not in address
            assert "\r" not in address


def relay(octets):
    """Whatever a relay answers, a message is delivered, refused or deferred, and nothing is raised."""
    with contextlib.closing(_Session(octets)) as session:
        delivery = session.send(
            Envelope(sender="a@example.test", recipients=("b@example.test",)), b"S: x\r\n\r\nx\r\n"
        )
    counted = (delivery.delivered, delivery.refused, delivery.deferred, delivery.too_large)
    assert sum(map(len, counted)) == 1
    for _address, words in (*delivery.refused, *delivery.deferred):
        assert words.isprintable()


class _Session(SmtpSession):
    """A session with a relay that answers each line with the next part of the octets; a NUL parts them."""

    def __init__(self, octets):
        super().__init__(
            relays.parse({"url": "smtp://127.0.0.1:2525", "timeout": f"{ANSWER_LIMIT}s"}, "fuzz")
        )
        self.answers = octets.split(b"\0")

    async def _open(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            ours = socket.create_connection(server.getsockname())
            theirs, _ = server.accept()
        ours.setblocking(False)
        self.task = asyncio.create_task(self._answer(theirs))
        conversation = Conversation(self.endpoint, None)
        conversation._socket = ours
        try:
            await conversation.secure()
        except BaseException:
            await conversation.close(politely=False)
            raise
        return conversation

    async def _answer(self, sock):
        reader, writer = await asyncio.open_connection(sock=sock)
        with contextlib.suppress(OSError, ValueError):
            for answer in self.answers:
                writer.write(answer)
                await writer.drain()
                if not await reader.readline():
                    break
        writer.close()


def record(octets):
    """Any file among the runs is a record or is set aside; no look at the history fails or hangs."""
    place = tempfile.mkdtemp(prefix="cronwrap-fuzz-")
    try:
        directory = os.path.join(place, "runs")
        os.mkdir(directory, 0o700)
        for name in (f"r1.{journal.tag('j')}", f"r2.{journal.tag('j')}.end", f".new-r3.{journal.tag('j')}"):
            with open(os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(octets)
        list(records.running(place, "j"))
        for entry in records.abandoned(place):
            records.why_abandoned(entry.fields)
            entry.release()
        list(records.ended(place))
        past_of(place, "j", "u")
        fold(place)
        list(history.runs(place))
        assert journal.waiting(place) == 0
    finally:
        shutil.rmtree(place)


def outbox(octets):
    """Any file in the outbox is a message or is moved to what was given up; the others still go."""
    place = tempfile.mkdtemp(prefix="cronwrap-fuzz-")
    try:
        box = Outbox(place)
        good = box.store(
            "good",
            Message(envelope=Envelope(sender="a@x", recipients=("b@x",)), content=b"x", job="j", subject="s"),
            NOW,
        )
        for folder, name in ((QUEUE, "bad"), (FAILED, "worse"), ("", "relays")):
            path = os.path.join(place, "outbox", folder, name)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(octets)
        items, _damaged = box.items()
        assert good in items
        for item in (*items, *box.failed()):
            item.due(NOW)
            with (
                contextlib.suppress(Exception)
                if item.last_error.startswith("damaged")
                else contextlib.nullcontext()
            ):
                assert len(box.content(item)) == item.size
        assert len(octets) > HEAD_LIMIT or len(box.ids()) + len(box.ids(FAILED)) == 3
    finally:
        shutil.rmtree(place)


def settings(octets):
    """Any file is a configuration or says why it is none, in few and short words."""
    handle, path = tempfile.mkstemp(prefix="cronwrap-fuzz-")
    try:
        with open(handle, "wb") as file:
            file.write(octets)
        try:
            found = files.values(files.File(path))
        except ConfigError as error:
            assert len(str(error)) < 4000  # noqa: PT017  # no test of its own, and no error is as good
            return
        assert len(found["faults"]) <= files.FAULT_LIMIT + 1
        files.relays_in_files((path,))
    finally:
        os.unlink(path)


def foreign_settings(octets):
    """Any file of another mailer is taken over as far as it goes."""
    for kind in importers.KINDS:
        with contextlib.suppress(ConfigError):
            importers.load(octets, kind, "file", lambda _name: octets)
    with contextlib.suppress(ConfigError):
        importers.detect(octets, "file")


TARGETS = {
    target.__name__: target
    for target in (crontab, submission, relay, record, outbox, settings, foreign_settings)
}
ALLOWED = (StateError,)
"""What a target may raise: a sentence for a person, where the state as a whole is of no use."""


def seeds(name):
    """Give the corpus of a target: name and octets."""
    directory = os.path.join(CORPUS, name)
    for base in sorted(os.listdir(directory)):
        with open(os.path.join(directory, base), "rb") as file:
            yield base, file.read()


PIECES = [
    *(
        b"\0",
        b"\n",
        b"\r",
        b"\r\n",
        b"\r\n.\r\n",
        b".",
        b" ",
        b"\t",
        b"%",
        b'"',
        b"'",
        b"\\",
        b"\x1b[2J",
        b"\xff",
    ),
    *(
        b"\x80",
        b"\xe2\x80\xae",
        b"=?utf-8?q?",
        b"?=",
        b"(",
        b")",
        b"<",
        b">",
        b"@",
        b":",
        b";",
        b",",
        b"-",
        b"--",
    ),
    *(
        b"250 ok\r\n",
        b"250-",
        b"354 go\r\n",
        b"421 ",
        b"To: ",
        b"Bcc: a@x\n",
        b"[[relay]]\n",
        b"[jobs.x]\n",
        b"= 1\n",
    ),
    *(
        b"* * * * * ",
        b"@daily ",
        b"cronwrap -- ",
        b"size: 1\n",
        b"to: a@b\n",
        b"1e999",
        b"-1",
        b"99999999999999999999",
    ),
    *(b"inf", b"nan", b"A" * 300, b"(" * 300, b"[" * 300),
]


def mutated(octets, others, dice: random.Random):
    """Give octets changed in a few places: cut, doubled, mixed with others of the corpus."""
    data = bytearray(octets)
    for _ in range(dice.choice((1, 1, 2, 3, 5, 8))):
        at = dice.randrange(len(data) + 1)
        end = min(len(data), at + dice.choice((1, 1, 2, 4, 16, 64)))
        how = dice.randrange(7)
        if how == 0:
            data[at:at] = dice.choice(PIECES)
        elif how == 1:
            data[at:end] = dice.choice(PIECES)
        elif how == 2:
            del data[at:end]
        elif how == 3:
            data[at:at] = data[at:end] * dice.choice((1, 2, 50))
        elif how == 4 and at < len(data):
            data[at] = dice.randrange(256)
        elif how == 5 and at < len(data):
            data[at] ^= 1 << dice.randrange(8)
        else:
            other = dice.choice(others)
            first = dice.randrange(len(other) + 1)
            data[at:end] = other[first : first + dice.choice((4, 16, 64, 256))]
    return bytes(data[:65536])
