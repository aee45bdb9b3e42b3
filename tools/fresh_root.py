"""What the README promises, tried on a bare Debian: `make demo` and `make test`, as root and as a user.

    tools/fresh_root.py trixie                    in a root made by debootstrap: python3, python3-venv, make
    tools/fresh_root.py bookworm --python ~/.pyenv/versions/3.12.1     with a Python from elsewhere
    tools/fresh_root.py trixie --user alice --set MAILTO=x test        one user, one target, a variable

It needs root, debootstrap and unshare(1), and a mirror. Mirror, proxies and the settings of pip are those of
this machine, read as the script runs. What is mounted for the root is seen by it alone, and goes with it.
The exit status is 0 if everything passed, and nothing was installed or changed outside of the checkout.
"""

# ruff: noqa: INP001 -- a script beside the package, not a package

from __future__ import annotations

import argparse
import contextlib
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGES = "python3,python3-venv,make"
"""What the README asks for; anything else is what Debian cannot be without."""
TARGETS = ("demo", "test")
USERS = ("root", "alice")
DEFAULT_MIRROR = "http://deb.debian.org/debian"
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OWN_GROUND = ("/proc", "/sys", "/dev", "/tmp", "/var/tmp", "/run", "/opt")  # noqa: S108 -- only named
"""Not looked at for changes, beside the homes: /tmp is a test's to write to, the others are mounted."""
CHANGES_SHOWN = 20
TARGET_LIMIT = 1800.0
"""Seconds for one target; a test that hangs is ended by pytest long before."""
CLOSING_LINE = re.compile(r"^=*\s*((?:\d+ \w+,? ?)+in [\d.]+s.*?)\s*=*$", re.MULTILINE)

STAGE = """set -eu
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t tmpfs -o mode=755 tmpfs "$ROOT/dev"
for name in null zero full random urandom tty; do
    touch "$ROOT/dev/$name"
    mount --bind "/dev/$name" "$ROOT/dev/$name"
done
mkdir "$ROOT/dev/pts" "$ROOT/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$ROOT/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/dev/shm"
ln -s pts/ptmx "$ROOT/dev/ptmx"
ln -s /proc/self/fd "$ROOT/dev/fd"
ln -s /proc/self/fd/0 "$ROOT/dev/stdin"
ln -s /proc/self/fd/1 "$ROOT/dev/stdout"
ln -s /proc/self/fd/2 "$ROOT/dev/stderr"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/tmp"
for binding in $BINDINGS; do mount --bind -o ro "${binding%%=*}" "$ROOT${binding#*=}"; done
cd "$ROOT"
pivot_root . .before
umount -l /.before
exec chroot . setpriv --reuid "$WHO" --regid "$WHO" --init-groups --reset-env \\
    env -C "$PLACE" python3 -c "$INIT" "$SCRIPT"
"""
INIT = """
import os, sys
script = os.fork()
if not script:
    os.execv("/bin/sh", ["sh", "-c", sys.argv[1]])
while True:
    pid, status = os.wait()
    if pid == script:
        sys.exit(os.waitstatus_to_exitcode(status) & 255)
"""
"""Process 1: it reaps what the tests leave to it, as on any system; zombies would use up the numbers."""


@dataclass(frozen=True)
class Outcome:
    """One target, as one user."""

    python: str
    user: str
    target: str
    status: int
    seconds: float
    closing: str


# What this machine has that the root needs ------------------------------------------------------


def mirror() -> str:
    """Give the mirror that apt uses here, in either of its formats (sources.list(5))."""
    found = []
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            found += re.findall(
                r"^(?:URIs:|deb (?:\[[^]]*\] )?)\s*(\S+/debian/?)(?:\s|$)", file.read(), re.MULTILINE
            )
    return found[0] if found else DEFAULT_MIRROR


