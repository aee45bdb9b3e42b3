"""Where things are: the configuration files, the state directory, the home, the user.

On the way of every run: it imports nothing that costs.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM_CONFIG = "/etc/cronwrap/config.toml"


def config_paths(named: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Give the paths of the configuration files, the later over the earlier: the one named, or the usual two.

    They are absolute: whoever sends mail later does so in another directory.
    """
    if named:
        return (absolute(named, environ),)
    return (SYSTEM_CONFIG, user_config(environ))


def unquoted(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Give the environment without the quotes around whole values of our variables.

    Docker's ``--env-file`` and its kind take ``MAILTO="a@b"`` with its quotes.
    """
    bare = {
        name: _bare(value)
        for name, value in environ.items()
        if name.startswith("CRONWRAP_") or name in ("MAILTO", "MAILFROM")
    }
    return {**environ, **bare} if bare else environ


def _bare(value: str) -> str:
    """Give a value without the pair of quotes around the whole of it."""
    quoted = value[:1] in ('"', "'") and value.find(value[0], 1) == len(value) - 1 > 0
    return value[1:-1] if quoted else value


def state_directory(environ: Mapping[str, str]) -> str:
    """Give the directory of outbox, locks and history; it need not exist yet."""
    named = _bare(environ.get("CRONWRAP_STATE_DIR", ""))
    if named:
        return absolute(named, environ)
    if os.geteuid() == 0:
        return "/var/lib/cronwrap"
    return os.path.join(_base(environ, "XDG_STATE_HOME", ".local/state"), "cronwrap")


def state_variable(environ: Mapping[str, str]) -> str:
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


def absolute(path: str, environ: Mapping[str, str]) -> str:
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
