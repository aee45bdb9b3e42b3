"""The state directory, closed to others: all that is in it is reached by checked descriptors.

Whoever can put a link, a pipe or a directory in the place of one of ours could have us read, write or
remove what is theirs to choose. So each directory is opened once, the descriptor is asked (not the name,
which may lead elsewhere a moment later), and what is done in it goes by that descriptor. On the way of
every run: what is rare, making and refusing, is in ``state_setup``.

And what every package that stores something needs: names that survive a power cut, and a checksum.
"""

from __future__ import annotations

import os
from stat import S_ISREG

CHECK_MODULUS = 0xFFFFFFFFFFFFFFC5
"""The largest prime of 64 bits: a remainder tells a torn file as a CRC would, and needs no import."""
RUNS, NEW = "runs", ".new-"
"""Where runs are put on record, and what the names there begin with until they are."""
PAUSES = "pauses"
"""Where it is written down that a job is paused, or muted."""
NAME_LIMIT = 240
"""Octets of a file name made from a job's; file systems take 255, and a suffix follows."""
MOST_HELD = 16
"""Directories that are kept open; a state has nine."""

NO_ANSWER = "the file system does not answer"
silent: set[str] = set()
"""State directories whose file system did not answer (``beside.answered``): refused until it does."""

_held: dict[str, Directory] = {}
_own_start: dict[int, int] = {}
"""When this process started, by its pid; a child has its own."""
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_DIRECTORY = os.O_DIRECTORY | _FILE
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | _FILE


class Directory:
    """A directory of the state: ours, closed to others, and held by the descriptor that was found so."""

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        """For words; what is done goes by the descriptor."""
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)

    def names(self) -> list[str]:
        """Give the names in it."""
        return os.listdir(self.fd)

    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """Open a file that only its owner, us, can have written; OSError for whatever else lies there.

        Nothing is waited for (a pipe) and no link followed. With ``O_CREAT`` it is made, 0600.
        """
        try:
            fd = os.open(name, flags | _FILE, 0o600, dir_fd=self.fd)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._explained(error, name) from None
        if not _our_file(os.fstat(fd)):
            os.close(fd)
            self.check(name)
        return fd

    def _explained(self, error: OSError, name: str) -> OSError:
        from cronwrap.state_setup import explained  # noqa: PLC0415

        return explained(error, f"{self.path}/{name}")

    def check(self, name: str) -> None:
        """Refuse what ``open`` would, for those who must open it by its name; OSError as there."""
        if not _our_file(found := self.stat(name)):
            from cronwrap.state_setup import foreign_file  # noqa: PLC0415

            raise foreign_file(found, f"{self.path}/{name}")

    def create(self, name: str) -> int:
        """Open a new file, 0600, for reading and writing; FileExistsError when the name is taken."""
        return os.open(name, _NEW, 0o600, dir_fd=self.fd)

    def rename(self, name: str, new: str, to: Directory | None = None) -> None:
        """Give a file another name, here or in another directory, over whatever has it."""
        os.rename(name, new, src_dir_fd=self.fd, dst_dir_fd=(to or self).fd)

    def unlink(self, name: str) -> None:
        """Remove a file."""
        os.unlink(name, dir_fd=self.fd)

    def stat(self, name: str) -> os.stat_result:
        """Give what the system knows of a file, or of a link as such."""
        return os.stat(name, dir_fd=self.fd, follow_symlinks=False)


def descriptors() -> set[int]:
    """Give those of the directories that are kept open; for a child that closes all others."""
    return {held.fd for held in _held.values()}


def forget() -> None:
    """Close the directories that are kept open: for a process that becomes another user."""
    _held.clear()


