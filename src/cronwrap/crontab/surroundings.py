"""What cron gives a job besides its line: environment, directory, standard input, umask, niceness, limits.

As Debian's cron 3.0pl1 has it (``entry.c``, ``do_command.c``): SHELL, HOME and PATH are set where the crontab
does not, LOGNAME always, and what pam_env adds is weaker than all of these. cronie and BusyBox set USER too.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterable, Iterator

from cronwrap.crontab.dialect import BSD, BUSYBOX, CRONIE, Dialect
from cronwrap.crontab.lines import Job
from cronwrap.model import Record
from cronwrap.trust import read_regular

PATH = "/usr/bin:/bin"
"""_PATH_DEFPATH, as both crons have it."""
USUAL_UMASK = 0o022
SPOOL = "/var/spool/cron"
"""Where cron is, and where a job stays whose home cannot be entered."""
PAM_FILES = ("/etc/pam.d/cron", "/etc/pam.d/crond")
PAM_ENVIRONMENT = "/etc/environment"
"""What pam_env(8) reads unless ``envfile=`` names another."""
DEBIAN_MARK = "/etc/debian_version"
DAEMONS = ("cron", "crond")
FILE_LIMIT = 1 << 20
"""Octets of a file of /proc or /etc; these have hundreds."""
_PAM_ENV = re.compile(r"^\s*-?(?:auth|session)\s+(?:\[[^]]*\]|\S+)\s+\S*pam_env\.so\b(.*)$", re.MULTILINE)
_PAM_LIMITS = re.compile(r"^\s*-?session\s+(?:\[[^]]*\]|\S+)\s+\S*pam_limits\.so\b", re.MULTILINE)
FD_SETSIZE = 1024
"""Debian's pam_limits lets no session begin with more open files: select(2) takes no higher ones."""
_LIMITS = {
    "cpu time": "CPU",
    "file size": "FSIZE",
    "data size": "DATA",
    "stack size": "STACK",
    "core file size": "CORE",
    "resident set": "RSS",
    "processes": "NPROC",
    "open files": "NOFILE",
    "locked memory": "MEMLOCK",
    "address space": "AS",
    "pending signals": "SIGPENDING",
    "msgqueue size": "MSGQUEUE",
    "nice priority": "NICE",
    "realtime priority": "RTPRIO",
    "realtime timeout": "RTTIME",
}
"""The names of proc(5), ``/proc/PID/limits``, and those of setrlimit(2)."""


class Account(Record):
    """Whom a job runs as."""

    name: str
    uid: int
    gid: int
    home: str


class Daemon(Record):
    """What a job inherits from the cron daemon."""

    umask: int = USUAL_UMASK
    nice: int = 0
    limits: tuple[tuple[int, tuple[int, int]], ...] = ()
    """By the numbers of setrlimit(2): soft and hard."""


def environment(job: Job, account: Account) -> dict[str, str]:
    """Give a job's environment as cron makes it."""
    given = job.environment
    if not job.dialect.mails_by_variable:  # BusyBox's crond hands on no other
        given = {name: value for name, value in given.items() if name == "SHELL"}
    return {
        **pam_environment(),
        "SHELL": "/bin/sh",
        "HOME": account.home,
        "PATH": PATH,
        **given,
        "LOGNAME": account.name,
        **({"USER": account.name} if _sets_user(job.dialect) else {}),
    }


def _sets_user(dialect: Dialect) -> bool:
    if dialect.assumed:
        return not os.path.exists(DEBIAN_MARK)
    return dialect.name in (CRONIE.name, BUSYBOX.name, BSD.name)


def shell_text(job: Job) -> str:
    """Give what the shell gets of a line, from the cron of this host where the crontab does not tell."""
    texts = job.shell_texts()
    return texts[0] if os.path.exists(DEBIAN_MARK) else texts[-1]


def standard_input(job: Job) -> bytes:
    r"""Give a job's standard input: what follows the first ``%``, each further one a line break."""
    given = job.parts()[1]
    if given is None:
        return b""
    text = re.sub(r"\\%|%", lambda match: "%" if match[0] == "\\%" else "\n", given)
    return (text if text.endswith("\n") else f"{text}\n").encode("utf-8", "surrogateescape")


def pam_environment() -> dict[str, str]:
    """Give the variables that pam_env(8) adds to those of every job, as cron's PAM file asks for."""
    found: dict[str, str] = {}
    service = next((text for text in map(_read, PAM_FILES) if text), "")
    for match in _PAM_ENV.finditer(service):
        options = dict(word.partition("=")[::2] for word in match[1].split())
        if options.get("readenv") != "0":
            found |= _variables(_read(options.get("envfile") or PAM_ENVIRONMENT))
    return found


def _variables(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        value = value.strip()
        if equals and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and value:
            quoted = len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]
            yield name, value[1:-1] if quoted else value


def daemon() -> Daemon:
    """Give what the cron daemon of this host hands on, as far as it runs and /proc tells."""
    for pid in _daemons():
        status = re.search(r"^Umask:\s*([0-7]+)$", _read(f"/proc/{pid}/status"), re.MULTILINE)
        try:
            nice = os.getpriority(os.PRIO_PROCESS, pid)
        except OSError:
            continue  # it has just ended
        umask = int(status[1], 8) if status else USUAL_UMASK
        return Daemon(umask=umask, nice=nice, limits=_capped(_limits(_read(f"/proc/{pid}/limits"))))
    return Daemon(limits=_capped(()))


def _capped(limits: Iterable[tuple[int, tuple[int, int]]]) -> tuple[tuple[int, tuple[int, int]], ...]:
    """Give limits as Debian's pam_limits(8) leaves them, where cron's PAM file asks for it."""
    found = dict(limits)
    service = next((text for text in map(_read, PAM_FILES) if text), "")
    if _PAM_LIMITS.search(service) and os.path.exists(DEBIAN_MARK):
        soft, hard = found.get(resource.RLIMIT_NOFILE) or resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY or soft > FD_SETSIZE:
            found[resource.RLIMIT_NOFILE] = (FD_SETSIZE, hard)
    return tuple(found.items())


def _daemons() -> Iterator[int]:
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    for pid in sorted(int(name) for name in names if name.isdecimal()):
        if _read(f"/proc/{pid}/comm").strip() in DAEMONS:
            yield pid


def _limits(text: str) -> Iterator[tuple[int, tuple[int, int]]]:
    pattern = re.compile(r"^Max (.+?)\s{2,}(\d+|unlimited)\s+(\d+|unlimited)\b", re.MULTILINE)
    for name, soft, hard in pattern.findall(text):
        number = getattr(resource, f"RLIMIT_{_LIMITS.get(name, '')}", None)
        if number is not None:
            yield number, (_limit(soft), _limit(hard))


def _limit(text: str) -> int:
    return resource.RLIM_INFINITY if text == "unlimited" else int(text)


def _read(path: str) -> str:
    try:
        return read_regular(path, FILE_LIMIT).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
