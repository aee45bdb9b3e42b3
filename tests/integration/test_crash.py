"""Every system call between a report and its delivery, as the last one there is, or as one that fails.

strace(1) kills the process on entry to a call, or has the call fail: what was done before is done, and
nothing after it.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass

import pytest

import cronwrap
from cronwrap.mail import Envelope, Message
from cronwrap.outbox.drain import Drainer
from cronwrap.outbox.store import Outbox
from cronwrap.settings import relays as endpoint
from support.cli import CRONWRAP

CALLS = "mkdirat,openat,write,fsync,renameat,unlinkat,sendto,recvfrom,connect,flock,clone,fork,vfork"
LIMIT = 60.0
"""Seconds for one traced run, which takes less than one."""
RUN = [CRONWRAP, "--", "sh", "-c", "echo said; exit 7"]
SEND = [sys.executable, "-P", "-m", "cronwrap.outbox.waiter", "send"]

_CALL = re.compile(r"(\d+) (\w+)\((.*)")


@pytest.fixture(scope="module", autouse=True)
def strace(needs):
    needs("strace", "tracing")


@dataclass(frozen=True)
class Point:
    """One system call of a run: the first, second, … of its kind in the process that strace started."""

    call: str
    number: int


@dataclass(frozen=True)
class Traced:
    """A run under strace."""

    status: int
    stderr: str
    lines: list[str]

    @property
    def stored(self) -> bool:
        """Whether a message came into the queue."""
        return any(
            " renameat(" in line and "/outbox/queue>" in line and line.endswith("= 0") for line in self.lines
        )

    @property
    def killed(self) -> bool:
        """Whether the process that strace started was killed."""
        return f"{self.lines[0].split(' ')[0]} +++ killed by SIGKILL +++" in self.lines

    def points(self, wanted) -> list[Point]:
        """Give the calls of the first process that ``wanted(call, arguments)`` picks."""
        counts: Counter[str] = Counter()
        found = []
        first = self.lines[0].split(" ")[0]
        for line in self.lines:
            seen = _CALL.match(line)
            if seen is None or seen[1] != first:
                continue
            call, arguments = seen[2], seen[3]
            counts[call] += 1
            if wanted(call, arguments):
                found.append(Point(call, counts[call]))
        return found


@pytest.fixture
def place(cli, relay):
    """An installed program with a relay, and a settings file old enough to be cached."""
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    os.utime(cli.config, (1_700_000_000, 1_700_000_000))
    return cli


def traced(cli, state, words, *inject):
    out = f"{state}.trace"
    injections = [word for text in inject for word in ("-e", f"inject={text}")]
    command = ["strace", "-f", "-y", "-e", f"trace={CALLS}", *injections, "-o", out, *words]
    done = subprocess.run(
        command,
        env={**cli.env, "CRONWRAP_STATE_DIR": state},
        cwd=cli.home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    with open(out, encoding="utf-8", errors="replace") as file:
        lines = [" ".join(line.split()) for line in file]
    return Traced(done.returncode, done.stderr.decode("utf-8", "replace"), lines)


def flush(state, relay):
    box = Outbox(state)
    claim = box.claim()
    assert claim.take(), "somebody still sends"
    Drainer(box, [endpoint.from_environment(relay.environment)], 86400.0).drain(everything=True)
    claim.release()
    assert (box.ids(), box.failed()) == ([], [])


PACKAGE = os.path.dirname(cronwrap.__file__)


class OfStoring:
    """Picks the calls from the first one that concerns the outbox on, up to those of the history.

    Not ``unlinkat``: the sender, where the calls are counted anew, has that after its delivery.
    """

    def __init__(self):
        self.begun = self.over = False

    def __call__(self, call, arguments):
        self.begun = self.begun or (call == "mkdirat" and "outbox" in arguments)
        self.over = self.over or (self.begun and "history.db" in arguments)
        if self.over or call == "unlinkat":
            return False
        if call == "openat":
            return self.begun and "outbox" in arguments and PACKAGE not in arguments  # it has such a folder
        return self.begun


def test_a_run_killed_at_any_call_loses_no_stored_report_and_doubles_none(place, relay, tmp_path):
    whole = traced(place, str(tmp_path / "whole"), RUN)
    assert (whole.status, whole.stderr, whole.stored, len(relay.messages)) == (7, "", True, 1)
    points = whole.points(OfStoring())
    assert {"mkdirat", "openat", "write", "fsync", "renameat", "flock"} <= {point.call for point in points}
    killed = stored = 0
    for number, point in enumerate(points):
        del relay.messages[:]
        state = str(tmp_path / f"state{number}")
        run = traced(place, state, RUN, f"{point.call}:signal=KILL:when={point.number}")
        killed += run.killed
        flush(state, relay)
        assert len(relay.messages) == run.stored, point
        stored += run.stored
    # The number of a call shifts now and then; that each was hit about once is enough.
    assert killed > len(points) * 0.8
    assert 0 < stored < len(points)


def test_a_sender_killed_at_any_call_loses_nothing_and_doubles_one_message_at_most(place, relay, tmp_path):
    def prepare(state):
        for identity in ("r1", "r2"):
            content = f"Subject: {identity}\r\n\r\ntext\r\n".encode()
            envelope = Envelope(sender="cron@example.test", recipients=("ops@example.test",))
            message = Message(envelope=envelope, content=content, job="j", subject=identity)
            Outbox(state).store(identity, message, 1_772_420_706.0)

    def of_sending(call, arguments):
        return (
            call in ("connect", "sendto", "recvfrom", "unlinkat", "flock", "renameat")
            or "/outbox" in arguments
        )

    prepare(str(tmp_path / "whole"))
    whole = traced(place, str(tmp_path / "whole"), SEND)
    assert [mail.subject for mail in relay.messages] == ["r1", "r2"]
    points = whole.points(of_sending)
    assert {"connect", "sendto", "recvfrom", "unlinkat", "openat"} <= {point.call for point in points}
    doubled = killed = 0
    for number, point in enumerate(points):
        del relay.messages[:]
        state = str(tmp_path / f"state{number}")
        prepare(state)
        killed += traced(place, state, SEND, f"{point.call}:signal=KILL:when={point.number}").killed
        before = {mail.subject for mail in relay.messages}
        left = set(Outbox(state).ids())
        assert before | left == {"r1", "r2"}, point
        assert len(before & left) <= 1, point
        doubled += len(before & left)
        flush(state, relay)
        found = Counter(mail.subject for mail in relay.messages)
        assert found == Counter([*before, *left]), point
    assert killed > len(points) * 0.8
    # Only between the final dot and the removal can there be a second copy.
    assert doubled < len(points) / 2


# Not write: signals are written to a pipe, which no disk can fill; see the full disk below.
FAILING = {
    "mkdirat": ("EROFS", "ENOSPC"),
    "openat": ("EROFS", "EIO"),
    "fsync": ("EIO", "ENOSPC"),
    "renameat": ("ENOSPC", "EIO", "EROFS"),
    "flock": ("ENOLCK",),
}


def failures(points):
    """Give each call with one of its errors, in turn."""
    for number, point in enumerate(points):
        if errors := FAILING.get(point.call):
            yield point, errors[number % len(errors)]


def test_a_disk_that_fails_at_any_call_costs_neither_the_status_nor_the_report(place, relay, tmp_path):
    whole = traced(place, str(tmp_path / "whole"), RUN)
    from_memory = 0
    for number, (point, error) in enumerate(failures(whole.points(OfStoring()))):
        del relay.messages[:]
        state = str(tmp_path / f"state{number}")
        run = traced(place, state, RUN, f"{point.call}:error={error}:when={point.number}")
        assert run.status == 7, (point, error)
        from_memory += bool(relay.messages) and not run.stored
        if not relay.messages and not (run.stored and Outbox(state).ids()):
            assert "\nsaid\n" in run.stderr, (point, error)
        elif run.stored:
            flush(state, relay)
            assert len(relay.messages) == 1, (point, error)
    assert from_memory


def test_a_full_disk_and_a_dead_relay_leave_the_report_on_standard_error(place, make_misbehaving, tmp_path):
    server = make_misbehaving("banner", "drop")
    place.env |= server.environment
    for call, error in (("fsync", "ENOSPC"), ("renameat", "EROFS")):
        run = traced(place, str(tmp_path / call), RUN, f"{call}:error={error}:when=1+")
        assert run.status == 7
        assert "could be neither stored nor sent" in run.stderr
        assert "\nsaid\n" in run.stderr


def limited():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def test_a_limit_on_files_costs_neither_the_status_nor_the_report(place, relay):
    place.env["PYTHONDONTWRITEBYTECODE"] = "1"  # or its code is cut short, too
    process = place.start(*RUN[1:], preexec_fn=limited, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 7
    assert b"the outbox" in err
    assert b"File too large" in err
    assert ["said" in mail.body for mail in relay.messages] == [True]
    assert (Outbox(place.state).ids(), Outbox(place.state).ids("tmp")) == ([], [])


@pytest.mark.parametrize("room", ["4k", "8k", "64k"])
def test_a_disk_that_is_really_full_costs_neither_the_status_nor_the_report(place, relay, needs, room):
    needs("namespaces")
    os.makedirs(place.state, mode=0o700)
    mount = f'mount -t tmpfs -o size={room},mode=700 none "$CRONWRAP_STATE_DIR" && exec "$0" "$@"'
    words = ["--mount", "sh", "-c", mount, *RUN]
    process = place.start(*words, program="unshare", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 7
    assert ["said" in mail.body for mail in relay.messages] == [True]
    assert (b"No space left on device" in err) == (room != "64k")


@pytest.mark.parametrize("call", ["unlinkat", "renameat", "fsync"])
def test_a_sender_whose_disk_fails_says_so_and_ends(place, relay, tmp_path, call):
    state = str(tmp_path / "state")
    place.env["CRONWRAP_STATE_DIR"] = state
    rule = relay.refuse("DATA", "451 4.3.0 Later", times=1)
    assert place("--", "sh", "-c", "echo said; exit 7").status == 7
    rule.times = 0 if call == "unlinkat" else 1
    box = Outbox(state)
    (item,) = box.items()[0]
    box.update(item, item.replace(next_attempt=0.0))
    sender = traced(place, state, SEND, f"{call}:error=EROFS:when=1+")
    assert sender.status == 0
    assert len(relay.messages) == (call == "unlinkat")
    assert len(box.ids()) == 1  # rather twice than never
    flush(state, relay)
