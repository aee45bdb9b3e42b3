"""Counts what a relay is asked and what it answers: one answer each, and none before.

A relay that sends two answers at once would have the second one taken for that to the next command: a
message that it refuses afterwards would count as sent. aiosmtplib drops what comes between two commands and
keeps what comes in one segment, so the count is kept here, beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiosmtplib.protocol import SMTPProtocol

LONGEST_LINE = 1 << 16
"""Octets of an unfinished line that are kept; aiosmtplib gives up on a longer one, too."""


class Asked:
    """A watch over the answers of one connection."""

    def __init__(self, protocol: SMTPProtocol) -> None:
        """Watch from here on; what has come with the greeting counts."""
        self._open = 0
        """Answers that are due; below zero when one came that was not asked for."""
        self._line = b""
        self._early = False
        receive, write = protocol.data_received, protocol.write

        def received(data: bytes) -> None:
            self._hear(data)
            receive(data)

        def written(data: bytes) -> None:
            self._open += 1
            write(data)

        protocol.data_received = received  # type: ignore[method-assign]
        protocol.write = written  # type: ignore[method-assign]
        self._write = write
        self._hear(bytes(protocol._buffer))  # noqa: SLF001  # there is no other way to know of it

    def _hear(self, data: bytes) -> None:
        *lines, rest = (self._line + data).split(b"\n")
        self._line = rest[-LONGEST_LINE:]
        for line in lines:
            if line[3:4] != b"-":
                self._open -= 1
                self._early = self._early or self._open < 0

    @property
    def unasked(self) -> bool:
        """Tell whether there was an answer that nobody had asked for."""
        return self._early

    def write_part(self, data: bytes) -> None:
        """Write what is no command yet: no answer is due to it."""
        self._write(data)
