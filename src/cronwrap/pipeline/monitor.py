"""What the monitor of ``--ping`` is told at the end of a run: how it ended, and the end of what it said."""

from __future__ import annotations

import os

from cronwrap.channels.ping import BODY_LIMIT
from cronwrap.redact.redactor import redactor
from cronwrap.report.verdict import exit_status
from cronwrap.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.model import Outcome, Output, Verdict
    from cronwrap.past import Past
    from cronwrap.pipeline.context import RunContext, Tries
    from cronwrap.redact.redactor import Redactor

HEADLINE_LIMIT = 1000
"""Characters; what failed to start may have a long name."""


def tell_monitor(run: RunContext, tries: Tries, verdict: Verdict, past: Past | None) -> None:
    """Tell the monitor of the end. A failure before the Nth in a row is told as a success, with its words."""
    if not tries.ping:
        return
    last, wanted = tries.outcomes[-1], run.settings["ping-after"]
    secrets = redactor(run.settings["redact.patterns"])
    text = one_line(secrets.text(verdict.headline), HEADLINE_LIMIT)
    failed = verdict.failed
    if failed and past is not None and past.failures_in_a_row + 1 < wanted:
        failed = False
        text = f"failure {past.failures_in_a_row + 1} in a row, --ping-after {wanted}: {text}"
    text += "\n"
    if last.output.total_bytes:
        text += "\n" + _end(last, secrets, BODY_LIMIT - len(text.encode(errors="replace")) - 1)
    tries.ping.end(failed=failed, status=exit_status(last), text=text)


def _end(outcome: Outcome, secrets: Redactor, limit: int) -> str:
    """Give the end of a job's output as plain text of so many octets at most, without its secrets."""
    return end_of(secrets.redact_output(outcome.output), limit)


def end_of(output: Output, limit: int) -> str:
    """Give the end of an output, which has no secrets any more, as plain text of so many octets at most."""
    from cronwrap.report.body import ending  # noqa: PLC0415  # a job that says nothing has no use for it
    from cronwrap.report.charset import read  # noqa: PLC0415

    return ending(read(output, os.environ).shown, limit)
