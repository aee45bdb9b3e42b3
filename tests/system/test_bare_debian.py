"""The two commands of the README on a bare Debian 13."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support import debian
from support.documents import PROJECT

SUITE = "trixie"
USER = "alice"
"""An ordinary user: as root the same tests run on the machine of CI itself."""
LIMIT = 1500
"""Seconds; six minutes where nothing else runs."""


@pytest.mark.timeout(LIMIT + 60)
def test_a_bare_debian_passes_the_demonstration_and_the_tests_and_is_left_as_it_was(needs):
    needs(debian.MINUTES, "root", "namespaces", "debootstrap")
    done = subprocess.run(
        [
            sys.executable,
            os.path.join(PROJECT, "tools", "fresh_root.py"),
            SUITE,
            "--user",
            USER,
            "--set",
            "EXAMPLES=same",
        ],
        env={name: value for name, value in debian.MACHINE.items() if name != "CI"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    assert [line.split()[1:6] for line in done.stdout.splitlines() if line.startswith(SUITE)] == [
        ["Python", "3.13", USER, "make", target] for target in ("demo", "test")
    ]
