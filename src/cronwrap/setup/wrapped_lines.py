"""What is in force for each line of a crontab that calls cronwrap, as cron would start it."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from cronwrap.crontab.lint_command import CRON_PATH, programs_called
from cronwrap.crontab.named import NamedJob
from cronwrap.crontab.shell import Word, is_assignment, words
from cronwrap.crontab.store import find_program, user_name
from cronwrap.crontab.surroundings import Account, environment, shell_text
from cronwrap.crontab.wrap import PROGRAM, Use, calls, use_in
from cronwrap.errors import UsageError
from cronwrap.model import Record
from cronwrap.settings.command_line import SHELL_BASENAME, Invocation
from cronwrap.settings.command_line import parse as read_arguments
from cronwrap.settings.files import relays_in_force
from cronwrap.settings.load import Settings, load
from cronwrap.settings.relays import Endpoint
from cronwrap.setup import trial
from cronwrap.setup.trial import People

OWN = "crontab"
"""The place of a user's own crontab, as ``NamedJob`` has it."""
UNCLEAR = "what its options are only its shell can tell: its mail was not looked at"
LINES_SHOWN = 5
"""Lines named at once; ``crontab lint`` names all."""

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_EXPANDED = re.compile(r"[$`*?\[]")


class Line(Record):
    """One call of cronwrap in a crontab, and what is in force for it."""

    named: NamedJob
    environ: dict[str, str] = {}  # noqa: RUF012  # nobody changes it
    """As cron makes it."""
    settings: Settings | None = None
    """None where that cannot be told."""
    people: People = People(sender="", recipients=())
    relays: tuple[Endpoint, ...] = ()
    refused: str = ""
    """Why cronwrap does not take the line, or an empty text."""
    unclear: str = ""
    """Why it cannot be judged, or an empty text."""
    lacking: str = ""
    """What cron, or cronwrap, cannot start, or an empty text."""
    unmailed: str = ""
    """What keeps each mail of it from everybody, or an empty text."""
    meant: bool = False
    """Whether that is said in cronwrap's own words, so that it is no mistake."""

    @property
    def mails(self) -> bool:
        """Tell whether a report of it goes to somebody."""
        return self.settings is not None and not self.unmailed and not self.people.fault


def own_account() -> Account:
    """Give the account of the user who runs this."""
    try:
        entry = pwd.getpwuid(os.geteuid())
    except KeyError:
        return Account(name=user_name(), uid=os.geteuid(), gid=os.getegid(), home="/")
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, home=entry.pw_dir)


def wrapped_lines(found: Iterable[NamedJob], account: Account) -> tuple[Line, ...]:
    """Give each call of cronwrap among the jobs of the user whose rights this process has."""
    lines: list[Line] = []
    for named in found:
        if not named.wrapped:
            continue
        try:
            lines += _lines(named, account)
        except Exception as error:  # noqa: BLE001  # nothing in one line may keep the others from being judged
            lines.append(Line(named=named, unclear=f"it cannot be judged: {error!r}"))
    return tuple(lines)


def places(lines: Iterable[NamedJob]) -> str:
    """Give where jobs stand: ``line 3``, ``lines 3, 5, /etc/cron.d/x:2``."""
    found = list(dict.fromkeys((one.place, one.job.number) for one in lines))
    own = [str(number) for place, number in found if place == OWN]
    every = [*own, *(f"{place}:{number}" for place, number in found if place != OWN)]
    shown = ", ".join(every[:LINES_SHOWN]) + (", …" if len(every) > LINES_SHOWN else "")
    if not own:
        return shown
    return f"{'line' if len(every) == 1 else 'lines'} {shown}"


# One line -------------------------------------------------------------------------------------------


