"""A relay that repeats what it was told: no part of a login reaches an error, a log, the outbox or a mail."""

from __future__ import annotations

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.relay.repeated import MARK, PART, Confidence
from support import misbehaving

USER, PASSWORD = "cron@example.test", "Zk7-Tornado_Quartz+91xyEnd"
PLAIN = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
ALONE = base64.b64encode(PASSWORD.encode()).decode()
ECHOES = {
    "clear": f"I do not like {PASSWORD}",
    "shouted": f"UNKNOWN COMMAND {PASSWORD.upper()}",
    "as it was sent": f"what is AUTH PLAIN {PLAIN}",
    "alone in base64": f"no: {ALONE}",
    "a part": f"no: {PASSWORD[3:15]}",
    "across the cut": "x" * 283 + f" {PASSWORD}",
    "in pieces": f"{PASSWORD[:9]} {PASSWORD[9:18]}\t{PASSWORD[18:]}",
}


def parts(secret):
    """Give all parts of a secret that must not be seen, clear and in base64 at each alignment."""
    forms = {
        secret,
        PLAIN,
        *(base64.b64encode(b"." * n + secret.encode()).decode()[n * 2 :] for n in range(3)),
    }
    plain_user = PLAIN[: PLAIN.index(base64.b64encode(f"\0{USER}\0".encode()).decode()[:24]) + 24]
    found = {form[at : at + PART].lower() for form in forms for at in range(len(form) - PART + 1)}
    return {part for part in found if part not in plain_user.lower()}


PARTS = parts(PASSWORD)


def seen(text):
    """Give a part of the password that stands in a text, whatever stands between its characters."""
    lower = text.lower()
    together = "".join(lower.split())
    return next((part for part in PARTS if part in lower or part in together), None)


def stored(directory):
    found = []
    for place, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(place, name), "rb") as file:
                found.append(file.read().decode("latin-1"))
    return "\n".join(found)


def configured(cli, server, line):
    cli.write_config(
        f'mailto = "ops@example.test"\n[delivery]\ninline = "3s"\n[[relay]]\nurl = "{server.url}"\n'
        f'user = "{USER}"\n{line}\nca-file = "{server.authority.ca_file}"\ntimeout = "1s"\n'
    )


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("stage", ["banner", "ehlo", "auth", "mail", "rcpt", "data", "dot"])
def test_no_reply_brings_the_password_anywhere(cli, make_misbehaving, monkeypatch, stage, echo):
    monkeypatch.setitem(misbehaving.REFUSALS["5xx"], stage, f"550-5.7.8 {echo}\r\n550 5.7.8 {echo}")
    configured(cli, make_misbehaving(stage, "5xx"), f'password = "{PASSWORD}"')
    result = cli("--", "sh", "-c", "exit 7")
    assert result.status == 7
    assert seen(result.stdout + result.stderr) is None
    assert seen(stored(cli.state)) is None
    listed = cli("outbox", "list", "--json").stdout + cli("outbox").stdout
    assert seen(listed) is None


@pytest.mark.parametrize("echo", [ECHOES["clear"], ECHOES["as it was sent"]])
@pytest.mark.parametrize("stage", ["banner", "ehlo", "auth", "mail", "dot"])
def test_nor_does_an_answer_without_a_code(cli, make_misbehaving, monkeypatch, stage, echo):
    monkeypatch.setattr(misbehaving, "GARBAGE", f"{echo}\r\n".encode())
    configured(cli, make_misbehaving(stage, "garbage"), f'password = "{PASSWORD}"')
    result = cli("--", "sh", "-c", "exit 7")
    assert seen(result.stdout + result.stderr + stored(cli.state)) is None


@pytest.mark.parametrize("stage", ["banner", "auth", "mail"])
def test_nor_what_doctor_is_told(cli, make_misbehaving, monkeypatch, stage):
    monkeypatch.setitem(misbehaving.REFUSALS["5xx"], stage, f"550 5.7.8 {PASSWORD} {PLAIN}")
    monkeypatch.setitem(misbehaving.REPLIES, "banner", f"220 relay {PASSWORD}")
    configured(cli, make_misbehaving(stage, "5xx"), f'password = "{PASSWORD}"')
    told = cli("doctor", "--json").stdout + cli("doctor").stdout
    assert MARK in told
    assert seen(told) is None


