"""The file system of the packages `cronwrap` and `cronwrap-mta`, laid out in two folders for deb and rpm.

Everything that runs is in one folder, whose name has the version and a digest of its content:
/usr/lib/cronwrap/TREE. So an upgrade puts the new beside the old, and no process ever has modules of both.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass

import legal
import libraries
from libraries import PROJECT

PLACE = "usr/lib/cronwrap"
HERE = os.path.join(PROJECT, "packaging")
PYTHON = "/usr/bin/python3"
LEAN = "#!{python} -IS\n"
"""The first line of the programs: no variable, no folder of the user's, and no ``site``, which would only
look for .pth files, and costs a quarter of a start: what is needed is named below."""
DIST_PACKAGES = "/usr/lib/python3/dist-packages"
"""Where Debian's own modules are, behind everything else: Apprise for one, if it is installed."""
ALIASES = {"usr/sbin/sendmail": "../bin/cronwrap", "usr/lib/sendmail": "../sbin/sendmail",
           "usr/bin/mailq": "cronwrap", "usr/bin/newaliases": "cronwrap"}  # fmt: skip
"""What cronwrap-mta is: cronwrap does what the name says under which it is called."""
DIGEST_LENGTH = 8
"""Hexadecimal digits: no two versions of one host have the same."""
OUTSIDE = "/usr/local/bin/cronwrap"
"""Where the examples look for the program."""


@dataclass(frozen=True)
class Package:
    """What the packages are called, and when they were made."""

    version: str
    epoch: int
    architecture: str
    """As Debian calls it."""


