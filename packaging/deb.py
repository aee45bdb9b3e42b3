"""Build cronwrap_*.deb and cronwrap-mta_*.deb into dist/, the same for Debian 12 and 13.

    packaging/deb.py [amd64|arm64]

It needs dpkg-deb, and the network for what packaging/requirements.txt lists. With the same
SOURCE_DATE_EPOCH it makes the same octets. A distributor sets DEBFULLNAME and DEBEMAIL.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from email.utils import formatdate

import layout
from layout import HERE, PROJECT, Package

REVISION = "1"
MAINTAINER = (
    os.environ.get("DEBFULLNAME", "The cronwrap authors"),
    os.environ.get("DEBEMAIL", "maintainers@cronwrap.example"),
)
TEXTS = {
    "cronwrap": """\
Depends: python3 (>= 3.11), libc6 (>= 2.17), ca-certificates
Recommends: cron | cron-daemon, libpq5, tzdata
Suggests: cronwrap-mta, apprise
Description: run a cron job, and mail what cron would have mailed, over SMTPS
 Put "cronwrap -- " before the command of a cron job. It runs the command,
 keeps its exit status, and mails what cron would have mailed: itself, over
 SMTPS, and only when the job failed or said something. It needs no local mail
 server and no daemon, and no report is lost: each is on disk until a relay
 has taken it.
 .
 Timeouts, retries, overlapping runs, a history of runs, webhooks and metrics
 are there as well. The libraries that it needs come with it.
""",
    "cronwrap-mta": """\
Depends: cronwrap (>= {version})
Provides: mail-transport-agent
Conflicts: mail-transport-agent
Replaces: mail-transport-agent
Description: sendmail, mailq and newaliases by cronwrap
 Gives the programs that other programs send mail with, cron among them, for a
 host without a mail server: a message is stored, then sent over SMTPS to the
 relay that cronwrap is set up with, and retried until that has taken it.
 .
 It delivers nothing to local mailboxes: mail to a local name goes to the
 address that cronwrap's settings have.
""",
}


def build(architecture: str, target: str) -> list[str]:
    """Build both packages; give their paths."""
    facts = layout.package(architecture)
    os.makedirs(target, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cronwrap-deb-") as place:
        roots = {name: os.path.join(place, name) for name in TEXTS}
        layout.lay_out(roots["cronwrap"], roots["cronwrap-mta"], facts)
        return [_one(name, root, facts, target) for name, root in roots.items()]


def version_of(facts: Package) -> str:
    """Give the version as Debian has it: a candidate sorts before what it is one for."""
    return re.sub(r"(?<=\d)\.?(a|b|rc|dev)", r"~\1", facts.version) + f"-{REVISION}"


def _one(name: str, root: str, facts: Package, target: str) -> str:
    architecture = facts.architecture if name == "cronwrap" else "all"
    version = version_of(facts)
    documents = f"{root}/usr/share/doc/{name}"
    changes = (
        f"{name} ({version}) unstable; urgency=medium\n\n"
        f"  * Version {facts.version}; what is new is in changelog.gz of cronwrap.\n\n"
        f" -- {MAINTAINER[0]} <{MAINTAINER[1]}>  {formatdate(facts.epoch)}\n"
    )
    with open(f"{documents}/changelog.Debian.gz", "wb") as packed:
        packed.write(gzip.compress(changes.encode(), 9, mtime=0))
    if os.path.exists(f"{HERE}/debian/{name}.overrides"):
        os.makedirs(f"{root}/usr/share/lintian/overrides")
        shutil.copyfile(f"{HERE}/debian/{name}.overrides", f"{root}/usr/share/lintian/overrides/{name}")
    files = sorted(
        os.path.relpath(os.path.join(directory, file), root)
        for directory, _, names in os.walk(root)
        for file in names
        if not os.path.islink(os.path.join(directory, file))
    )
    size = sum(-(-os.path.getsize(f"{root}/{file}") // 1024) for file in files)
    control = f"{root}/DEBIAN"
    os.mkdir(control)
    with open(f"{control}/control", "w", encoding="utf-8") as file:
        file.write(
            f"Package: {name}\nVersion: {version}\nSection: {'admin' if name == 'cronwrap' else 'mail'}\n"
            f"Priority: optional\nArchitecture: {architecture}\nInstalled-Size: {size}\n"
            f"Maintainer: {MAINTAINER[0]} <{MAINTAINER[1]}>\n{TEXTS[name].format(version=version)}"
        )
    with open(f"{control}/md5sums", "w", encoding="utf-8") as sums:
        for path in files:
            with open(f"{root}/{path}", "rb") as content:
                digest = hashlib.md5(content.read(), usedforsecurity=False).hexdigest()
            sums.write(f"{digest}  {path}\n")
    if name == "cronwrap":
        _scripts(control)
    layout.settle(root, facts.epoch)
    path = f"{target}/{name}_{version}_{architecture}.deb"
    # Links come last in it: a program appears under its name when all that it loads is there.
    command = ["dpkg-deb", "--root-owner-group", "--uniform-compression", "-Zxz", "--build", root, path]
    environ = {**os.environ, "SOURCE_DATE_EPOCH": str(facts.epoch)}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environ)
    return path


def _scripts(control: str) -> None:
    for name in ("postinst", "prerm", "postrm"):
        shutil.copyfile(f"{HERE}/debian/{name}", f"{control}/{name}")
        os.chmod(f"{control}/{name}", 0o755)


def machine() -> str:
    """Give this machine's architecture as Debian calls it."""
    return {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


if __name__ == "__main__":
    for made in build(sys.argv[1] if sys.argv[1:] else machine(), os.path.join(PROJECT, "dist")):
        print(os.path.relpath(made))
