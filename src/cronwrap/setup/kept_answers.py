"""What was typed into an ``init`` that came to no end, in the state directory; never a password."""

from __future__ import annotations

import json
import os

from cronwrap.errors import ConfigError
from cronwrap.setup.draft import Answers, relay_url
from cronwrap.state import put, state

NAME = "init.answers"
LARGEST = 64 * 1024
"""Octets; answers have hundreds."""
SECRET = ("secret", "token_command")
"""What is not kept: a password, and a command whose words may hold one."""
FIELDS = tuple(field for field in Answers.fields() if field not in SECRET)


class KeptAnswers:
    """The answers kept below a state directory. Where that cannot be written, nothing is kept."""

    def __init__(self, state_dir: str) -> None:
        self._state_dir = state_dir
        self.holds = False
        """Whether something was kept by this process."""

    def keep(self, answers: Answers) -> None:
        """Keep answers in place of the earlier ones, 0600."""
        told = {field: getattr(answers, field) for field in FIELDS}
        try:
            place = state(self._state_dir, make=True)
            put(place.fd, NAME, json.dumps(told).encode(), f"{NAME}.{os.getpid()}")
        except OSError:
            return
        self.holds = True

    def load(self) -> Answers | None:
        """Give the answers that were kept; None when there are none, or they are none that could be used."""
        try:
            with open(state(self._state_dir).open(NAME), "rb") as file:
                content = file.read(LARGEST + 1)
        except OSError:
            return None
        try:
            told = json.loads(content)
            answers = Answers(**{field: told[field] for field in FIELDS})
            if all(isinstance(told[field], str) for field in FIELDS):
                _check(answers)
                return answers
        except (ValueError, LookupError, TypeError, RecursionError, ConfigError):
            pass
        return None

    def forget(self) -> None:
        """Take them away."""
        try:
            state(self._state_dir).unlink(NAME)
        except OSError:
            return
        self.holds = False


def _check(answers: Answers) -> None:
    """Raise ConfigError where an answer is none that could have been given."""
    if answers.url:
        relay_url(answers.url)  # one with a password in it is none
        login = {"user": answers.user, "secret": "-" if answers.user else ""}
        answers.replace(password_file="", **login).relay()
    answers.people()