def proxies() -> dict[str, str]:
    """Give the variables that lead to the network from here, apt's own setting among them."""
    names = ("http_proxy", "https_proxy", "no_proxy")
    found = {name: value for name, value in os.environ.items() if name.lower() in names}
    asked = subprocess.run(
        ["apt-config", "shell", "PROXY", "Acquire::http::Proxy"], capture_output=True, text=True, check=False
    )
    words = shlex.split(asked.stdout.partition("PROXY=")[2])
    return {"http_proxy": words[0], **found} if words and words[0] else found


def pip_settings() -> dict[str, str]:
    """Give pip's settings here as variables, since the files that pip reads are not in the root."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    found = {}
    for key, value in re.findall(r"^(?:global|install|download)\.([\w-]+)='(.*)'$", listed, re.MULTILINE):
        found["PIP_" + key.upper().replace("-", "_")] = value.replace("\\n", " ")
    return found | {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


def places(settings: dict[str, str]) -> list[str]:
    """Give the files and directories of this machine that settings name."""
    words = {word for value in settings.values() for word in value.split()}
    # An index in files is next to the files: its links lead to ../../files.
    paths = {
        os.path.dirname(word.removeprefix("file://").rstrip("/"))
        for word in words
        if word.startswith("file:///")
    }
    return sorted(path for path in words | paths if path.startswith("/") and os.path.exists(path))


# The root ---------------------------------------------------------------------------------------


def bootstrap(suite: str, root: str) -> None:
    """Make a root that has what the README asks for, and a user."""
    where = mirror()
    print(f"debootstrap: {suite} from {where}", flush=True)
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, root, where]
    with open(f"{root}.log", "w", encoding="utf-8") as log:
        done = subprocess.run(command, env={**os.environ, **proxies()}, stdout=log, stderr=log, check=False)
    if done.returncode:
        with open(f"{root}.log", encoding="utf-8") as log:
            raise SystemExit(f"debootstrap failed:\n{log.read()[-2000:]}")


def prepare(root: str, users: list[str], bindings: list[str]) -> None:
    """Let the root find the network, give each user a home, and make what something is to be mounted on."""
    for binding in bindings:
        make_place(*binding.split("="), root=root)
    os.makedirs(f"{root}/.before", exist_ok=True)
    for name in ("/etc/resolv.conf", "/etc/hosts"):
        if os.path.exists(name):
            shutil.copyfile(name, root + name)
    for user in users:
        if (
            user != "root"
            and subprocess.run(["chroot", root, "id", user], capture_output=True, check=False).returncode
        ):
            subprocess.run(["chroot", root, "useradd", "--create-home", user], check=True)


def check_out(place: str) -> None:
    """Copy the files that belong to the project, as they are now, and nothing that a run has left there."""
    shutil.rmtree(place, ignore_errors=True)
    listed = subprocess.run(
        ["git", "-C", PROJECT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        source, target = os.path.join(PROJECT, name), os.path.join(place, name)
        if os.path.lexists(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def changes(root: str, since: float) -> list[str]:
    """Give what has been made or changed since, outside of homes and of what is anybody's to write to."""
    skipped = {root + place for place in (*OWN_GROUND, "/root", "/home")}
    found = []
    for directory, names, files in os.walk(root):
        names[:] = [name for name in names if os.path.join(directory, name) not in skipped]
        for name in (*names, *files):
            path = os.path.join(directory, name)
            if os.lstat(path).st_ctime > since:
                found.append(path.removeprefix(root))
    return found


# The run ----------------------------------------------------------------------------------------


