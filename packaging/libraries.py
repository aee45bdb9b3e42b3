"""The libraries that the packages bring with them: which ones, by lock file, and how they get into a folder.

Run by itself it writes the lock file anew, from what pyproject.toml asks for: `make lock`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCK = os.path.join(PROJECT, "packaging", "requirements.txt")
LEFT_OUT = ("notify",)
"""Extras that no package has: Apprise is Debian's package of that name, and large."""
OF_THE_SYSTEM = ("psycopg-binary",)
"""What brings a library of the system's with it, compiled for one minor version: psycopg takes the system's
own libpq as well, which has the system's security updates."""
OLDEST_PYTHON = "3.11"
"""What the libraries must run on; what they need on it is enough for a younger one."""
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""What the platforms of wheels call Debian's architectures."""
GLIBC = ("2_17", "2_28", "2_34", "2_36")
"""Debian 12 has 2.36; what was built for an older one runs there."""
USELESS = re.compile(r"(?:^|/)(?:tests?|__pycache__|bin)/|\.(?:pyi|c|h|pyx)$|/py\.typed$")
"""What a library has in its wheel that no run needs."""
COMPILED = re.compile(r"\.(?:so|pyd|dylib)(?:\.|$)")
ANY_MINOR_VERSION = ".abi3.so"
"""What compiled code is called that runs with every Python from the one it was made for on (PEP 384)."""
TIED = ("markupsafe",)
"""What has a part compiled for one minor version, and the same in Python, which it takes without it."""

HEADER = """\
# What the packages bring with them, of base and all extras but notify. Written by `make lock`.
"""


def choices(architecture: str) -> list[str]:
    """Give pip's options for wheels that run on an architecture, whichever this machine has."""
    machine = MACHINES[architecture]
    platforms = [f"manylinux2014_{machine}", *(f"manylinux_{glibc}_{machine}" for glibc in GLIBC)]
    version = OLDEST_PYTHON.replace(".", "")
    return [
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={OLDEST_PYTHON}",
        *(f"--abi={abi}" for abi in (f"cp{version}", "abi3", "none")),
        *(f"--platform={platform}" for platform in platforms),
    ]


def install(target: str, architecture: str) -> None:
    """Put the libraries of the lock file into a folder, pure or for any minor version of Python."""
    _pip("install", "--require-hashes", "--no-deps", "--no-compile", f"--target={target}",
         *choices(architecture), "--requirement", LOCK)  # fmt: skip
    for directory, names, files in os.walk(target, topdown=False):
        for name in files:
            path = os.path.join(directory, name)
            below = os.path.relpath(path, target)
            if USELESS.search(below) or (COMPILED.search(name) and below.startswith(TIED)):
                os.unlink(path)
        for name in names:
            if not os.listdir(os.path.join(directory, name)):
                os.rmdir(os.path.join(directory, name))
    for directory, _, files in os.walk(target):
        for name in files:
            if COMPILED.search(name) and not name.endswith(ANY_MINOR_VERSION):
                raise SystemExit(f"{directory}/{name} is tied to one minor version of Python")


def strip_metadata(target: str) -> None:
    """Leave of each library's metadata name and version, which scanners for known faults look at."""
    for entry in sorted(os.listdir(target)):
        place = os.path.join(target, entry)
        if not entry.endswith(".dist-info"):
            continue
        with open(os.path.join(place, "METADATA"), encoding="utf-8") as file:
            head = [line for line in file if line.startswith(("Metadata-Version:", "Name:", "Version:"))]
        shutil.rmtree(place)
        os.mkdir(place)
        with open(os.path.join(place, "METADATA"), "w", encoding="utf-8") as file:
            file.writelines(head[:3])


def wanted() -> list[str]:
    """Give what pyproject.toml asks for: base, and every extra that the packages have."""
    with open(os.path.join(PROJECT, "pyproject.toml"), "rb") as file:
        project = tomllib.load(file)["project"]
    extras = project["optional-dependencies"]
    return [
        *project["dependencies"],
        *(line for extra, lines in extras.items() if extra not in LEFT_OUT for line in lines),
    ]


def lock() -> str:
    """Give the lock file: the newest of each, with the hashes of the wheels for every architecture."""
    found: dict[str, dict[str, set[str]]] = {}
    for architecture in MACHINES:
        report = _pip("install", "--dry-run", "--ignore-installed", "--report=-", "--target=/nowhere",
                      *choices(architecture), *wanted())  # fmt: skip
        for entry in json.loads(report)["install"]:
            name = re.sub(r"[-_.]+", "-", entry["metadata"]["name"]).lower()
            if name in OF_THE_SYSTEM:
                continue
            digest = entry["download_info"]["archive_info"]["hashes"]["sha256"]
            versions = found.setdefault(name, {})
            versions.setdefault(entry["metadata"]["version"], set()).add(digest)
    lines = []
    for name, versions in sorted(found.items()):
        ((version, digests),) = versions.items()
        hashes = [f"--hash=sha256:{digest}" for digest in sorted(digests)]
        lines.append(" \\\n    ".join([f"{name}=={version}", *hashes]))
    return HEADER + "\n".join(lines) + "\n"


def _pip(*words: str) -> str:
    command = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"pip {words[0]} failed")
    return done.stdout


if __name__ == "__main__":
    text = lock()
    with open(LOCK, "w", encoding="utf-8") as stream:
        stream.write(text)
