"""Lines of output held against the patterns of ``--fail-match`` and ``--ignore-match``, as they come.

All lines are looked at, those included that are left out of the report. That is done by a process of its own
(``patterns``): the job is supervised whatever a pattern costs, and waits for it within bounds.
"""

from __future__ import annotations

import marshal
import os
import select
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from cronwrap.model import STDERR, STDOUT
from cronwrap.patterns import READ_SIZE, Desk, Helper, packed, taken

LINE_LIMIT = 64 * 1024
"""Octets of a line that are looked at together: a line without an end must not fill the memory."""
MATCHES_KEPT = 5
"""Matching lines named in the report."""
PIECE_BUDGET = 2.0
"""Seconds of a core for what comes at one time, one line or thousands; a usual pattern takes a hundredth."""
BUDGET, BUDGET_PER_MB = 10.0, 1.0
"""Seconds of a core for all lines of a run, and for each megabyte of them: a tenth of what a usual pattern
makes. What is slower would hold the job up, since its output cannot be put aside without end."""
STALLED = 30.0
"""Seconds without an answer after which the helper is not waited for any more; the kernel ends it sooner,
unless it has stopped it or has no time for it."""
QUEUE_LIMIT = 1 << 20
"""Octets that wait for the helper before no more output is read: as much as a large pipe holds."""
FINISH = 0
"""Stands for the stream when there is no more."""


class Matcher:
    """Takes output in pieces and looks at it line by line."""

    def __init__(
        self, fail: Sequence[str], ignore: Sequence[str], at: Callable[[int], None] = lambda _number: None
    ) -> None:
        """Take regular expressions, searched for anywhere in a line (``re.search``); ``at`` is told which."""
        import re  # noqa: PLC0415  # for the helper alone
        import warnings  # noqa: PLC0415

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a later Python may read otherwise
            searches = [re.compile(pattern).search for pattern in (*fail, *ignore)]
        self._fail = list(enumerate(searches))[: len(fail)]
        self._ignore = list(enumerate(searches))[len(fail) :]
        self._at = at
        self.rest = {STDOUT: b"", STDERR: b""}
        """What has come since the last line end."""
        self.inside = {STDOUT: False, STDERR: False}
        """Whether that begins inside a line, perhaps inside of a word that is a secret."""
        self.matched: list[str] = []
        """The first lines that make the run a failure."""
        self.counted: set[int] = set()
        """The streams that had a line which counts as output."""

    def feed(self, stream: int, data: bytes) -> None:
        """Take a piece of a stream; what follows its last line end waits for the next piece."""
        *lines, rest = (self.rest[stream] + data).split(b"\n")
        for line in lines:
            self._look(stream, self._look_ahead(stream, line))
            self.inside[stream] = False
        self.rest[stream] = self._look_ahead(stream, rest)

    def finish(self) -> None:
        """Look at last lines that had no line end."""
        for stream, rest in self.rest.items():
            if rest:
                self._look(stream, rest)
        self.rest = {STDOUT: b"", STDERR: b""}

    def _look_ahead(self, stream: int, line: bytes) -> bytes:
        """Look at a long line piece by piece, the same pieces however it arrives; give what is left."""
        while len(line) > LINE_LIMIT:
            self._look(stream, line[:LINE_LIMIT])
            self.inside[stream] = True
            line = line[LINE_LIMIT:]
        return line

    def _look(self, stream: int, line: bytes) -> None:
        text = line.decode(errors="surrogateescape").removesuffix("\r")
        if stream not in self.counted and not self._found(self._ignore, text):
            self.counted.add(stream)
        if len(self.matched) < MATCHES_KEPT and self._found(self._fail, text):
            self.matched.append(f"… {text.partition(' ')[2]}" if self.inside[stream] else text)

    def _found(self, searches: list[tuple[int, Any]], text: str) -> bool:
        for number, search in searches:
            self._at(number)
            if search(text):
                return True
        return False


