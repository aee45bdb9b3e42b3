"""Settings: flags > environment > files > built in, merged and checked once, here.

This module is on the way of every run. What it needs of the configuration files it takes from a cache
beside the state, as long as the files are the very ones the cache was made from.
"""

from __future__ import annotations

from cronwrap import load_also
from cronwrap.model import Record
from cronwrap.paths import config_paths, state_directory, state_variable, unquoted
from cronwrap.settings import cache
from cronwrap.settings.defaults import CONFIG_VARIABLE, DEFAULTS, OTHER_VARIABLES
from cronwrap.settings.job_name import job_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Values = dict[str, dict[str, Any]]

STATE_KEY = "state directory"
"""Under which its source is found; it is no option."""


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
    password_variables: tuple[str, ...] = ()
    """The variables that hold the passwords of relays (``password-env``): not for the job."""
    notify: tuple[tuple[str, str, tuple[str, ...] | None, tuple[str, ...]], ...] = ()
    """Who else is told: key, name, events and globs of each ``[[notify]]``, without its secrets."""
    fleet: tuple[str, bool, str] | None = None
    """What is shipped (``runs`` or ``changes``), whether it is watched, and ``host`` of ``[fleet]``, if
    any."""
    house: str = ""
    """The recipients of the configuration, whatever ``MAILTO`` or a flag says: whom local names mean."""

    def __getitem__(self, key: str) -> Any:
        """Give the value of an option."""
        return self.values[key]


class Files:
    """The configuration files, and what is kept of them beside the state."""

    def __init__(self, flags: Mapping[str, Any], environ: Mapping[str, str], *, keep: bool = True) -> None:
        """Without ``keep`` nothing is left beside the state."""
        named = flags.get("config") or environ.get(CONFIG_VARIABLE, "")
        self.state_dir = state_directory(environ)
        self._paths = config_paths(named, environ)
        self._must_exist = bool(named)
        self._keep = keep and not (flags.get("dry-run") or environ.get("CRONWRAP_DRY_RUN"))
        self._signature: list[tuple[str, Any]] = []

    def kept(self) -> Values | None:
        """Give the checked values of each file there is, by path; None where they must be read anew."""
        self._signature.extend([(path, cache.signature(path)) for path in self._paths])
        if not self._must_exist and all(state is None for _, state in self._signature):
            return {}
        return cache.read(self.state_dir, cache.key(self._signature))

    def anew(self, *, lean: bool = False, hung: bool = False) -> Values:
        """Give the same, read after ``kept`` gave nothing, or hung.

        ``lean``: by a process of its own, so that the memory it takes is not held for as long as a job runs.
        """
        from cronwrap.settings.anew import Anew  # noqa: PLC0415  # only when a file has changed

        anew = Anew(self._paths, self.state_dir, must_exist=self._must_exist, keep=self._keep)
        signature = self._signature.copy()
        return anew.hung(signature) if hung else anew.lean(signature) if lean else anew.read(signature)


def load(
    flags: Mapping[str, Any], environ: Mapping[str, str], command_text: str = "", *, keep: bool = True
) -> Settings:
    """Give the settings in force; never fails, and lists what was wrong under ``faults``.

    Without ``keep`` no cache is left beside the state.
    """
    environ = unquoted(environ)
    files = Files(flags, environ, keep=keep)
    values = files.kept()
    return merged(files.anew() if values is None else values, flags, environ, command_text)


def merged(
    files: Values, flags: Mapping[str, Any], environ: Mapping[str, str], command_text: str
) -> Settings:
    """Give the settings in force by what the files say, and an environment that is ``unquoted``."""
    faults = [fault for found in files.values() for fault in found["faults"]]
    variables = _variables(environ, faults)
    name = str(flags.get("name") or variables.get("name", ("",))[0] or "")
    if not name and command_text:
        patterns: tuple[str, ...] = ()
        for found in files.values():
            patterns = found["sections"].get("redact.patterns", patterns)
        name = job_name(command_text, variables.get("redact.patterns", (patterns,))[0])

    values = DEFAULTS.copy()
    sources: dict[str, str] = {}
    in_files = _of_files(files, name)
    for key, value, source in (
        *in_files,
        *_of_crontab(environ, faults),
        *((key, value, variable) for key, (value, variable) in variables.items()),
        *((key, value, "the command line") for key, value in flags.items()),
    ):
        values[key], sources[key] = value, source
    values["name"] = name
    if variable := state_variable(environ):
        sources[STATE_KEY] = variable
    relays, login = _relays(files, environ, faults)
    return Settings(
        values=values,
        sources=sources,
        faults=tuple(dict.fromkeys(faults)),
        paths=tuple(files),
        relays=relays,
        login=login,
        state_dir=state_directory(environ),
        password_variables=tuple(
            name for tables in files.values() for name in tables.get("password-variables", ())
        ),
        notify=next((tables["notify"] for tables in reversed(files.values()) if "notify" in tables), ()),
        fleet=next((tables["fleet"] for tables in reversed(files.values()) if "fleet" in tables), None),
        house=variables.get("mailto", ("",))[0]
        or next((value for key, value, _ in reversed(in_files) if key == "mailto"), ""),
    )


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


def _relays(files: Values, environ: Mapping[str, str], faults: list[str]) -> tuple[int, str]:
    """Give how many relays there are, and their first login: the environment's, else the last file's."""
    if environ.get("CRONWRAP_RELAY"):
        from cronwrap.settings.variables import relays  # noqa: PLC0415  # for those who use it

        return relays(environ, faults)
    for tables in reversed(files.values()):
        if "relays" in tables:
            return tables["relays"], tables["login"]
    return 0, ""


def _variables(environ: Mapping[str, str], faults: list[str]) -> dict[str, tuple[Any, str]]:
    """Give what the ``CRONWRAP_*`` variables say: key to value and variable."""
    found: dict[str, tuple[Any, str]] = {}
    if environ.get(CONFIG_VARIABLE):  # which names the files, and is any text: no table is needed for it
        found["config"] = environ[CONFIG_VARIABLE], CONFIG_VARIABLE
    given = [
        key
        for key in environ
        if key.startswith("CRONWRAP_") and key != CONFIG_VARIABLE and key not in OTHER_VARIABLES
    ]
    if given:
        load_also("options")
        from cronwrap.settings.variables import options  # noqa: PLC0415  # not for every run

        found |= options(given, environ, faults)
    return found


def _of_crontab(environ: Mapping[str, str], faults: list[str]) -> list[tuple[str, Any, str]]:
    """Give ``MAILTO`` and ``MAILFROM``, which stand in the crontab beside the job."""
    if "MAILTO" not in environ and not environ.get("MAILFROM"):
        return []
    load_also("options")
    from cronwrap.settings.variables import of_crontab  # noqa: PLC0415  # not for every run

    return of_crontab(environ, faults)
