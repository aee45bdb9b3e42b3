"""What a relay's replies mean: for now, for good, or the account's fault; and words for a person.

Pure: no sockets, no settings.
"""

from __future__ import annotations

import re

from cronwrap.model import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT_LIMIT = 300
"""Characters of a server's text that are shown; its address books and poems are left out."""

ACCOUNT_CODES = frozenset({503, 530, 534, 535, 538})
"""Refusals of who we are, not of the message, at whatever stage: login required, mechanism too weak,
credentials invalid, encryption required (RFC 4954, 6), and MAIL before AUTH as "bad sequence"."""
TOO_MANY_RECIPIENTS = "5.5.3"
TOO_LARGE_STATUSES = frozenset({"5.3.4", "5.2.3"})
"""Message too big for the system, or for the recipient (RFC 3463, 3.4 and 3.3)."""
TOO_LARGE_CODES = frozenset({552, 523})
"""RFC 5321, 4.2.3 and RFC 1870, 6.1; 523 is Exchange's."""
STORAGE_ALLOCATION = "exceeded storage allocation"
"""RFC 5321's own words for 552: the message's size after DATA, the mailbox's at RCPT."""
FULL_STATUSES = frozenset({"5.2.1", "5.2.2", "5.4.5"})
"""Mailbox disabled, mailbox full, mail system congestion (RFC 3463, 3.3 and 3.5). Large providers answer
so to a quota of the day, as 5xx, although tomorrow it would go."""

TOKENS = ("oauthbearer", "xoauth2")
OTHERS = ("plain", "login")
"""Mechanisms to be advised where CRAM-MD5 fails: some servers offer that and cannot do it."""

TEMPORARY, PERMANENT, ACCOUNT, LARGE = "temporary", "permanent", "account", "large"

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")
_NO_PASSWORDS = re.compile(r"\b5\.7\.30\b|\bbasic auth|\blegacy auth", re.IGNORECASE)
_SWITCHED_OFF = re.compile(r"SmtpClientAuthentication is disabled", re.IGNORECASE)
_NOT_WORDS = re.compile(r"<[^<>]*>|\S+@\S+|\w+://\S*|\bwww\.\S*")
"""Addresses and links, whose parts say nothing: ``<quota@example.com> unknown``."""
_FULL = re.compile(
    r"quota"
    r"|\b(mail ?box|in ?box|mail ?store|mail ?folder|maildir|disk|file ?system|storage|account|user)"
    r"\b[^.;]{0,40}\b(full|exceed(s|ed|ing)?|over (the |its |his )?\w* ?limit|out of space|too much mail)\b"
    r"|\b(full|exceed(s|ed|ing)?) [^.;]{0,40}\b(mail ?box|in ?box|storage|disk) ?"
    r"(size|limit|space|allocation)\b"
    r"|\b(not enough|insufficient|no more|out of|lack of)\b[^.;]{0,20}\b(space|storage|disk|resources)\b",
    re.IGNORECASE,
)
_LARGE = re.compile(
    r"\b(message|mail|e-?mail|content|body|data|it|attachments?|file)\b[^.;]{0,30}"
    r"\b(too (big|large|long)|larger than|bigger than|oversized?)\b"
    r"|(?<!line )\b(size|length)\b[^.;]{0,40}\b(exceed|larger|bigger|limit|max|too )"
    r"|\bexceed[^.;]{0,50}(?<!line )\b(size|length)\b"
    r"|\btoo much (mail )?data\b"
    r"|\b(maximum|max|limit)\b[^.;]{0,30}(?<!line )\b(message|mail|body) ?(size|length)",
    re.IGNORECASE,
)
_RATE = re.compile(
    r"\b(rate|traffic|volume|frequency)[- ]?(limit|exceed|is too)"
    r"|\brate\b[^.;]{0,30}\b(exceed|limit|too high)|\b(exceed|unusual)[^.;]{0,20} rate\b|\bthrottl"
    r"|\btoo (fast|quickly|often|frequent)|\bslow down\b"
    r"|\btoo (many|much) (e-?mails?|messages?|mail|requests|connections|recipients (today|this|per))\b"
    r"|\b(daily|hourly|monthly|sending|sent|send|outgoing|outbound|submission|messages|e-?mails)\b"
    r"[^.;]{0,40}\b(limits?|maximum|allowance)\b"
    r"|\blimit\b[^.;]{0,60}\b(exceeded|reached|hit)\b|\b(exceed(s|ed)?|reached|over|hit)\b[^.;]{0,40}"
    r"\b(limit|per[- ](day|hour|minute)|allowance|hourly|daily)\b"
    r"|\b(try|retry) (it |again )*(later|tomorrow|in (a |\d))|\btemporarily\b",
    re.IGNORECASE,
)


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
    """Tell what a refusal is: ``TEMPORARY``, ``PERMANENT``, ``LARGE``, or the ``ACCOUNT``'s fault.

    The basic code decides (RFC 5321, 4.2.1), but for what a 5xx says that time or a smaller message mends:
    a full mailbox, a quota, a rate, the size. What is neither 4xx nor 5xx is no refusal we understand, and
    trying again does no harm.
    """
    if reply.code in ACCOUNT_CODES:
        return ACCOUNT
    if not 500 <= reply.code <= 599:
        return TEMPORARY
    return _judge_5xx(reply)


