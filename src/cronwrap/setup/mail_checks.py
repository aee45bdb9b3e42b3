"""The way of a mail, tried step by step, and what is on it: what is wrong, and what to do about it.

Nothing is changed but for the state directory, which is made as a run would make it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from cronwrap.errors import ConfigError, TemporaryError
from cronwrap.outbox.store import LOUD_AFTER, Outbox
from cronwrap.paths import config_paths
from cronwrap.relay import credentials
from cronwrap.relay.dial import NO_NETWORK
from cronwrap.relay.probe import Step, probe, reach
from cronwrap.relay.wording import SOURCES, with_advice
from cronwrap.settings.files import relays_in_force
from cronwrap.settings.load import Settings
from cronwrap.settings.relays import LOCAL_KINDS, Endpoint
from cronwrap.setup import outbox_checks, state_checks, trial
from cronwrap.setup.check import Check
from cronwrap.setup.providers import other_sender
from cronwrap.setup.trial import People
from cronwrap.setup.wrapped_lines import Envelopes, Line, envelopes
from cronwrap.spans import DAY
from cronwrap.text import moment

PORTS = (25, 465, 587)
"""Of mail relays; networks block the first one most, all three seldom."""
BETTER = (465, 587, 25)
"""The first two are for logging in (RFC 8314, 3.3; RFC 6409), 25 is for other relays' mail."""
KINDS = {25: "submission", 465: "smtps", 587: "submission"}
EARLIEST = 1_704_067_200.0
"""1 January 2024: an earlier clock is one without a battery."""


def checks(
    settings: Settings, environ: Mapping[str, str], read_lines: Callable[[], Sequence[Line]] = tuple
) -> Iterator[Check]:
    """Give the steps in the order a mail takes them, as they come; an outbox that is stuck comes first.

    The relays are asked about the addresses of a crontab's lines as well, which are read when it is time.
    """
    fault, waiting = outbox_checks.look(settings.state_dir)
    if fault:
        yield fault
    if waiting and waiting.queued and waiting.oldest_age > LOUD_AFTER:
        yield outbox_checks.queued(waiting)
    yield from _settings(settings, environ)
    yield from state_checks.checks(settings.state_dir)
    yield _clock(settings)
    lines = read_lines()
    yield from state_checks.of_lines(lines, settings.state_dir)
    yield from _relays(settings, lines, _passed_over(settings, environ))
    if waiting is None and not fault:
        yield Check(name="outbox", ok=True, text="empty")
    elif waiting and waiting.queued and waiting.oldest_age <= LOUD_AFTER:
        yield outbox_checks.queued(waiting)
    if waiting and waiting.delivered:
        yield outbox_checks.stuck(waiting, Outbox(settings.state_dir))
    if waiting and waiting.failed:
        yield from outbox_checks.given_up(Outbox(settings.state_dir))


# Settings, and the clock ------------------------------------------------------------------------


