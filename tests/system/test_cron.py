"""Debian's cron runs the installed cronwrap, Postfix takes the mail."""

from __future__ import annotations

import socket

import pytest

from support.cli import CRONWRAP_SHELL, SCRIPTS, write_private

MINUTE = 75.0
"""Seconds until cron has come round, and the mails are delivered."""

USER_TABLE = """\
PATH={scripts}:/usr/bin:/bin
CRONWRAP_STATE_DIR={root}/state
CRONWRAP_CONFIG={config}
MAILTO=ops@example.test
* * * * * cronwrap -- sh {root}/fail.sh
* * * * * cronwrap -c 'echo from the shell | tr a-z A-Z; exit 3'
* * * * * cronwrap -- true
* * * * * cronwrap -- cat%first line%second line
MAILTO=others@example.test
* * * * * cronwrap -- echo said
MAILTO=""
* * * * * cronwrap -- sh -c 'touch {root}/unreported; exit 1'
MAILTO=ops@example.test
SHELL={shell}
* * * * * echo wrapped by the shell, which is $SHELL; date +\\%Y | cut -c 1-2
"""
SYSTEM_TABLE = """\
PATH={scripts}:/usr/bin:/bin
CRONWRAP_STATE_DIR={root}/state
CRONWRAP_CONFIG={config}
MAILTO=ops@example.test
MAILFROM=nightly@example.test
* * * * * root cronwrap -- false
"""
EXPECTED = {
    "sh {root}/fail.sh": "exit status 2",
    "echo from the shell | tr a-z A-Z; exit 3": "FROM THE SHELL",
    "cat": "first line\nsecond line",
    "echo said": "said",
    "echo wrapped by the shell, which is $SHELL; date +%Y | cut -c 1-2": "which is /bin/sh\n20",
    "false": "exit status 1",
}


@pytest.fixture
def tables(crond, postfix, tmp_path):
    """Both tables, filled in and installed; gives the values."""
    config = write_private(str(tmp_path / "config.toml"), 'mailfrom = "cron@example.test"\n' + postfix.table)
    (tmp_path / "fail.sh").write_text("echo something broke >&2\nexit 2\n")
    values = {"scripts": SCRIPTS, "root": tmp_path, "config": config, "shell": CRONWRAP_SHELL}
    crond.user_table("root", USER_TABLE.format_map(values))
    crond.system_table("cronwrap-test", SYSTEM_TABLE.format_map(values))
    return values


@pytest.mark.timeout(300)
def test_every_form_of_a_line_reports_through_postfix_and_cron_itself_has_nothing_to_mail(
    needs, crond, postfix, tables, tmp_path, wait_until
):
    needs("minutes")
    host = socket.gethostname().partition(".")[0]
    expected = {
        f"Cron <root@{host}> {command.format_map(tables)}": said for command, said in EXPECTED.items()
    }

    def reports():
        return {mail["Subject"]: mail for mail in postfix.mails() if mail["Subject"].startswith("Cron <")}

    with crond:
        try:
            wait_until(lambda: expected.keys() <= reports().keys(), MINUTE, "a report of every line")
        except AssertionError as late:
            raise AssertionError(f"{late}: {sorted(reports())}\n{crond.mailed()}\n{postfix.log()}") from late

    arrived = reports()
    assert arrived.keys() == expected.keys()
    for subject, said in expected.items():
        assert said in arrived[subject].get_body(("plain",)).get_content().replace("\r\n", "\n"), subject
    to_others = arrived[f"Cron <root@{host}> echo said"]
    assert to_others["To"] == "others@example.test"
    assert to_others["From"].endswith("<cron@example.test>")
    system = arrived[f"Cron <root@{host}> false"]
    assert (system["To"], system["Return-Path"]) == ("ops@example.test", "<nightly@example.test>")
    assert system["X-Cronwrap-Result"] == "exit 1"
    assert (tmp_path / "unreported").exists()
    assert crond.mailed() == ""
