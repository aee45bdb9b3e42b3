"""Questions to a person at a terminal; what is answered to a hidden one is shown nowhere."""

from __future__ import annotations

import getpass
import warnings

import click

from cronwrap.commands import views
from cronwrap.errors import CronwrapError

NOT_UTF8 = "that is not UTF-8: type it again"


def prompt(question: str, *, default: str | None = None, show_default: bool = True) -> str:
    """Give an answer; asked again as long as it is no text."""
    return _ask(question, default=default, show_default=show_default)


def hidden(question: str) -> str:
    """Give an answer that the terminal does not show; CronwrapError where it would."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return _ask(question, hide_input=True)
        except getpass.GetPassWarning:
            raise CronwrapError(
                "this terminal would show the password: give it by --password-stdin or --password-file"
            ) from None


def confirm(question: str, *, default: bool = False) -> bool:
    """Give whether the answer is yes."""
    while True:
        try:
            return click.confirm(question, default=default)
        except UnicodeError:
            views.say(NOT_UTF8)


def _ask(
    question: str, *, default: str | None = None, show_default: bool = True, hide_input: bool = False
) -> str:
    while True:
        try:
            answer = str(
                click.prompt(question, default=default, show_default=show_default, hide_input=hide_input)
            )
            answer.encode()
        except UnicodeError:  # its words have the octets
            views.say(NOT_UTF8)
            continue
        return answer
