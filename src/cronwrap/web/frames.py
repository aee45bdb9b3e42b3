"""What the page and a child say to each other over a socket: frames, each a kind, a length and octets.

R   the result, or an object of a stream, as JSON
X   a refusal, as JSON
P   a piece of a stream: offset, stream, octets
E   the end of a stream
"""

from __future__ import annotations

import json
import struct
from typing import Any

from cronwrap.errors import CronwrapError
from cronwrap.web.deeds.base import Piece

HEADER = struct.Struct("!cI")
PIECE = struct.Struct("!QB")
RESULT, REFUSED, OCTETS, END = b"R", b"X", b"P", b"E"
LARGEST = 64 * 1024 * 1024
"""Octets of a frame: far above the output that is kept of a run, and what a list of 10,000 jobs takes."""


def frame(kind: bytes, content: bytes = b"") -> bytes:
    """Give a frame."""
    return HEADER.pack(kind, len(content)) + content


def of_object(value: Any, kind: bytes = RESULT) -> bytes:
    """Give a frame with an object."""
    return frame(kind, json.dumps(value).encode())


def of_piece(piece: Piece) -> bytes:
    """Give a frame with a piece of a stream."""
    offset, stream, octets = piece
    return frame(OCTETS, PIECE.pack(offset, stream) + octets)


def piece_of(content: bytes) -> Piece:
    """Give the piece in a frame."""
    offset, stream = PIECE.unpack_from(content)
    return offset, stream, content[PIECE.size :]


def length_of(header: bytes) -> tuple[bytes, int]:
    """Give kind and length; CronwrapError for what no frame of ours has."""
    kind, length = HEADER.unpack(header)
    if kind not in (RESULT, REFUSED, OCTETS, END) or length > LARGEST:
        raise CronwrapError("a child of the page said what cannot be understood")
    return kind, length
