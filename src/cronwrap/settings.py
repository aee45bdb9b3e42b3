"""Settings: flags > environment > files > built in, merged and checked once, here.

This module is on the way of every run. What it needs of the configuration files it takes from a cache
beside the state, as long as the files are the very ones the cache was made from.
"""

from __future__ import annotations

import marshal
import os
import time

from cronwrap import __version__
from cronwrap.model import Record
from cronwrap.options import OPTIONS, SECTIONS, job_name, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SYSTEM_CONFIG = "/etc/cronwrap/config.toml"
CACHE = "settings.cache"
CACHE_MARK = b"cronwrap settings\n"
RACY = 2.0
"""Seconds; a file changed so shortly ago may change again without another time stamp, so it is not cached."""

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


def load(flags: Mapping[str, Any], environ: Mapping[str, str], command_text: str = "") -> Settings:
    """Give the settings in force; never fails, and lists what was wrong under ``faults``."""
    faults: list[str] = []
    named = flags.get("config") or environ.get("CRONWRAP_CONFIG", "")
    directory = state_directory(environ)
    paths = (named,) if named else (SYSTEM_CONFIG, _user_config(environ))
    files = _files(paths, directory, must_exist=bool(named))
    variables = _variables(environ, faults)

    name = flags.get("name") or variables.get("name") or (job_name(command_text) if command_text else "")
    values: dict[str, Any] = {
        option.key: option.default for option in (*OPTIONS, *SECTIONS) if not option.sets
    }
    sources: dict[str, str] = {}
    relays, login = 0, ""

    def lay(over: Mapping[str, Any], source: str) -> None:
        values.update(over)
        for key in over:
            sources[key] = source

    for layer in ("top", "sections", "defaults", "jobs"):
        for path, found in files.items():
            table = found[layer].get(name, {}) if layer == "jobs" else found[layer]
            lay(table, f"{path} [jobs.{name}]" if layer == "jobs" else path)
    for found in files.values():
        faults.extend(found["faults"])
        if "relays" in found:
            relays, login = found["relays"], found["login"]
    for key in ("mailto", "mailfrom"):
        if key.upper() in environ and (key != "mailfrom" or environ["MAILFROM"]):
            lay({key: environ[key.upper()]}, key.upper())
    for key, value in variables.items():
        lay({key: value}, f"CRONWRAP_{key.replace('-', '_').replace('.', '_').upper()}")
    lay(flags, "the command line")
    values["name"] = name
    return Settings(
        values=values,
        sources=sources,
        faults=tuple(faults),
        paths=tuple(path for path in files),
        relays=1 if environ.get("CRONWRAP_RELAY") else relays,
        login=login,
        state_dir=directory,
    )


def state_directory(environ: Mapping[str, str]) -> str:
    """Give the directory of outbox, locks and history; it need not exist yet."""
    named = environ.get("CRONWRAP_STATE_DIR")
    if named:
        return os.path.abspath(named)
    if os.geteuid() == 0:
        return "/var/lib/cronwrap"
    return os.path.join(
        environ.get("XDG_STATE_HOME") or os.path.join(home(environ), ".local/state"), "cronwrap"
    )


def home(environ: Mapping[str, str]) -> str:
    """Give the home directory: ``HOME``, else the one of the password database, else ``/``."""
    if environ.get("HOME"):
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
    """Make a directory, 0700, and what leads to it; OSError when that cannot be done."""
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        os.makedirs(os.path.dirname(directory), exist_ok=True)
        os.mkdir(directory, 0o700)


def make_state(directory: str) -> None:
    """Make the state directory, 0700; one that others may enter is closed to them."""
    make_private(directory)


def _user_config(environ: Mapping[str, str]) -> str:
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(home(environ), ".config")
    return os.path.join(base, "cronwrap/config.toml")


def _variables(environ: Mapping[str, str], faults: list[str]) -> dict[str, Any]:
    """Read the ``CRONWRAP_*`` variables that stand for options."""
    given = [key for key in environ if key.startswith("CRONWRAP_") and key not in OTHER_VARIABLES]
    found: dict[str, Any] = {}
    if not given:
        return found
    options = {option.variable: option for option in (*OPTIONS, *SECTIONS)}
    for variable in given:
        option = options.get(variable)
        if option is None:
            if guess := nearest(variable, [*options, *OTHER_VARIABLES]):
                faults.append(f"{variable}: unknown variable{guess}")
            continue
        try:
            value = option.read(environ[variable])
        except ValueError as error:
            faults.append(f"{variable}: {error}")
            continue
        if option.sets:
            found[option.sets] = not value
        else:
            found[option.key] = value
    return found


# Files and their cache --------------------------------------------------------------------------


def _signature(path: str) -> tuple[Any, ...] | None:
    """Give what tells one state of a file from another, or None when there is no such file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode, found.st_uid)


def _files(paths: tuple[str, ...], directory: str, *, must_exist: bool) -> dict[str, dict[str, Any]]:
    """Give the checked values of each file there is, by path."""
    signature = tuple((os.path.abspath(path), _signature(path)) for path in paths)
    if not must_exist and all(state is None for _, state in signature):
        return {}
    key = (__version__, os.geteuid(), signature)
    cached = _cached(directory, key)
    if cached is not None:
        return cached
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        _read(path, found, must_exist=must_exist)
    newest = max((state[1] for _, state in signature if state), default=0) / 1e9
    if abs(time.time() - newest) > RACY:
        _keep(directory, key, found)
    return found


def _read(path: str, found: dict[str, dict[str, Any]], *, must_exist: bool) -> None:
    from cronwrap import config  # noqa: PLC0415  # heavy, and only when a file has changed
    from cronwrap.errors import ConfigError  # noqa: PLC0415

    try:
        found[path] = config.values(config.File(path))
    except (OSError, ConfigError) as error:
        if isinstance(error, OSError):
            if not must_exist and isinstance(error, (FileNotFoundError, NotADirectoryError, PermissionError)):
                return
            error = ConfigError(f"{path}: {error.strerror}")
        empty: dict[str, Any] = {"top": {}, "jobs": {}, "defaults": {}, "sections": {}}
        found[path] = {**empty, "faults": [str(error)]}


def _cached(directory: str, key: tuple[Any, ...]) -> dict[str, dict[str, Any]] | None:
    """Give the values made from just these files, from a cache that nobody else could have written."""
    try:
        handle = os.open(os.path.join(directory, CACHE), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        state = os.fstat(handle)
        if state.st_uid != os.geteuid() or state.st_mode & 0o077:
            return None
        content = os.read(handle, state.st_size)
        if not (content.startswith(CACHE_MARK) and content.endswith(CACHE_MARK)):
            return None
        stored, values = marshal.loads(content[len(CACHE_MARK) : -len(CACHE_MARK)])  # noqa: S302  # our own file
    except (OSError, ValueError, EOFError, TypeError):
        return None
    finally:
        os.close(handle)
    return values if stored == key else None


def _keep(directory: str, key: tuple[Any, ...], values: dict[str, dict[str, Any]]) -> None:
    """Write the cache; what cannot be written is simply read again next time."""
    path = os.path.join(directory, CACHE)
    temporary = f"{path}.{os.getpid()}"
    try:
        make_private(directory)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            content = CACHE_MARK + marshal.dumps((key, values)) + CACHE_MARK
            if os.write(handle, content) == len(content):
                os.rename(temporary, path)
        finally:
            os.close(handle)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            return
