"""Debian's packages, unpacked and not installed: crons that cannot be on one machine together."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from support.debian import INSTALL_LIMIT, MACHINE, SEARCH_PATH

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d")
DEFAULT_MIRROR = "http://deb.debian.org/debian"


def unpacked(place, *packages, release=""):
    """Give a directory with the files of packages of this machine's Debian, or of another release.

    Skips the test where they are not to be had.
    """
    directory = place / "packages"
    directory.mkdir()
    options = _options_of(release, place / "apt") if release else ()
    if release or (fault := _apt(directory, "download", *packages)):
        fault = _apt(directory, *options, "update") or _apt(directory, *options, "download", *packages)
        if fault:
            pytest.skip(f"{', '.join(packages)} not to be had: {fault.strip().splitlines()[-1]}")
    for deb in directory.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", deb, directory], check=True, env={"PATH": SEARCH_PATH})
        deb.unlink()
    return directory


def _options_of(release, state):
    """Give what makes apt-get look at a release, and leave the machine's own lists alone."""
    for name in ("lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True)
    (state / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} {release} main\n")
    return (
        *("-o", f"Dir::Etc::sourcelist={state}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null"),
        *("-o", f"Dir::State::lists={state}/lists", "-o", f"Dir::Cache={state}/cache"),
    )


def _mirror():
    """Give the mirror that this machine uses."""
    for place in SOURCES:
        names = [os.path.join(place, name) for name in os.listdir(place)] if os.path.isdir(place) else [place]
        for name in filter(os.path.isfile, names):
            with open(name, encoding="utf-8") as file:
                if found := re.search(
                    r"^(?:deb\s[^#]*?|URIs:\s*)(https?://\S+/debian)/?\s", file.read(), re.MULTILINE
                ):
                    return found[1]
    return DEFAULT_MIRROR


def _apt(directory, *words):
    done = subprocess.run(
        ["apt-get", "-qq", *words],
        cwd=directory,
        env={**MACHINE, "PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_LIMIT,
        check=False,
    )
    return done.stderr or "it failed" if done.returncode else ""
