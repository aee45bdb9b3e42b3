"""Logins against servers of every habit: what is asked for is answered, and no secret is judged twice."""

from __future__ import annotations

import base64

import pytest

from cronwrap.mail import Envelope
from cronwrap.relay import login
from cronwrap.relay.connect import connect
from cronwrap.settings import relays as endpoint
from support.relay import PASSWORD, TOKEN, USER
from support.scripted import Scripted

CONTENT = b"Subject: login\r\n\r\ntext\r\n"
TO = "ops@example.test"
UNKNOWN = "504 5.5.4 Unrecognized authentication type"
WRONG = "535 5.7.8 Authentication failed"
RIGHT = "235 2.7.0 Authentication successful"


@pytest.fixture
def serve(authority):
    """Start servers: ``serve(log_in, "PLAIN LOGIN")``."""
    servers = []

    def start(log_in, mechanisms="PLAIN LOGIN"):
        servers.append(Scripted(authority, log_in, mechanisms))
        return servers[-1].__enter__()

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def send(server, **keys):
    table = {"url": server.url, "user": USER, "password": PASSWORD, "ca-file": server.authority.ca_file}
    table |= {key.replace("_", "-"): value for key, value in keys.items()}
    relay = endpoint.parse({key: value for key, value in table.items() if value is not None}, "test")
    with connect(relay) as session:
        delivery = session.send(Envelope(sender=USER, recipients=(TO,)), CONTENT)
    assert PASSWORD not in delivery.relay_fault
    assert base64.b64encode(PASSWORD.encode()).decode() not in delivery.relay_fault
    return delivery


def judged(user, password):
    return RIGHT if (user, password) == (USER, PASSWORD) else WRONG


# LOGIN


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Username:", "Password:"),
        ("User Name\0", "Password\0"),
        ("Benutzername:", "Kennwort:"),
        ("", ""),
        ("Enter your e-mail address", "Enter your password"),
    ],
)
def test_login_answers_the_prompts_in_clear_words_or_in_order(serve, first, second):
    server = serve(lambda talk, _words: judged(talk.ask(first), talk.ask(second)), "LOGIN")
    assert send(server).delivered


def test_login_names_no_user_in_its_first_line(serve):
    """Some servers take no notice of it, and ask again; others answer 501."""

    def log_in(talk, words):
        return "501 5.5.4 Syntax" if words[1:] else judged(talk.ask("Username:"), talk.ask("Password:"))

    server = serve(log_in, "LOGIN")
    assert send(server).delivered
    assert server.lines.count("AUTH LOGIN") == 1


def test_login_gives_the_password_to_who_asks_for_it_first(serve):
    def log_in(talk, _words):
        password = talk.ask("Password:")
        return judged(talk.ask("Username:"), password)

    assert send(serve(log_in, "LOGIN")).delivered


def test_login_says_the_user_again_to_who_asks_twice_and_never_the_password_instead(serve):
    answers = []

    def log_in(talk, _words):
        answers.extend([talk.ask("Username:"), talk.ask("Username:")])
        return judged(answers[-1], talk.ask("Password:"))

    assert send(serve(log_in, "LOGIN")).delivered
    assert answers == [USER, USER]


def test_login_gives_the_password_once(serve):
    answers = []

    def log_in(talk, _words):
        answers.extend([talk.ask("Username:"), talk.ask("Password:"), talk.ask("Password:")])
        return "501 5.7.0 cancelled"

    fault = send(serve(log_in, "LOGIN")).relay_fault
    assert answers == [USER, PASSWORD, "*"]
    assert "asks for more" in fault


def test_prompts_that_are_no_base64_are_read_as_they_are(serve):
    def log_in(talk, _words):
        talk.say("334 Username:")
        user = base64.b64decode(talk.read()).decode()
        talk.say("334 Password:")
        return judged(user, base64.b64decode(talk.read()).decode())

    assert send(serve(log_in, "LOGIN")).delivered


# The next mechanism


