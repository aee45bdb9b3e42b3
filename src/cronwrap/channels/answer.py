"""What a target's answer means: taken, to be tried again and when, or refused for good. Pure."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from cronwrap.model import Record

LONGEST_WAIT = 3600.0
"""Seconds that ``Retry-After`` is kept to at most: the longest that a retry waits anyway."""
AGAIN = frozenset({408, 425, 429})
"""Request Timeout, Too Early, Too Many Requests; and all of 5xx."""
ALL_THE_SAME = frozenset({429, 502, 503, 504})
"""Answers that are about the target as a whole: the next notification would fare no better now."""
MOST_DIGITS = 10
"""Of a number of seconds: more is a century, or nonsense."""


class Answer(Record):
    """What became of one attempt with one target."""

    taken: bool = False
    final: bool = False
    """Refused for good."""
    words: str = ""
    """Why it was not taken, and by whom."""
    target_fault: bool = False
    """Whether it was the target as a whole, and no other notification need be tried with it now."""
    wait: float = 0.0
    """Seconds that the target asked to be left alone for; 0 when it did not."""


def judge(status: int, words: str, retry: str | None, now: float) -> Answer:
    """Give what an HTTP status means; ``retry`` is the text of ``Retry-After``, ``now`` is Unix time."""
    if 200 <= status <= 299:
        return Answer(taken=True)
    if status in AGAIN or status >= 500 or status < 200:
        wait = retry_after(retry, now)
        return Answer(words=words, target_fault=status in ALL_THE_SAME or wait > 0, wait=wait)
    return Answer(words=words, final=True)


def retry_after(text: str | None, now: float) -> float:
    """Give the seconds of ``Retry-After`` (RFC 9110, 10.2.3), a number or a date, at most ``LONGEST_WAIT``.

    0 when it is absent, over, or says nothing that can be understood.
    """
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_WAIT) if len(text) <= MOST_DIGITS else LONGEST_WAIT
    try:
        date = parsedate_to_datetime(text)
        moment = date.timestamp() if date.tzinfo else date.timestamp() - time.timezone
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return 0.0
    return min(max(moment - now, 0.0), LONGEST_WAIT)
