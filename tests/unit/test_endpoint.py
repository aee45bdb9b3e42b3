"""``[[relay]]`` tables and ``CRONWRAP_RELAY``: what is understood, what is refused, and in which words."""

from __future__ import annotations

import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.errors import ConfigError
from cronwrap.settings.relays import KEYS, Endpoint, exposed, from_environment, parse
from cronwrap.settings.table_reader import loopback

LOGIN = {"user": "cron@example.com", "password": "hunter2"}


def refused(**table):
    with pytest.raises(ConfigError) as caught:
        parse({key.replace("_", "-"): value for key, value in table.items()}, "/etc/c.toml: relay 1")
    text = str(caught.value)
    assert text.startswith("/etc/c.toml: relay 1: ")
    return text


@pytest.mark.parametrize(
    ("url", "kind", "host", "port", "display"),
    [
        ("smtps://smtp.example.com", "smtps", "smtp.example.com", 465, "smtps://smtp.example.com:465"),
        (
            "SMTPS://SMTP.Example.com:1465/",
            "smtps",
            "smtp.example.com",
            1465,
            "smtps://smtp.example.com:1465",
        ),
        ("submission://h", "submission", "h", 587, "submission://h:587"),
        ("smtp://localhost", "smtp", "localhost", 25, "smtp://localhost:25"),
        ("smtp://127.9.8.7:2525", "smtp", "127.9.8.7", 2525, "smtp://127.9.8.7:2525"),
        ("smtp://[::1]", "smtp", "::1", 25, "smtp://[::1]:25"),
        ("smtps://[2001:db8::25]:465", "smtps", "2001:db8::25", 465, "smtps://[2001:db8::25]:465"),
        (
            "smtps://mail.exämple.org.",
            "smtps",
            "mail.xn--exmple-cua.org",
            465,
            "smtps://mail.xn--exmple-cua.org:465",
        ),
    ],
)
def test_urls_of_servers_are_understood(url, kind, host, port, display):
    relay = parse({"url": url}, "test")
    assert (relay.kind, relay.host, relay.port, relay.display) == (kind, host, port, display)


@pytest.mark.parametrize(
    ("url", "kind", "path"),
    [
        ("sendmail:/usr/sbin/sendmail", "sendmail", "/usr/sbin/sendmail"),
        ("maildir:/home/me/My Mail", "maildir", "/home/me/My Mail"),
        ("maildir:///home/me/Maildir", "maildir", "/home/me/Maildir"),
    ],
)
def test_urls_of_local_relays_are_understood(url, kind, path):
    relay = parse({"url": url}, "test")
    assert (relay.kind, relay.path, relay.display) == (kind, path, f"{kind}:{path}")


def test_a_path_may_begin_at_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert parse({"url": "maildir:~/Maildir"}, "test").path == "/home/me/Maildir"


def test_user_and_password_of_a_url_are_percent_decoded():
    relay = parse({"url": "smtps://a%40b.org:p%3A%25%2Fä@h"}, "test")
    assert (relay.user, relay.password) == ("a@b.org", "p:%/ä")


@given(st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cc", "Cs"]), min_size=1))
def test_whatever_is_percent_encoded_comes_back(text):
    encoded = "".join(f"%{octet:02X}" for octet in text.encode())
    relay = parse({"url": f"smtps://{encoded}:{encoded}@h"}, "test")
    assert (relay.user, relay.password) == (text, text)


@given(st.text(), st.dictionaries(st.sampled_from(KEYS), st.one_of(st.text(), st.integers(), st.booleans())))
def test_no_table_raises_anything_but_a_readable_configuration_error(url, table):
    with contextlib.suppress(ConfigError):
        assert parse({"url": url} | table, "test").kind


@given(st.sampled_from(["smtps", "submission", "smtp"]), st.text())
def test_no_accepted_url_carries_a_control_character(kind, rest):
    try:
        relay = parse({"url": f"{kind}://{rest}"} | (LOGIN if kind != "smtp" else {}), "test")
    except ConfigError:
        return
    assert not any(char < " " for char in relay.host + relay.user + (relay.password or ""))
    assert " " not in relay.host


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("smtps://", "host name"),
        ("smtps://a b", "host name"),
        ("smtps://a..b", "host name"),
        ("smtps://-oProxy", "host name"),
        ("smtps://h/path", "host name"),
        ("smtps://h?x=1", "host name"),
        ("smtps://h\r\nRSET", "line break"),
        ("smtps://h\0", "control"),
        ("smtps://h:0", "port"),
        ("smtps://h:65536", "port"),
        ("smtps://h:٤٦٥", "port"),
        ("smtps://h:", "port"),
        ("smtps://::1", "brackets"),
        ("smtps://[::1", "IPv6"),
        ("smtps://[zz]", "IPv6"),
        ("smtps://a%zz@h", "%25"),
        ("smtps://a%4@h", "%25"),
        ("smtps://a%0d:x@h", "control"),
        ("smtps://:x@h", "empty user"),
        ("smtps://a:@h", "empty user or password"),
        ("smtp:h", "smtps://HOST"),
        ("stmps://h", "did you mean smtps?"),
        ("imap://h", "smtps://HOST"),
        ("h:465", "smtps://HOST"),
        ("", "empty"),
        ("sendmail:sendmail", "absolute"),
        ("maildir://home/me", "absolute"),
        ("maildir:", "absolute"),
        (465, "text"),
    ],
)
def test_bad_urls_are_refused_with_what_is_allowed(url, words):
    assert words in refused(url=url)