def run(root: str, user: str, bindings: list[str], options: argparse.Namespace) -> list[Outcome]:
    """Run the targets in a fresh checkout as one user; give what became of each."""
    home = "/root" if user == "root" else f"/home/{user}"
    place = f"{home}/cronwrap"
    check_out(root + place)
    subprocess.run(["chroot", root, "chown", "-R", f"{user}:", place], check=True)
    python = f"{os.path.abspath(options.python)}/bin/python3" if options.python else "python3"
    given = {**proxies(), **pip_settings(), **dict(word.split("=", 1) for word in options.set)}
    exports = "".join(f"export {shlex.quote(f'{name}={value}')}\n" for name, value in given.items())
    outcomes = []
    for target in options.targets:
        make = f"make --no-print-directory {shlex.quote(target)} PYTHON={shlex.quote(python)}"
        stage = {
            "PATH": SEARCH_PATH, "ROOT": root, "INIT": INIT,
            "WHO": user, "PLACE": place, "BINDINGS": " ".join(bindings),
            "SCRIPT": f"{exports}{options.before}\n{make} 2>&1",
        }  # fmt: skip
        began = time.monotonic()
        text, status = staged(stage)
        seconds = time.monotonic() - began
        closing = CLOSING_LINE.findall(text) or [text.rstrip().rpartition("\n")[2]]
        version = (
            re.findall(r"python(3\.\d+)", "\n".join(glob.glob(f"{root}{place}/.venv/lib/python*"))) or ["?"]
        )[0]
        outcomes.append(Outcome(version, user, target, status, seconds, closing[-1]))
    return outcomes


def make_place(source: str, target: str, root: str) -> None:
    """Make what something is to be mounted on."""
    if os.path.isdir(source):
        os.makedirs(root + target, exist_ok=True)
    elif not os.path.exists(root + target):
        os.makedirs(os.path.dirname(root + target), exist_ok=True)
        with open(root + target, "w", encoding="ascii"):
            pass


def staged(stage: dict[str, str]) -> tuple[str, int]:
    """Run a script on the stage, showing its output as it comes; give the output and the exit status."""
    namespaces = ["--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
    process = subprocess.Popen(
        ["unshare", *namespaces, "sh", "-c", STAGE],
        env=stage, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    text = b""
    for line in process.stdout or ():
        text += line
        sys.stdout.buffer.write(line)
        sys.stdout.flush()
    return text.decode("utf-8", "replace"), process.wait(TARGET_LIMIT)


def main() -> int:
    """Make the root, run the targets in it, show a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suite", help="bookworm, trixie, testing, …")
    parser.add_argument("targets", nargs="*", default=list(TARGETS))
    parser.add_argument("--root", default="", help="use this root, made before or made now, and keep it")
    parser.add_argument(
        "--user", action="append", help="root, or a user to be made; default: root, then alice"
    )
    parser.add_argument(
        "--python", default="", metavar="PREFIX", help="a Python of this machine, by its prefix"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a variable for make"
    )
    parser.add_argument(
        "--before", default="", metavar="TEXT", help="shell text to be run before make, in its shell"
    )
    options = parser.parse_intermixed_args()
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        print("this needs root, and debootstrap", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="cronwrap-root-") as directory:
        root = os.path.abspath(options.root or os.path.join(directory, "root"))
        if not os.path.exists(os.path.join(root, "bin/sh")):
            bootstrap(options.suite, root)
        return try_out(root, options)


def try_out(root: str, options: argparse.Namespace) -> int:
    """Run everything in a root; give the exit status."""
    users = options.user or list(USERS)
    bindings = [f"{path}={path}" for path in places(pip_settings())]
    if options.python:
        # At its own path, where it looks for its library; a user has to come through root's home to it.
        bindings.append(f"{os.path.abspath(options.python)}={os.path.abspath(options.python)}")
        os.chmod(f"{root}/root", 0o711)  # noqa: S103 -- a root that is thrown away
    prepare(root, users, bindings)
    outcomes, changed = [], []
    for user in users:
        began = time.time()
        outcomes += run(root, user, bindings, options)
        changed += changes(root, began)
    print()
    for one in outcomes:
        verdict = "passed" if one.status == 0 else f"FAILED ({one.status})"
        what = f"{options.suite:9} Python {one.python:5} {one.user:6} make {one.target:6}"
        print(f"{what} {verdict} in {one.seconds:.0f} s: {one.closing.strip()}")
    for path in changed[:CHANGES_SHOWN]:
        print(f"CHANGED {path}")
    if len(changed) > CHANGES_SHOWN:
        print(f"CHANGED … and {len(changed) - CHANGES_SHOWN} more")
    return 1 if changed or any(one.status for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
