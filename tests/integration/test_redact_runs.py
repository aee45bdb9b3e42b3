"""No secret, nor half of one, reaches a mail, the history, a ping or a name: redacted first, then cut."""

from __future__ import annotations

import os
import sys

import pytest

from cronwrap.pipeline.redacted import MATCH_SHOWN, PROCESS_SHOWN

TOKEN = "ghp_a1B2c3D4e5F6g7H8i9J0a1B2c3D4e5F6g7H8"


def halves(text, length=8):
    """Give a piece of the token that stands in a text."""
    parts = [TOKEN[at : at + length] for at in range(4, len(TOKEN) - length)]
    return next((part for part in parts if part in text), None)


def stored(directory):
    found = []
    for place, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(place, name), "rb") as file:
                found.append(file.read().decode("latin-1"))
    return "\n".join(found)


@pytest.mark.parametrize("before", [MATCH_SHOWN - 12, MATCH_SHOWN - 30, 100])
def test_a_line_that_matched_is_redacted_before_it_is_cut(cli, before):
    line = f"ERROR {'x ' * (before // 2 - 3)}{TOKEN} more"
    mail = cli("--dry-run", "--fail-match", "ERROR", "--", "echo", line).stdout
    assert "output matches --fail-match: ERROR x x" in mail
    assert halves(mail) is None
    cli("--fail-match", "ERROR", "-c", f"cat <<X\n{line}\nX")
    assert halves(cli("show").stdout + cli("history", "--json").stdout) is None


def test_a_line_of_a_key_that_matched_is_not_shown_either(cli):
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw\n-----END PRIVATE KEY-----"
    mail = cli("--dry-run", "--fail-match", "MIIE", "-c", f"cat <<X\n{key}\nX\n: {'y' * 10}").stdout
    headline = mail.partition("\n\n")[2].partition("\n")[0]
    assert headline.startswith("output matches --fail-match: [redacted]")


@pytest.mark.parametrize("length", [PROCESS_SHOWN - 14, PROCESS_SHOWN - 40, 20])
def test_the_name_of_a_process_is_redacted_before_it_is_cut(cli, length):
    script = "import time; time.sleep(60)"
    padding = "x" * max(1, length - len(sys.executable) - len(script) - 12)
    words = [sys.executable, "-c", script, padding, TOKEN, "mysql", "-pSekr3t"]
    mail = cli("--dry-run", "--timeout", "0.5", "--", *words).stdout
    assert "terminated" in mail
    assert halves(mail) is None
    assert "Sekr3t" not in mail


def test_a_secret_in_a_command_is_in_no_header_and_not_on_record(cli, relay):
    cli.write_config(f'mailto = "ops@example.test"\n{relay.table}')
    assert cli("-c", "PGPASSWORD=Sekr3tPw sh -c 'exit 3' --password=Oth3rPw -pTh1rdPw").status == 3
    (mail,) = relay.messages
    told = mail.content.decode() + cli("show").stdout + cli("history", "--json").stdout + stored(cli.state)
    for secret in ("Sekr3tPw", "Oth3rPw"):
        assert secret.lower() not in told.lower()
    assert "redacted" in mail.parsed["X-Cronwrap-Job"]
    assert "[redacted]" in mail.subject


def test_what_the_gap_leaves_of_a_token_does_not_survive(cli):
    for left in range(8, 30, 5):
        script = f"import sys; sys.stdout.write('a' * 500 + '{TOKEN}' + ' ' + 'b ' * {(100 - left) // 2} )"
        mail = cli("--dry-run", "--max-output", "200", "--", sys.executable, "-c", script).stdout
        body = mail.partition("\n\n")[2].rpartition("\n-- \n")[0]
        assert halves(body, 5) is None
