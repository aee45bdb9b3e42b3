"""Settings: flags > environment > files > built in, merged and checked once, here.

This module is on the way of every run. What it needs of the configuration files it takes from a cache
beside the state, as long as the files are the very ones the cache was made from.
"""

from __future__ import annotations

from cronwrap import load_also
from cronwrap.lock import answered
from cronwrap.model import Record
from cronwrap.paths import config_paths, state_directory, state_variable, unquoted
from cronwrap.settings import cache
from cronwrap.settings.defaults import DEFAULTS
from cronwrap.settings.job_name import job_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

STATE_KEY = "state directory"
"""Under which its source is found; it is no option."""
CONFIG_VARIABLE = "CRONWRAP_CONFIG"
OTHER_VARIABLES = (
    "CRONWRAP_RUN_ID",
    "CRONWRAP_FENCE",
    "CRONWRAP_BY_HAND",
    "CRONWRAP_NOTIFY_ID",
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


def load(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    command_text: str = "",
    *,
    lean: bool = False,
    keep: bool = True,
) -> Settings:
    """Give the settings in force; never fails, and lists what was wrong under ``faults``.

    ``lean``: files that have changed are read by a process of its own, so that the memory this takes
    is not held for as long as a job runs. Without ``keep`` no cache is left beside the state.
    """
    faults: list[str] = []
    environ = unquoted(environ)
    directory = state_directory(environ)
    named = flags.get("config") or environ.get(CONFIG_VARIABLE, "")
    files = _files(
        config_paths(named, environ),
        directory,
        must_exist=bool(named),
        keep=keep and not (flags.get("dry-run") or environ.get("CRONWRAP_DRY_RUN")),
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
        state_dir=directory,
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


def _of_crontab(environ: Mapping[str, str], faults: list[str]) -> list[tuple[str, Any, str]]:
    """Give ``MAILTO`` and ``MAILFROM``, which stand in the crontab beside the job.

    A ``MAILTO`` that is not right throughout is kept: the mail goes to those in it who are. Where nobody
    in it is, what the files say stands in for it.
    """
    found: list[tuple[str, Any, str]] = []
    for key, variable in (("mailto", "MAILTO"), ("mailfrom", "MAILFROM")):
        value = environ.get(variable)
        if value is None or (not value and key == "mailfrom"):
            continue
        load_also("options")
        from cronwrap.settings.options import BY_KEY  # noqa: PLC0415  # not for every run
        from cronwrap.settings.values import partly_right  # noqa: PLC0415

        try:
            BY_KEY[key].read(value)
        except ValueError as error:
            faults.append(f"{variable}: {error}")
            value = partly_right(key, value)
            if not value:
                continue
        found.append((key, value, variable))
    return found


def _relays(
    files: dict[str, dict[str, Any]], environ: Mapping[str, str], faults: list[str]
) -> tuple[int, str]:
    """Give how many relays there are, and their first login: the environment's, else the last file's."""
    if environ.get("CRONWRAP_RELAY"):
        from cronwrap.errors import ConfigError  # noqa: PLC0415  # for those who use it
        from cronwrap.settings.relays import from_environment  # noqa: PLC0415

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


def _variables(environ: Mapping[str, str], faults: list[str]) -> dict[str, tuple[Any, str]]:
    """Read the ``CRONWRAP_*`` variables that stand for options: key to value and variable.

    An empty one counts as not set; but ``CRONWRAP_MAILTO=`` says "no mail", as ``MAILTO=`` does.
    """
    found: dict[str, tuple[Any, str]] = {}
    if environ.get(CONFIG_VARIABLE):  # which names the files, and is any text: no table is needed for it
        found["config"] = environ[CONFIG_VARIABLE], CONFIG_VARIABLE
    known = (CONFIG_VARIABLE, *OTHER_VARIABLES)
    given = [key for key in environ if key.startswith("CRONWRAP_") and key not in known]
    if not given:
        return found
    load_also("options")
    from cronwrap.settings.options import BY_KEY, OPTIONS, SECTIONS  # noqa: PLC0415  # not for every run
    from cronwrap.settings.values import BAD_VALUE, nearest, partly_right  # noqa: PLC0415

    for variable in given:
        option = BY_KEY.get(variable.removeprefix("CRONWRAP_").lower().replace("_", "-"))
        if option is None or option.variable != variable:
            options = {option.variable: option for option in (*OPTIONS, *SECTIONS)}
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


def _files(
    paths: tuple[str, ...], directory: str, *, must_exist: bool, keep: bool, lean: bool
) -> dict[str, dict[str, Any]]:
    """Give the checked values of each file there is, by path."""
    signature: list[tuple[str, Any]] = []

    def look() -> dict[str, dict[str, Any]] | None:
        signature.extend([(path, cache.signature(path)) for path in paths])
        if not must_exist and all(state is None for _, state in signature):
            return {}
        return cache.read(directory, cache.key(signature))

    hung = False
    try:
        cached = answered(directory, look) if lean else look()
    except TimeoutError:
        cached, hung = None, True
    if cached is not None:
        return cached
    from cronwrap.settings.anew import Anew  # noqa: PLC0415  # only when a file has changed

    anew = Anew(paths, directory, must_exist=must_exist, keep=keep)
    return anew.hung(signature) if hung else anew.lean(signature) if lean else anew.read(signature)
