"""The answers that ``init`` needs: asked of a person, or taken as they are given, and checked."""

from __future__ import annotations

import os

from cronwrap.commands import views
from cronwrap.commands.doctor import lines
from cronwrap.commands.questions import confirm, hidden, prompt
from cronwrap.commands.views import Screen
from cronwrap.errors import ConfigError, CronwrapError
from cronwrap.settings.load import Settings
from cronwrap.setup import draft as setup
from cronwrap.setup import providers
from cronwrap.setup.check import Check
from cronwrap.setup.draft import Answers
from cronwrap.setup.kept_answers import KeptAnswers
from cronwrap.setup.mail_checks import try_relay
from cronwrap.setup.providers import Provider
from cronwrap.text import one_line
from cronwrap.whole_file import BACKUP

NO_LOGIN = "-"
"""What is answered to the question for a login where there is none."""
SHOWN_KEPT = {"mailto": "to", "url": "relay", "user": "login", "mailfrom": "from"}


class Unattended:
    """Takes what is given, and fills in what follows from it."""

    def complete(self, answers: Answers) -> Answers:
        """Give the answers with what they imply; ConfigError when something is missing."""
        if not answers.mailto:
            raise ConfigError("--mailto is missing: whom shall reports go to?")
        if not answers.url:
            provider = providers.for_address(answers.mailto)
            if provider is None:
                raise ConfigError("--relay is missing: through which host shall mail go out?")
            answers = answers.replace(url=provider.url)
        has_secret = bool(answers.secret or answers.password_file)
        if has_secret and not answers.user:
            answers = answers.replace(user=_usual_user(answers.url, answers.mailto))
        if not answers.mailfrom:
            answers = answers.replace(mailfrom=_usual_sender(answers))
        answers.relay()
        answers.people()
        return answers

    def may_replace(self, _path: str, _answers: Answers) -> bool:
        """Say yes: the old file is kept as a backup."""
        return True

    def checked(self, answers: Answers) -> tuple[Answers, bool]:
        """Show what a check finds. The answers stay: the relay may be down just now."""
        return answers, check(answers) is None


class Dialogue:
    """Asks a person for what is missing, and again for what turns out to be wrong.

    Each answer but a password is kept as it comes: the terminal may go away at any question.
    """

    def __init__(self, settings: Settings, kept: KeptAnswers) -> None:
        self._settings = settings
        self._kept = kept

    def complete(self, answers: Answers) -> Answers:
        """Ask for what is missing."""
        answers = self._resumed(answers)
        if not answers.mailto:
            mailto = _ask_address("Send reports to", self._settings["mailto"])
            answers = self._noted(answers.replace(mailto=mailto))
        provider = providers.for_address(answers.mailto)
        if not answers.url:
            if provider:
                views.say(f"That is {provider.name}, whose relay is {provider.url}.")
            url, user = _ask_relay(provider.url if provider else None)
            answers = self._noted(answers.replace(url=url, user=answers.user or user))
        provider = _tell_catch(answers.url)
        if _takes_login(answers.url):
            answers = self._login(answers, provider)
        if not answers.mailfrom:
            usual = _usual_sender(answers)
            answers = self._noted(answers.replace(mailfrom=_ask_address("Sender of the reports", usual)))
        return answers

    def _noted(self, answers: Answers) -> Answers:
        self._kept.keep(answers)
        return answers

    def _resumed(self, given: Answers) -> Answers:
        """Offer what was typed before, with what is given now over it."""
        before = self._kept.load()
        if before is None or (given.mailto and given.url):
            return given
        if given.url and given.url != before.url:  # the login is another relay's
            before = Answers(mailto=before.mailto, mailfrom=before.mailfrom)
        views.say("The last cronwrap init was not finished. What was typed then:")
        for field, label in SHOWN_KEPT.items():
            if value := getattr(before, field):
                views.say(f"  {label:<8} {one_line(value)}")
        if not confirm("Go on from there?", default=True):
            self._kept.forget()
            return given
        now = {field: getattr(given, field) for field in Answers.fields() if getattr(given, field)}
        return before.replace(**now)

    def _login(self, answers: Answers, provider: Provider | None) -> Answers:
        if not answers.user:
            usual = _usual_user(answers.url, answers.mailto)
            user = prompt(f"Login there ({NO_LOGIN} for none)", default=usual).strip()
            answers = self._noted(answers.replace(user="" if user == NO_LOGIN else user))
        if not answers.user or answers.secret or answers.password_file:
            return answers
        if provider and provider.login == "token":
            token = prompt("Command that prints an OAuth 2 token", default="", show_default=False)
            if token.strip():
                return answers.replace(token_command=token.strip())
        return answers.replace(secret=_ask_password(answers.user))

    def may_replace(self, path: str, answers: Answers) -> bool:
        """Ask before a file is replaced; False when none is there."""
        there = setup.in_the_way(path, [setup.PASSWORD_NAME] if answers.secret else [])
        for name in there:
            views.say(f"{name} is there already; it would be kept as {name}{BACKUP}.")
        if os.path.realpath(path) in there:
            kept = "none" if setup.others(path) is None else "all but mailto, mailfrom and the relays"
            views.say(f"Of its settings {kept} would be carried over into the new one.")
        if there and not confirm("Replace it?" if len(there) == 1 else "Replace them?"):
            raise CronwrapError("nothing is written")
        return bool(there)

    def checked(self, answers: Answers) -> tuple[Answers, bool]:
        """Check, and ask again, until all is sound or the person wants it as it is."""
        while True:
            try:
                fault = check(answers)
            except ConfigError as error:
                views.say(str(error))
                fault = Check(name="relay", ok=False, text=str(error), advice="correct the answer")
            if fault is None:
                return answers, True
            changed = self._corrected(answers, fault)
            if changed is None:
                if confirm("Write it all the same?", default=False):
                    answers.relay()  # no file of ours begins its life with a fault
                    return answers, False
                raise CronwrapError("nothing is written")
            answers = self._noted(changed)

    def _corrected(self, answers: Answers, fault: Check) -> Answers | None:
        """Ask for what a fault is about; None when it is to stay as it is."""
        if fault.name == "certificate":
            return _offer_pin(answers, fault)
        if fault.name == "ports" and (better := _url_in(fault.advice)):
            return answers.replace(url=better) if confirm(f"Use {better}?", default=True) else None
        subject = _SUBJECTS.get(fault.name, "another relay")
        if not confirm(f"Try again with {subject}?", default=True):
            return None
        return _asked_again(answers, fault.name)


