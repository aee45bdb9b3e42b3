"""Settings: flags > environment > files > built in, merged and checked once, here.

This module is on the way of every run. What it needs of the configuration files it takes from a cache
beside the state, as long as the files are the very ones the cache was made from.
"""

from __future__ import annotations

import marshal
import os
import time
from errno import EPERM

from cronwrap import __version__
from cronwrap.errors import ConfigError
from cronwrap.model import Record
from cronwrap.options import BY_KEY, OPTIONS, SECTIONS, job_name, nearest, partly_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SYSTEM_CONFIG = "/etc/cronwrap/config.toml"
BAD_VALUE = (ValueError, OverflowError, RecursionError)
"""What reading a value may end in; the last two come from regular expressions without measure."""
CACHE = "settings.cache"
CHECK_PRIME = 2**127 - 1
CHECK_LENGTH = 16
"""Octets of the checksum: one without an import. It tells a cache that a crash has torn."""
CACHE_LIMIT = 4 << 20
"""Octets; what a megabyte of settings can become."""
RACY = 0.1
"""Seconds, some ticks of the clock of file systems: a file changed so shortly ago may change again
without another time stamp, so it is not cached."""
EFFECTIVE_IDS = os.access in os.supports_effective_ids
STATE_KEY = "state directory"
"""Under which its source is found; it is no option."""
OWN_NAMES = ("outbox", "locks", "runs", "history.db", CACHE)
"""What the names in a state directory begin with."""

OTHER_VARIABLES = (
    "CRONWRAP_RUN_ID",
    "CRONWRAP_STATE_DIR",
    "CRONWRAP_RELAY",
    "CRONWRAP_RELAY_USER",
    "CRONWRAP_RELAY_PASSWORD",
    "CRONWRAP_RELAY_PASSWORD_FILE",
    "CRONWRAP_RELAY_CA_FILE",
    "CRONWRAP_RELAY_FINGERPRINT",
)


class Settings(Record):
    """What is in force for one run or one subcommand."""

    values: dict[str, Any]
    """By the key of the option, or ``table.key`` of the configuration's other tables."""
    sources: dict[str, str]
    """Where each value that is not built in comes from, for ``config show``."""
    faults: tuple[str, ...]
    """What could not be used, one line each; nothing of it stops a job."""
    paths: tuple[str, ...]
    """The configuration files that were read, the later over the earlier."""
    relays: int
    """How many relays are configured."""
    login: str
    """The user of the first relay that has one."""
    state_dir: str

    def __getitem__(self, key: str) -> Any:
        """Give the value of an option."""
        return self.values[key]


def load(
    flags: Mapping[str, Any], environ: Mapping[str, str], command_text: str = "", *, lean: bool = False
) -> Settings:
    """Give the settings in force; never fails, and lists what was wrong under ``faults``.

    ``lean``: files that have changed are read by a process of its own, so that the memory this takes
    is not held for as long as a job runs.
    """
    faults: list[str] = []
    directory = state_directory(environ)
    named = flags.get("config") or environ.get("CRONWRAP_CONFIG", "")
    files = _files(
        config_paths(named, environ),
        directory,
        must_exist=bool(named),
        keep=not (flags.get("dry-run") or environ.get("CRONWRAP_DRY_RUN")),
        lean=lean,
    )
    for found in files.values():
        faults.extend(found["faults"])
    variables = _variables(environ, faults)
    name = str(flags.get("name") or variables.get("name", ("",))[0] or "")
    if not name and command_text:
        patterns: tuple[str, ...] = ()
        for found in files.values():
            patterns = found["sections"].get("redact.patterns", patterns)
        name = job_name(command_text, variables.get("redact.patterns", (patterns,))[0])

    values: dict[str, Any] = {
        option.key: option.default for option in (*OPTIONS, *SECTIONS) if not option.sets
    }
    sources: dict[str, str] = {}
    for key, value, source in (
        *_of_files(files, name),
        *_of_crontab(environ, faults),
        *((key, value, variable) for key, (value, variable) in variables.items()),
        *((key, value, "the command line") for key, value in flags.items()),
    ):
        values[key], sources[key] = value, source
    values["name"] = name
    if variable := _state_variable(environ):
        sources[STATE_KEY] = variable
    relays, login = _relays(files, environ, faults)
    return Settings(
        values=values,
        sources=sources,
        faults=tuple(dict.fromkeys(faults)),
        paths=tuple(files),
        relays=relays,
        login=login,
        state_dir=directory,
    )


