"""A job of a crontab run now, in cron's own surroundings: a session of its own, nothing of the caller's."""

from __future__ import annotations

import os
import resource
import signal
import threading
from typing import NoReturn

from cronwrap import forked
from cronwrap.crontab.surroundings import SPOOL, Account, Daemon
from cronwrap.errors import CronwrapError
from cronwrap.exit_status import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, EXIT_SIGNAL_BASE
from cronwrap.model import Record

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
DESCRIPTORS = 65_536
"""Above the descriptors that a shell may have left open to us."""


class ByHand(Record):
    """All that it takes to run a job as cron would."""

    words: tuple[str, ...]
    environment: dict[str, str]
    """It has SHELL and HOME."""
    stdin: bytes
    account: Account
    daemon: Daemon


def run(what: ByHand) -> int:
    """Run a job to its end; give its exit status, 128+N for one that died of signal N.

    Signals that come meanwhile go to it. What it says goes to where our own words go.
    """
    become = os.geteuid() != what.account.uid
    if become and os.geteuid():
        raise CronwrapError(f"only root can run the jobs of {what.account.name}")
    reading, writing = os.pipe()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    pid = os.fork()
    if not pid:
        _child(what, reading, become=become)
    os.close(reading)
    for number in PASSED_ON:
        signal.signal(number, lambda number, _frame: _tell(pid, number))
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    threading.Thread(target=_feed, args=(writing, what.stdin), daemon=True).start()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status if status >= 0 else EXIT_SIGNAL_BASE - status


def _tell(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except OSError:
        return  # it is just going


def _feed(writing: int, octets: bytes) -> None:
    """Write what the job is to read; one that does not want it reads no further."""
    try:
        with open(writing, "wb") as stream:
            stream.write(octets)
    except OSError:
        return


def _child(what: ByHand, stdin: int, *, become: bool) -> NoReturn:
    status = EXIT_NOT_EXECUTABLE
    try:
        os.setsid()
        _inherit(what.daemon)
        if become:
            forked.become(what.account.name, what.account.uid, what.account.gid)
        _enter(what.environment["HOME"])
        os.dup2(stdin, 0)
        os.closerange(3, DESCRIPTORS)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):
                continue  # the C library's own
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(what.words[0], list(what.words), what.environment)
    except FileNotFoundError:
        status = EXIT_NOT_FOUND
        _say(f"{what.words[0]}: not found")
    except (OSError, ValueError) as error:  # a NUL in a variable, say
        _say(f"{what.words[0]}: {getattr(error, 'strerror', None) or error}")
    finally:
        os._exit(status)


def _inherit(daemon: Daemon) -> None:
    """Take umask, limits and niceness from cron's daemon, as far as this user may."""
    os.umask(daemon.umask)
    for number, (soft, hard) in daemon.limits:
        try:
            resource.setrlimit(number, (soft, hard))
        except (OSError, ValueError):
            most = resource.getrlimit(number)[1]  # a user cannot raise it
            fits = most == resource.RLIM_INFINITY or 0 <= soft <= most
            resource.setrlimit(number, (soft if fits else most, most))
    try:
        os.setpriority(os.PRIO_PROCESS, 0, daemon.nice)
    except OSError:
        _say(f"the niceness stays {os.getpriority(os.PRIO_PROCESS, 0)}; cron's is {daemon.nice}")


def _enter(home: str) -> None:
    """Go where cron goes: where the home cannot be entered, it stays where it was."""
    for place in (home, SPOOL, "/"):
        try:
            os.chdir(place)
        except OSError as error:
            if place == home:
                _say(f"{home}: {error.strerror}; cron runs the job all the same, elsewhere")
            continue
        return


def _say(text: str) -> None:
    os.write(2, f"cronwrap: {text}\n".encode(errors="backslashreplace"))
