"""Three cron jobs under cronwrap, a throw-away mail server, and the mails as they arrived.

Nothing of it outlives the script: server, certificate, configuration and state are in a temporary place.
"""

# ruff: noqa: INP001 -- a script beside the package, not a package

from __future__ import annotations

import io
import os
import shlex
import sys
import tempfile
from typing import TYPE_CHECKING

from support.cli import Cli
from support.pki import Authority
from support.relay import Relay

if TYPE_CHECKING:
    from support.relay import Mail

LINES = (
    ("a job that succeeds in silence: no mail", ("--", "true")),
    ("a job that says something", ("-c", "echo 3 files copied, 1 skipped; echo disk almost full >&2")),
    (
        "a job that fails",
        ("--name", "backup", "-c", "echo connecting to the store; echo no such bucket: photos >&2; exit 2"),
    ),
)
EXPECTED_MAILS = 2
SHOWN_FIELDS = ("From", "To", "Subject", "Date", "X-Cronwrap-Job", "X-Cronwrap-Result")
RULE = "─" * 78

NEXT = """What to do next:
  cronwrap init         asks for your relay and login, checks them, sends a test mail
  crontab -e            put `cronwrap -- ` before a job; examples/crontab shows the forms
  cronwrap doctor       when a mail does not come: what is wrong, and what to do about it"""


def strong(text: str) -> str:
    """Give the text in bold for a terminal, as it is for anything else."""
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def show(number: int, mail: Mail) -> None:
    """Print a mail as a mail program would."""
    print(f"\n{RULE}\nmail {number}, from {mail.user} over {mail.tls}\n{RULE}")
    for name in SHOWN_FIELDS:
        if name in mail.parsed:
            print(f"{strong(name)}: {mail.parsed[name]}")
    print()
    print(mail.body.rstrip())


def demonstrate(cronwrap: Cli, relay: Relay) -> int:
    """Run the jobs and show what came of them; give the exit status."""
    cronwrap.write_config(f'mailto = "you@example.test"\n\n{relay.table}')
    print(f"A mail server with TLS and login listens on {relay.url}. Now what cron would do:")
    for what, words in LINES:
        print(f"\n{strong('* * * * *  cronwrap ' + shlex.join(words))}\n    {what}")
        result = cronwrap(*words)
        print(f"    exit status {result.status}, {len(result.out + result.err)} octets for cron to mail")
        if result.err:
            print(result.stderr.rstrip())
    try:
        mails = relay.wait_for(EXPECTED_MAILS)
    except AssertionError as missing:
        print(f"The demonstration failed: {missing}.")
        return 1
    for number, mail in enumerate(mails, 1):
        show(number, mail)
    print(f"{RULE}\n\n{NEXT}")
    return 0


def main() -> int:
    """Set the stage, and clear it away again."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that knows no line drawing
        sys.stdout.reconfigure(errors="replace")
    with tempfile.TemporaryDirectory(prefix="cronwrap-demo-") as directory:
        authority = Authority(directory)
        cronwrap = Cli(directory)
        with Relay(authority) as relay:
            try:
                return demonstrate(cronwrap, relay)
            finally:
                cronwrap.close()


if __name__ == "__main__":
    sys.exit(main())
