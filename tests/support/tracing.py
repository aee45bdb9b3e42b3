"""strace(1) as a source of faults: a call that fails, hangs, or is the last one there is."""

from __future__ import annotations

import pytest

from support import debian


def cannot_trace() -> str:
    """Give the reason why nothing can be traced here; empty when it can."""
    return debian.lacking(("strace", "tracing"), install=False)


def need_strace() -> None:
    """Skip a test where nothing can be traced."""
    if fault := cannot_trace():
        pytest.skip(fault)


def with_faults(calls: str, *injections: str) -> list[str]:
    """Give the words to put before a command: ``with_faults("flock", "flock:error=ENOSYS")``."""
    inject = [word for text in injections for word in ("-e", f"inject={text}")]
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", *inject]
