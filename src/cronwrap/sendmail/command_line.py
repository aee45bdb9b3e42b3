"""The command line of sendmail(8), as cron daemons, PHP, mail(1), git and mutt write it. Pure."""

from __future__ import annotations

from cronwrap.errors import CronwrapError
from cronwrap.model import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EX_OK, EX_USAGE, EX_DATAERR, EX_NOUSER, EX_UNAVAILABLE, EX_TEMPFAIL = 0, 64, 65, 67, 69, 75
EX_SOFTWARE, EX_IOERR = 70, 74
"""sysexits(3)."""

WITH_VALUE = frozenset("ABCDFLNORVXbefhopr")
"""Flags with a value, which follows at once or as the next word (Sendmail's and Postfix's sendmail(1))."""
WITH_REST = frozenset("adqMS")
"""Flags whose value, if there is one, follows at once: ``-q30m``, ``-d8.99``."""
SUBMIT, LIST, ALIASES, FLUSH = "m", "p", "i", "q"
"""Modes: take a message (``-bm``), ``mailq``, ``newaliases``, ``-q``."""
OTHER_MODES = {
    "s": "speak SMTP on standard input",
    "d": "run as a daemon",
    "D": "run as a daemon",
    "t": "test addresses",
    "v": "verify addresses",
    "h": "show the persistent host status",
    "H": "purge the persistent host status",
}
"""What sendmail can do beside, asked for with ``-b``."""


class Rejected(CronwrapError):  # noqa: N818  # what became of the submission
    """A submission that is not taken; ``status`` is one of sysexits(3)."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Request(Record):
    """What a command line asks for."""

    mode: str = SUBMIT
    recipients: tuple[str, ...] = ()
    """As given, each word an address or several with commas."""
    from_header: bool = False
    """``-t``: the recipients stand in the message."""
    ends_with_dot: bool = True
    """A line with nothing but a dot ends the message; ``-i`` and ``-oi`` take that away."""
    sender: str = ""
    """``-f`` or ``-r``."""
    name: str = ""
    """``-F``: the full name of the sender."""


def read(words: Sequence[str]) -> Request:
    """Understand a command line; Rejected (64) for what cannot be done."""
    request = Request()
    recipients: list[str] = []
    for flag, value in _flags(words):
        if not flag:
            recipients.append(value)
        elif flag == "t":
            request = request.replace(from_header=True)
        elif flag == "i" or (flag == "o" and value == "i"):
            request = request.replace(ends_with_dot=False)
        elif flag in ("f", "r"):
            request = request.replace(sender=value)
        elif flag == "F":
            request = request.replace(name=value)
        elif flag == "b":
            request = request.replace(mode=_mode(value))
        elif flag == "q":
            request = request.replace(mode=FLUSH)
    if request.mode == FLUSH and (recipients or request.from_header):
        request = request.replace(mode=SUBMIT)  # "and process the queue", as every delivery does
    return request.replace(recipients=tuple(recipients))


def _flags(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give each flag with its value, and each recipient with an empty flag."""
    rest = iter(words)
    for word in rest:
        if word == "--":
            for recipient in rest:
                yield "", recipient
        elif word.startswith("--"):
            raise Rejected(EX_USAGE, f"sendmail has no option {word}")
        elif not word.startswith("-") or word == "-":
            yield "", word
        else:
            yield from _cluster(word[1:], rest)


def _cluster(letters: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Give the flags of one word; ``rest`` are the words after it."""
    while letters:
        flag, letters = letters[0], letters[1:]
        if flag in WITH_VALUE:
            value = letters or next(rest, None)
            if value is None:
                raise Rejected(EX_USAGE, f"-{flag} wants a value")
            yield flag, value
            return
        if flag in WITH_REST:
            yield flag, letters
            return
        yield flag, ""


def _mode(value: str) -> str:
    if value in OTHER_MODES:
        raise Rejected(
            EX_USAGE,
            f"-b{value}: cronwrap takes one message on standard input; it does not {OTHER_MODES[value]}",
        )
    return value if value in (LIST, ALIASES) else SUBMIT
