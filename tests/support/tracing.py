"""strace(1) as a source of faults: a call that fails, hangs, or is the last one there is."""

from __future__ import annotations

import functools
import os
import subprocess

import pytest

from support import debian


@functools.cache
def cannot_trace() -> str:
    """Give the reason why nothing can be traced here; empty when it can."""
    if fault := debian.install({"strace": "strace"}):
        return fault
    done = subprocess.run(
        ["strace", "-f", "-e", "trace=mkdir", "-o", "/dev/null", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip()


def need_strace() -> None:
    """Skip a test where nothing can be traced; in CI it fails instead."""
    if not (fault := cannot_trace()):
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"strace cannot be used: {fault}", pytrace=False)
    pytest.skip(f"strace cannot be used: {fault}")


def with_faults(calls: str, *injections: str) -> list[str]:
    """Give the words to put before a command: ``with_faults("flock", "flock:error=ENOSYS")``."""
    inject = [word for text in injections for word in ("-e", f"inject={text}")]
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", *inject]
