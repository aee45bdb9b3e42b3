"""The page with thirty jobs of all fates on a throw-away state, for someone who has never seen it.

History, crontab, outbox and live runs are made up in a temporary place; nobody's crontab is read or
changed, and nothing of it outlives the script.
"""

# ruff: noqa: INP001, SLF001, S103 -- a script beside the package; what it makes is thrown away

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

from cronwrap.crontab import named
from cronwrap.job import holds
from cronwrap.job.holds import Hold
from cronwrap.mail import Envelope, Message
from cronwrap.manage import planned
from cronwrap.model import STDERR, STDOUT
from cronwrap.outbox.store import Outbox
from cronwrap.settings.load import load
from cronwrap.web.pages import render
from cronwrap.web.server import Listening, Way
from support.past import Was, remember

HOUR, DAY = 3600.0, 86400.0
PAST = 24
"""Runs of each job in its history."""
PROGRAM = """#!/bin/sh
# What the jobs of the demonstration do when they are run by hand.
printf '\\033[36m==>\\033[0m %s: 12 things to do\\n' "$1"
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1; printf '\\033[32mok\\033[0m  %s %d of 12\\n' "$1" $i; done
[ "$1" = backup-srv ] && { echo 'error: no such bucket: photos' >&2; exit 2; }
exit 0
"""
CRONTAB = """#!/bin/sh
# Stands in for crontab(1): the table is a file of the demonstration's.
table='{table}'
case "$1" in
-l) cat "$table" ;;
-r) : >"$table" ;;
-|"") cat >"$table" ;;
-u) shift 2; exec "$0" "$@" ;;
*) cat "$1" >"$table" ;;
esac
"""
COPIED = "copying \\033[32mphotos-2026-%03d.tar\\033[0m"
LIVE = f"""i=0
while [ $i -lt 600 ]; do
  i=$((i+1)); printf '{COPIED}  %d of 600\\n' $i $i
  [ $((i % 17)) = 0 ] && echo "photos-$i: checksum differs, copied again" >&2
  sleep 0.7
done"""
FAILED = [
    (STDOUT, b"connecting to \033[1mstore.example.com\033[0m\nlisting buckets\n"),
    (STDERR, b"\033[31merror\033[0m: no such bucket: photos\n"),
    (STDOUT, b"0 of 1,204 files copied\n"),
]
BUILD = [
    (STDOUT, b"\033[36m==>\033[0m checking 214 links\n\033[32mok\033[0m  /\n\033[32mok\033[0m  /about\n"),
    (STDERR, b"\033[33mwarning\033[0m: /old answers 301\n"),
    (STDOUT, b"\033[32mok\033[0m  /contact\n213 sound, 1 moved\n"),
]


@dataclass
class Job:
    """A job of the demonstration."""

    name: str
    schedule: str
    command: str
    fate: str = "ok"
    usual: float = 10.0


JOBS = (
    Job("backup-srv", "0 3 * * *", "/usr/local/bin/backup --all /srv", "failing", 840),
    Job("invoice-import", "*/30 * * * *", "/opt/billing/import --since yesterday", "timeout", 95),
    Job("mirror-sync", "*/10 * * * *", "rsync -a mirror.example.com::pub /srv/mirror", "missed", 40),
    Job("photo-copy", "0 1 * * *", LIVE, "live", 400),
    Job("reindex", "0 */6 * * *", "/opt/search/reindex --full", "live-long", 3),
    Job("newsletter", "30 8 * * 1-5", "/opt/mail/newsletter --send", "paused", 180),
    Job("report-weekly", "0 7 * * 1", "/opt/reports/weekly", "muted", 60),
    Job("legacy-export", "15 4 * * *", "/opt/legacy/export.pl", "failing-muted", 20),
    Job("certbot-renew", "17 */12 * * *", "certbot -q renew", "ok", 3),
    Job("fetch-rates", "5 * * * *", "curl -fsS https://rates.example.com/eur -o /srv/rates", "flaky", 0.9),
    Job("vacuum-db", "15 2 * * *", "vacuumdb --all --analyze", "slow", 40),
    Job("link-check", "40 5 * * *", "/opt/site/check-links", "says", 22),
    Job("logrotate", "25 6 * * *", "/usr/sbin/logrotate /etc/logrotate.conf", "ok", 1.2),
    Job("thumbnails", "*/15 * * * *", "/opt/site/thumbnails", "skipped", 130),
    Job("ldap-sync", "*/20 * * * *", "/usr/local/sbin/ldap-sync", "recovered", 6),
    Job("trim-ssd", "0 0 * * 0", "fstrim -av", "ok", 14),
    Job("geoip-update", "0 5 * * 3", "geoipupdate", "ok", 8),
    Job("sitemap", "50 * * * *", "/opt/site/sitemap", "ok", 4),
    Job("cache-warm", "2-59/10 * * * *", "/opt/site/warm", "ok", 12),
    Job("bounce-mails", "*/5 * * * *", "/opt/mail/bounces", "ok", 1.5),
    Job("quota-report", "0 9 1 * *", "/usr/local/bin/quota", "ok", 30),
    Job("dns-check", "*/15 * * * *", "/usr/local/bin/dns-check", "ok", 2),
    Job("restic-prune", "30 4 * * 6", "restic prune", "ok", 1500),
    Job("metrics-push", "*/5 * * * *", "/usr/local/bin/push", "ok", 0.4),
    Job("mailman-digest", "0 12 * * *", "/usr/lib/mailman/bin/digest", "ok", 5),
    Job("archive-logs", "10 0 * * *", "tar -C /var/log -czf /srv/archive/logs.tgz .", "by-hand", 75),
    Job("new-report", "0 6 * * 2", "/opt/reports/new", "never", 10),
)
UNWRAPPED = (("0 4 * * *", "rm -rf /tmp/cache-*"), ("*/30 * * * *", "/opt/old/poll.sh >/dev/null 2>&1"))
TIMER = Job("unattended-upgrades", "0 6 * * *", "/usr/bin/unattended-upgrade", "ok", 45)


