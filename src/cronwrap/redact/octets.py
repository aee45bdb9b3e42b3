"""Runs of octets of some kind, found in time proportional to their length and without ``re``."""

from __future__ import annotations

CAPITALS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = b"0123456789"
LETTERS = CAPITALS + CAPITALS.lower()
NAME = LETTERS + DIGITS + b"_-"
DOTTED = NAME + b"."
WORD = DOTTED + b"+/=~%"
"""What tokens and base64 of any kind are made of."""
ALNUM = LETTERS + DIGITS


def run_end(content: bytes, begin: int, kind: bytes, ceiling: int | None = None) -> int:
    """Give where a run of some characters ends, ``ceiling`` at the highest."""
    last = len(content) if ceiling is None else min(ceiling, len(content))
    while begin < last:
        piece = content[begin : min(begin + 256, last)]
        length = len(piece) - len(piece.lstrip(kind))
        begin += length
        if length < len(piece):
            break
    return begin


def run_start(content: bytes, end: int, kind: bytes, floor: int) -> int:
    """Give where a run of some characters before ``end`` starts, ``floor`` at the lowest."""
    while end > floor:
        piece = content[max(floor, end - 256) : end]
        length = len(piece) - len(piece.rstrip(kind))
        end -= length
        if length < len(piece):
            break
    return end