def package(architecture: str) -> Package:
    """Give the facts; the time is SOURCE_DATE_EPOCH, or that of the last commit, or now."""
    with open(os.path.join(PROJECT, "src", "cronwrap", "__init__.py"), encoding="utf-8") as file:
        version = re.search(r'^__version__ = "(.*)"$', file.read(), re.MULTILINE)
    committed = subprocess.run(
        ["git", "-C", PROJECT, "log", "-1", "--format=%ct"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or committed or time.time())
    return Package(version[1] if version else "", epoch, architecture)


def lay_out(main: str, mta: str, facts: Package, python: str = PYTHON) -> str:
    """Fill both folders; give the name of the tree."""
    tree, licences = program_tree(os.path.join(main, PLACE), facts, python)
    for name in ("cronwrap", "cronwrap-shell"):
        _link(f"../lib/cronwrap/{tree}/bin/{name}", main, f"usr/bin/{name}")
    _put(f"{HERE}/runtime.d", main, "usr/share/python3/runtime.d/cronwrap.rtupdate", mode=0o755)
    for page in sorted(os.listdir(f"{PROJECT}/man")):
        _put(f"{PROJECT}/man/{page}", main, f"usr/share/man/man{page[-1]}/{page}.gz", packed=True)
    completions = {
        "cronwrap.bash": "bash-completion/completions/cronwrap",
        "_cronwrap": "zsh/vendor-completions/_cronwrap",
        "cronwrap.fish": "fish/vendor_completions.d/cronwrap.fish",
    }
    for name, place in completions.items():
        _put(f"{PROJECT}/completions/{name}", main, f"usr/share/{place}")
    _units_and_examples(main)
    _put(f"{HERE}/cronwrap.tmpfiles", main, "usr/lib/tmpfiles.d/cronwrap.conf")
    _put(f"{PROJECT}/CHANGELOG.md", main, "usr/share/doc/cronwrap/changelog.gz", packed=True)
    _put(f"{PROJECT}/README.md", main, "usr/share/doc/cronwrap/README.md")
    for folder in (main, mta):
        name = "cronwrap" if folder == main else "cronwrap-mta"
        parts = licences if folder == main else []
        _write(folder, f"usr/share/doc/{name}/copyright", legal.copyright_file(parts))
    for place, target in ALIASES.items():
        _link(target, mta, place)
    for page in sorted(os.listdir(f"{HERE}/man")):
        _put(f"{HERE}/man/{page}", mta, f"usr/share/man/man{page[-1]}/{page}.gz", packed=True)
    return tree


def program_tree(place: str, facts: Package, python: str) -> tuple[str, list[legal.Part]]:
    """Make the folder of everything that runs below another; give its name, and whose work is in it."""
    made = os.path.join(place, "tree")
    libraries.install(made, facts.architecture)
    licences = legal.parts(made)
    libraries.strip_metadata(made)
    copy_package(made)
    tree = f"{facts.version}-{digest(made)[:DIGEST_LENGTH]}"
    os.mkdir(os.path.join(made, "bin"))
    for name in ("cronwrap", "cronwrap-shell"):
        _write(made, f"bin/{name}", program(name, tree, python), mode=0o755)
    with open(f"{HERE}/live.py", encoding="utf-8") as file:
        text = file.read().removeprefix(LEAN.format(python=PYTHON))
    _write(made, "bin/live", LEAN.format(python=python) + text, mode=0o755)
    os.rename(made, os.path.join(place, tree))
    return tree, licences


def copy_package(target: str) -> None:
    """Copy cronwrap's own modules, and what else is in its folders, without what Python has left there."""
    useless = shutil.ignore_patterns("__pycache__", "py.typed")
    shutil.copytree(f"{PROJECT}/src/cronwrap", f"{target}/cronwrap", ignore=useless)


def program(name: str, tree: str, python: str) -> str:
    """Give one of scripts/ for a package: with a lean first line, and the place of its modules."""
    return script(
        name,
        "# Not to be moved by an upgrade while a job runs: bin/live makes it of the other by hard links.\n"
        f'tree = "/{PLACE}/live/{tree}"\n'
        f'tree = tree if os.access(tree, os.X_OK) else "/{PLACE}/{tree}"\n'
        f'sys.path = [tree, *sys.path, "{DIST_PACKAGES}"]\n',
        python,
    )


def script(name: str, search: str, python: str = PYTHON) -> str:
    """Give one of scripts/ with other lines in place of those by which it finds its modules."""
    with open(f"{PROJECT}/scripts/{name}", encoding="utf-8") as file:
        text = file.read()
    head, found, rest = text.partition("# A stray signal.py")
    _search, also_found, rest = rest.partition("try:\n    import cronwrap\n")
    if not (text.startswith("#!python\n") and found and also_found):
        raise SystemExit(f"scripts/{name} has changed: packaging/layout.py must know how")
    return head.replace("#!python\n", LEAN.format(python=python)) + search + also_found + rest


def digest(folder: str) -> str:
    """Give a digest of the names and contents of a folder's files."""
    found = hashlib.sha256()
    for path in sorted(files(folder)):
        with open(path, "rb") as file:
            content = file.read()
        found.update(f"{os.path.relpath(path, folder)}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


def settle(folder: str, epoch: int) -> None:
    """Give everything in a folder the one time, and the modes of what everybody may read."""
    for directory, names, files in os.walk(folder, topdown=False):
        for name in (*files, *names):
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                os.chmod(path, 0o755 if os.path.isdir(path) or os.stat(path).st_mode & 0o100 else 0o644)
            os.utime(path, (epoch, epoch), follow_symlinks=False)
        os.utime(directory, (epoch, epoch))
    os.chmod(folder, 0o755)


def _units_and_examples(main: str) -> None:
    """Put cronwrap's own units where systemd looks, and all examples into the documentation."""
    examples = f"{PROJECT}/examples"
    for path in sorted(files(examples)):
        below = os.path.relpath(path, examples)
        with open(path, encoding="utf-8") as file:
            text = file.read().replace(OUTSIDE, "/usr/bin/cronwrap")
        if below.startswith("systemd/cronwrap"):
            _write(main, f"usr/lib/systemd/system/{os.path.basename(path)}", text)
        else:
            _write(main, f"usr/share/doc/cronwrap/examples/{below}", text)


def files(folder: str) -> list[str]:
    """Give the paths of all files in a folder."""
    return [os.path.join(directory, name) for directory, _, names in os.walk(folder) for name in names]


def _put(source: str, root: str, place: str, *, mode: int = 0o644, packed: bool = False) -> None:
    with open(source, "rb") as file:
        content = file.read()
    # No name and no time in it: the same octets whenever it is made.
    _write(root, place, gzip.compress(content, 9, mtime=0) if packed else content, mode=mode)


def _write(root: str, place: str, content: str | bytes, *, mode: int = 0o644) -> None:
    path = os.path.join(root, place)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    os.chmod(path, mode)


def _link(target: str, root: str, place: str) -> None:
    path = os.path.join(root, place)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.symlink(target, path)