@pytest.mark.parametrize("source", ["password-command", "password-file"])
def test_secrets_of_commands_and_files_are_kept_as_well(cli, make_misbehaving, monkeypatch, source):
    path = os.path.join(cli.directory, "secret")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(PASSWORD + "\n")
    monkeypatch.setitem(misbehaving.REFUSALS["5xx"], "auth", f"535 5.7.8 {PASSWORD} {PLAIN}")
    value = f"cat {path}" if source == "password-command" else path
    configured(cli, make_misbehaving("auth", "5xx"), f'{source} = "{value}"')
    result = cli("--", "sh", "-c", "exit 7")
    assert MARK in result.stderr
    assert seen(result.stdout + result.stderr + stored(cli.state)) is None


def test_a_password_command_that_fails_does_not_tell_what_it_printed(cli, make_misbehaving):
    command = f"echo {PASSWORD}; echo bad {PASSWORD} >&2; exit 1"
    configured(cli, make_misbehaving(), f"password-command = '''{command}'''")
    result = cli("--", "sh", "-c", "exit 7")
    assert "password-command ended with status 1: bad [secret]" in result.stderr
    assert seen(result.stderr) is None


def test_the_variable_of_password_env_does_not_reach_the_job(cli, make_misbehaving):
    cli.env["RELAY_PW"] = PASSWORD
    configured(cli, make_misbehaving(), 'password-env = "RELAY_PW"')
    for _ in range(2):  # the second time the settings come from their cache
        printed = cli("--dry-run", "--", "env").stdout
        assert "PATH=" in printed
        assert "RELAY_PW" not in printed


def test_the_cache_of_settings_knows_the_variable_and_not_its_value(cli, make_misbehaving, wait_until):
    cli.env["RELAY_PW"] = PASSWORD
    configured(cli, make_misbehaving(), 'password-env = "RELAY_PW"')
    cache = os.path.join(cli.state, "settings.cache")
    wait_until(lambda: cli("--", "true").status == 0 and os.path.exists(cache))
    with open(cache, "rb") as file:
        content = file.read()
    assert b"RELAY_PW" in content
    assert PASSWORD.encode() not in content
    job = os.path.join(cli.directory, "env")
    cli("-c", f"env > {job}")
    with open(job) as file:
        assert "RELAY_PW" not in file.read()


# What is told apart -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bad: hunter2 aHVudGVyMg== AGEAaHVudGVyMg==", "bad: [secret] [secret] [secret]"),
        ("the user a is unknown", "the user a is unknown"),
        ("5.7.8 hun\n5.7.8 ter2", "5.7.8 [secret]"),
        ("hun-ter.2", "[secret]"),
    ],
)
def test_a_short_login_goes_whole(text, expected):
    assert Confidence("a", b"hunter2").without(text) == expected


def test_without_a_secret_nothing_is_touched():
    assert Confidence().without("hunter2") == "hunter2"


def test_the_answer_of_cram_md5_goes_where_it_was_given():
    digest = "0123456789abcdef" * 2
    answer = base64.b64encode(f"{USER} {digest}".encode()).decode()
    confidence = Confidence(USER, PASSWORD.encode())
    assert confidence.without(f"no: {digest} {answer}", digests=True) == "no: [secret] [secret]"


words = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=PART, max_size=40)


@given(
    before=st.text(max_size=20),
    secret=words,
    user=st.text("abc@", max_size=5),
    form=st.sampled_from(["clear", "plain", "bearer", "shifted 0", "shifted 1", "shifted 2"]),
    first=st.integers(0, 40),
    gap=st.sampled_from(["", " ", "\n", "\r\n", "\n5.7.8 "]),
)
def test_no_part_of_any_login_survives(before, secret, user, form, first, gap):
    octets = secret.encode()
    sent = {
        "clear": secret,
        "plain": base64.b64encode(f"\0{user}\0{secret}".encode()).decode(),
        "bearer": base64.b64encode(f"user={user}\1auth=Bearer {secret}\1\1".encode()).decode(),
        **{f"shifted {n}": base64.b64encode(b"." * n + octets + b"..").decode() for n in range(3)},
    }[form]
    said = f"{before} {sent[:first]}{gap}{sent[first:]} end"
    left = "".join(Confidence(user, octets).without(said).split()).lower()
    alignments = [base64.b64encode(b"." * n + octets).decode()[-(-4 * n // 3) :] for n in range(3)]
    shown = [secret, *(form.rstrip("=")[:-1] for form in alignments)]
    known = "".join((before + " end").split()).lower()
    for text in shown:
        for at in range(len(text) - PART + 1):
            part = text[at : at + PART].lower()
            assert part not in left or part in known or part in MARK
