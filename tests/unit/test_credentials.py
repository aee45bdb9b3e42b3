"""Where a relay's secret comes from, and what is said when there is none."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cronwrap.errors import TemporaryError
from cronwrap.relay import credentials
from cronwrap.settings import relays as endpoint


def relay(**keys):
    table = {"url": "smtps://h", "user": "a"} | {key.replace("_", "-"): value for key, value in keys.items()}
    return endpoint.parse(table, "test")


def refused(**keys):
    with pytest.raises(TemporaryError) as caught:
        credentials.secret(relay(**keys))
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.fixture
def secret_file(tmp_path):
    def write(content, mode=0o600):
        path = tmp_path / "secret"
        path.write_bytes(content)
        path.chmod(mode)
        return str(path)

    return write


def test_a_literal_password_is_utf_8():
    assert credentials.secret(relay(password="pä ss")) == "pä ss".encode()


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"word", b"word"),
        (b"word\n", b"word"),
        (b"word\r\n", b"word"),
        (b" w\n\n", b" w\n"),
        (b"\xff\n", b"\xff"),
    ],
)
def test_a_password_file_is_taken_verbatim_but_for_one_line_end(secret_file, content, password):
    assert credentials.secret(relay(password_file=secret_file(content))) == password


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary().filter(lambda octets: b"\0" not in octets and octets not in (b"", b"\r")))
def test_any_octets_survive_a_password_file(secret_file, octets):
    assert credentials.secret(relay(password_file=secret_file(octets + b"\n"))) == octets.removesuffix(b"\r")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_an_open_password_file_is_refused_with_the_command_that_closes_it(secret_file, mode):
    path = secret_file(b"word", mode)
    assert f"chmod 600 {path}" in refused(password_file=path)


def test_the_file_behind_a_link_is_judged(secret_file, tmp_path):
    path = secret_file(b"word", 0o644)
    (tmp_path / "link").symlink_to(path)
    assert "chmod 600" in refused(password_file=str(tmp_path / "link"))


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "empty"), (b"\n", "empty"), (b"a\0b", "NUL"), (b"x" * 70000, "long")]
)
def test_a_file_without_a_password_is_told(secret_file, content, words):
    assert words in refused(password_file=secret_file(content))


def test_what_is_no_file_is_told_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo", 0o600)
    assert "no regular file" in refused(password_file=str(tmp_path / "fifo"))
    assert "directory" in refused(password_file=str(tmp_path))
    assert "No such file" in refused(password_file=str(tmp_path / "none"))


def test_a_variable_holds_the_password(monkeypatch):
    monkeypatch.setenv("SMTP_PASS", "word")
    assert credentials.secret(relay(password_env="SMTP_PASS")) == b"word"
    assert "SMTP_PASX is not set" in refused(password_env="SMTP_PASX")


@pytest.mark.parametrize("key", ["password_command", "token_command"])
def test_the_first_line_of_a_command_is_the_secret(key):
    assert credentials.secret(relay(**{key: "printf 'first\\nsecond\\n'"})) == b"first"


def test_a_failing_command_is_told_with_its_words_and_without_its_text():
    text = refused(password_command="echo no agent >&2; : hunter2; exit 3")
    assert "password-command ended with status 3: no agent" in text
    assert "hunter2" not in text
    assert "signal 15" in refused(token_command="kill $$")
    assert "empty" in refused(token_command="true")


def test_a_command_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(credentials, "COMMAND_LIMIT", 0.2)
    started = time.monotonic()
    assert "did not end" in refused(password_command="sleep 60")
    assert time.monotonic() - started < 10


def test_a_command_that_never_stops_talking_is_ended_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(credentials, "COMMAND_LIMIT", 0.3)
    assert "did not end" in refused(password_command="yes")


def test_what_a_command_leaves_in_the_background_is_not_waited_for():
    started = time.monotonic()
    assert credentials.secret(relay(password_command="sleep 8 & echo word")) == b"word"
    assert time.monotonic() - started < 5


def test_a_command_has_no_terminal_to_ask_on():
    assert credentials.secret(relay(password_command="read x || echo eof")) == b"eof"