def plain_of(text):
    return base64.b64decode(text).decode().split("\0")[1:]


@pytest.mark.parametrize("reply", ["504 5.5.4 what?", "500 5.5.1 what?", "502 5.5.1 what?", "538 5.7.11 no"])
def test_a_mechanism_that_the_relay_cannot_do_after_all_is_followed_by_the_next(serve, reply):
    def log_in(talk, words):
        return reply if words[0] != "LOGIN" else judged(talk.ask("Username:"), talk.ask("Password:"))

    server = serve(log_in, "CRAM-MD5 PLAIN LOGIN")
    assert send(server).delivered
    assert [verb for verb in server.verbs if "AUTH" in verb] == ["AUTH CRAM-MD5", "AUTH PLAIN", "AUTH LOGIN"]


@pytest.mark.parametrize("challenge", ["", "no base64 at all!", "====", "é"])
def test_a_broken_challenge_is_called_off_and_the_next_mechanism_tried(serve, challenge):
    def log_in(talk, words):
        if words[0] == "PLAIN":
            return judged(*plain_of(words[1]))
        talk.say(f"334 {challenge}")
        assert talk.read() == "*"
        return "501 5.7.0 Authentication aborted"

    assert send(serve(log_in, "CRAM-MD5 PLAIN")).delivered


def test_a_refusal_before_the_secret_was_sent_is_followed_by_the_next(serve):
    def log_in(_talk, words):
        return "550 5.7.0 not for you" if words[0] == "CRAM-MD5" else judged(*plain_of(words[1]))

    assert send(serve(log_in, "CRAM-MD5 PLAIN")).delivered


@pytest.mark.parametrize("mechanisms", ["PLAIN LOGIN", "CRAM-MD5 PLAIN LOGIN"])
@pytest.mark.parametrize("reply", [WRONG, "534 5.7.9 Application-specific password required", "554 5.7.0 no"])
def test_a_secret_that_was_judged_is_not_offered_again(serve, mechanisms, reply):
    def log_in(talk, words):
        if words[0] == "CRAM-MD5":
            talk.ask("<1@relay>")
        return reply

    server = serve(log_in, mechanisms)
    delivery = send(server)
    assert delivery.login_refused
    assert reply in delivery.relay_fault
    assert len([line for line in server.lines if line.startswith("AUTH")]) == 1


def test_a_temporary_failure_ends_the_login(serve):
    server = serve(lambda _talk, _words: "454 4.7.0 Temporary authentication failure")
    delivery = send(server)
    assert not delivery.login_refused
    assert len([line for line in server.lines if line.startswith("AUTH")]) == 1


def test_plain_waits_for_the_prompt_where_it_must(serve):
    def log_in(talk, words):
        return "501 5.5.4 no argument" if words[1:] else judged(*talk.ask("").split("\0")[1:])

    assert send(serve(log_in, "PLAIN")).delivered


def test_plain_says_itself_again_to_who_takes_no_notice_of_the_first_line(serve):
    server = serve(lambda talk, _words: judged(*talk.ask("go ahead").split("\0")[1:]), "PLAIN")
    assert send(server).delivered


def test_what_was_tried_is_told_with_each_reply(serve):
    fault = send(serve(lambda _talk, _words: UNKNOWN)).relay_fault
    assert f"by PLAIN: {UNKNOWN}, and by LOGIN: {UNKNOWN}" in fault


def test_a_relay_that_hangs_up_after_the_first_refusal_is_told_by_that(serve):
    replies = iter([UNKNOWN, ""])
    fault = send(serve(lambda _talk, _words: next(replies))).relay_fault
    assert f"by PLAIN: {UNKNOWN}" in fault


def test_where_md5_is_forbidden_the_next_mechanism_is_tried(serve, monkeypatch):
    def forbidden(*_arguments):
        raise ValueError("unsupported hash type md5")

    def log_in(talk, words):
        if words[0] == "CRAM-MD5":
            assert talk.ask("<1@relay>") == "*"
            return "501 5.7.0 aborted"
        return judged(*plain_of(words[1]))

    monkeypatch.setattr(login.hmac, "new", forbidden)
    assert send(serve(log_in, "CRAM-MD5 PLAIN")).delivered


