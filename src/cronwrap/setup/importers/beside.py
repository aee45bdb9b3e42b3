"""Files that an imported one names, and tables of logins that more than one program has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from cronwrap.setup.importers.draft import shown, usable
from cronwrap.setup.importers.lines import lines

Siblings = Callable[[str], bytes | None]
"""Gives the content of a file by its name beside the imported one; None when there is none."""

HASHED = (".db", ".lmdb", ".cdb", ".dir", ".pag")
"""What Postfix' tables are called in the forms that only its own programs read."""


def named(siblings: Siblings, path: str, home: str) -> bytes | None:
    """Give the content of a file that the imported one names by its path.

    ``home`` is where such files are on the machine that they come from: in a copy of that directory the
    one meant is at the same place beneath it, else beside. Only then the path itself is looked at.
    """
    if not path or not usable(path):
        return None
    below = [path.removeprefix(f"{home}/")] if path.startswith(f"{home}/") else []
    tries = dict.fromkeys([*below, os.path.basename(path), path])
    return next((text for name in tries if name and (text := siblings(name)) is not None), None)


def first_word(text: bytes | None) -> str:
    """Give what a file like ``/etc/mailname`` holds; an empty text when there is none."""
    words = (text or b"").split(maxsplit=1)
    return words[0].decode("utf-8", "replace") if words else ""


def hashed(siblings: Siblings, path: str, home: str) -> str:
    """Give the name of a hashed form of a table, of which the text itself is not there; or an empty text."""
    return next((path + end for end in HASHED if named(siblings, path + end, home) is not None), "")


def not_read(name: str) -> str:
    """Say that a hashed table was found, and what would do."""
    return (
        f"{shown(name)} is a table in the form that Postfix alone reads; its text is not there: "
        f"`postmap -s hash:{os.path.splitext(name)[0]}` prints it"
    )


def continued(text: bytes) -> Iterator[tuple[int, str]]:
    """Give logical lines with the number of their first: one that begins with a blank goes on.

    Empty lines and those whose first character is ``#`` are no part of any, even in between.
    """
    first, held = 0, ""
    for number, line in lines(text):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        if held and line[0] in " \t":
            held += line.rstrip()
            continue
        if held:
            yield first, held
        first, held = number, line.strip()
    if held:
        yield first, held
