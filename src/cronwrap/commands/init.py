"""``cronwrap init``: from nothing to a mail that arrives."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from cronwrap.commands import views
from cronwrap.commands.dialogue import Dialogue, Unattended
from cronwrap.commands.doctor import INTERRUPTED
from cronwrap.errors import ConfigError, CronwrapError
from cronwrap.paths import SYSTEM_CONFIG, user_config
from cronwrap.settings.command_line import quote
from cronwrap.settings.files import relays_in_files
from cronwrap.settings.load import load
from cronwrap.settings.relays import exposed
from cronwrap.setup import draft as setup
from cronwrap.setup import trial
from cronwrap.setup.cron_checks import program_for
from cronwrap.setup.draft import Answers
from cronwrap.setup.kept_answers import KeptAnswers
from cronwrap.text import one_line
from cronwrap.trust import untrusted

SECRET_LIMIT = 64 * 1024
"""Octets of a password on standard input; what is longer is the wrong file."""
PLACES = ("HOME", "XDG_STATE_HOME", "CRONWRAP_STATE_DIR")
"""Variables that say where things are; others would beat what was just written."""
KEPT = "; what you typed is kept, but for passwords: cronwrap init goes on from there"


@click.command("init")
@click.option("--relay", metavar="URL", help="The relay: a URL, HOST or HOST:PORT.  [the provider's]")
@click.option("--user", metavar="USER", help="The login there.")
@click.option("--password-file", metavar="FILE", help="A file that holds the password; it stays there.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--ca-file", metavar="FILE", help="Authorities to trust in place of the system's.")
@click.option(
    "--fingerprint", metavar="DIGEST", help="The one certificate to trust, as sha256:AB:CD:… has it."
)
@click.option("--mailto", metavar="ADDRS", help="Whom to tell.")
@click.option("--mailfrom", metavar="ADDR", help="The sender.  [the login, if it is an address]")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing; keep a backup of what is replaced.")
@click.pass_context
def command(ctx: click.Context, /, yes: bool, password_stdin: bool, **given: str | None) -> None:
    """Set up a relay: ask, check, write the configuration, send a test message.

    What is given is not asked for. Exit with 1 when the test message did not get out; the configuration
    stays.
    """
    settings = ctx.obj.settings()
    path = setup.default_target(settings["config"] or "", os.environ)
    if not yes and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CronwrapError(
            "init asks questions, and there is no terminal: give --yes with --relay, --mailto and, "
            "for a login, --user with --password-file or --password-stdin"
        )
    answers = _from_flags(given, password_stdin=password_stdin)
    kept = KeptAnswers(settings.state_dir)
    dialogue = Unattended() if yes else Dialogue(settings, kept)
    try:
        answers = dialogue.complete(answers)
        answers, sound = dialogue.checked(answers)
        replace = dialogue.may_replace(path, answers)
    except (KeyboardInterrupt, click.Abort):
        views.say(f"\ninterrupted: nothing is written{KEPT if kept.holds else ''}", err=True)
        ctx.exit(INTERRUPTED)
    content, beside = setup.document(answers, path)
    for name in setup.install(path, content, beside, replace=replace):
        views.say(f"written: {name}")
    if not yes:
        kept.forget()
    if sound:
        sound = _test(path)
    else:
        views.say("No test message is sent. When the fault is gone: cronwrap doctor --send")
    _what_next(path)
    if not sound:
        ctx.exit(1)


def _from_flags(given: dict[str, Any], *, password_stdin: bool) -> Answers:
    """Give what the flags say; ConfigError when it cannot be."""
    if password_stdin and given["password_file"]:
        raise ConfigError("--password-stdin and --password-file exclude each other")
    url, user = setup.relay_url(given["relay"]) if given["relay"] else ("", "")
    secret = _password_from_input() if password_stdin else ""
    paths = {key: os.path.abspath(given[key]) if given[key] else "" for key in ("password_file", "ca_file")}
    if paths["password_file"]:
        _check_password_file(paths["password_file"])
    return Answers(
        url=url,
        user=given["user"] or user,
        secret=secret,
        fingerprint=given["fingerprint"] or "",
        mailto=given["mailto"] or "",
        mailfrom=given["mailfrom"] or "",
        **paths,
    )


def _password_from_input() -> str:
    octets = sys.stdin.buffer.read(SECRET_LIMIT + 1)
    octets = octets.removesuffix(b"\n").removesuffix(b"\r")
    try:
        secret = octets.decode()
    except UnicodeDecodeError:
        raise ConfigError("the password on standard input is not UTF-8") from None
    if not secret or len(octets) > SECRET_LIMIT:
        raise ConfigError(f"standard input holds {'no password' if not secret else 'more than a password'}")
    return secret


def _check_password_file(path: str) -> None:
    try:
        fault = exposed(path, os.stat(path)) or untrusted(path)
    except OSError as error:
        raise ConfigError(f"--password-file {path}: {error.strerror}") from None
    if fault:
        raise ConfigError(f"--password-file: {fault}")


def _test(path: str) -> bool:
    """Send a test message by what was written, as a run would; say what became of it."""
    settings = load({"config": path}, {key: os.environ[key] for key in PLACES if key in os.environ})
    relays = relays_in_files(settings.paths)
    for fault in settings.faults:
        views.say(fault)
    if not relays:
        return False
    result = trial.send(relays[0], trial.message(settings, "cronwrap init"))
    words = "test message sent: " if result.ok else "the test message did not get out: "
    views.say(words + one_line(result.text))
    if result.advice:
        views.say(one_line(result.advice))
    if not result.ok:
        views.say("The configuration is kept. Try again with: cronwrap doctor --send")
    return result.ok


def _what_next(path: str) -> None:
    views.say("\nPut cronwrap before a job in the crontab (crontab -e):\n")
    if path not in (SYSTEM_CONFIG, user_config(os.environ)):
        views.say(f"    CRONWRAP_CONFIG={path}")
    views.say(f"    0 3 * * * {quote(program_for())} -- /path/to/job\n")
    views.say("or before all of them with: cronwrap crontab wrap")
    if beats := [name for name in ("CRONWRAP_RELAY", "MAILTO", "MAILFROM") if os.environ.get(name)]:
        views.say(f"Mind: {', '.join(beats)} of the environment beats what was written.")
