"""Exit statuses in one table, and what carries the job's own past a bug of ours.

Apart from ``errors``: a quiet run has none, and to make a class of each costs it half a million instructions.
"""

from __future__ import annotations

EXIT_USAGE = 2
"""The command line cannot be understood; the job is not run."""
EXIT_SKIPPED = 75
"""Not run because the same job still runs, or is paused (EX_TEMPFAIL of sysexits(3))."""
EXIT_ENDED = 124
"""cronwrap ended the job: timeout, idle timeout, memory (as timeout(1))."""
EXIT_INTERNAL = 125
"""cronwrap could not start the job for a cause of its own (as env(1), nohup(1))."""
EXIT_NOT_EXECUTABLE = 126
"""The command was found but could not be executed (POSIX shell)."""
EXIT_NOT_FOUND = 127
"""The command was not found (POSIX shell)."""
EXIT_SIGNAL_BASE = 128
"""128+N: the job died of signal N (POSIX shell)."""


class AftermathError(Exception):
    """A bug of ours after the job had ended (the cause); ``status`` is the exit status of the job.

    ``told``: a person has been told of it already.
    """

    def __init__(self, status: int, *, told: bool) -> None:
        super().__init__(status)
        self.status = status
        self.told = told
