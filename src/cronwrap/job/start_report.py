"""What a child told that could not become the job, or not quite, in words for people."""

from __future__ import annotations

import os

from cronwrap.exit_status import EXIT_INTERNAL, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.job.spawn import Start

REMARKS = {
    "signals": "the job's signals could not be put back as they were",
    "group": "the job has no process group of its own",
    "terminal": "the job could not be given the terminal",
    "output": "the job's output could not be captured",
}
"""What may go wrong on the way to the job, and is no reason not to run it."""

Failure = tuple[str, int]
"""Why a job was not started: a sentence, and the exit status for it."""


def read_report(start: Start, report: bytes) -> tuple[str, Failure | None]:
    """Give what could not be done for a job, or an empty text, and why it was not started, if it was not."""
    remark = ""
    for line in report.decode().splitlines():
        stage, _, code = line.partition(" ")
        if stage == "nice":
            remark = f"niceness {start.nice} could not be set: {os.strerror(int(code))}"
        elif stage in REMARKS:
            remark = f"{REMARKS[stage]}: {os.strerror(int(code))}"
        else:
            return remark, _failure(start, stage, int(code))
    return remark, None


def _failure(start: Start, stage: str, code: int) -> Failure:
    reason = os.strerror(code)
    if stage == "chdir":
        return f"cannot change to the directory {start.chdir}: {reason}", EXIT_INTERNAL
    if stage != "exec":
        return f"cannot start the job ({stage}): {reason}", EXIT_INTERNAL
    import errno  # noqa: PLC0415  # builtin; to make its 130 names costs more than to start a job

    program = start.command.argv[0]
    if code in (errno.ENOENT, errno.ENOTDIR):
        if "/" in program and os.path.exists(os.path.join(start.chdir, program)):
            return f"{program}: its interpreter was not found", EXIT_NOT_FOUND
        from cronwrap.crontab.right_form import of_job  # noqa: PLC0415  # after a mistake alone

        right = of_job(start.command.argv)
        hint = f": only a shell understands that; write {right}" if right else ""
        return f"{program}: command not found{hint}", EXIT_NOT_FOUND
    return f"{program}: cannot be executed: {reason}", EXIT_NOT_EXECUTABLE