def state(path: str, *names: str, make: bool = False) -> Directory:
    """Give the state directory, or one in it; OSError when there is none, or it is not ours alone.

    With ``make`` it is made, 0700, and what leads to it. One of ours that others may look into is closed
    to them if nothing but cronwrap's files is in it: whoever named ``/srv`` did not mean to close that.
    Each is opened once, and stays open as long as this process uses it.
    """
    place = "/".join((path, *names))
    if path in silent:
        from cronwrap.state_setup import no_answer  # noqa: PLC0415

        raise no_answer(NO_ANSWER, place)
    if held := _held.get(place):
        found = os.fstat(held.fd)
        if found.st_nlink and _ours(found):
            return held
        _held.pop(place, None)
    outer = state(path, *names[:-1], make=make) if names else None
    name, dir_fd = (names[-1], outer.fd) if outer else (path, None)
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=dir_fd)
    except FileNotFoundError:
        if not make:
            raise
        from cronwrap.state_setup import make_private  # noqa: PLC0415

        make_private(name, dir_fd)
        fd = os.open(name, _DIRECTORY, dir_fd=dir_fd)
    except OSError as error:
        from cronwrap.state_setup import explained  # noqa: PLC0415

        raise explained(error, place) from None
    held = Directory(place, fd)
    if not _ours(found := os.fstat(fd)):
        from cronwrap.state_setup import close_to_others  # noqa: PLC0415

        close_to_others(fd, found, place, inner=bool(names))
    if len(_held) >= MOST_HELD:
        _held.clear()
    # Of two threads the first one's: whoever took its descriptor would find it closed, or another's.
    return _held.setdefault(place, held)


def put(place: int, name: str, content: bytes, new: str, mode: int = 0o600) -> None:
    """Write a file whole into a directory, by way of ``new``, a name of this process alone; OSError."""
    try:
        handle = os.open(new, _NEW, 0o600, dir_fd=place)
    except FileExistsError:  # its writer died
        os.unlink(new, dir_fd=place)
        handle = os.open(new, _NEW, 0o600, dir_fd=place)
    try:
        try:
            if os.write(handle, content) != len(content):
                raise OSError("short write")  # a full disk says it this way, too
            if mode != 0o600:
                os.fchmod(handle, mode)
        finally:
            os.close(handle)
        os.rename(new, name, src_dir_fd=place, dst_dir_fd=place)
    except OSError:
        os.unlink(new, dir_fd=place)
        raise


def _ours(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _our_file(found: os.stat_result) -> bool:
    return S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def sync_directory(directory: str) -> None:
    """Have the names in a directory survive a power cut (fsync(2))."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def checksum(octets: bytes) -> int:
    """Give a number of 64 bits that tells octets from what a crash may leave of them."""
    return int.from_bytes(octets, "big") % CHECK_MODULUS


def boot_id() -> str:
    """Give what tells this boot of the machine from every other; empty where the system does not say."""
    try:
        fd = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, 64).decode("ascii", "replace").strip()
    except OSError:
        return ""
    finally:
        os.close(fd)


def process_started(pid: int | str) -> int:
    """Give when a process started, in clock ticks since boot (proc(5), stat, field 22); 0 if unknown."""
    if pid == "self":
        own = os.getpid()
        if not _own_start.get(own):
            _own_start[own] = process_started(own)
        return _own_start[own]
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        # The second field is the command in parentheses and may hold anything, parentheses included.
        return int(os.read(fd, 4096).rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
    finally:
        os.close(fd)


def tag(job: str) -> str:
    """Give eight hexadecimal digits for a job's name; two jobs may share them."""
    return f"{checksum(job.encode('utf-8', 'surrogatepass')) & 0xFFFFFFFF:08x}"


def file_name(name: str) -> str:
    """Give a job's name as a file name: percent-encoded where it is not plain; each has its own."""
    plain = all(char.isascii() and (char.isalnum() or char in "-_.") for char in name)
    if plain and name and not name.startswith(".") and len(name) <= NAME_LIMIT:
        return name
    octets = name.encode(errors="surrogateescape")
    keep = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    text = "".join(chr(octet) if octet in keep else f"%{octet:02x}" for octet in octets)
    if len(text) > NAME_LIMIT:
        from binascii import crc32  # noqa: PLC0415

        text = f"{text[: NAME_LIMIT - 10]}%%{crc32(octets):08x}"  # "%%" stands in no other name
    return text or "%"
