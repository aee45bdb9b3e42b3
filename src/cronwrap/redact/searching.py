"""The patterns of ``[redact]`` searched for within a time that is really kept.

Each search is done by a process of its own (``patterns``). What it could not finish counts as secret from
its last find on: no text leaves because a pattern was too slow for it.
"""

from __future__ import annotations

import marshal
import os
import select
import time

from cronwrap.patterns import READ_SIZE, Desk, Helper, packed, taken

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Sequence

    Spans = list[tuple[int, int]]

BUDGET, BUDGET_PER_MB = 0.5, 4.0
"""Seconds of a core for one text, and for each megabyte of it: a usual pattern takes a hundredth."""
BUDGET_IN_ALL = 12.0
"""Seconds of a core that may be lost in one run; after them nothing is searched any more."""
STALLED = 30.0
"""Seconds by the clock beside each second of a core: on a machine that has no time for us."""
LIST_SIZE = 4096
"""Finds told at a time: those told before its end are not lost with the helper."""


class Searches:
    """Patterns, and what there is left of their time."""

    def __init__(self, patterns: Sequence[re.Pattern[str]]) -> None:
        self._patterns = patterns
        self._left = BUDGET_IN_ALL
        self.faults: list[str] = []
        """Which patterns were too slow, in words."""

    def spans(self, content: bytes) -> Spans:
        """Give where the patterns match, or may match: in no order, in octets."""
        if not self._patterns or not content:
            return []
        if self._left <= 0:
            return [(0, len(content))]
        allowed = min(self._left, _allowed(content))
        try:
            helper = Helper(lambda desk: _search(desk, self._patterns, content, allowed))
        except OSError as error:
            self._note(f"the [redact] patterns could not be searched for: {error.strerror}")
            return [(0, len(content))]
        found, whole = _answers(helper, time.monotonic() + STALLED * (1 + allowed))
        number = helper.at
        helper.end()
        if whole:
            return found
        self._left -= allowed
        pattern = self._patterns[min(number, len(self._patterns) - 1)].pattern
        self._note(f"[redact] pattern '{pattern}' took too long and was given up: what it left is withheld")
        # Patterns come one after the other: those after this one have not been searched for at all.
        last = max((end for _begin, end in found), default=0) if len(self._patterns) == 1 else 0
        return [*found, (last, len(content))]

    def _note(self, fault: str) -> None:
        if fault not in self.faults:
            self.faults.append(fault)


class StandingSearches(Searches):
    """The same for text that comes in many pieces: one process searches them all, and is asked by a thread.

    A pattern that is too slow, or a process that has gone, has all the rest withheld.
    """

    def __init__(self, patterns: Sequence[re.Pattern[str]]) -> None:
        """Start the process; OSError where there is none to be had."""
        super().__init__(patterns)
        self._helper: Helper | None = Helper(self._serve)
        self.pid = self._helper.pid

    def _serve(self, desk: Desk) -> None:
        while questions := desk.questions():
            for content in questions:
                began = time.process_time()
                _search(desk, self._patterns, content, min(self._left, _allowed(content)))
                self._left -= time.process_time() - began

    def spans(self, content: bytes) -> Spans:
        """Give where the patterns match, or may match: in no order, in octets."""
        if not self._helper:
            return [(0, len(content))]
        try:
            rest = memoryview(packed(content))
            while rest:
                rest = rest[os.write(self._helper.questions, rest) :]
            found, whole = _answers(self._helper, time.monotonic() + STALLED * (1 + _allowed(content)))
        except OSError:
            whole = False
        if whole:
            return found
        self._note("a [redact] pattern took too long and was given up: what it left is withheld")
        self.end()
        return [(0, len(content))]

    def end(self) -> None:
        """Have the process end; whoever watches the job takes note of it."""
        helper, self._helper = self._helper, None
        if helper:
            helper.end(waited_for=True)


def _allowed(content: bytes) -> float:
    return BUDGET + BUDGET_PER_MB * len(content) / 1e6


def _search(desk: Desk, patterns: Sequence[re.Pattern[str]], content: bytes, seconds: float) -> None:
    """Tell the finds, and at the end that it was the end."""
    desk.allow(seconds)
    for number, pattern in enumerate(patterns):
        desk.at(number)
        finds: Spans = []
        for find in matches(pattern, content):
            finds.append(find)
            if len(finds) >= LIST_SIZE:
                desk.answer(finds)
                finds = []
        desk.answer(finds)
    desk.answer(None)


def _answers(helper: Helper, deadline: float) -> tuple[Spans, bool]:
    """Give what was found, and whether that is all."""
    found: Spans = []
    waiting = bytearray()
    poll = select.poll()
    poll.register(helper.answers, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        if not poll.poll(left * 1000):
            break
        data = os.read(helper.answers, READ_SIZE)
        if not data:
            break
        waiting += data
        for answer in taken(waiting):
            finds = marshal.loads(answer)  # noqa: S302  # our own child's
            if finds is None:
                return found, True
            found += finds
    return found, False


def matches(pattern: re.Pattern[str], content: bytes) -> Iterator[tuple[int, int]]:
    """Give where a pattern matches, in octets; an octet that is no UTF-8 is one character to it."""
    text = content.decode("utf-8", "surrogateescape")
    characters = octets = 0
    for match in pattern.finditer(text):
        begin, end = match.span()
        if begin < end:
            octets += _width(text[characters:begin])
            characters, first = end, octets
            octets += _width(text[begin:end])
            yield first, octets


def _width(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