# Tokens


def bearer(talk, words, *, right=True):
    """RFC 7628: what is wrong comes as a challenge, answered by one octet."""
    message = base64.b64decode(words[1]).decode()
    expected = f"n,a={USER},\x01host=localhost\x01port={{port}}\x01auth=Bearer {TOKEN}\x01\x01"
    if right and message == expected.format(port=message.partition("port=")[2].partition("\x01")[0]):
        return RIGHT
    assert talk.ask('{"status":"invalid_token"}') == "\x01"
    return WRONG


def by_token(server, token=TOKEN, **more):
    return send(server, password=None, token_command=f"echo {token}", **more)


def test_a_token_logs_in_by_oauthbearer(serve):
    server = serve(bearer, "PLAIN OAUTHBEARER")
    assert by_token(server).delivered
    assert "AUTH OAUTHBEARER" in server.verbs


def test_a_refused_token_is_told_with_the_servers_reason(serve):
    server = serve(lambda talk, words: bearer(talk, words, right=False), "OAUTHBEARER XOAUTH2")
    fault = by_token(server).relay_fault
    assert "invalid_token" in fault
    assert TOKEN not in fault
    assert [verb for verb in server.verbs if "AUTH" in verb] == ["AUTH OAUTHBEARER"]


def test_auth_names_the_one_of_two_token_mechanisms(serve):
    def log_in(_talk, words):
        return RIGHT if words[0] == "XOAUTH2" else WRONG

    assert by_token(serve(log_in, "OAUTHBEARER XOAUTH2"), auth="xoauth2").delivered


def test_a_relay_that_repeats_what_it_was_sent_gets_no_token_into_the_error(serve):
    fault = by_token(
        serve(lambda _talk, words: f"504 5.5.2 bad: {' '.join(words)}", "OAUTHBEARER")
    ).relay_fault
    assert "[secret]" in fault
    blob = base64.b64encode(f"auth=Bearer {TOKEN}".encode()).decode()[8:20]
    assert blob not in fault


# Advice


@pytest.mark.parametrize(
    ("mechanisms", "wanted"),
    [("PLAIN LOGIN XOAUTH2", "use token-command"), ("PLAIN LOGIN", "offers no tokens here")],
)
def test_basic_authentication_that_is_over_is_told_from_a_wrong_password(serve, mechanisms, wanted):
    reply = "550 5.7.30 Basic authentication is not supported for Client Submission."
    fault = send(serve(lambda _talk, _words: reply, mechanisms)).relay_fault
    assert wanted in fault
    assert "app password" not in fault


@pytest.mark.parametrize("mechanisms", ["CRAM-MD5", "CRAM-MD5 LOGIN", "CRAM-MD5 PLAIN", "PLAIN", "LOGIN"])
def test_advice_names_only_mechanisms_that_the_relay_offers(serve, mechanisms):
    def log_in(talk, words):
        if words[0] == "CRAM-MD5":
            talk.ask("<1@relay>")
        return WRONG

    fault = send(serve(log_in, mechanisms)).relay_fault
    for name in ("plain", "login"):
        assert (f'auth = "{name}"' in fault) == (name.upper() in mechanisms.split()[1:])


@pytest.mark.parametrize(
    ("offered", "keys", "advice"),
    [
        ("XOAUTH2", {}, "use token-command"),
        ("NTLM GSSAPI", {}, "cronwrap can do none of them"),
        ("PLAIN", {"auth": "cram-md5"}, 'auth = "plain"'),
        ("PLAIN", {"password": None, "token_command": "echo t"}, "password-file"),
    ],
)
def test_no_mechanism_in_common_says_what_to_do(serve, offered, keys, advice):
    assert advice in send(serve(lambda _talk, _words: WRONG, offered), **keys).relay_fault