_SUBJECTS = {"login": "another login", "sender": "another sender", "recipient": "other recipients"}


def _asked_again(answers: Answers, step: str) -> Answers:
    """Ask for what a step failed with."""
    if step == "login":
        user = prompt("Login there", default=answers.user).strip()
        return answers.replace(user=user, secret=_ask_password(user), password_file="", token_command="")
    if step == "sender":
        return answers.replace(mailfrom=_ask_address("Sender of the reports", answers.mailfrom))
    if step == "recipient":
        return answers.replace(mailto=_ask_address("Send reports to", answers.mailto))
    url, user = _ask_relay(answers.url)
    return answers.replace(url=url, user=user or answers.user)


def _offer_pin(answers: Answers, fault: Check) -> Answers | None:
    """Offer to trust the one certificate that was shown; whose it is only a person can tell."""
    pin = setup.pin_of(fault.advice)
    if not pin:
        return None
    views.say("Compare this with what the relay's owner says, or on the server itself with:")
    views.say("  openssl x509 -noout -sha256 -fingerprint -in CERTIFICATE")
    views.say(f"  {pin}")
    if not confirm("Trust this one certificate from now on?", default=False):
        return None
    return answers.replace(fingerprint=pin)


def _url_in(advice: str) -> str:
    return advice.partition('"')[2].rpartition('"')[0]


# Questions --------------------------------------------------------------------------------------


def _ask_address(question: str, usual: str | None) -> str:
    while True:
        text = prompt(question, default=usual or None).strip()
        try:
            Answers(mailto=text).people()
        except ConfigError as error:
            views.say(str(error))
            continue
        if "@" in text:
            return text
        views.say("an address has the form NAME@DOMAIN")


def _ask_relay(usual: str | None) -> tuple[str, str]:
    while True:
        text = prompt("Relay (a host, HOST:PORT, or a URL)", default=usual)
        try:
            url, user = setup.relay_url(text)
            Answers(url=url).relay()
        except ConfigError as error:
            views.say(str(error))
            continue
        return url, user


def _ask_password(user: str) -> str:
    while True:
        secret = hidden(f"Password of {user} (not shown)")
        try:
            Answers(url="smtps://localhost", user=user, secret=secret).relay()
        except ConfigError as error:
            views.say(str(error))
            continue
        return secret


def _usual_user(url: str, mailto: str) -> str:
    provider = providers.for_host(_host(url))
    if provider and provider.user:
        return provider.user
    return mailto.split(",", maxsplit=1)[0].rpartition("<")[2].strip("> ")


def _usual_sender(answers: Answers) -> str:
    """Give the login if it is an address: many relays take no other sender."""
    if "@" in answers.user:
        return answers.user
    return answers.mailto.split(",")[0].strip()


def _tell_catch(url: str) -> Provider | None:
    provider = providers.for_host(_host(url))
    for sentence in provider.catch if provider else ():
        views.say(f"Note: {sentence}")
    return provider


def _host(url: str) -> str:
    return Answers(url=url).relay().host


def _takes_login(url: str) -> bool:
    return url.partition(":")[0].lower() in setup.LOGIN_KINDS


def check(answers: Answers) -> Check | None:
    """Try the relay and show each step; give what is wrong, or None."""
    relay = answers.relay()
    sender, recipients = answers.people()
    views.say(f"checking {relay.display}")
    screen = Screen()
    fault: Check | None = None
    for check in try_relay(relay, sender, recipients):
        views.write(lines(screen, check))
        if not check.ok:
            fault = check
    return fault
