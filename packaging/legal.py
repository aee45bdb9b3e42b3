"""Whose work is in the packages, and under what licence, as Debian wants it told (DEP 5)."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from email.parser import Parser

from libraries import PROJECT

FORMAT = "https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
COMMON = {"Apache-2.0": "Apache-2.0", "LGPL-3.0-only": "LGPL-3", "LGPL-3.0-or-later": "LGPL-3"}
"""Licences that every Debian has below /usr/share/common-licenses, so that they are named and not copied."""
KNOWN = {"MIT License": "MIT", "BSD License": "BSD-3-Clause"}
"""SPDX for what older metadata calls a licence in its classifiers."""
HOLDER = re.compile(r"^ *Copyright +(?:\(c\)|©)? *([0-9].*)$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """One library."""

    name: str
    folders: list[str]
    holders: list[str]
    licence: str
    """By its SPDX name."""
    text: str


def parts(folder: str) -> list[Part]:
    """Give what is in a folder that pip has installed into, by the metadata there."""
    found = []
    for place in sorted(glob.glob(os.path.join(folder, "*.dist-info"))):
        with open(os.path.join(place, "METADATA"), encoding="utf-8") as file:
            metadata = Parser().parse(file, headersonly=True)
        text = ""
        for path in sorted(glob.glob(f"{place}/**/LICEN[CS]E*", recursive=True)):
            with open(path, encoding="utf-8") as file:
                text += file.read()
        with open(os.path.join(place, "RECORD"), encoding="utf-8") as file:
            tops = {line.split(",")[0].split("/")[0] for line in file}
        folders = sorted(top for top in tops if top != ".." and "-info" not in top)
        name, licence = metadata["Name"], _licence(metadata)
        holders = HOLDER.findall(text) or [metadata["Author"] or metadata["Author-email"]]
        if not text or not licence:
            raise SystemExit(f"{name} does not say under what licence it is")
        found.append(Part(name, folders, holders, licence, text))
    return found


def copyright_file(libraries: list[Part]) -> str:
    """Give the file, with the text of each licence."""
    with open(os.path.join(PROJECT, "LICENSE"), encoding="utf-8") as file:
        own = Part("cronwrap", [], [], "MIT", file.read())
    stanzas = [
        f"Format: {FORMAT}\nUpstream-Name: cronwrap",
        f"Files: *\nCopyright: {HOLDER.findall(own.text)[0]}\nLicense: MIT\n{_indented(own.text)}",
    ]
    for part in libraries:
        files = " ".join(f"usr/lib/cronwrap/*/{folder}*" for folder in part.folders)
        holders = "\n           ".join(part.holders)
        # The texts of one licence differ in whose name may not be used, and the like.
        licence = f"{part.licence}-{part.name.lower()}"
        stanzas.append(f"Files: {files}\nCopyright: {holders}\nLicense: {licence}\n{_words(part)}")
    return "\n\n".join(stanzas) + "\n"


def _licence(metadata: object) -> str:
    expression = metadata["License-Expression"] or metadata["License"]
    if expression:
        return expression
    classifiers = metadata.get_all("Classifier", [])
    named = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License ::")]
    return KNOWN.get(named[0], "") if named else ""


def _words(part: Part) -> str:
    if part.licence in COMMON:
        return f" On Debian systems its text is in /usr/share/common-licenses/{COMMON[part.licence]}."
    return _indented(part.text)


def _indented(text: str) -> str:
    return "\n".join(f" {line.rstrip()}" if line.strip() else " ." for line in text.strip().splitlines())