@pytest.mark.parametrize(
    "host", ["mail.example.com", "127.0.0.1.evil.com", "127.1", "127.0.0.256", "[::2]", "10.0.0.1"]
)
def test_plain_smtp_does_not_leave_the_host(host):
    assert "leads off this host" in refused(url=f"smtp://{host}")


@pytest.mark.parametrize("table", [{"url": "smtp://a:b@localhost"}, {"url": "smtp://localhost", **LOGIN}])
def test_plain_smtp_takes_no_login(table):
    assert "takes no login" in refused(**table)


@pytest.mark.parametrize("key", ["ca_file", "fingerprint", "auth"])
def test_plain_smtp_takes_no_keys_of_tls(key):
    values = {"ca_file": "/x", "fingerprint": "ab" * 32, "auth": "plain"}
    assert key.replace("_", "-") in refused(url="smtp://localhost", **{key: values[key]})


@pytest.mark.parametrize("key", [key for key in KEYS if key not in ("url", "timeout")])
def test_local_relays_take_nothing_but_a_timeout(key):
    assert key in refused(url="maildir:/m", **{key: "x"})


def test_an_unknown_key_is_named_with_the_nearest_one():
    text = refused(url="smtps://h", pasword_file="/x")
    assert "'pasword-file': did you mean password-file?" in text
    assert "fingerprint" in text


@pytest.mark.parametrize(
    "sources",
    [
        {"password": "x", "password-file": "/x"},
        {"password-env": "X", "password-command": "x"},
        {"password": "x", "token-command": "x"},
    ],
)
def test_more_than_one_password_is_refused_naming_them(sources):
    text = refused(url="smtps://h", user="a", **sources)
    assert all(key in text for key in sources)


def test_a_password_beside_that_of_the_url_is_refused():
    assert "more than one" in refused(url="smtps://a:b@h", password="c")


def test_half_a_login_is_refused():
    assert "password-file" in refused(url="smtps://h", user="a")
    assert "password-file" in refused(url="smtps://a@h")
    assert "user is missing" in refused(url="smtps://h", password="a")
    assert "user is missing" in refused(url="smtps://h", auth="plain")
    assert "user" in refused(url="smtps://a:x@h", user="b")


@pytest.mark.parametrize("key", ["user", "password", "password-file", "password-env", "password-command"])
@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "a\ud800", "", 7, ["x"]])
def test_values_that_no_login_can_carry_are_refused_unquoted(key, value):
    text = refused(url="smtps://h", **({"user": "u"} | {key: value}))
    assert key in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "text", ["sha256:" + ":".join(["AB"] * 32), ":".join(["ab"] * 32), "Ab" * 32, "SHA256:" + "ab" * 32]
)
def test_fingerprints_are_taken_in_every_usual_form(text):
    assert parse({"url": "smtps://h", "fingerprint": text}, "test").fingerprint == "ab" * 32


@pytest.mark.parametrize("text", ["ab" * 20, "sha1:" + "ab" * 20, "zz" * 32, "sha256:", "ab" * 33])
def test_other_digests_are_refused(text):
    assert "SHA-256" in refused(url="smtps://h", fingerprint=text)


