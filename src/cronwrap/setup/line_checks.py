"""What would happen to each wrapped line of a crontab: whether it starts, and whom it would mail to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cronwrap.crontab.named import NamedJob
from cronwrap.model import Record
from cronwrap.relay.wording import SOURCES, with_advice
from cronwrap.settings.fleet import NO_FLEET
from cronwrap.settings.load import Settings
from cronwrap.setup.check import Check
from cronwrap.setup.wrapped_lines import Line, places

NAME = "lines"
NOT_STARTED = "the job would not start"
NO_RELAY = "no relay is configured for it: its reports stay in the outbox"
OF_THIS_SHELL = ("CRONWRAP_CONFIG", "CRONWRAP_RELAY", "XDG_CONFIG_HOME")
"""Variables that say where the settings are, and that cron does not have from a shell."""
SAY_SO = "name an address there, or take it away; if that is meant, say so with --mailto '' on the line"


class _Said(Record):
    """What is to be said of a line, apart from where it is."""

    ok: bool
    text: str
    advice: str = ""


def checks(lines: Iterable[Line], base: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    """Give what is to be said of each line, what is wrong first, the same of several lines once.

    ``base`` are the settings outside of any job, from ``environ``: what is wrong with them is told already.
    What relays say to the addresses is told with the relays.
    """
    found: dict[_Said, list[NamedJob]] = {}
    for line in lines:
        for said in _said(line, base, environ):
            found.setdefault(said, []).append(line.named)
    for said in sorted(found, key=lambda said: (said.ok, not said.advice)):
        text = f"{places(found[said])}: {said.text}"
        yield Check(name=NAME, ok=said.ok, text=text, advice=said.advice)


def _said(line: Line, base: Settings, environ: Mapping[str, str]) -> Iterator[_Said]:
    if line.refused:
        text = f"cronwrap refuses it, so the job does not run: {line.refused}"
        yield _Said(ok=False, text=text, advice="correct it: cronwrap crontab lint tells more")
        return
    if line.lacking:
        advice = "write the whole path, or set PATH in the crontab" if "its PATH" in line.lacking else ""
        advice = advice or "correct the line, or put in place what is missing"
        yield _Said(ok=False, text=f"{NOT_STARTED}: {line.lacking}", advice=advice)
    if line.settings is None:
        if line.unclear:
            yield _Said(ok=True, text=line.unclear, advice="write its options as they are")
        return
    for fault in line.settings.faults:
        if fault not in base.faults:
            text, advice = with_advice(fault, SOURCES["settings"])
            yield _Said(ok=False, text=text, advice=advice)
    if line.settings.fleet is None and (line.settings["once"] or line.settings["scope"] != "host"):
        advice = "write [fleet] into the configuration, or take the option away: every host runs the job"
        yield _Said(ok=False, text=NO_FLEET, advice=advice)
    if line.mails and not line.relays and base.relays:
        yield _Said(ok=False, text=NO_RELAY, advice=_where_to_say_it(line, environ))
    else:
        yield _mail(line)


def _mail(line: Line) -> _Said:
    if line.unmailed and not line.meant:
        return _Said(ok=False, text=f"{line.unmailed} above it: a failure is mailed to nobody", advice=SAY_SO)
    if line.unmailed:
        return _Said(ok=True, text=f"mails nobody ({line.unmailed})")
    if line.people.fault:
        return _Said(ok=False, text=line.people.fault, advice="correct mailto or mailfrom")
    people = line.people
    return _Said(ok=True, text=f"would mail from {people.sender} to {', '.join(people.recipients)}")


def _where_to_say_it(line: Line, environ: Mapping[str, str]) -> str:
    """Say what cron does not know of the settings that are in force in this shell."""
    for name in OF_THIS_SHELL:
        if environ.get(name) and environ[name] != line.environ.get(name):
            return f"cron does not know this shell's {name}: write it into the crontab"
    home = line.environ["HOME"]
    if environ.get("HOME", home) != home:
        return f"cron's HOME is {home}, and not {environ['HOME']}: put the settings there"
    return "set one up with: cronwrap init"
