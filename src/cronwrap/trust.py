"""Files that decide what cronwrap does: nobody but the user and root may be able to change them.

Whoever can write a configuration of root's, or put another file in its place, is root. So the way to a file
is walked from the root, each directory is asked on its descriptor, and the file is opened from the last one.
"""

from __future__ import annotations

import os
import stat
from errno import EINVAL, EISDIR, ELOOP
from typing import Self

MOST_LINKS = 40
"""As many as Linux follows in one name (path_resolution(7))."""
NOT_REGULAR = "not a regular file"
HANDED = ("/dev/fd/", "/proc/self/fd/")
"""Where what a process was handed open has a name."""
LOOKING = getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC
"""To look at a directory takes no right to read it."""
OPENING = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class Way:
    """The directory that a name leads to in the end, held open, and what is wrong on the way there."""

    def __init__(self, path: str, *, whole: bool = False) -> None:
        """Walk to the directory of a file or, ``whole``, to the one that is named; OSError as open(2)."""
        self.fault = ""
        """Who else could put another file in this one's place, and what to do; empty when nobody can."""
        self.name = ""
        """What the file is called in that directory; never that of a link."""
        self._shown: list[str] = []
        self._links = 0
        # Names from elsewhere are given in full; of what leads to a working directory nothing can be said.
        self.fd = os.open("/" if path.startswith("/") else ".", LOOKING | os.O_DIRECTORY)
        try:
            self._judge(os.fstat(self.fd))
            self._walk(path.split("/"), whole=whole)
        except BaseException:
            self.close()
            raise

    @property
    def directory(self) -> str:
        """Where it is, without a link in the name."""
        return "/" + "/".join(self._shown)

    def close(self) -> None:
        """Let go of the directory; harmless a second time."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _walk(self, steps: list[str], *, whole: bool) -> None:
        steps = [step for step in steps if step not in ("", ".")]
        while steps:
            step = steps.pop(0)
            if step == "..":
                self._enter(step)
                continue
            last = not steps and not whole
            try:
                found = os.stat(step, dir_fd=self.fd, follow_symlinks=False)
            except FileNotFoundError:
                if not last:
                    raise
                self.name = step  # a file that is to be made
                return
            if stat.S_ISLNK(found.st_mode):
                steps = self._follow(step, found) + steps
            elif last:
                self.name = step
            else:
                self._enter(step)

    def _follow(self, step: str, found: os.stat_result) -> list[str]:
        """Give where a link leads; whoever made it could lead it elsewhere."""
        self._links += 1
        if self._links > MOST_LINKS:
            raise OSError(ELOOP, os.strerror(ELOOP), step)
        self._note(owner_fault(found, os.path.join(self.directory, step)))
        target = os.readlink(step, dir_fd=self.fd)
        if target.startswith("/"):
            root = os.open("/", LOOKING | os.O_DIRECTORY)
            os.close(self.fd)
            self.fd, self._shown = root, []
        return [part for part in target.split("/") if part not in ("", ".")]

    def _enter(self, step: str) -> None:
        new = os.open(step, LOOKING | os.O_DIRECTORY, dir_fd=self.fd)
        os.close(self.fd)
        self.fd = new
        if step == "..":
            del self._shown[-1:]
        else:
            self._shown.append(step)
        self._judge(os.fstat(new))

    def _judge(self, found: os.stat_result) -> None:
        fault = owner_fault(found, self.directory)
        # In a sticky directory only the owner of a file can take it away, and that one is asked, too.
        if not fault and not found.st_mode & stat.S_ISVTX:
            fault = write_fault(found, self.directory, self.fd)
        self._note(fault)

    def _note(self, fault: str) -> None:
        self.fault = self.fault or fault


def owner_fault(found: os.stat_result, path: str) -> str:
    """Say that a file belongs to neither this user nor root, and what to do; else nothing."""
    if found.st_uid in (0, os.geteuid()):
        return ""
    return f"{path} belongs to another user (uid {found.st_uid}): chown it, or put it elsewhere"


def write_fault(found: os.stat_result, path: str, fd: int) -> str:
    """Say that others can write to a file or directory, and what to do; else nothing."""
    shared = found.st_mode & 0o022
    if not shared or not (shared & 0o002 or others_in(found.st_gid)) or _read_only(fd):
        return ""
    return f"{path} can be written by other users: chmod go-w {path}"


def _read_only(fd: int) -> bool:
    """Tell whether nobody can write there, whatever the mode says (a mounted secret, an image)."""
    try:
        return bool(os.fstatvfs(fd).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def mounted_secret(path: str, found: os.stat_result) -> bool:
    """Tell whether a file is one that this user cannot close, and that only their own group may read besides.

    So are the secrets that are mounted into a container: 0440, root's, of a group that its user belongs to.
    """
    if found.st_mode & 0o037 or found.st_gid not in (os.getegid(), *os.getgroups()):
        return False
    if found.st_uid != os.geteuid():
        return True
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def others_in(gid: int) -> bool:
    """Tell whether anybody but this user and root is in a group; yes where that cannot be told."""
    import grp  # noqa: PLC0415  # hardly ever needed
    import pwd  # noqa: PLC0415

    ours = (0, os.geteuid())
    try:
        members = grp.getgrgid(gid).gr_mem
        uids = [pwd.getpwnam(name).pw_uid for name in members]
    except (KeyError, OSError):
        return True
    uids += [entry.pw_uid for entry in pwd.getpwall() if entry.pw_gid == gid]
    return any(uid not in ours for uid in uids)


def opened(path: str, flags: int = os.O_RDONLY | OPENING) -> tuple[int, str]:
    """Open a file: its descriptor, and who else could change it or put another in its place, if anybody.

    OSError as open(2) has it. Nothing is waited for; that it is a regular file is for the caller to ask.
    """
    with Way(path) as way:
        fd = os.open(way.name or ".", flags, dir_fd=way.fd)
        found = os.fstat(fd)
        if flags != LOOKING and stat.S_ISDIR(found.st_mode):
            os.close(fd)
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR), path)
        place = os.path.join(way.directory, way.name)
        why = owner_fault(found, place)
        if not why and not (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
            why = write_fault(found, place, fd)
        return fd, why or way.fault


def untrusted(path: str) -> str:
    """Say who else could change a file, a program or a directory, and what to do; empty when nobody can.

    Then it can be used by its name as well: nobody can have it lead elsewhere. Also empty when there is
    nothing to be looked at: whoever uses it will find out.
    """
    try:
        fd, why = opened(path, LOOKING)
    except OSError:
        return ""
    os.close(fd)
    return why


def read_regular(path: str, limit: int) -> bytes:
    """Give the beginning of a file that a person names, ``limit`` octets at most; OSError.

    A pipe, a socket or a device is refused: reading it might wait, or go on, for ever. One that the caller
    was handed open (``<(...)`` of a shell) ends with whoever writes to it, as standard input does.
    """
    handed = path.startswith(HANDED)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | (0 if handed else os.O_NONBLOCK))
    with open(fd, "rb") as file:
        kind = os.fstat(fd).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR), path)
        usual = path == os.devnull  # the word for "none"
        if not stat.S_ISREG(kind) and not usual and not (handed and stat.S_ISFIFO(kind)):
            raise OSError(EINVAL, NOT_REGULAR, path)
        return file.read(limit)
