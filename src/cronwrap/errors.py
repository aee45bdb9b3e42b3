"""The tree of errors.

CronwrapError           something a person must be told in one line; ``status`` is the exit status
├── UsageError          the command line cannot be understood (2)
├── ConfigError         a configuration file or variable cannot be used
├── StateError          the state directory, the outbox or the history cannot be used
└── TemporaryError      a relay did not take a message; trying again later may help
"""

from __future__ import annotations

from cronwrap.exit_status import EXIT_USAGE


class CronwrapError(Exception):
    """Anything that a person must be told in one line."""

    status = 1


class UsageError(CronwrapError):
    """The command line cannot be understood."""

    status = EXIT_USAGE


class ConfigError(CronwrapError):
    """A configuration file or variable cannot be used; the text names file and key."""


class StateError(CronwrapError):
    """The state directory, the outbox or the history cannot be read or written."""


class TemporaryError(CronwrapError):
    """A relay did not take a message; trying again later may help."""