def _passed_over(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Give the configuration files that are there, and are not this user's to read."""
    paths = config_paths(settings["config"] or "", environ)
    return tuple(path for path in paths if path not in settings.paths and _seems_there(path))


def _seems_there(path: str) -> bool:
    try:
        os.lstat(path)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _settings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    passed_over = _passed_over(settings, environ)
    for path in config_paths(settings["config"] or "", environ):
        found = "is read" if path in settings.paths else "is not there"
        if path in passed_over:
            found = "is passed over: this user may not read it"
        yield Check(name="settings", ok=True, text=f"{path} {found}")
    variables = {name for name in settings.sources.values() if name in environ}
    given = sorted(variables | {"CRONWRAP_RELAY"} if environ.get("CRONWRAP_RELAY") else variables)
    if given:
        yield Check(name="settings", ok=True, text=f"from the environment: {', '.join(given)}")
    for fault in settings.faults:
        text, advice = with_advice(fault, SOURCES["settings"])
        yield Check(name="settings", ok=False, text=text, advice=advice)


def _clock(settings: Settings) -> Check:
    """Tell whether the clock can be right: it dates mails, and it says whether a certificate is valid."""
    now = time.time()
    advice = "set the clock (NTP): certificates and the dates of mails depend on it"
    if now < EARLIEST:
        return Check(name="clock", ok=False, text=f"it says {moment(now)}", advice=advice)
    for path in (*settings.paths, settings.state_dir):
        try:
            changed = os.stat(path).st_mtime
        except OSError:
            continue
        if changed > now + DAY:
            text = f"it says {moment(now)}, and {path} is from {moment(changed)}"
            return Check(name="clock", ok=False, text=text, advice=advice)
    return Check(name="clock", ok=True, text=moment(now))


# Relays -----------------------------------------------------------------------------------------


def _relays(settings: Settings, lines: Sequence[Line], passed_over: tuple[str, ...]) -> Iterator[Check]:
    people = trial.people(settings)
    mailing = [line for line in lines if line.mails]
    # Where nobody set an address, and each line names its own, the one that stands in gets no mail.
    unused = bool(mailing) and settings["mailto"] is None and not any(map(_has_no_address, mailing))
    yield _addressees(settings, people, unused=unused)
    try:
        found = relays_in_force(settings.paths)
    except ConfigError:
        found = ()  # told among the faults of the settings
    if not found:
        elsewhere = bool(mailing) and all(line.relays for line in mailing)
        yield _no_relay(settings, people, passed_over, elsewhere=elsewhere)
    # A line without a relay is a fault, told with the lines; its addresses are tried all the same.
    here = [line for line in mailing if line.relays in (found, ())]
    asked = envelopes(() if unused else (people,), here)
    for relay in found:
        yield from _password_file(relay)
        yield from _try(relay, asked)
    for relays in dict.fromkeys(line.relays for line in mailing if line not in here):
        asked = envelopes((), [line for line in mailing if line.relays == relays])
        for relay in relays:
            yield from _password_file(relay)
            yield from _try(relay, asked)


def _has_no_address(line: Line) -> bool:
    return line.settings is None or line.settings["mailto"] is None


def _no_relay(settings: Settings, people: People, passed_over: tuple[str, ...], *, elsewhere: bool) -> Check:
    """Tell that there is no relay; ``elsewhere``: each line of the crontab has one of its own."""
    if elsewhere and not settings.faults:
        return Check(name="relay", ok=True, text="none here; each line of the crontab has one of its own")
    if settings.notify and not people.recipients and not settings.faults:
        text = "none, and nobody to be mailed to: [[notify]] tells of runs"
        return Check(name="relay", ok=True, text=text)
    missing, first = (
        ("can be used", "correct the settings, or ") if settings.faults else ("is configured", "")
    )
    which = f" ({', '.join(passed_over)} is passed over: this user may not read it)" if passed_over else ""
    return Check(
        name="relay",
        ok=False,
        text=f"no relay {missing}: reports stay in the outbox{which}",
        advice=f"{first}set one up with: cronwrap init",
    )


def _addressees(settings: Settings, people: People, *, unused: bool = False) -> Check:
    if people.fault:
        return Check(name="addresses", ok=False, text=people.fault, advice="correct mailto or mailfrom")
    if unused:
        return Check(
            name="addresses", ok=True, text="mailto is not set; each line of the crontab has its own"
        )
    if not people.recipients:
        return Check(name="addresses", ok=True, text="no mail at all", advice="mailto (or MAILTO) is empty")
    text = f"from {people.sender} to {', '.join(people.recipients)}"
    advice = "" if settings["mailto"] else "mailto is not set, so mail goes to this user at this host"
    return Check(name="addresses", ok=True, text=text, advice=advice)


def _password_file(relay: Endpoint) -> Iterator[Check]:
    """Look at a password file now: a relay that cannot be reached would hide that it is open to others."""
    if not relay.password_file or relay.fault:
        return
    try:
        credentials.secret(relay)
    except TemporaryError as error:
        text, advice = with_advice(
            str(error), f"write the password into it, then chmod 600 {relay.password_file}"
        )
        yield Check(
            name="password",
            ok=False,
            text=text,
            advice=advice,
            relay=relay.display,
        )


def try_relay(relay: Endpoint, sender: str, recipients: tuple[str, ...]) -> Iterator[Check]:
    """Give the steps of a probe of one relay, and what its other ports say when its own is silent."""
    yield from _try(relay, Envelopes(pairs=((sender, recipients),) if sender else (), where={}))


def _try(relay: Endpoint, asked: Envelopes) -> Iterator[Check]:
    for sender, _ in asked.pairs:
        yield from _sender(relay, sender)
    first, more = (asked.pairs[0], asked.pairs[1:]) if asked.pairs else (("", ()), ())
    for step in probe(relay, *first, more):
        yield _of_step(step, relay, asked.where.get(step.about, ""))
        no_way = step.advice == NO_NETWORK  # at any port, then
        if step.name == "connect" and not (step.ok or no_way or relay.proxy or relay.kind in LOCAL_KINDS):
            yield _other_ports(relay)
    if asked.left:
        text = f"{asked.left} more of the crontab are not tried: a relay refuses who asks for many"
        yield Check(name="recipient", ok=True, text=text, relay=relay.display)


def _sender(relay: Endpoint, sender: str) -> Iterator[Check]:
    """Warn of a sender that the provider refuses or rewrites; some do so only once a message is whole."""
    if provider := other_sender(relay.host, relay.user, sender):
        yield Check(
            name="sender",
            ok=True,
            text=f"{provider.name} refuses or rewrites a sender that is no address of the login",
            advice=f"set mailfrom to an address of {relay.user}, unless {sender} is an alias of it there",
            relay=relay.display,
        )


def _of_step(step: Step, relay: Endpoint, where: str) -> Check:
    return Check(
        name=step.name,
        ok=step.ok,
        text=f"{step.text} ({where})" if where else step.text,
        advice=step.advice,
        seconds=step.seconds,
        relay=relay.display,
    )


def _other_ports(relay: Endpoint) -> Check:
    """Try the other ports of mail at once: a port that is blocked from a relay that is down."""
    started = time.monotonic()
    ports = [port for port in PORTS if port != relay.port]
    with ThreadPoolExecutor(len(ports)) as pool:
        steps = dict(zip(ports, pool.map(lambda port: reach(relay.host, port), ports), strict=True))
    found = "; ".join(f"{port} {_port_words(step)}" for port, step in steps.items())
    better = [port for port in BETTER if port in steps and steps[port].ok]
    if better:
        host = f"[{relay.host}]" if ":" in relay.host else relay.host
        words = f"the relay is up; its port {relay.port} is blocked on the way, or not in use"
        advice = f'try url = "{KINDS[better[0]]}://{host}:{better[0]}"'
    elif all("refused" in step.text for step in steps.values()):
        words, advice = "the host is up, and takes no mail at any port", "check the host in the url"
    else:
        words = "the relay is down, or all ports of mail are blocked on the way"
        advice = (
            "try from another network; if it answers there, ask this network's provider to open 465 or 587"
        )
    return Check(
        name="ports",
        ok=False,
        text=f"{words} (port {found})",
        advice=advice,
        seconds=time.monotonic() - started,
        relay=relay.display,
    )


def _port_words(step: Step) -> str:
    return "answers" if step.ok else step.text.rpartition(": ")[2]


def send_test(settings: Settings) -> Check:
    """Send a test message as a report would be: by the first relay that takes it."""
    started = time.monotonic()
    told: list[str] = []
    result = None
    test = trial.message(settings, "cronwrap doctor --send")
    try:
        found = relays_in_force(settings.paths)
    except ConfigError:
        found = ()
    for relay in found:
        result = trial.send(relay, test)
        if result.ok:
            break
        told.append(result.text)
    return Check(
        name="test",
        ok=bool(result and result.ok),
        text=result.text if result and result.ok else "; ".join(told) or "there is no relay",
        advice=result.advice if result else "set one up with: cronwrap init",
        seconds=time.monotonic() - started,
    )
