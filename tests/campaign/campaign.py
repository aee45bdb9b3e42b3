"""Kills and injected faults at every system call of cronwrap, and what became of job, status and report.

    make campaign                                  about 400 runs, some minutes
    make campaign ARGS="--kills 2000 --errors 2000 --jobs 2"
    make campaign ARGS="--program '/other/.venv/bin/python /other/scripts/cronwrap'"   another one, to compare

strace(1) kills the process that it started at its Nth call of a kind, or has that call fail. Nothing is drawn
by lot: the points are spread evenly over all there are, so that a second campaign repeats the first.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from cronwrap.outbox.store import PLACES
from support.cli import CRONWRAP, write_private
from support.hook import Hook
from support.pki import Authority
from support.relay import Policy, Relay
from support.tracing import cannot_trace

LIMIT = 120.0
"""Seconds for one run, which takes less than one; what takes longer hangs."""
WAITER_LIMIT = 10.0
"""Seconds for a waiter, which sends at once what is due, and then sleeps for a minute when that failed."""
ERRORS = {
    "openat": ("EMFILE", "EIO", "ENOSPC", "EACCES", "EROFS"), "mkdirat": ("ENOSPC", "EROFS", "EACCES"),
    "mkdir": ("ENOSPC", "EACCES"), "pipe2": ("EMFILE", "ENFILE"), "clone": ("EAGAIN", "ENOMEM"),
    "clone3": ("EAGAIN",), "flock": ("ENOLCK", "ENOSYS", "EIO", "EOPNOTSUPP"), "fsync": ("EIO", "ENOSPC"),
    "renameat": ("ENOSPC", "EIO", "EROFS"), "unlinkat": ("EPERM", "EIO", "EROFS"),
    "pwrite64": ("ENOSPC", "EIO"), "write": ("ENOSPC", "EIO"), "read": ("EIO",), "pread64": ("EIO",),
    "close": ("EIO",), "fstat": ("EIO",), "newfstatat": ("EIO", "EACCES"), "getdents64": ("EIO",),
    "poll": ("ENOMEM",), "wait4": ("EINTR",), "fcntl": ("EINVAL",), "ioctl": ("EIO",), "lseek": ("EIO",),
    "connect": ("ECONNREFUSED", "ETIMEDOUT"), "socket": ("EMFILE",), "sendto": ("EPIPE",),
    "recvfrom": ("ECONNRESET",), "setpgid": ("EPERM",), "prctl": ("EINVAL",), "rt_sigaction": ("EINVAL",),
    "rt_sigprocmask": ("EINVAL",), "setsid": ("EPERM",), "chdir": ("EACCES",), "dup2": ("EBUSY",),
}  # fmt: skip
_CALL = re.compile(r"(\d+) +(\w+)\(")
_OURS = "cronwrap/__init__"
"""In the name of the first file that is ours, but for the script; what fails before that is Python's own."""
STATE = "state:"
"""What an injection begins with that is for calls that concern the state alone, by whatever thread."""


@dataclass(frozen=True)
class Case:
    """What is run: a job, and what is to come of it."""

    name: str
    words: tuple[str, ...]
    status: int
    reports: int
    running: bool = False
    """Whether it is told, once, that it still runs."""
    hook: bool = False
    """Whether a target of ``[[notify]]`` is told, and nobody mailed."""


CASES = (
    Case("a run that fails", ("-n", "j", "--", "sh", "-c", "mkdir $RAN; echo said; exit 7"), 7, 1),
    Case("a run that succeeds", ("-n", "j", "--", "mkdir", "RAN"), 0, 0),
    Case("a sender", (), 0, 1),
    Case("a waiter", (), 0, 1),
    Case(
        "a run that notifies", ("-n", "j", "--", "sh", "-c", "mkdir $RAN; echo said; exit 7"), 7, 1, hook=True
    ),
    Case("a sender of notifications", (), 0, 1, hook=True),
    Case(
        "a run that takes its time",
        ("-n", "j", "--", "sh", "-c", "mkdir $RAN; echo said; sleep 1.2; echo more; exit 7"),
        7,
        1,
    ),
    Case(
        "a run that still runs",
        ("-n", "j", "--still-running", "0.3s", "--", "sh", "-c", "mkdir $RAN; echo said; sleep 0.8; exit 7"),
        7,
        1,
        running=True,
    ),
)


