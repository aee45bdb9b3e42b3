"""Build cronwrap-*.rpm and cronwrap-mta-*.rpm into dist/, from the same tree as the Debian packages.

    packaging/rpm.py [amd64|arm64] [--python /usr/bin/python3.11]

For systems whose python3 is 3.11 or later; --python is for those that have such a one beside it, as RHEL 9.
It needs nfpm (in .venv), and the network for what packaging/requirements.txt lists. With the same
SOURCE_DATE_EPOCH it makes the same octets.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import deb
import layout
from layout import HERE, PROJECT, Package

RELEASE = "1"
PLACES = {"usr/share/zsh/vendor-completions": "usr/share/zsh/site-functions"}
"""Where rpm's systems have it otherwise."""
DEBIANS_OWN = ("usr/share/python3", "usr/share/lintian")
TEXTS = {
    "cronwrap": "Run a cron job, and mail what cron would have mailed, over SMTPS",
    "cronwrap-mta": "sendmail, mailq and newaliases by cronwrap",
}
DESCRIPTION = {
    name: " ".join(text.partition("Description: ")[2].split("\n", 1)[1].replace("\n .\n", "\n").split())
    for name, text in deb.TEXTS.items()
}


def build(architecture: str, python: str, target: str) -> list[str]:
    """Build both packages; give their paths."""
    facts = layout.package(architecture)
    os.makedirs(target, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cronwrap-rpm-") as place:
        roots = {name: os.path.join(place, name) for name in TEXTS}
        layout.lay_out(roots["cronwrap"], roots["cronwrap-mta"], facts, python)
        return [_one(name, root, facts, python, target) for name, root in roots.items()]


def _one(name: str, root: str, facts: Package, python: str, target: str) -> str:
    for place in DEBIANS_OWN:
        shutil.rmtree(f"{root}/{place}", ignore_errors=True)
    for old, new in PLACES.items():
        if os.path.isdir(f"{root}/{old}"):
            os.renames(f"{root}/{old}", f"{root}/{new}")
    layout.settle(root, facts.epoch)
    architecture = facts.architecture if name == "cronwrap" else "all"
    settings = {
        "name": name,
        "arch": architecture,
        "platform": "linux",
        "version": facts.version,
        "release": RELEASE,
        "maintainer": f"{deb.MAINTAINER[0]} <{deb.MAINTAINER[1]}>",
        "license": "MIT",
        "description": f"{TEXTS[name]}\n{DESCRIPTION[name]}",
        "mtime": _iso(facts.epoch),
        "contents": [_entry(root, place) for place in _places(root)],
        **(_of_cronwrap(python) if name == "cronwrap" else _of_mta(facts)),
    }
    settings["rpm"] = {"summary": TEXTS[name], "buildhost": "localhost"}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(settings, file)  # YAML has JSON in it
        file.flush()
        command = [os.path.join(os.path.dirname(sys.executable), "nfpm"), "package"]
        environ = {**os.environ, "SOURCE_DATE_EPOCH": str(facts.epoch)}
        done = subprocess.run(
            [*command, "--config", file.name, "--packager", "rpm", "--target", target],
            env=environ, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    return done.stdout.rpartition("created package: ")[2].strip()


def _of_cronwrap(python: str) -> dict[str, object]:
    # The interpreter as a file, whatever package has it; its version where it is the system's own.
    needed = ["python3 >= 3.11"] if python == layout.PYTHON else [python]
    scripts = {"postinstall": "post", "preremove": "preun"}
    return {
        "depends": [*needed, "ca-certificates"],
        "recommends": ["(cronie or cron)", "(libpq or libpq5)", "tzdata"],
        "suggests": ["cronwrap-mta"],
        "scripts": {event: f"{HERE}/rpm/{script}" for event, script in scripts.items()},
    }


def _of_mta(facts: Package) -> dict[str, object]:
    return {
        "depends": [f"cronwrap >= {facts.version}"],
        "provides": ["smtpdaemon", "/usr/sbin/sendmail"],
        "conflicts": ["sendmail", "postfix", "exim", "ssmtp", "msmtp"],
    }


def _places(root: str) -> list[str]:
    """Give what the package owns: every file and link, and the folders that are its own."""
    documents = os.listdir(f"{root}/usr/share/doc")
    own = [
        place for place in (layout.PLACE, f"usr/share/doc/{documents[0]}") if os.path.isdir(f"{root}/{place}")
    ]
    for place in own.copy():
        for directory, names, _files in os.walk(f"{root}/{place}"):
            own += [os.path.relpath(os.path.join(directory, name), root) for name in names]
    return [*sorted(own), *sorted(os.path.relpath(path, root) for path in layout.files(root))]


def _entry(root: str, place: str) -> dict[str, object]:
    source, target = os.path.join(root, place), f"/{place}"
    if os.path.islink(source):
        return {"src": os.readlink(source), "dst": target, "type": "symlink", "file_info": {"mode": 0o777}}
    mode = os.stat(source).st_mode & 0o777
    if os.path.isdir(source):
        return {"dst": target, "type": "dir", "file_info": {"mode": mode}}
    kind = {"type": "doc"} if place.startswith("usr/share/doc") else {}
    return {"src": source, "dst": target, "file_info": {"mode": mode}, **kind}


def _iso(epoch: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))


def main() -> None:
    """Build what the command line says."""
    parser = argparse.ArgumentParser(description="Build the RPM packages into dist/.")
    parser.add_argument("architecture", nargs="?", default=deb.machine())
    parser.add_argument("--python", default=layout.PYTHON, help="the interpreter of the programs")
    parser.add_argument("--target", default=os.path.join(PROJECT, "dist"))
    options = parser.parse_args()
    for made in build(options.architecture, options.python, options.target):
        print(os.path.relpath(made))


if __name__ == "__main__":
    main()