def _lines(named: NamedJob, account: Account) -> Iterator[Line]:
    job = named.job
    # Cron's texts end at a NUL, as C's do.
    environ = {name: value.partition("\0")[0] for name, value in environment(job, account).items()}
    text = shell_text(job).partition("\0")[0]
    lost = calls_what_is_lost(named)
    if not lost and find_program(job.shell, environ["PATH"]) is None:
        yield Line(named=named, lacking=f"its SHELL {job.shell} is not there")
        return
    first = use_in(text)
    uses = (first,) if first is not None and first.form else tuple(use for use in calls(text) if use.form)
    lacking = "" if lost else _lacking(text, environ)
    if not uses and os.path.basename(job.shell) == SHELL_BASENAME:
        yield _in_force(named, Invocation(flags={}, text=text), environ, lacking)
    for use in uses:
        given = {**environ, **_assigned(use.before, environ)}
        try:
            invocation = _invocation(use, given)
        except UsageError as error:
            yield Line(named=named, refused=str(error))
            continue
        if invocation is None:
            yield Line(named=named, lacking=lacking, unclear=UNCLEAR)
            continue
        alone = use is first and len(uses) == 1
        lacks = lacking or (_argument_lacking(use, given, invocation) if alone and not lost else "")
        yield _in_force(named, invocation, given, lacks)


def _invocation(use: Use, environ: Mapping[str, str]) -> Invocation | None:
    """Give a call as its shell would make it, None where only the shell can tell; UsageError as cronwrap."""
    options = [_value(word, environ) for word in use.arguments[: use.at]]
    given = [option for option in options if option is not None]
    if len(given) < len(options):
        return None
    return read_arguments([*given, *(word.value for word in use.arguments[use.at :])])


def _value(word: Word, environ: Mapping[str, str]) -> str | None:
    """Give what the shell makes of a word as far as variables of the crontab go; None where it is more."""
    if word.fixed:
        return word.value
    value = _VARIABLE.sub(lambda found: environ.get(found[1] or found[2], ""), word.value)
    return None if _EXPANDED.search(value) else value


