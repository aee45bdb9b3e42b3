"""Whether a job leaves a process behind that goes on writing. Pure."""

from __future__ import annotations

from cronwrap.crontab.grammar import simple_commands


def leaves_behind(text: str) -> str:
    """Give what becomes of the output of a process that a shell's text puts into the background.

    Empty when it puts none there, waits for it, or sends its output elsewhere.
    """
    commands = simple_commands(text)
    base = (True, True)
    for at, command in enumerate(commands):
        if command.name == "exec" and len(command.words) == 1:
            base = command.mailed(base)
        if command.operator != "&" or not any(command.mailed(base)):
            continue
        if any(later.name == "wait" for later in commands[at + 1 :]):
            continue
        return (
            "what stays in the background (&) with the output open is heard for --drain only: "
            "what it writes later is not mailed; give it a file: >FILE 2>&1"
        )
    return ""
