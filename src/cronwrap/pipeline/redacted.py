"""What a run is told in, without secrets: redacted first, and cut to what a report shows only then."""

from __future__ import annotations

from cronwrap.model import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.model import Verdict
    from cronwrap.pipeline.context import RunContext
    from cronwrap.redact.redactor import Redactor

MATCH_SHOWN = 200
"""Characters of a line that matched ``--fail-match``."""
PROCESS_SHOWN = 120
"""Characters of a process: its pid and command line."""
PROCESS_WHOLE = 4000
"""Characters from which on a command line has been cut when it was read (``procfs``)."""


def words(outcome: Outcome, redactor: Redactor) -> Outcome:
    """Give an outcome without secrets in its words; its output is left as it is."""
    return outcome.replace(
        matched=tuple(_match(line, outcome, redactor) for line in outcome.matched),
        error=redactor.text(outcome.error),
        holders=tuple(
            redactor.command_line(name, PROCESS_SHOWN, whole=PROCESS_WHOLE) for name in outcome.holders
        ),
        ended_processes=tuple(
            redactor.command_line(name, PROCESS_SHOWN, whole=PROCESS_WHOLE)
            for name in outcome.ended_processes
        ),
    )


def output(outcome: Outcome, redactor: Redactor) -> Outcome:
    """Give an outcome without secrets in its output."""
    return outcome.replace(output=redactor.redact_output(outcome.output))


def verdict(verdict: Verdict, redactor: Redactor) -> Verdict:
    """Give a verdict without secrets in what it says."""
    return verdict.replace(
        headline=redactor.text(verdict.headline), reasons=tuple(map(redactor.text, verdict.reasons))
    )


def names(run: RunContext, redactor: Redactor) -> tuple[str, str]:
    """Give a run's job and command without secrets."""
    return redactor.text(run.job), redactor.command(run.command.text)


def _match(line: str, outcome: Outcome, redactor: Redactor) -> str:
    """Give a line that matched; one that is a part of a secret over several lines is known by the output."""
    found = redactor.text(line)
    octets = line.encode(errors="surrogateescape")
    if found == line and octets and octets in outcome.output.kept:
        output = redactor.redact_output(outcome.output)
        if octets not in output.kept:
            return "[redacted]"
    return found[:MATCH_SHOWN]
