"""Wait for a condition instead of for a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

FIRST_PAUSE = 0.002
"""Seconds: most conditions here come true within a few milliseconds."""
LONGEST_PAUSE = 0.05


def wait_until(predicate: Callable[[], T], timeout: float = 10.0, what: str = "") -> T:
    """Give the first true value of ``predicate``; fail after ``timeout`` seconds.

    A process that ends while the predicate looks at it is looked at anew, among those that are left.
    """
    deadline = time.monotonic() + timeout
    pause = FIRST_PAUSE
    while not (value := _settled(predicate)):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or predicate} did not come true within {timeout} s")
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
    return value


def _settled(predicate: Callable[[], T]) -> T | None:
    try:
        return predicate()
    except psutil.NoSuchProcess:
        return None
