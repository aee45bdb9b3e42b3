"""The text that Prometheus reads (its text format 0.0.4). Pure.

A run writes it for all jobs, so what is told of a job that did not run meanwhile is not made anew each time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Job = tuple[str, str]

OF_RUN = (
    ("last_run_timestamp_seconds", "When the last run that took place and has ended began.", "started"),
    ("last_success_timestamp_seconds", "When the last run that went well ended.", "success"),
    ("last_failure_timestamp_seconds", "When the last run that failed ended.", "failure"),
    ("last_exit_code", "Exit status of the last run; 128 and the signal that ended it.", "exit_code"),
    ("last_duration_seconds", "How long the last run took.", "duration"),
    ("last_cpu_seconds", "CPU time of the last run, all its processes together.", "cpu"),
    ("last_max_rss_bytes", "Most memory that the last run's processes held at once.", "rss"),
    ("consecutive_failures", "Failures in a row up to now.", "failures"),
)
"""Of the past: name, help, and the key in the totals."""
OF_NOW = (
    ("running", "Runs that are under way."),
    ("paused", "1 while the job's runs are skipped by cronwrap pause."),
    (
        "next_run_timestamp_seconds",
        "When cron starts the job next after its last start; past: missed.",
    ),
)
RUNS = "cronwrap_job_runs_total"
RESULTS = ("ok", "failed", "signal", "timeout", "not-started", "skipped", "stopped", "abandoned")
"""All there are, so that each counter begins at 0: a rate sees the first failure, too."""


class Now:
    """What changes without a run: given when the text is made."""

    def __init__(self, user: str) -> None:
        self.user = user
        """Whose jobs these are."""
        self.running: dict[Job, int] = {}
        self.paused: dict[Job, bool] = {}
        self.next: dict[Job, float] = {}
        self.outbox = {"queued": 0, "failed": 0}
        self.oldest: float | None = None
        """Unix time from which on the oldest message waits."""


def label(value: str) -> str:
    """Give a label's value, escaped."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def number(value: float) -> str:
    """Give a number so that none of it is lost."""
    return repr(int(value)) if value == int(value) else repr(value)


def of_past(job: Job, known: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the lines on a job's past, one text for each family, and its labels before them."""
    labels = f'job="{label(job[0])}",user="{label(job[1])}"'
    lines = [
        "" if known[key] is None else f"cronwrap_job_{name}{{{labels}}} {number(known[key])}\n"
        for name, _, key in OF_RUN
    ]
    counts = known["runs"]
    lines.append(
        "".join(
            [
                f'{RUNS}{{{labels},result="{result}"}} {counts.get(result, 0)}\n'
                for result in (*RESULTS, *(name for name in counts if name not in RESULTS))
            ]
        )
    )
    return (labels, *lines)


def text(past: Mapping[Job, tuple[str, ...]], now: Now, version: str) -> str:
    """Give the whole text; ``past`` has what ``of_past`` gives of each job."""
    rows = [past[job] for job in sorted(past)]
    families = list(zip(*rows, strict=True)) or [()] * (len(OF_RUN) + 2)
    parts = []
    for (name, words, _), lines in zip(OF_RUN, families[1:], strict=False):
        parts.append(_family(f"cronwrap_job_{name}", words, "gauge", "".join(lines)))
    parts.append(_family(RUNS, "Runs that have ended, by result.", "counter", "".join(families[-1])))
    values: tuple[Mapping[Job, float], ...] = (now.running, now.paused, now.next)
    for (name, words), of_job in zip(OF_NOW, values, strict=True):
        jobs = sorted(now.next) if of_job is now.next else sorted(past)
        shown = [f"cronwrap_job_{name}{{{past[job][0]}}} {number(of_job.get(job, 0))}\n" for job in jobs]
        parts.append(_family(f"cronwrap_job_{name}", words, "gauge", "".join(shown)))
    return "".join(parts) + _of_user(now, version)


def _of_user(now: Now, version: str) -> str:
    # Every user's file is read by the same exporter, which takes no series twice.
    user = f'user="{label(now.user)}"'
    messages = "".join(
        f'cronwrap_outbox_messages{{state="{state}",{user}}} {number(value)}\n'
        for state, value in now.outbox.items()
    )
    oldest = (
        f"cronwrap_outbox_oldest_timestamp_seconds{{{user}}} {number(now.oldest)}\n" if now.oldest else ""
    )
    build = f'cronwrap_build_info{{{user},version="{label(version)}"}} 1\n'
    return (
        _family("cronwrap_outbox_messages", "Messages in the outbox, by state.", "gauge", messages)
        + _family(
            "cronwrap_outbox_oldest_timestamp_seconds",
            "Since when the oldest message of the queue waits.",
            "gauge",
            oldest,
        )
        + _family("cronwrap_build_info", "The cronwrap that wrote this.", "gauge", build)
    )


def _family(name: str, words: str, kind: str, lines: str) -> str:
    return f"# HELP {name} {words}\n# TYPE {name} {kind}\n{lines}" if lines else ""
