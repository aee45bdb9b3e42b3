"""What the packages bring with them is what pyproject.toml asks for, and is pinned."""

from __future__ import annotations

import os
import re
import sys

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.documents import PROJECT

sys.path.insert(0, os.path.join(PROJECT, "packaging"))
import layout
import libraries


def locked():
    with open(libraries.LOCK, encoding="utf-8") as file:
        text = re.sub(r"\s*\\\n\s*", " ", file.read())
    lines = [line.split() for line in text.splitlines() if line[:1] != "#"]
    return {line[0].partition("==")[0]: (line[0].partition("==")[2], line[1:]) for line in lines}


def test_every_library_that_is_asked_for_is_locked_in_a_version_that_will_do():
    """When it is not: `make lock`."""
    pinned = locked()
    for line in libraries.wanted():
        requirement = Requirement(line)
        version, hashes = pinned[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, line
        assert hashes
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in hashes)


def test_a_program_of_a_package_differs_from_the_script_in_where_it_looks():
    for name in ("cronwrap", "cronwrap-shell"):
        with open(f"{PROJECT}/scripts/{name}", encoding="utf-8") as file:
            plain = file.read().splitlines()
        made = layout.program(name, "1-0", "/usr/bin/python3").splitlines()
        assert made[0] == "#!/usr/bin/python3 -IS"
        assert [line for line in made[1:] if line not in plain] == [
            "# Not to be moved by an upgrade while a job runs: bin/live makes it of the other by hard links.",
            'tree = "/usr/lib/cronwrap/live/1-0"',
            'tree = tree if os.access(tree, os.X_OK) else "/usr/lib/cronwrap/1-0"',
            'sys.path = [tree, *sys.path, "/usr/lib/python3/dist-packages"]',
        ]
        compile("\n".join(made), name, "exec")