class Matching:
    """A ``Matcher`` in a process of its own, as the supervision of a job sees it: nothing here waits."""

    def __init__(self, fail: Sequence[str], ignore: Sequence[str], others: set[int]) -> None:
        """``others`` are told the helper's pid: it is none of the job's processes."""
        self._fail, self._ignore = [*fail], [*ignore]
        self._others = others
        self.matched: list[str] = []
        self.counted: set[int] = set()
        self.given_up: list[str] = []
        """What had to be given up, in words."""
        self._rest, self._inside = {STDOUT: b"", STDERR: b""}, {STDOUT: False, STDERR: False}
        self._queue: deque[bytes] = deque()
        """Pieces that the helper has not answered for; each with its stream before it."""
        self._queued = 0
        self._unsent = memoryview(b"")
        self._sent = 0
        """Pieces of the queue that it was sent, the last perhaps in part."""
        self._answers = bytearray()
        self._poll: select.poll | None = None
        self._waits = False
        """Whether the poll waits for room in the helper's pipe."""
        self._since = time.monotonic()
        self._helper: Helper | None = None
        self._start()

    @property
    def unknown(self) -> str:
        """Give the patterns of ``--fail-match`` that were given up, or an empty text."""
        return "; ".join(words for words in self.given_up if words.startswith("--fail-match"))

    @property
    def full(self) -> bool:
        """Say whether no more output should be read for now."""
        return self._helper is not None and self._queued > QUEUE_LIMIT

    def attend(self, poll: select.poll) -> None:
        """Have a loop over this wake when there is something for ``go_on`` to do."""
        self._poll = poll
        if self._helper:
            poll.register(self._helper.answers, select.POLLIN)

    def feed(self, stream: int, data: bytes) -> None:
        """Take a piece of a stream."""
        if not self._helper:
            self.counted.add(stream)
            return
        self._enqueue(bytes((stream,)) + data)
        self.go_on()

    def finish(self) -> None:
        """Wait for the last answer, as long as the time for all patterns goes."""
        if self._helper:
            self._enqueue(bytes((FINISH,)))
            self.go_on()
        while self._helper and self._queue:
            poll = select.poll()
            poll.register(self._helper.answers, select.POLLIN)
            if self._unsent:
                poll.register(self._helper.questions, select.POLLOUT)
            poll.poll(1000)
            self.go_on()
        self._end()

    def _enqueue(self, piece: bytes) -> None:
        if not self._queue:
            self._since = time.monotonic()  # nothing was to be answered before
        self._queue.append(piece)
        self._queued += len(piece) - 1

    def go_on(self) -> None:
        """Hand on what can be handed on, take what was answered, and see whether that takes too long."""
        while self._helper and not (self._send(self._helper) and self._receive(self._helper)):
            self._lost(self._helper)
        if self._helper and self._queue and time.monotonic() - self._since > STALLED:
            self._give_up_all(f"had no answer for {STALLED:.0f} s")

    # The helper ---------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start a helper that goes on from the last answer."""

        def serve(desk: Desk) -> None:
            matcher = Matcher(self._fail, self._ignore, desk.at)
            matcher.rest, matcher.inside = self._rest, self._inside
            matcher.matched, matcher.counted = self.matched, self.counted
            _serve(desk, matcher, max(PIECE_BUDGET / 4, BUDGET - PIECE_BUDGET * len(self.given_up)))

        try:
            self._helper = Helper(serve)
        except OSError as error:
            self._give_up_all(f"could not be searched for: {error.strerror}")
            return
        self._others.add(self._helper.pid)
        os.set_blocking(self._helper.questions, False)
        os.set_blocking(self._helper.answers, False)
        self._unsent, self._sent, self._answers = memoryview(b""), 0, bytearray()
        self._since = time.monotonic()
        if self._poll:
            self._poll.register(self._helper.answers, select.POLLIN)

    def _send(self, helper: Helper) -> bool:
        """Send what the pipe takes; False when nobody reads it any more."""
        while self._unsent or self._sent < len(self._queue):
            if not self._unsent:
                self._unsent = memoryview(packed(self._queue[self._sent]))
                self._sent += 1
            try:
                self._unsent = self._unsent[os.write(helper.questions, self._unsent) :]
            except BlockingIOError:
                break
            except OSError:
                return False
        if self._poll and bool(self._unsent) != self._waits:
            self._waits = bool(self._unsent)
            if self._waits:
                self._poll.register(helper.questions, select.POLLOUT)
            else:
                self._poll.unregister(helper.questions)
        return True

    def _receive(self, helper: Helper) -> bool:
        """Take the answers there are; False when there will be no more."""
        while True:
            try:
                data = os.read(helper.answers, READ_SIZE)
            except BlockingIOError:
                break
            if not data:
                return False
            self._answers += data
        for answer in taken(self._answers):
            pieces, matched, counted, self._rest, self._inside = marshal.loads(answer)  # noqa: S302  # our own child's
            self.matched += matched
            self.counted |= counted
            self._since = time.monotonic()
            for _ in range(pieces):
                self._queued -= len(self._queue.popleft()) - 1
                self._sent -= 1
        return True

    def _lost(self, helper: Helper) -> None:
        """Give up the pattern that has ended the helper, and have another go on with those that are left."""
        number = helper.at
        self._end()
        patterns, option = (
            (self._fail, "--fail-match") if number < len(self._fail) else (self._ignore, "--ignore-match")
        )
        number -= 0 if patterns is self._fail else len(self._fail)
        if number >= len(patterns):
            self._give_up_all("could not be searched for")
            return
        self._say_given_up(option, patterns.pop(number), "took too long and was given up")
        if self._fail or self._ignore:
            self._start()
        else:
            self._count_all()

    def _give_up_all(self, why: str) -> None:
        self._end()
        for option, patterns in (("--fail-match", self._fail), ("--ignore-match", self._ignore)):
            for pattern in patterns:
                self._say_given_up(option, pattern, why)
            patterns.clear()
        self._count_all()

    def _say_given_up(self, option: str, pattern: str, why: str) -> None:
        self.given_up.append(f"{option} '{pattern}' {why}")

    def _count_all(self) -> None:
        """Take all that was not looked at as output: nobody is to miss it."""
        self.counted.update(stream for stream, rest in self._rest.items() if rest)
        self.counted.update(piece[0] for piece in self._queue if piece[0] != FINISH)
        self._queue.clear()
        self._queued = 0

    def _end(self) -> None:
        helper, self._helper = self._helper, None
        if not helper:
            return
        if self._poll:
            self._poll.unregister(helper.answers)
            if self._waits:
                self._poll.unregister(helper.questions)
        self._waits = False
        helper.end(waited_for=helper.pid not in self._others)
        self._others.discard(helper.pid)


def _serve(desk: Desk, matcher: Matcher, budget: float) -> None:
    """Answer for pieces as they come, each answer for all that came together."""
    told, seen = len(matcher.matched), 0
    while pieces := desk.questions():
        seen += sum(map(len, pieces))
        allowed = budget + BUDGET_PER_MB * seen / 1e6 - time.process_time()
        desk.allow(min(PIECE_BUDGET, allowed))
        for piece in pieces:
            if piece[0] == FINISH:
                matcher.finish()
            else:
                matcher.feed(piece[0], piece[1:])
        desk.answer((len(pieces), matcher.matched[told:], matcher.counted, matcher.rest, matcher.inside))
        told = len(matcher.matched)
