"""What a run has said, and says: its octets, and the offsets that they have in the whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from cronwrap.history.kept_output import Kept
from cronwrap.history.run import Run
from cronwrap.history.runs import output_of
from cronwrap.manage.following import END, ERR, GAP, LOST, WAIT, followed, remembered
from cronwrap.model import STDERR, STDOUT
from cronwrap.web.deeds import kept_open
from cronwrap.web.deeds.base import Arguments, Piece, Refused, Surroundings, wanted
from cronwrap.web.deeds.runs import the_run

STREAMS = {"stdout": STDOUT, "stderr": STDERR}


def tail(around: Surroundings, arguments: Arguments) -> Iterator[Piece | dict[str, Any]]:
    """Give what a run says, from ``offset`` on and as it comes, to its end.

    Objects tell the rest: ``{"gap": octets, "next": offset}`` of octets that are not to be had,
    ``{"lost": true}`` where the rest is not to be had by its offset, ``{"end": true, "status": 2}``.
    """
    found = the_run(around, wanted(arguments, "run"))
    offset = arguments.get("offset", 0)
    if not isinstance(offset, int) or offset < 0:
        raise Refused(400, "The offset is no whole number")
    with closing(followed(around.state_dir, found, offset)) as pieces:
        for number, (kind, behind, octets) in enumerate(pieces):
            if kind == WAIT or not number:
                kept_open.keep(around.state_dir, found.run)
            if kind == WAIT:
                yield behind, 0, b""
            elif kind == GAP:
                yield {"gap": int(octets), "next": behind}
            elif kind == LOST:
                yield {"lost": True, "next": behind}
            elif kind == END:
                yield {"end": True, "status": int(octets) if octets else None, "next": behind}
            else:
                yield behind - len(octets), STDERR if kind == ERR else STDOUT, octets


def output(around: Surroundings, arguments: Arguments) -> Iterator[Piece | dict[str, Any]]:
    """Give what is kept of a run's output, or of one ``stream`` of it; first of all what is told of it."""
    found = the_run(around, wanted(arguments, "run"))
    yield from pieces_of(found, output_of(around.state_dir, found), arguments.get("stream", ""))


def pieces_of(found: Run, kept: Kept, stream_name: str) -> Iterator[Piece | dict[str, Any]]:
    """Give what is kept of a run's output as pieces; first of all what is told of it."""
    alone = STREAMS.get(stream_name, 0)
    yield {"run": found.run, "left_out": kept.left_out_bytes}
    for kind, behind, octets in remembered(found.replace(tries=1), kept, 0):
        if kind == GAP:
            words = b"\n[... %s bytes left out ...]\n" % octets
            yield behind - int(octets), alone or STDOUT, words
            continue
        stream = STDERR if kind == ERR else STDOUT
        if not alone or alone == stream:
            yield behind - len(octets), stream, octets
