"""What a relay's replies mean: for now, for good, or the account's fault; and words for a person.

Pure: no sockets, no settings.
"""

from __future__ import annotations

import re

from cronwrap.model import Record

TEXT_LIMIT = 300
"""Characters of a server's text that are shown; its address books and poems are left out."""

ACCOUNT_CODES = frozenset({503, 530, 534, 535, 538})
"""Refusals of who we are, not of the message, at whatever stage: login required, mechanism too weak,
credentials invalid, encryption required (RFC 4954, 6), and MAIL before AUTH as "bad sequence"."""
TOO_MANY_RECIPIENTS = "5.5.3"
TOO_LARGE = "5.3.4"
"""Refused at MAIL by the size that was declared (RFC 1870, 6.1), as a bare 552 is."""

TEMPORARY, PERMANENT, ACCOUNT = "temporary", "permanent", "account"

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")


def readable(text: str) -> str:
    """Give text of unknown origin as one line of printable characters, cut to ``TEXT_LIMIT``."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= TEXT_LIMIT else line[: TEXT_LIMIT - 1] + "…"


class Reply(Record):
    """One reply of an SMTP server."""

    code: int
    text: str
    """May hold line breaks and anything else."""

    @property
    def ok(self) -> bool:
        """Tell whether the command succeeded."""
        return 200 <= self.code <= 299

    @property
    def enhanced(self) -> str:
        """Give the enhanced status code (RFC 3463), or an empty text."""
        found = _ENHANCED.match(self.text)
        return found[1] if found else ""

    def __str__(self) -> str:
        # Each line of a multi-line reply repeats the enhanced code (RFC 2034, 4).
        lines = self.text.split("\n")
        if enhanced := self.enhanced:
            lines[1:] = [line.removeprefix(enhanced) for line in lines[1:]]
        return readable(f"{self.code} {' '.join(lines)}")


def judge(reply: Reply) -> str:
    """Tell whether a refusal of a message or a recipient is temporary, permanent or the account's fault.

    The basic code decides (RFC 5321, 4.2.1); what is neither 4xx nor 5xx is no refusal we understand,
    and trying again does no harm.
    """
    if reply.code in ACCOUNT_CODES:
        return ACCOUNT
    return PERMANENT if 500 <= reply.code <= 599 else TEMPORARY


def judge_recipient(reply: Reply, *, others_accepted: bool) -> str:
    """Tell the same for RCPT, where 552 may mean "too many recipients" (RFC 5321, 4.5.3.1.10)."""
    if reply.enhanced == TOO_MANY_RECIPIENTS or (
        reply.code == 552 and others_accepted and not reply.enhanced
    ):
        return TEMPORARY
    return judge(reply)


def login_advice(reply: Reply, mechanism: str) -> str:
    """Say what to do about a refused login."""
    if reply.code < 500:
        return ""
    if reply.code == 538:
        return "the relay wants encryption first: use smtps:// or submission://"
    if mechanism == "xoauth2":
        return "check user and token-command: the token may have expired or lack the right to send mail"
    advice = "check user and password; many providers want an app password made for this use"
    if reply.code in (500, 501, 502, 504) or mechanism == "cram-md5":
        advice += ', or another mechanism: auth = "plain" or auth = "login"'
    return advice


def sender_advice(sender: str, reply: Reply) -> str:
    """Say what to do about a sender that a relay will not take; or about the size, which it told with it."""
    if reply.code == 552 or reply.enhanced == TOO_LARGE:
        return "the message is too large for this relay: lower max-output"
    return f"if the relay takes its own user as the only sender, set mailfrom to that instead of {sender}"
