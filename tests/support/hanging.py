"""File systems that do not answer, as Python sees them: calls that do not return while there is a flag."""

from __future__ import annotations

import subprocess
import sys
import time

PROGRAM = """
import os, sys, time
from cronwrap import beside
from cronwrap.metrics import textfile
from cronwrap.settings import anew
beside.STATE_PATIENCE = anew.PATIENCE = textfile.PATIENCE = 0.6
flag, hung = {words!r}
def place_of(word):
    return os.readlink(f"/proc/self/fd/{{word}}") if type(word) is int else str(word)
def hanging(name):
    real = getattr(os, name)
    def call(*words, **how):
        there = [place_of(how.get("dir_fd", how.get("src_dir_fd", "")) or ""), place_of(words[0])]
        while any(place.startswith(hung) for place in there) and os.access(flag, os.F_OK):
            time.sleep(0.02)
        return real(*words, **how)
    setattr(os, name, call)
for name in ("open", "rename", "unlink", "listdir", "pwrite", "fsync", "stat"):
    hanging(name)
from cronwrap.__main__ import leave, main
leave(main(sys.argv[1:]))
"""
"""Stands for system calls that do not return as long as there is a flag: what is called in the directories of
state, on its descriptors, or on a path that begins in a certain way."""
SOON = 20.0
"""Seconds that a busy machine may take for what takes some three."""


def run(job, flag, *words, hung=None):
    """Run ``cronwrap -n j WORDS``, with calls that hang below ``hung``, as a rule the state."""
    code = PROGRAM.format(words=(flag, hung or job.state))
    options = {"program": sys.executable, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    began = time.monotonic()
    process = job.start("-c", code, "-n", "j", *words, **options)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < SOON
    return process.returncode, out.decode(), err.decode()
