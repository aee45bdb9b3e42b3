"""Lines of output held against the patterns of ``--fail-match`` and ``--ignore-match``, as they come.

All lines are looked at, those included that are left out of the report.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable

from cronwrap.model import STDERR, STDOUT

LINE_LIMIT = 64 * 1024
"""Octets of a line that are looked at together: a line without an end must not fill the memory."""
MATCHES_KEPT = 5
"""Matching lines named in the report."""
MATCH_SHOWN = 200
"""Characters of such a line."""


class Matcher:
    """Takes output in pieces and looks at it line by line."""

    def __init__(self, fail: Iterable[str], ignore: Iterable[str]) -> None:
        """Take regular expressions, searched for anywhere in a line (``re.search``)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a later Python may read otherwise
            self._fail = [re.compile(pattern) for pattern in fail]
            self._ignore = [re.compile(pattern) for pattern in ignore]
        self._rest = {STDOUT: b"", STDERR: b""}
        self.matched: list[str] = []
        """The first lines that make the run a failure."""
        self.counted: set[int] = set()
        """The streams that had a line which counts as output."""

    def feed(self, stream: int, data: bytes) -> None:
        """Take a piece of a stream; what follows its last line end waits for the next piece."""
        *lines, rest = (self._rest[stream] + data).split(b"\n")
        for line in lines:
            self._look(stream, self._look_ahead(stream, line))
        self._rest[stream] = self._look_ahead(stream, rest)

    def finish(self) -> None:
        """Look at last lines that had no line end."""
        for stream, rest in self._rest.items():
            if rest:
                self._look(stream, rest)
        self._rest = {STDOUT: b"", STDERR: b""}

    def _look_ahead(self, stream: int, line: bytes) -> bytes:
        """Look at a long line piece by piece, the same pieces however it arrives; give what is left."""
        while len(line) > LINE_LIMIT:
            self._look(stream, line[:LINE_LIMIT])
            line = line[LINE_LIMIT:]
        return line

    def _look(self, stream: int, line: bytes) -> None:
        text = line.decode(errors="surrogateescape").removesuffix("\r")
        if stream not in self.counted and not any(pattern.search(text) for pattern in self._ignore):
            self.counted.add(stream)
        if len(self.matched) < MATCHES_KEPT and any(pattern.search(text) for pattern in self._fail):
            self.matched.append(text[:MATCH_SHOWN])