def dues(job: Job, now: float, number: int) -> list[float]:
    """Give the last times at which a job was due, ascending."""
    found = []
    for due in planned._times(job.schedule, "", now, reverse=True):
        found.append(due)
        if len(found) == number:
            break
    return found[::-1]


def past_of(job: Job, now: float) -> list[Was]:
    """Give the runs that a job has had, by its fate."""
    if job.fate == "never":
        return []
    times = dues(job, now - (620 if job.fate == "timeout" else 90), PAST)
    if job.fate == "missed":
        times = [due for due in times if due < now - 47 * 60]
    found = [
        Was(job.name, due + 1, max(0.05, random.gauss(job.usual, job.usual / 6)), command=job.command)
        for due in times
    ]
    for was in found:
        was.took = min(was.took, max(0.05, now - was.started - 30))
    numbers, how = CHANGES.get(job.fate, ((), {}))
    for number in numbers:
        vars(found[number]).update(how)
    return found


FAILURE = {"result": "failed", "exit_code": 2, "reasons": ("exit status 2",), "mailed": True, "took": 1.8}
TIMEOUT = {"result": "timeout", "exit_code": None, "reasons": ("timeout after 10 min",), "took": 600.0}
SKIP = {"result": "skipped", "exit_code": None, "took": 0.0, "reasons": ("the same job still ran",)}
QUIET = {"mailed": False, "quiet_reason": "muted until unmuted by alice"}
CHANGES = {
    "failing": ((-3, -2, -1), {**FAILURE, "said": FAILED}),
    "failing-muted": ((-3, -2, -1), {**FAILURE, **QUIET, "said": FAILED}),
    "timeout": ((-1,), {**TIMEOUT, "mailed": True}),
    "flaky": ((4, 9, 20), {**FAILURE, "took": 0.2}),
    "recovered": ((-4, -3, -2), FAILURE),
    "slow": ((-1,), {"took": 160.0}),
    "says": (range(PAST), {"said": BUILD, "mailed": True}),
    "skipped": ((-2, -1), SKIP),
    "by-hand": ((-1,), {"by_hand": True}),
}
"""By the fate of a job: which of its runs are as they are, and how."""


def table(environment: dict[str, str]) -> str:
    """Give the crontab of the demonstration; cron itself gives its jobs few variables."""
    names = ("PATH", "CRONWRAP_STATE_DIR", "CRONWRAP_CONFIG")
    lines = ["# The crontab of the demonstration: change it as you like.", "MAILTO=ops@example.com"]
    lines += [*(f"{name}={environment[name]}" for name in names), ""]
    lines += [f"{job.schedule} cronwrap --name {job.name} -- demo-job {job.name}" for job in JOBS]
    lines += ["", "# Not wrapped yet:", *(f"{schedule} {command}" for schedule, command in UNWRAPPED)]
    return "\n".join(lines) + "\n"


