"""What a deed is given, and how it refuses."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from cronwrap.model import Record
from cronwrap.paths import home, user_name
from cronwrap.settings.load import Settings, load

Arguments = dict[str, Any]
Piece = tuple[int, int, bytes]
"""Of a stream: the offset where it begins, its stream (``STDOUT``, ``STDERR``; 0: neither), its octets.

No octets: nothing has come for a while, and the stream goes on."""


class Pace:
    """How long to wait between two looks for more of a stream: a moment, and longer once it is silent.

    Who carries the pieces waits, not the deed: a thread is held for the look alone.
    """

    SHORT, LONG = 0.1, 0.5
    """Seconds: a person takes the first for at once; by the second a hundred silent streams cost little."""
    SILENT = 100
    """Looks in vain, some ten seconds, after which a stream is silent."""

    def __init__(self) -> None:
        self._in_vain = 0

    def pause(self, piece: Piece | dict[str, Any]) -> float:
        """Give the seconds to wait after a piece."""
        if isinstance(piece, dict) or piece[2]:
            self._in_vain = 0
            return 0.0
        self._in_vain += 1
        return self.SHORT if self._in_vain < self.SILENT else self.LONG


class Refused(Exception):  # noqa: N818 - an answer, no fault
    """A deed that is not done; it survives the way out of a child as JSON.

    ``status`` is HTTP's; ``title`` says it in a few words, ``detail`` what to do about it.
    """

    def __init__(self, status: int, title: str, detail: str = "", **more: Any) -> None:
        super().__init__(status, title, detail)
        self.status, self.title, self.detail = status, title, detail
        self.more = more
        """Members of the problem besides, as JSON."""

    def as_object(self) -> dict[str, Any]:
        """Give it as JSON's types."""
        return {**self.more, "status": self.status, "title": self.title, "detail": self.detail}

    @classmethod
    def from_object(cls, found: dict[str, Any]) -> Refused:
        """Give what ``as_object`` gave."""
        return cls(
            found.pop("status"),
            found.pop("title"),
            found.pop("detail"),
            **found,
        )


class Surroundings:
    """Whom a deed is done for, and what is in force there."""

    def __init__(self, settings: Settings, asker: str) -> None:
        self.settings = settings
        self.state_dir = settings.state_dir
        self.user = user_name()
        self.home = home(os.environ)
        self.asker = asker
        """Who asks, for the audit and for ``by``: a user's name."""
        self.before: Any = None
        """For the audit: what a deed that changes something found, and what it left (``after``)."""
        self.after: Any = None


def surroundings(asker: str, config: str = "") -> Surroundings:
    """Give the surroundings of the user that this process is."""
    return Surroundings(load({"config": config} if config else {}, os.environ), asker)


class Deed(Record):
    """An entry of the table of deeds."""

    function: Callable[[Surroundings, Arguments], Any]
    """Gives JSON's types; one that ``streams`` gives pieces and, where that is of use, objects among them."""
    changes: bool = False
    streams: bool = False


def wanted(arguments: Arguments, name: str, kind: type = str) -> Any:
    """Give an argument that has to be there, of a type; Refused when it is not."""
    value = arguments.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Refused(422, f"{name} is missing, or is no {kind.__name__}")
    return value