def _assigned(before: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the assignments before a call, those that are more than a plain word left out."""
    found: dict[str, str] = {}
    for word in words(before)[0]:
        value = _value(word, environ)
        if value is not None and is_assignment(word, before):
            name, _, rest = value.partition("=")
            found[name] = rest
    return found


def _in_force(named: NamedJob, invocation: Invocation, environ: dict[str, str], lacking: str) -> Line:
    environ = dict(environ)
    flags = dict(invocation.flags)
    home = environ["HOME"]
    for key, place in (("config", flags), ("CRONWRAP_CONFIG", environ)):
        if place.get(key):  # cron starts a job at home
            named_path = str(place[key])
            place[key] = named_path if named_path.startswith("~/") else os.path.join(home, named_path)
    settings = load(flags, environ, invocation.command(environ).text, keep=False)
    unmailed, meant = _unmailed(settings)
    return Line(
        named=named,
        environ=environ,
        settings=settings,
        people=trial.people(settings),
        relays=_relays(settings, environ),
        lacking=lacking or _no_directory(settings, home),
        unmailed=unmailed,
        meant=meant,
    )


def _relays(settings: Settings, environ: Mapping[str, str]) -> tuple[Endpoint, ...]:
    """Give the relays of a line; a password in a variable is the crontab's, not that of this process."""
    found = []
    for relay in relays_in_force(settings.paths, environ):
        name = relay.password_env
        if name and not relay.fault and environ.get(name) != os.environ.get(name):
            if name in environ:
                found.append(relay.replace(password=environ[name], password_env=""))
            else:
                found.append(
                    relay.replace(fault=f"password-env: {name} is not set where cron starts the job")
                )
        else:
            found.append(relay)
    return tuple(found)


def _unmailed(settings: Settings) -> tuple[str, bool]:
    """Give what keeps mail from everybody, and whether that is said in cronwrap's own words."""
    if settings["dry-run"] or set(settings["on"]) == {"never"}:
        return ("--dry-run" if settings["dry-run"] else "--on never"), True
    mailto = settings["mailto"]
    if mailto is None or mailto.strip(" ,\t"):
        return "", False
    source = settings.sources.get("mailto", "")
    told = any(
        any(fnmatchcase(settings["name"], glob) for glob in globs)
        for _key, _display, _on, globs in settings.notify
    )
    return f'{source}=""' if source.isupper() else f'mailto = "" of {source}', source != "MAILTO" or told


# What is started ------------------------------------------------------------------------------------


def calls_what_is_lost(named: NamedJob) -> bool:
    """Tell whether cron does not find the cronwrap, or cronwrap-shell, that a job is wrapped with."""
    job = named.job
    path = job.environment.get("PATH", CRON_PATH)
    text = shell_text(job)
    called = [name for name in programs_called(text) if _ours(name)]
    if use := use_in(text):
        called.append(text[len(use.before) :].split(None, 1)[0].strip("'\""))
    if _ours(job.shell):
        called.append(job.shell)
    return any(find_program(name, path) is None for name in called)


def _ours(name: str) -> bool:
    return os.path.basename(name) in (PROGRAM, SHELL_BASENAME)


def _lacking(text: str, environ: Mapping[str, str]) -> str:
    """Say which of the programs that a text calls for certain cannot be started, empty when all can."""
    path = environ["PATH"]
    for name in programs_called(text):
        if ("/" in name and not name.startswith("/")) or _ours(name):
            continue  # from where depends on what went before
        if why := _unstartable(name, path):
            return why
    return ""


def _argument_lacking(use: Use, environ: Mapping[str, str], invocation: Invocation) -> str:
    """Say why the program behind ``--`` cannot be started; no shell has a part in that."""
    if not invocation.words or not use.arguments[use.at + 1].fixed:
        return ""
    name = invocation.words[0]
    if "/" in name and not name.startswith("/"):
        name = os.path.join(environ["HOME"], str(invocation.flags.get("chdir", "")), name)
    return _unstartable(name, environ["PATH"])


def _unstartable(name: str, path: str) -> str:
    found = find_program(name, path)
    if found is not None and os.access(found, os.X_OK):
        return ""
    if found is not None:
        return f"{found} may not be run by this user"
    if name.startswith("/"):
        return f"{name} is not there, or not executable"
    return f"{name} is not found on its PATH ({path})"


def _no_directory(settings: Settings, home: str) -> str:
    place = settings["chdir"]
    if not place or os.path.isdir(os.path.join(home, place)):
        return ""
    return f"its directory {place} is not there"


# Relays ---------------------------------------------------------------------------------------------


class Envelopes(Record):
    """Whom a relay is asked about."""

    pairs: tuple[tuple[str, tuple[str, ...]], ...]
    """Senders, each with its recipients."""
    where: dict[tuple[str, str], str]
    """The lines that mail so, by sender and recipient (or an empty text for the sender)."""
    left: int = 0
    """Recipients that are not asked about, being too many."""


MOST_TRIED = 50
"""Recipients that one relay is asked about: it must take a hundred of one mail (RFC 5321, 4.5.3.1.8), but
refuses one who asks for many."""


def envelopes(first: Sequence[People], lines: Iterable[Line]) -> Envelopes:
    """Give whom to ask a relay about: what the settings say first, then what each line would send."""
    pairs: dict[str, dict[str, None]] = {}
    by: dict[tuple[str, str], list[NamedJob]] = {}
    left: set[str] = set()
    for people, named in [*((one, None) for one in first), *((line.people, line.named) for line in lines)]:
        if not people.sender:
            continue
        known = pairs.setdefault(people.sender, {})
        for recipient in people.recipients:
            if sum(map(len, pairs.values())) < MOST_TRIED:
                known[recipient] = None
            elif recipient not in known:
                left.add(recipient)
            if named is not None:
                by.setdefault((people.sender, recipient), []).append(named)
                by.setdefault((people.sender, ""), []).append(named)
    return Envelopes(
        pairs=tuple((sender, tuple(known)) for sender, known in pairs.items()),
        where={key: places(jobs) for key, jobs in by.items()},
        left=len(left),
    )