@pytest.mark.parametrize(("value", "seconds"), [("30s", 30), ("2m", 120), (7, 7), (0.5, 0.5)])
def test_timeouts_are_durations(value, seconds):
    assert parse({"url": "smtps://h", "timeout": value}, "test").timeout == seconds


@pytest.mark.parametrize("value", ["soon", 0, "0s", -1, "2h", True, None])
def test_bad_timeouts_are_refused(value):
    assert "timeout" in refused(url="smtps://h", timeout=value)


def test_mechanisms_are_checked():
    assert parse({"url": "smtps://h", **LOGIN, "auth": "PLAIN"}, "test").auth == "plain"
    assert "did you mean plain?" in refused(url="smtps://h", **LOGIN, auth="plan")
    assert "token-command" in refused(url="smtps://h", **LOGIN, auth="xoauth2")
    assert "token-command" in refused(url="smtps://h", user="a", token_command="x", auth="plain")


def test_relative_files_are_refused():
    assert "absolute" in refused(url="smtps://h", user="a", password_file="secret")
    assert "absolute" in refused(url="smtps://h", ca_file="ca.pem")


def test_nothing_printable_shows_a_secret():
    relay = parse({"url": "smtps://h", **LOGIN}, "test").replace(password_command="echo hunter2")
    assert "hunter2" not in f"{relay!r} {relay} {relay.display}"
    assert relay.names_secret
    assert not parse({"url": "smtps://h"}, "test").names_secret


def test_the_environment_describes_a_relay():
    env = {
        "CRONWRAP_RELAY": "smtps://h",
        "CRONWRAP_RELAY_USER": "a",
        "CRONWRAP_RELAY_PASSWORD_FILE": "/p",
        "CRONWRAP_RELAY_CA_FILE": "/ca",
        "CRONWRAP_RELAY_FINGERPRINT": "ab" * 32,
    }
    relay = from_environment(env)
    assert isinstance(relay, Endpoint)
    assert (relay.user, relay.password_file, relay.ca_file, relay.origin) == ("a", "/p", "/ca", "environment")
    assert relay.fingerprint == "ab" * 32


def test_variables_of_a_login_keep_no_line_from_a_relay_that_needs_none():
    env = {"CRONWRAP_RELAY_USER": "a", "CRONWRAP_RELAY_PASSWORD": "x", "CRONWRAP_RELAY_CA_FILE": "/ca"}
    relay = from_environment({**env, "CRONWRAP_RELAY": "maildir:/var/mail/cron"})
    assert isinstance(relay, Endpoint)
    assert (relay.path, relay.user, relay.password) == ("/var/mail/cron", "", None)


def test_white_space_around_a_url_is_none_of_it():
    assert parse({"url": " smtps://h:465 "}, "test").display == "smtps://h:465"


@pytest.mark.parametrize("env", [{}, {"CRONWRAP_RELAY": ""}, {"CRONWRAP_RELAY_USER": "a"}])
def test_without_cronwrap_relay_there_is_none(env):
    assert from_environment(env) is None


def test_faults_of_the_environment_name_the_variable():
    with pytest.raises(ConfigError, match=r"CRONWRAP_RELAY_USER .* CRONWRAP_RELAY_PASSWORD_FILE"):
        from_environment({"CRONWRAP_RELAY": "smtps://h", "CRONWRAP_RELAY_USER": "a"})


@pytest.mark.parametrize(
    ("mode", "owner", "words"),
    [
        (0o600, 0, ""),
        (0o400, 0, ""),
        (0o640, 0, "chmod 600 /s"),
        (0o604, 0, "chmod 600 /s"),
        (0o600, 1, "chmod 600 /s"),
    ],
)
def test_a_file_with_a_secret_is_the_users_or_roots_and_closed(tmp_path, mode, owner, words):
    path = tmp_path / "s"
    path.touch()
    path.chmod(mode)
    found = list(os.stat(path))
    found[4] = os.geteuid() + 4711 if owner else os.geteuid()
    assert (
        (words in exposed("/s", os.stat_result(found))) if words else not exposed("/s", os.stat_result(found))
    )


@given(st.text())
def test_only_this_host_is_the_loopback(host):
    if loopback(host):
        assert host in ("localhost", "::1") or host.startswith("127.")
