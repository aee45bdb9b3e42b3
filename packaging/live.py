#!/usr/bin/python3 -IS
"""Give this tree of modules the second name by which its programs run, which no upgrade takes away.

    live make      after an installation, and when the system's Python has become another
    live remove    before the package is removed

A package manager removes the old tree as soon as the new one is there; a job that is then under way would
find nothing of what its cronwrap has yet to load, to make its report. So programs run from
/usr/lib/cronwrap/live/TREE, which is made of hard links, and removed by an upgrade after the next start of
the machine. There is Python's byte code, too, and the files by which runs are cheap: nobody but root
could write them.
"""

import compileall
import filecmp
import os
import shutil
import sys
import time

TREE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
PLACE = os.path.dirname(TREE)
LIVE = os.path.join(PLACE, "live", os.path.basename(TREE))
SUPERSEDED = "superseded"
BOOT = "/proc/sys/kernel/random/boot_id"
LONGEST_RUN = 30 * 86400
"""Seconds for which an old tree is kept on a machine that is never started anew."""


def make() -> None:
    """Make the live tree what this tree is, and see to byte code and to what is out of use."""
    if os.path.isdir(LIVE):
        _link_all(TREE, LIVE)
    else:
        # Under its name it is whole: a program that finds a part of it would take it.
        unfinished = f"{PLACE}/live/.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        _link_all(TREE, unfinished)
        os.rename(unfinished, LIVE)
    stamp = os.path.join(LIVE, SUPERSEDED)
    if os.path.exists(stamp):  # an older version has come back
        os.unlink(stamp)
    compileall.compile_dir(LIVE, quiet=2)
    _write_bundles()
    _retire_others()


def remove() -> None:
    """Remove everything that is here and not the package manager's."""
    shutil.rmtree(os.path.join(PLACE, "live"), ignore_errors=True)
    _drop_byte_code(TREE)


def _link_all(source: str, target: str) -> None:
    """Make the files of one folder those of another; each is replaced at once, or left as it is."""
    for directory, names, files in os.walk(source):
        names[:] = [name for name in names if name != "__pycache__"]
        there = os.path.join(target, os.path.relpath(directory, source))
        os.makedirs(there, 0o755, exist_ok=True)
        for name in files:
            path, new = os.path.join(directory, name), os.path.join(there, name)
            if os.path.exists(new) and (os.path.samefile(path, new) or filecmp.cmp(path, new, shallow=False)):
                continue
            try:
                os.link(path, f"{new}.new")
            except OSError:  # a file system that has no hard links, or has them in one layer only
                shutil.copy2(path, f"{new}.new")
            os.replace(f"{new}.new", new)


def _write_bundles() -> None:
    sys.path.insert(0, LIVE)
    import cronwrap  # noqa: PLC0415  # found there alone
    from cronwrap import bundle_writer  # noqa: PLC0415

    # A source that has changed within the last second is not taken, see there; a link is such a change.
    sources = [os.stat(os.path.join(d, n)).st_ctime for d, _, ns in os.walk(f"{LIVE}/cronwrap") for n in ns]
    time.sleep(min(max(max(sources) + bundle_writer.SETTLED + 0.1 - time.time(), 0), 5))
    for what in bundle_writer.BUNDLES:
        bundle_writer.write(cronwrap.bundle_path(what), what)


def _retire_others() -> None:
    """Remove the live trees of other versions that no process can have any more; mark the others."""
    boot = _content(BOOT)
    for name in os.listdir(f"{PLACE}/live"):
        place = f"{PLACE}/live/{name}"
        stamp = f"{place}/{SUPERSEDED}"
        if place == LIVE:
            continue
        if not os.path.exists(stamp):
            with open(stamp, "w", encoding="ascii") as file:
                file.write(boot)
        elif _content(stamp) != boot or time.time() - os.stat(stamp).st_mtime > LONGEST_RUN:
            shutil.rmtree(place, ignore_errors=True)
    for name in os.listdir(PLACE):
        if name != "live" and f"{PLACE}/{name}" != TREE:
            _drop_byte_code(f"{PLACE}/{name}")


def _drop_byte_code(tree: str) -> None:
    """Remove what Python has left in a tree, and the folders that have nothing else in them."""
    for directory, names, _ in os.walk(tree, topdown=False):
        if "__pycache__" in names:
            shutil.rmtree(os.path.join(directory, "__pycache__"), ignore_errors=True)
        if directory != TREE and not os.listdir(directory):
            os.rmdir(directory)


def _content(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


if __name__ == "__main__":
    os.umask(0o022)
    {"make": make, "remove": remove}[sys.argv[1]]()
