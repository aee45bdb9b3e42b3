"""A state for the page with everything in it, and as hostile as jobs, commands, outputs and mails can be."""

from __future__ import annotations

import os
import time

from cronwrap.history import journal
from cronwrap.mail import Envelope, Message
from cronwrap.model import STDERR, STDOUT, Mark, Output
from cronwrap.outbox.store import Outbox
from cronwrap.paths import user_name
from support.crontab_program import put_crontab_program

MARK = "pwned"
"""Stands in all that is hostile, where a script would run or markup begin."""
NAMES = (
    f"<script>{MARK}()</script>",
    f'"><img src=x onerror={MARK}()>',
    f"'-{MARK}()-'",
    f"javascript:{MARK}()",
    f"{{{{{MARK}}}}} {{% {MARK} %}} ${{{MARK}}}",
    f"\u202e{MARK}\u202c\u2066\u200b\ufeff",
    f"a/b/../{MARK}?x=1&y=2#z%2e%2e",
    f"\x1b]0;{MARK}\x07\x1b[31m{MARK}",
    f"</title></pre></textarea>--><!--{MARK}",
    "é\u4e2d\U0001f600" * 20,
)
LINE = b"<i>" + b"x" * 1_000_000 + b"</i>\n"
"""A line of a megabyte."""
OUTPUT = (
    f"<script>{MARK}()</script></pre><h1>{MARK}</h1>\n".encode()
    + b"\x1b[31mred\x1b[0m \x1b]8;;javascript:pwned()\x1b\\link\x1b]8;;\x1b\\ \x00\x07\x9b2J\xff\xfe\n"
    + "\u202eevil\u2028\u2029\n".encode()
)
MAIL = (
    f"Subject: <script>{MARK}()</script>\r\nTo: a@example.com\r\nContent-Type: text/html\r\n\r\n"
    f"<script>{MARK}()</script><h1>{MARK}</h1>\r\n"
).encode()


def run_of(state, number, job, command=None, result="failed", content=OUTPUT):
    """Put a run that has ended on record; give its id."""
    started = time.time() - 600 + number
    run = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(started))}-{number:08x}"
    entry = journal.begin(
        state,
        {
            "run": run,
            "job": job,
            "command": job if command is None else command,
            "host": NAMES[0],
            "user": user_name(),
            "started": started,
        },
    )
    marks = (
        Mark(offset=0, stream=STDOUT, elapsed=0.0),
        Mark(offset=len(content) // 2, stream=STDERR, elapsed=0.5),
    )
    output = Output(head=content, stdout_bytes=len(content) // 2, stderr_bytes=len(content) // 2, marks=marks)
    entry.finish(
        {
            "ended": started + 1,
            "duration": 1.0,
            "result": result,
            "reasons": [NAMES[1], NAMES[5]],
            "tries": 1,
            "exit_code": 2,
            "output_bytes": len(content),
            "stdout_bytes": len(content) // 2,
            "stderr_bytes": len(content) // 2,
            "quiet_reason": NAMES[2],
            "mailed": False,
        },
        output if content else None,
    )
    return run


def hostile(state):
    """Fill a state; give the names of its jobs, the ids of its runs and those of its mails."""
    runs = [run_of(state, number, name) for number, name in enumerate(NAMES)]
    runs.append(run_of(state, 500, "long", LINE.decode(), content=LINE))
    box = Outbox(state)
    mails = []
    for number, name in enumerate(NAMES):
        envelope = Envelope(sender="a@example.com", recipients=("b@example.com",))
        message = Message(job=name, envelope=envelope, subject=name, content=MAIL)
        item = box.store(f"20260101T000000-{number:08x}", message, time.time())
        mails.append(item.id)
    return (*NAMES, "long"), runs, mails


def crontab_of_names(directory):
    """Put a ``crontab`` into a directory that has one of its own; give what to put before PATH."""
    place = os.path.join(directory, "bin")
    table = os.path.join(directory, "table")
    put_crontab_program(place, table)
    with open(table, "w", encoding="utf-8") as file:
        for number, name in enumerate(NAMES):
            command = name.replace("%", "\\%").replace("\n", " ")
            file.write(f"# {name}\n{number} 5 * * * {command}\n")
    return place
