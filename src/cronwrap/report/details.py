"""The facts about a run that stand below a mail's output: labels and values, for text and HTML alike."""

from __future__ import annotations

from cronwrap.report.verdict import ABANDONED, RUNNING
from cronwrap.spans import count, duration
from cronwrap.text import moment, one_line, size, strip, usual, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.mail import Report
    from cronwrap.model import Outcome, Output

    Rows = list[tuple[str, str]]

STRIP_LENGTH = 20
"""Runs in the strip, this one included: what a phone shows on one line."""
PROCESSES_SHOWN = 30
"""Processes that are named; a fork bomb leaves hundreds."""
PROCESS_LIMIT = 200
"""Characters of a process's command line."""


def status(outcome: Outcome) -> str:
    """Give how one try ended, in words: ``exit status 2 after 3.1 s``."""
    after = f"after {duration(outcome.duration)}"
    if outcome.error:
        return f"not started: {one_line(outcome.error)}"
    if outcome.ended_by:
        return one_line(f"ended by cronwrap ({outcome.ended_by}) {outcome.ended_because or after}")
    if outcome.signal is not None:
        return f"signal {outcome.signal} {after}"
    return f"exit status {outcome.exit_code} {after}"


def rows(report: Report, attached: dict[int, str], *, same_output: bool | None) -> Rows:
    """Give the facts in their order.

    ``attached`` maps the index of a try to the name of its attachment. ``same_output`` says whether the
    output is that of the last failure; None when that is unknown or means nothing.
    """
    if report.facts:
        return [(label, one_line(value)) for label, value in report.facts]
    return [
        ("command", visible(report.command)),
        ("job", one_line(report.job)),
        ("host", one_line(report.host)),
        ("user", one_line(report.user)),
        ("started", moment(report.started) + (" by hand" if report.by_hand else "")),
        *(_cost(report) if report.verdict.result != ABANDONED else []),  # nobody saw its end
        *_tries(report),
        *_processes(report),
        *_outputs(report, attached, same_output),
        *_history(report),
        ("run", f"cronwrap show {one_line(report.run_id)}"),
    ]


def _cost(report: Report) -> Rows:
    """Give when the run ended, what it took, and what it takes as a rule."""
    if report.verdict.result == RUNNING:
        return [("running for", duration(report.duration))]
    before = usual(report.past.durations)
    took = duration(report.duration) + (f" (usually {before})" if before else "")
    rows = [("ended", moment(report.ended)), ("duration", took)]
    if report.outcomes:
        rows.append(("CPU time", duration(sum(outcome.cpu_seconds for outcome in report.outcomes))))
    peaks = [outcome.max_rss_bytes for outcome in report.outcomes if outcome.max_rss_bytes is not None]
    if peaks:
        rows.append(("peak memory", size(max(peaks))))
    return rows


def _tries(report: Report) -> Rows:
    """Give how each try ended; a single one only where the headline may not say it all."""
    if report.verdict.result in (ABANDONED, RUNNING):
        return []
    if len(report.outcomes) > 1:
        lines = [f"{number}: {status(outcome)}" for number, outcome in enumerate(report.outcomes, 1)]
        return [("tries", "\n".join(lines))]
    return [("tries", f"1: {status(outcome)}") for outcome in report.outcomes]


def _processes(report: Report) -> Rows:
    """Give the processes that a reader has to know of."""
    holders = [process for outcome in report.outcomes for process in outcome.holders]
    ended = [process for outcome in report.outcomes for process in outcome.ended_processes]
    rows = []
    if holders:
        rows.append(("still running", f"{_named(holders)}\n(held the output open; not ended)"))
    if ended:
        rows.append(("terminated", _named(ended)))
    return rows


def _named(processes: list[str]) -> str:
    """Give processes a line each, and how many more there were."""
    lines = [one_line(process, PROCESS_LIMIT) for process in processes[:PROCESSES_SHOWN]]
    more = len(processes) - len(lines)
    return "\n".join([*lines, f"and {count(more)} more"] if more else lines)


def _outputs(report: Report, attached: dict[int, str], same_output: bool | None) -> Rows:
    """Give how much output there was, and where all of it is."""
    rows = []
    several = len(report.outcomes) > 1
    for index, outcome in enumerate(report.outcomes):
        words = _amount(outcome.output)
        if same_output is not None and index == len(report.outcomes) - 1:
            words += f"; {'the same as' if same_output else 'different from'} the last failure's"
        if index in attached:
            words += f"\nattached as {attached[index]}"
        if outcome.output.left_out_bytes:
            words += f"\n{_halves(outcome.output, attached=index in attached)}"
        rows.append((f"output {index + 1}" if several else "output", words))
    return rows


def _amount(output: Output) -> str:
    """Give how much a job wrote: ``1,234 bytes, 56 of them on standard error``."""
    if not output.total_bytes and not output.kept:
        return "none"
    words = count(output.total_bytes, "byte")
    if output.stderr_bytes:
        part = "all" if not output.stdout_bytes else f"{output.stderr_bytes:,}"
        words += f", {part} of them on standard error" if output.total_bytes > 1 else ", on standard error"
    end_is_unknown = bool(output.left_out_bytes) and not output.tail
    last = output.tail or output.head
    return words if end_is_unknown or last.endswith(b"\n") else f"{words}, no line end at its end"


def _halves(output: Output, *, attached: bool) -> str:
    """Say which octets were kept, so that they can be told from the line between them."""
    kept = f"kept: the first {len(output.head):,} and the last {count(len(output.tail), 'byte')}"
    return f"{kept}, which the attachment begins and ends with" if attached else kept


def _history(report: Report) -> Rows:
    """Give the earlier runs, as far as they are known."""
    past = report.past
    if not past.results:
        return []
    rows = [("last runs", strip((*past.results, report.verdict.result)[-STRIP_LENGTH:]))]
    failures = past.failures_in_a_row + report.verdict.failed
    if failures > 1 and past.failing_since is not None:
        rows.append(("failures", f"{count(failures)} in a row since {moment(past.failing_since)}"))
    if past.last_success is not None:
        span = duration(report.ended - past.last_success)
        rows.append(("last success", f"{moment(past.last_success)}, {span} before"))
    return rows
