"""The records that the stages of a run hand on to each other.

They are small and immutable. ``Record`` stands in for ``dataclasses``, whose import alone costs
more than a whole quiet run may (see docs/decisions/0001-start-up.md); type checkers see a frozen,
keyword-only dataclass.
"""

from __future__ import annotations

from cronwrap.exit_status import EXIT_ENDED, EXIT_SIGNAL_BASE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_options: object) -> Callable[[type], type]:
        """Do nothing: what ``typing.dataclass_transform`` does at run time."""
        return lambda cls: cls


STDOUT, STDERR = 1, 2


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Record:
    """An immutable record: annotated names are its fields, class attributes their defaults."""

    def __init__(self, **values: Any) -> None:
        kind = type(self)
        fields, given = kind.__annotations__.keys(), values.keys()
        if not given <= fields:
            raise TypeError(f"{kind.__name__} has no field {min(given - fields)!r}")
        defaults = kind.__dict__
        for name in fields:
            if name not in values and name not in defaults:
                raise TypeError(f"{kind.__name__} lacks the field {name!r}")
        self.__dict__.update(values)

    @classmethod
    def fields(cls) -> tuple[str, ...]:
        """Give the names of the fields, in the order they are written down in."""
        return tuple(cls.__annotations__)

    def replace(self, **changes: Any) -> Self:
        """Give a copy with some fields changed."""
        return type(self)(**{**self.__dict__, **changes})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.fields())

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.fields()))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.fields())
        return f"{type(self).__name__}({inside})"


class Command(Record):
    """What is run."""

    argv: tuple[str, ...]
    """The words that are executed; for ``-c`` the shell, ``-c`` and the text."""
    text: str
    """What crond would show: the text of ``-c``, or the words quoted as a shell needs them."""


class Mark(Record):
    """Where in the kept output a stretch of one stream begins."""

    offset: int
    """Octets into ``Output.kept``."""
    stream: int
    """``STDOUT`` or ``STDERR``."""
    elapsed: float
    """Seconds since the job's start."""


class Output(Record):
    """What was kept of a job's output, in order of arrival, both streams together."""

    head: bytes = b""
    """All of the output or, when something was left out, what came before the gap."""
    tail: bytes = b""
    """What came after the gap; empty when nothing was left out."""
    left_out_bytes: int = 0
    left_out_lines: int = 0
    stdout_bytes: int = 0
    """How much the job wrote to this stream in all, kept or not."""
    stderr_bytes: int = 0
    marks: tuple[Mark, ...] = ()
    """Ascending by offset; the first one is at 0 unless there is no output."""

    @property
    def kept(self) -> bytes:
        """Give head and tail in one piece."""
        return self.head + self.tail

    @property
    def total_bytes(self) -> int:
        """Give how much the job wrote in all."""
        return self.stdout_bytes + self.stderr_bytes


class Outcome(Record):
    """What became of one try to run the command."""

    started: float
    """Unix time."""
    duration: float
    """Seconds, by the monotonic clock."""
    exit_code: int | None = None
    """Set when the job ended by itself."""
    signal: int | None = None
    """Set when a signal ended the job."""
    error: str = ""
    """Why the job was not started, in words; empty when it was."""
    error_status: int = 0
    """The exit status that stands for ``error`` (125, 126 or 127)."""
    ended_by: str = ""
    """Why it was ended: ``timeout``, ``idle timeout``, ``memory``, ``overlap``, ``stop``; or empty"""
    ended_because: str = ""
    """The same for a person: ``after 2 h``, ``above 512 MiB (sampled)``."""
    ended_processes: tuple[str, ...] = ()
    """The processes that cronwrap ended, as ``pid command``."""
    holders: tuple[str, ...] = ()
    """The processes, as ``pid command``, that still held the output open when reading stopped."""
    cpu_seconds: float = 0.0
    max_rss_bytes: int | None = None
    """Peak resident memory of the tree as far as it was seen; None when nothing is known."""
    matched: tuple[str, ...] = ()
    """The first lines that matched ``--fail-match``."""
    unmatched: str = ""
    """Which patterns of ``--fail-match`` were given up, in words; empty when all lines were looked at."""
    spoke: bool = False
    """Whether the job wrote anything that counts as output (``--ignore-match``)."""
    spoke_stderr: bool = False
    """The same for standard error alone."""
    output: Output = Output()

    @property
    def exit_status(self) -> int:
        """Give cronwrap's own exit status for it (SPEC 2)."""
        if self.error:
            return self.error_status
        if self.ended_by:
            return EXIT_ENDED
        if self.signal is not None:
            return EXIT_SIGNAL_BASE + self.signal
        return self.exit_code or 0


class Verdict(Record):
    """What a run amounts to, and whether somebody is to be told."""

    result: str
    """``ok failed signal timeout not-started skipped stopped abandoned``, one of these."""
    label: str
    """The value of ``X-Cronwrap-Result``: ``exit 2``, ``signal 9``, ``timeout``, ``ok``, ``recovered``, …"""
    headline: str
    """The first line of the mail: ``exit status 2 after 3.1 s``."""
    failed: bool
    reasons: tuple[str, ...] = ()
    """Why it counts as failed, or did not take place, one phrase each; empty for a good run."""
    events: tuple[str, ...] = ()
    """What happened, in the words of ``--on``."""
    mail: bool = False
    """Whether a report is due."""
    quiet_reason: str = ""
    """Why no report is due, for the record (``nothing to report``, ``--after 3``, …)."""
    notes: tuple[str, ...] = ()
    """Sentences for the report: how many failures it stands for, since when."""