def _judge_5xx(reply: Reply) -> str:
    if reply.enhanced in TOO_LARGE_STATUSES:
        return LARGE
    if reply.enhanced in FULL_STATUSES:
        return TEMPORARY
    words = _NOT_WORDS.sub(" ", reply.text)
    large = reply.code in TOO_LARGE_CODES
    full = _FULL.search(words) and not (large and STORAGE_ALLOCATION in words.lower())
    if not full and _LARGE.search(words):
        return LARGE
    if full or _RATE.search(words):
        return TEMPORARY
    return LARGE if large else PERMANENT


def judge_recipient(reply: Reply, *, others_accepted: bool) -> str:
    """Tell the same for RCPT, where a bare 552 is about the mailbox, or "too many" (RFC 5321, 4.5.3.1.10)."""
    if reply.enhanced == TOO_MANY_RECIPIENTS:
        return TEMPORARY
    if reply.code == 552 and not reply.enhanced and not _LARGE.search(reply.text):
        told_so = others_accepted or STORAGE_ALLOCATION in reply.text.lower()
        return TEMPORARY if told_so else judge(reply)
    return judge(reply)


def login_advice(reply: Reply, mechanism: str, offered: Sequence[str]) -> str:
    """Say what to do about a refused login, with no mechanism in it that the relay does not offer."""
    if reply.code < 500:
        return "the relay says that this passes; should it stay, ask its owner"
    if reply.code == 538:
        return "the relay wants encryption first: use smtps:// or submission://"
    if mechanism in TOKENS:
        return "check user and token-command: the token may have expired or lack the right to send mail"
    if _NO_PASSWORDS.search(f"{reply.enhanced} {reply.text}"):
        tokens = any(name in offered for name in TOKENS)
        instead = ": use token-command" if tokens else " and offers no tokens here: ask its owner"
        return f"the relay takes no passwords any more{instead}"
    if _SWITCHED_OFF.search(reply.text):
        return "sending by SMTP is switched off for this account: have its administrator turn it on"
    advice = "check user and password; many providers want an app password made for this use"
    others = [f'auth = "{name}"' for name in OTHERS if name in offered and name != mechanism]
    if others and mechanism == "cram-md5":
        advice += f", or another mechanism: {' or '.join(others)}"
    return advice


def sender_advice(sender: str) -> str:
    """Say what to do about a sender that a relay will not take."""
    return f"if the relay takes its own user as the only sender, set mailfrom to that instead of {sender}"
