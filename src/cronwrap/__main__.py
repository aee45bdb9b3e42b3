"""The ways in: ``cronwrap``, ``cronwrap-shell`` and ``python -m cronwrap``.

A command line of the form ``[OPTIONS] -- COMMAND`` goes straight to ``run``; everything else goes to the
click surface, which a job must not wait for.
"""

from __future__ import annotations

import gc
import os
import sys

from cronwrap import load_also, open_standard_streams
from cronwrap.exit_status import (
    EXIT_INTERNAL,
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    EXIT_USAGE,
    AftermathError,
)
from cronwrap.settings.command_line import Invocation, job_locale, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

if sys.argv[1:2] != ["--"] and (sys.argv[1:2] != ["-c"] or len(sys.argv) > 3):
    # A run without options can do without their table. Here the script still has the job run if this fails.
    load_also("options")
    from cronwrap.settings import options as _options  # noqa: F401

ALIASES = {"sendmail": ["sendmail"], "mailq": ["sendmail", "-bp"], "newaliases": ["sendmail", "-bi"]}
"""What cronwrap is when a link of that name leads to it, as other programs call /usr/sbin/sendmail."""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what a command line says; give the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = sys.argv[0].rpartition("/")[2]
    words = [*ALIASES.get(name, ()), *words]
    return _bounded(lambda: _main(words), words)


def shell_main(argv: Sequence[str] | None = None) -> int:
    """Stand in for the shell of a crontab, and take whatever sh takes; give the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)

    def shell() -> int:
        # As crond calls it, which must cost no more than cronwrap itself; all else is rare.
        if len(words) == 2 and words[0] == "-c" and "cronwrap" not in words[1]:
            return _run(Invocation(flags={}, text=words[1]))
        from cronwrap.crontab.shell_call import SHELL, job_of  # noqa: PLC0415

        invocation = job_of(words)
        if invocation is None:
            _become([SHELL, *words])
        return _run(invocation)

    return _bounded(shell, words)


def _become(shell: list[str]) -> NoReturn:
    import _signal  # noqa: PLC0415  # builtin

    from cronwrap.job.signals import RESTORED  # noqa: PLC0415

    for number in RESTORED:
        _signal.signal(number, _signal.SIG_DFL)
    seen = {**os.environ, "SHELL": shell[0], "LC_CTYPE": job_locale(os.environ)}
    os.execve(shell[0], shell, {name: value for name, value in seen.items() if value is not None})


def leave(status: int) -> NoReturn:
    """Exit at once: taking the interpreter down piece by piece would cost each run a millisecond."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # closed, or nobody reads it any more
    if "atexit" in sys.modules:  # else nobody has registered anything
        sys.modules["atexit"]._run_exitfuncs()  # noqa: SLF001  # there is no public way, and nothing may be skipped
    os._exit(status)


def _main(words: list[str]) -> int:
    invocation = parse(words)
    if invocation is not None:
        return _run(invocation)
    gc.enable()  # the script has switched it off
    from cronwrap.commands.cli import main as click_main  # noqa: PLC0415  # click

    return click_main(words)


def _run(invocation: Invocation) -> int:
    try:
        from cronwrap.run import main as run_main  # noqa: PLC0415
    except Exception as error:  # noqa: BLE001  # cronwrap is just being replaced, or is not whole
        _become_job(invocation, error)
    return run_main(invocation)


def _become_job(invocation: Invocation, error: Exception) -> NoReturn:
    """Run the job in our place: nothing of cronwrap is there to watch it."""
    _say(f"the job runs, but nobody watches it and nothing will be reported: {type(error).__name__}: {error}")
    words = invocation.command(os.environ).argv
    try:
        os.execvp(words[0], words)
    except (OSError, ValueError) as fault:
        _say(f"{words[0]}: {getattr(fault, 'strerror', None) or fault}")
        leave(EXIT_NOT_FOUND if isinstance(fault, FileNotFoundError) else EXIT_NOT_EXECUTABLE)


def _bounded(work: Callable[[], int], words: Sequence[str]) -> int:
    """Be the one boundary that turns an error into a line for a person and an exit status."""
    try:
        open_standard_streams()
        return work()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141
    except AftermathError as error:
        return _bug(error)
    except Exception as error:  # noqa: BLE001  # no traceback reaches a person
        return _told(words, error)


def _told(words: Sequence[str], error: Exception) -> int:
    """Tell a person what is wrong, in a line; give the exit status."""
    try:
        from cronwrap.errors import CronwrapError, UsageError  # noqa: PLC0415  # whoever raised one has loaded it
    except Exception:  # noqa: BLE001  # so it is none of them
        return _bug(error)
    if isinstance(error, UsageError):
        from cronwrap.commands.mistaken import tell  # noqa: PLC0415

        tell(words, error)
        return EXIT_USAGE
    if isinstance(error, CronwrapError):
        _say(str(error))
        return error.status
    return _bug(error)


def _bug(error: Exception) -> int:
    """Tell of an error of our own; give the exit status, which is the job's if it had ended before."""
    status = error.status if isinstance(error, AftermathError) else EXIT_INTERNAL
    if isinstance(error, AftermathError) and error.told:
        return status
    cause = error.__cause__ or error if isinstance(error, AftermathError) else error
    try:
        from cronwrap.pipeline.mistakes import report_bug  # noqa: PLC0415

        report_bug(cause)
    except Exception:  # noqa: BLE001  # no descriptor or memory left to load a module
        _say(f"internal error: {type(cause).__name__}: {cause}")
    return status


def _say(text: str) -> None:
    from cronwrap.text import harmless  # noqa: PLC0415  # where something is wrong, alone

    try:
        os.write(2, f"cronwrap: {harmless(text)}\n".encode(errors="backslashreplace"))
    except OSError:
        return


if __name__ == "__main__":
    leave(main())