@dataclass
class Matrix:
    """How many points of each case came out how."""

    rows: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    """Killed between a relay's answer and the note of it: to be looked at, and no fault."""

    def lines(self):
        columns = ("points", "job run", "status right", "report once", "not hung", "loud or right")
        yield f"{'':34}" + "".join(f"{name:>15}" for name in columns)
        for key in sorted({(case, kind) for case, kind, _ in self.rows}):
            yield f"{key[0] + ', ' + key[1]:34}" + "".join(f"{self.rows[*key, name]:15}" for name in columns)
        if self.twice:
            yield "sent twice under one Message-ID, killed before the relay's answer was noted:"
            yield from self.twice
        yield from self.bad


class Ground:
    """A place with a relay and a webhook, where one point after the other is tried."""

    def __init__(self, program, directory, relay, hook):
        self.python = program[0] if len(program) > 1 else sys.executable
        self.program, self.directory, self.relay, self.hook = program, directory, relay, hook
        os.makedirs(directory)
        self.env = {
            "HOME": directory, "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LANG": "C.UTF-8",
            "CRONWRAP_STATE_DIR": f"{directory}/state", "CRONWRAP_CONFIG": f"{directory}/config.toml",
            "CRONWRAP_DELIVERY_BACKGROUND": "false", "RAN": f"{directory}/ran",
            **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ},
        }  # fmt: skip
        text = f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}'
        write_private(self.env["CRONWRAP_CONFIG"], text)
        write_private(f"{directory}/notify.toml", f'mailto = ""\n{hook.table}')

    def configure(self, case):
        self.env["CRONWRAP_CONFIG"] = f"{self.directory}/{'notify' if case.hook else 'config'}.toml"

    def words(self, case):
        if case.words:
            return [*self.program, *(self.env["RAN"] if word == "RAN" else word for word in case.words)]
        end = ["send"] if case.name.startswith("a sender") else []
        if case.hook:  # by the key that is behind the run's id
            waiting = os.listdir(f"{self.env['CRONWRAP_STATE_DIR']}/outbox/queue")
            end += [name.partition(".")[2] for name in waiting]
        return [self.python, "-P", "-m", "cronwrap.outbox.waiter", *end]

    def prepare(self, case):
        """Have the state that the case begins with: made once, copied for each point."""
        self.configure(case)
        state, template = self.env["CRONWRAP_STATE_DIR"], f"{self.directory}/{case.name}"
        shutil.rmtree(state, ignore_errors=True)
        shutil.rmtree(self.env["RAN"], ignore_errors=True)
        if not os.path.exists(template):
            self.run([*self.program, "-n", "other", "--", "true"])
            if case.hook and not case.words:  # a notification waits, of a run whose target was away
                self.hook.answers = ["drop"]
                self.run([*self.program, "-n", "j", "--", "sh", "-c", "echo said; exit 7"])
                self.hook.answers = []
                self.make_due()
            elif not case.words:  # a report waits, of a run whose relay was away
                away = {"CRONWRAP_RELAY": "smtp://127.0.0.1:9"}
                self.run([*self.program, "-n", "j", "--", "sh", "-c", "echo said; exit 7"], **away)
                self.make_due()
            shutil.copytree(state, template)
        else:
            shutil.copytree(template, state)
        del self.relay.messages[:], self.hook.calls[:]

    def reports(self, case):
        """Give what there is of the job's failure: mails or, told once for each id, notifications."""
        if case.hook:
            return {call.headers["webhook-id"] for call in self.hook.calls if call.data["job"] == "j"}
        mails = [mail for mail in self.relay.messages if not mail.subject.endswith("true")]
        return [mail for mail in mails if mail.parsed["X-Cronwrap-Result"] != "running"]

    def told_running(self):
        """Give the mails that told that the run still goes on."""
        return [mail for mail in self.relay.messages if mail.parsed["X-Cronwrap-Result"] == "running"]

    def twice(self):
        """Tell whether a mail came more than once under its Message-ID, as SMTP cannot rule out.

        Where a process is killed between a relay's answer and its note of it; nothing else excuses it.
        """
        ids = [mail.parsed["Message-ID"] for mail in self.relay.messages]
        return len(ids) > len(set(ids))

    def make_due(self):
        queue = f"{self.env['CRONWRAP_STATE_DIR']}/outbox/queue"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.env['CRONWRAP_STATE_DIR']}/outbox/relays")
        for name in os.listdir(queue):
            with open(f"{queue}/{name}", "r+b") as file:
                head, line, rest = file.read().partition(b"\nnext_attempt: ")
                moment, end, rest = rest.partition(b"\n")
                file.seek(0)
                file.write(head + line + b"0.".ljust(len(moment), b"0") + end + rest)

    def run(self, words, limit=LIMIT, **env):
        process = subprocess.Popen(
            words, env={**self.env, **env}, cwd=self.directory, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.communicate()
            return None, b""
        return process.returncode, out + err

    def traced(self, case, *inject, paths=()):
        trace = f"{self.directory}/trace"
        injections = [word for text in inject for word in ("-e", f"inject={text}")]
        injections += [word for path in paths for word in ("-P", path)]
        words = ["strace", "-f", "-qq", "-s", "400", "-o", trace, *injections, *self.words(case)]
        status, said = self.run(words, limit=WAITER_LIMIT if case.name == "a waiter" else LIMIT)
        with open(trace, encoding="utf-8", errors="replace") as file:
            return status, said, file.read().splitlines()

    def points(self, case):
        """Give each call of the process that strace starts, from the one that opens our first module on."""
        self.prepare(case)
        _status, _said, lines = self.traced(case)
        first, counts, found, begun = lines[0].split()[0], Counter(), [], False
        for line in lines:
            seen = _CALL.match(line)
            if seen and seen[1] == first:
                counts[seen[2]] += 1
                begun = begun or (_OURS in line and seen[2] != "execve")
                if begun and seen[2] not in ("exit_group", "execve", "rt_sigreturn"):
                    found.append((seen[2], counts[seen[2]]))
        return found

    def places(self):
        """Give what there is of the state with the same name each time."""
        state = self.env["CRONWRAP_STATE_DIR"]
        inner = ("runs", "locks", "output", "pauses", "outbox", *(f"outbox/{name}" for name in PLACES))
        return [state, f"{state}/settings.cache", *(f"{state}/{name}" for name in inner)]

    def points_in_state(self, case):
        """Give each call that concerns the state, of whatever thread or process; each counts its own."""
        self.prepare(case)
        _status, _said, lines = self.traced(case, paths=self.places())
        counts = Counter(match.groups() for match in map(_CALL.match, lines) if match)
        most = Counter()
        for (_pid, call), number in counts.items():
            most[call] = max(most[call], number)
        return [(f"{STATE}{call}", number + 1) for call in sorted(most) for number in range(most[call])]

    def settle(self, case):
        """Do what the next runs of the job would: find what died, send what waits."""
        if case.words:
            self.run([*self.program, "-n", "j", "--", "true"])
        queue = f"{self.env['CRONWRAP_STATE_DIR']}/outbox/queue"
        for _ in range(2):
            if os.path.isdir(queue) and os.listdir(queue):
                self.run([*self.program, "outbox", "flush"])

    def judged(self, case, inject):
        """Give what was right at one point, by the columns of the matrix."""
        self.prepare(case)
        paths = self.places() if inject.startswith(STATE) else ()
        status, said, _ = self.traced(case, inject.removeprefix(STATE), paths=paths)
        killed = "signal=KILL" in inject
        self.settle(case)
        reports = self.reports(case)
        ran = os.path.isdir(self.env["RAN"]) or not case.words
        loud = bool(said)
        right = {"points"}
        if ran or (killed and status is not None):
            right.add("job run")
        if status is not None or case.name == "a waiter":  # which is to wait when it could not send
            right.add("not hung")
        if killed or not case.words or status == case.status:  # nobody sees that of a sender
            right.add("status right")
        wanted = case.reports
        printed = b"said" in said or b"be told" in said or b"be notified" in said
        if killed:  # a run that would have been quiet is reported as killed; one that never began is not
            once = len(reports) == 1 or (len(reports) == 0 and (wanted == 0 or not ran))
        else:  # a quiet run may have to tell of the fault
            once = len(reports) == wanted or printed or (wanted == 0 and loud and len(reports) == 1)
        told = len(self.told_running())
        if killed and self.twice():
            right.add("twice")
            once = once or len({mail.parsed["Message-ID"] for mail in reports}) == 1
            told = len({mail.parsed["Message-ID"] for mail in self.told_running()})
        if once and (told == case.running or (not told and (killed or loud))):
            right.add("report once")
        if "report once" in right or loud:
            right.add("loud or right")
        return (
            right,
            f"status {status}, {len(reports)} reports, {told} of running, ran {ran}, {said[-150:]!r}",
        )


def spread(points, most):
    """Give at most so many of the points, evenly over all."""
    step = max(1.0, len(points) / max(1, most))
    return [points[int(number * step)] for number in range(min(most, len(points)))]


def injections(points, kills, errors):
    """Give what is to be injected: a kind of row, and strace's words for it."""
    for call, number in spread(points, kills):
        yield "killed", f"{call}:signal=KILL:when={number}"
    failing = [
        (call, error, number) for call, number in points for error in ERRORS.get(call.removeprefix(STATE), ())
    ]
    for call, error, number in spread(failing, errors):
        yield "an error", f"{call}:error={error}:when={number}"


def campaign(program, kills, errors, jobs, minutes=None):
    """Give the matrix of a campaign with about so many kills and errors, or as many as there is time for.

    The cases share the time.
    """
    began = time.monotonic()
    matrix = Matrix()
    with tempfile.TemporaryDirectory(prefix="campaign-") as place:
        authority = Authority(place)
        with contextlib.ExitStack() as stack:
            grounds = [
                Ground(
                    program,
                    f"{place}/{number}",
                    stack.enter_context(Relay(authority, Policy())),
                    stack.enter_context(Hook(authority)),
                )
                for number in range(jobs)
            ]
            for case_number, case in enumerate(CASES, 1):
                end = None if minutes is None else began + minutes * 60 * case_number / len(CASES)
                points = [*grounds[0].points(case), *grounds[0].points_in_state(case)]
                work = list(injections(points, kills // len(CASES), errors // len(CASES)))
                with ThreadPoolExecutor(jobs) as pool:
                    shares = [(grounds[number], case, work[number::jobs], end) for number in range(jobs)]
                    for results in pool.map(lambda share: _share(*share), shares):
                        for kind, inject, right, facts in results:
                            matrix.rows.update((case.name, kind, name) for name in right)
                            if "twice" in right:
                                matrix.twice.append(f"  {case.name}, {inject}: {facts}")
                            if {"job run", "status right", "report once", "not hung"} - right:
                                matrix.bad.append(f"  {case.name}, {inject}: {facts}")
    return matrix


def _share(ground, case, work, end):
    found = []
    # Evenly over kills and errors, however far it gets.
    for kind, inject in sorted(work, key=lambda item: zlib.crc32(item[1].encode())):
        if end is not None and time.monotonic() > end:
            break
        right, facts = ground.judged(case, inject)
        found.append((kind, inject, right, facts))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--errors", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2, help="at a time")
    parser.add_argument("--minutes", type=float, help="as many of them as there is time for")
    parser.add_argument("--program", default=CRONWRAP, help="another cronwrap than the installed one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if fault := cannot_trace():
        return f"the campaign needs strace: {fault}"
    matrix = campaign(
        shlex.split(options.program), options.kills, options.errors, options.jobs, options.minutes
    )
    if options.json:
        print(json.dumps({" / ".join(key): count for key, count in matrix.rows.items()}))
    else:
        print("\n".join(matrix.lines()))
    return int(bool(matrix.bad))


if __name__ == "__main__":
    sys.exit(main())