def outbox(state_dir: str, now: float) -> None:
    """Put reports into the outbox: two that wait, one that was given up."""
    box = Outbox(state_dir)
    for number, (job, why) in enumerate(
        (
            ("backup-srv", "smtp.example.com refuses the login: 535 5.7.8 wrong password"),
            ("invoice-import", "smtp.example.com refuses the login: 535 5.7.8 wrong password"),
            ("legacy-export", "550 5.1.1 no such user here"),
        )
    ):
        to = "ops@example.com" if number < 2 else "gone@example.com"
        subject = f"Cron <root@web1> /usr/local/bin/{job}"
        content = (
            f"From: cron@example.com\r\nTo: {to}\r\nSubject: {subject}\r\n\r\n"
            "exit status 2 after 1.8 s\r\n\r\nconnecting to store.example.com\r\n"
            "error: no such bucket: photos\r\n"
        ).encode()
        envelope = Envelope(sender="cron@example.com", recipients=(to,))
        message = Message(content=content, envelope=envelope, job=job, subject=subject)
        queued = now - (5 - 2 * number) * HOUR
        run = f"{time.strftime('%Y%m%dT%H%M%S', time.localtime(queued))}-5c1e07{number:02x}"
        item = box.store(run, message, queued)
        changed = item.replace(attempts=3 + number, last_error=why, next_attempt=now + 900)
        box.update(item, changed if number < 2 else changed.replace(state="failed"))


def live(environment: dict[str, str]) -> list[subprocess.Popen[bytes]]:
    """Start the runs that are under way."""
    programs = [
        ("photo-copy", LIVE),
        ("reindex", "for part in a b c d; do echo reading part $part; sleep 200; done"),
    ]
    return [
        subprocess.Popen(
            [os.path.join(sysconfig.get_path("scripts"), "cronwrap"), "--name", name, "-c", text],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, text in programs
    ]


def lay_out(place: str, now: float) -> dict[str, str]:
    """Make state, crontab and configuration in a directory; give the environment for what runs there."""
    state_dir, programs = os.path.join(place, "state"), os.path.join(place, "bin")
    os.makedirs(state_dir, mode=0o700)
    os.makedirs(programs)
    table_file = os.path.join(place, "crontab")
    for name, text in (("crontab", CRONTAB.format(table=table_file)), ("demo-job", PROGRAM)):
        with open(os.path.join(programs, name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(os.path.join(programs, name), 0o755)
    config = os.path.join(place, "config.toml")
    with open(os.open(config, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
        file.write('mailto = "ops@example.com"\nmailfrom = "cron@example.com"\n\n')
        file.write('[[relay]]\nurl = "smtps://cron%40example.com:secret@smtp.example.com"\n\n')
        file.write('[jobs.invoice-import]\ntimeout = "10m"\n\n[delivery]\nbackground = false\n')
    environment = {
        **os.environ,
        "PATH": f"{programs}:{sysconfig.get_path('scripts')}:/usr/bin:/bin",
        "CRONWRAP_STATE_DIR": state_dir,
        "CRONWRAP_CONFIG": config,
    }
    os.environ.update(environment)
    with open(table_file, "w", encoding="utf-8") as file:
        file.write(table(environment))
    remember(state_dir, [was for job in (*JOBS, TIMER) for was in past_of(job, now)])
    end = now + 20 * HOUR
    for kind, job, until in (
        (holds.PAUSE, "newsletter", end),
        (holds.MUTE, "report-weekly", None),
        (holds.MUTE, "legacy-export", None),
    ):
        hold = Hold(kind=kind, job=job, since=now - 4 * HOUR, asked=now, until=until, by="alice")
        holds.write(state_dir, hold)
    outbox(state_dir, now)
    return environment


@contextlib.contextmanager
def demonstration(listen: str, path: str = "") -> Iterator[Listening]:
    """Give the page of the demonstration, which listens and is yet to serve."""
    random.seed(7)
    named._system_crontabs = lambda: iter(())  # this machine's own are not shown
    with tempfile.TemporaryDirectory(prefix="cronwrap-demo-") as place:
        processes = live(lay_out(place, time.time()))
        way = Way(listen=listen, path=path)
        page = Listening(load({}, os.environ), way, lambda line: print(line, flush=True))
        try:
            yield page
        finally:
            page.close()
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()


def main() -> int:
    """Serve until Ctrl-C; arguments: ``--listen HOST:PORT``, ``--socket PATH``, ``--host NAME``."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    given = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    if "--host" in given:
        render.host_name = lambda: given["--host"]
    with demonstration(given.get("--listen", "127.0.0.1:0"), given.get("--socket", "")) as page:
        print(f"Open this: {page.address()}\nCtrl-C ends it, and nothing of it remains.", flush=True)
        page.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
