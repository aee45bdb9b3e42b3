"""Unpack the file that this is in to where its user's programs may be cached, and run it from there.

A second start does not come here. It must be understood by a Python that is too old to go on with.
"""

import os
import sys
import time
import zipfile

TREE = "@TREE@"
VERSIONS = ["python3", "python3.14", "python3.13", "python3.12", "python3.11"]
OLDEST = (3, 11)
UNUSED = 30 * 86400
"""Seconds after which the tree of another version is removed."""


def main():
    """Go on as the program itself; there is no way back."""
    archive = sys.argv[0]
    if sys.version_info < OLDEST:
        become_younger(archive)
    name = "cronwrap-shell" if archive.endswith("-shell") else "cronwrap"
    for place in places():
        tree = os.path.join(place, "cronwrap", TREE)
        if ready(tree) or unpack(archive, tree):
            python = os.path.join(tree, "python")
            os.execv(python, [python, "-IS", os.path.join(tree, "bin", name), archive] + sys.argv[1:])
    # Nowhere to be kept: everything is loaded from the archive, which takes its time.
    sys.argv.insert(0, os.path.join(os.path.abspath(archive), "bin", name))
    with zipfile.ZipFile(archive) as file:
        code = compile(file.read("bin/" + name), sys.argv[0], "exec")
    exec(code, {"__name__": "__main__"})  # noqa: S102


def become_younger(archive):
    """Go on with a Python that is young enough, or say that there is none."""
    for directory in os.get_exec_path():
        for name in VERSIONS[1:]:
            path = os.path.join(directory, name)
            if os.access(path, os.X_OK):
                os.execv(path, [path, "-IS", archive] + sys.argv[1:])
    sys.exit("cronwrap: it needs Python 3.11 or later; python3 is %d.%d" % sys.version_info[:2])


def places():
    """Give where a user's caches are; root's are nobody else's."""
    if os.geteuid() == 0:
        return ["/var/cache"]
    named = os.environ.get("XDG_CACHE_HOME", "")
    home = os.environ.get("HOME", "")
    return [place for place in (named, home and os.path.join(home, ".cache")) if place.startswith("/")][:1]


def ready(tree):
    """Tell whether it is there, and this user's own."""
    try:
        return os.lstat(tree).st_uid == os.geteuid() and os.access(os.path.join(tree, "python"), os.X_OK)
    except OSError:
        return False


def unpack(archive, tree):
    """Unpack under another name, and give it its own when it is whole; tell whether it is there then."""
    above = os.path.dirname(tree)
    unfinished = "%s.%d" % (tree, os.getpid())
    mask = os.umask(0o077)
    try:
        os.makedirs(above, exist_ok=True)
        if os.lstat(above).st_uid != os.geteuid():
            return False
        os.mkdir(unfinished)
        with zipfile.ZipFile(archive) as file:
            file.extractall(unfinished)
        os.symlink(os.path.realpath(sys.executable), os.path.join(unfinished, "python"))
        if os.path.lexists(tree) and not ready(tree):
            os.rename(tree, tree + ".old.%d" % os.getpid())
        try:
            os.rename(unfinished, tree)
        except OSError:  # another start was as quick
            remove(unfinished)
        tidy(above)
    except (OSError, zipfile.BadZipFile):
        remove(unfinished)
    os.umask(mask)  # the job's
    return ready(tree)


def tidy(above):
    """Remove trees that have not been unpacked for long: no run goes on for so long."""
    for name in os.listdir(above):
        path = os.path.join(above, name)
        if name != TREE and time.time() - os.lstat(path).st_mtime > UNUSED:
            remove(path)


def remove(path):
    """Remove a folder with what is in it, if it is there."""
    import shutil  # noqa: PLC0415

    shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