def config_paths(named: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Give the paths of the configuration files, the later over the earlier: the one named, or the usual two.

    They are absolute: whoever sends mail later does so in another directory.
    """
    if named:
        return (_absolute(named, environ),)
    return (SYSTEM_CONFIG, user_config(environ))


def _of_files(files: dict[str, dict[str, Any]], name: str) -> list[tuple[str, Any, str]]:
    """Give key, value and source of what the files say, the stronger later."""
    found: list[tuple[str, Any, str]] = []
    for layer, shown in (("top", ""), ("sections", ""), ("defaults", " [defaults]")):
        for path, tables in files.items():
            found += [(key, value, path + shown) for key, value in tables[layer].items()]
    for path, tables in files.items():
        found += [
            (key, value, f"{path} [jobs.{name}]") for key, value in tables["jobs"].get(name, {}).items()
        ]
    return found


def _of_crontab(environ: Mapping[str, str], faults: list[str]) -> list[tuple[str, Any, str]]:
    """Give ``MAILTO`` and ``MAILFROM``, which stand in the crontab beside the job.

    A ``MAILTO`` that is not right throughout is kept: the mail goes to those in it who are.
    """
    found: list[tuple[str, Any, str]] = []
    for key, variable in (("mailto", "MAILTO"), ("mailfrom", "MAILFROM")):
        value = environ.get(variable)
        if value is None or (not value and key == "mailfrom"):
            continue
        try:
            BY_KEY[key].read(value)
        except ValueError as error:
            faults.append(f"{variable}: {error}")
            if key == "mailfrom":
                continue
        found.append((key, value, variable))
    return found


def _relays(
    files: dict[str, dict[str, Any]], environ: Mapping[str, str], faults: list[str]
) -> tuple[int, str]:
    """Give how many relays there are, and their first login: the environment's, else the last file's."""
    if environ.get("CRONWRAP_RELAY"):
        from cronwrap.endpoint import from_environment  # noqa: PLC0415  # for those who use it

        try:
            relay = from_environment(environ)
        except ConfigError as error:
            faults.append(str(error))
            return 0, ""
        return 1, relay.user if relay else ""
    for tables in reversed(files.values()):
        if "relays" in tables:
            return tables["relays"], tables["login"]
    return 0, ""


def state_directory(environ: Mapping[str, str]) -> str:
    """Give the directory of outbox, locks and history; it need not exist yet."""
    named = environ.get("CRONWRAP_STATE_DIR")
    if named:
        return _absolute(named, environ)
    if os.geteuid() == 0:
        return "/var/lib/cronwrap"
    return os.path.join(_base(environ, "XDG_STATE_HOME", ".local/state"), "cronwrap")


def _state_variable(environ: Mapping[str, str]) -> str:
    """Give the variable that names the state directory, or an empty text."""
    if environ.get("CRONWRAP_STATE_DIR"):
        return "CRONWRAP_STATE_DIR"
    named = os.geteuid() != 0 and environ.get("XDG_STATE_HOME", "").startswith("/")
    return "XDG_STATE_HOME" if named else ""


def user_config(environ: Mapping[str, str]) -> str:
    """Give the path of the user's own configuration file."""
    return os.path.join(_base(environ, "XDG_CONFIG_HOME", ".config"), "cronwrap/config.toml")


def _base(environ: Mapping[str, str], variable: str, otherwise: str) -> str:
    """Give a base directory; a relative one is to be ignored (XDG Base Directory Specification)."""
    named = environ.get(variable, "")
    return named if named.startswith("/") else os.path.join(home(environ), otherwise)


def _absolute(path: str, environ: Mapping[str, str]) -> str:
    """Give a path from the root; ``~/`` is the home, which cron does not put in its place."""
    if path.startswith("~/"):
        return os.path.join(home(environ), path[2:])
    try:
        return os.path.abspath(path)
    except OSError:  # the working directory has gone
        return path


def home(environ: Mapping[str, str]) -> str:
    """Give the home directory: ``HOME``, else the one of the password database, else ``/``."""
    if environ.get("HOME", "").startswith("/"):
        return environ["HOME"]
    import pwd  # noqa: PLC0415  # hardly ever needed

    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"


def user_name() -> str:
    """Give the name of the user the job runs as."""
    import pwd  # noqa: PLC0415

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def make_private(directory: str) -> None:
    """Make a directory, 0700, and what leads to it; OSError when that cannot be done.

    One that somebody else made is refused: they could read, change or remove whatever is put there.
    """
    try:
        try:
            os.mkdir(directory, 0o700)
        except FileNotFoundError:
            _make_parents(os.path.dirname(directory))
            os.mkdir(directory, 0o700)
    except FileExistsError:
        owner = os.stat(directory).st_uid
        if owner not in (0, os.geteuid()):
            text = f"belongs to another user (uid {owner}): chown it, or set CRONWRAP_STATE_DIR"
            raise PermissionError(EPERM, text, directory) from None


def _make_parents(directory: str) -> None:
    """Make what leads to a private directory, 0700 as the XDG Base Directory Specification has it."""
    missing = []
    while directory and not os.path.isdir(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)
    for path in reversed(missing):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not os.path.isdir(path):
                raise


def make_state(directory: str) -> None:
    """Make the state directory, 0700; one of ours that others may enter is closed to them.

    One that holds anything else is left as it is: whoever named ``/srv`` did not mean to close it.
    """
    make_private(directory)
    state = os.stat(directory)
    if state.st_mode & 0o077 and state.st_uid == os.geteuid() and only_ours(directory):
        os.chmod(directory, 0o700)


def only_ours(directory: str) -> bool:
    """Tell whether nothing is in a directory but what cronwrap has put there."""
    return all(name.startswith(OWN_NAMES) for name in os.listdir(directory))


def _variables(environ: Mapping[str, str], faults: list[str]) -> dict[str, tuple[Any, str]]:
    """Read the ``CRONWRAP_*`` variables that stand for options: key to value and variable.

    An empty one counts as not set; but ``CRONWRAP_MAILTO=`` says "no mail", as ``MAILTO=`` does.
    """
    given = [key for key in environ if key.startswith("CRONWRAP_") and key not in OTHER_VARIABLES]
    found: dict[str, tuple[Any, str]] = {}
    if not given:
        return found
    options = {option.variable: option for option in (*OPTIONS, *SECTIONS)}
    for variable in given:
        option = options.get(variable)
        if option is None:
            if guess := nearest(variable, [*options, *OTHER_VARIABLES]):
                faults.append(f"{variable}: unknown variable{guess}")
            continue
        if not environ[variable] and option.key != "mailto":
            continue
        try:
            value = option.read(environ[variable])
        except BAD_VALUE as error:
            faults.append(f"{variable}: {error}")
            value = partly_right(option.key, environ[variable])
            if not value:
                continue
        found[option.sets or option.key] = (not value if option.sets else value), variable
    return found


# Files and their cache --------------------------------------------------------------------------


def _signature(path: str) -> tuple[Any, ...] | None:
    """Give what tells one state of a file from another, or None when there is no such file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    # Who belongs to a group is no matter of the file, so whether it can be read is one of its own.
    readable = os.access(path, os.R_OK, effective_ids=EFFECTIVE_IDS)
    changes = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_dev, found.st_ino)
    return (*changes, found.st_mode, found.st_uid, readable)


def _files(
    paths: tuple[str, ...], directory: str, *, must_exist: bool, keep: bool, lean: bool
) -> dict[str, dict[str, Any]]:
    """Give the checked values of each file there is, by path."""
    signature = tuple((path, _signature(path)) for path in paths)
    if not must_exist and all(state is None for _, state in signature):
        return {}
    key = (__version__, os.geteuid(), signature)
    cached = _cached(directory, key)
    if cached is not None:
        return cached

    def read() -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for path in paths:
            _read(path, found, must_exist=must_exist)
        return found

    if lean:
        from cronwrap.apart import compute  # noqa: PLC0415

        found = compute(read)
    else:
        found = read()
    newest = max((state[1] for _, state in signature if state), default=0) / 1e9
    if keep and abs(time.time() - newest) > RACY:
        _keep(directory, key, found)
    return found


def _read(path: str, found: dict[str, dict[str, Any]], *, must_exist: bool) -> None:
    from cronwrap import config  # noqa: PLC0415  # heavy, and only when a file has changed

    try:
        found[path] = config.values(config.File(path))
    except (OSError, ConfigError) as error:
        if isinstance(error, OSError):
            if not must_exist and isinstance(error, (FileNotFoundError, NotADirectoryError, PermissionError)):
                return
            error = ConfigError(f"{path}: {error.strerror}")
        found[path] = {**config.nothing(), "faults": [str(error)]}


def _cached(directory: str, key: tuple[Any, ...]) -> dict[str, dict[str, Any]] | None:
    """Give the values made from just these files, from a cache that nobody else could have written."""
    try:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        handle = os.open(os.path.join(directory, CACHE), flags)
    except OSError:
        return None
    try:
        state = os.fstat(handle)
        if state.st_uid != os.geteuid() or state.st_mode & 0o077 or state.st_size > CACHE_LIMIT:
            return None
        content = os.read(handle, state.st_size)
        body = content[CHECK_LENGTH:]
        if content[:CHECK_LENGTH] != _check_of(body):
            return None
        stored, values = marshal.loads(body)  # noqa: S302  # our own file, and whole
    except (OSError, ValueError, EOFError, TypeError):
        return None
    finally:
        os.close(handle)
    return values if stored == key else None


def _check_of(body: bytes) -> bytes:
    return ((int.from_bytes(body, "little") + len(body)) % CHECK_PRIME).to_bytes(CHECK_LENGTH, "little")


def _keep(directory: str, key: tuple[Any, ...], values: dict[str, dict[str, Any]]) -> None:
    """Write the cache; what cannot be written is simply read again next time."""
    path = os.path.join(directory, CACHE)
    temporary = f"{path}.{os.getpid()}"
    try:
        make_state(directory)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            body = marshal.dumps((key, values))
            content = _check_of(body) + body
            if os.write(handle, content) != len(content):
                raise OSError("short write")  # a full disk says it this way, too
            os.rename(temporary, path)
        finally:
            os.close(handle)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            return
