"""``cronwrap init``: driven through a pseudo-terminal, and by flags; what it writes and who may read it."""

from __future__ import annotations

import datetime as dt
import getpass
import os
import shutil
import stat
import tomllib
import warnings

import psutil
import pytest

from cronwrap.commands.questions import hidden
from cronwrap.errors import ConfigError, CronwrapError
from cronwrap.setup import draft as setup
from cronwrap.setup.draft import Answers
from cronwrap.setup.kept_answers import KeptAnswers
from support.relay import PASSWORD, USER
from support.waiting import wait_until as wait_until_true

MAILTO = "ops@example.test"


@pytest.fixture
def fresh(cli):
    """A cronwrap that has no configuration yet, below a directory that is not there yet."""
    cli.config = os.path.join(cli.directory, "fresh", "config.toml")
    cli.env["CRONWRAP_CONFIG"] = cli.config
    return cli


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def written(cli):
    with open(cli.config, "rb") as file:
        return tomllib.load(file)


def flags(relay, **more):
    given = {"relay": relay.url, "user": USER, "mailto": MAILTO, "ca-file": relay.authority.ca_file} | more
    return [word for key, value in given.items() if value for word in (f"--{key}", value)]


def answer(terminal, *pairs):
    """Answer questions in their order; give all that was shown up to the last one."""
    before = b""
    for question, reply in pairs:
        terminal.read_until(question)
        head, asked, terminal.shown = terminal.shown.partition(question)
        before += head + asked
        terminal.write(reply + b"\n")
    return before


# By flags ---------------------------------------------------------------------------------------


def test_flags_alone_lead_to_a_mail_and_to_files_closed_to_others(fresh, relay):
    result = fresh("init", "--yes", "--password-stdin", *flags(relay), stdin=PASSWORD.encode() + b"\n")
    assert result.status == 0, result
    directory = os.path.dirname(fresh.config)
    password_file = os.path.join(directory, "password")
    assert written(fresh) == {
        "mailto": MAILTO,
        "mailfrom": USER,
        "relay": [
            {
                "url": relay.url,
                "user": USER,
                "ca-file": relay.authority.ca_file,
                "password-file": password_file,
            }
        ],
    }
    assert (mode(directory), mode(fresh.config), mode(password_file)) == (0o700, 0o600, 0o600)
    assert sorted(os.listdir(directory)) == ["config.toml", "password"]
    (mail,) = relay.messages
    assert (mail.sender, mail.recipients, mail.user) == (USER, (MAILTO,), USER)
    assert "this is a test" in mail.body
    assert PASSWORD not in result.stdout + result.stderr


def test_what_was_written_is_what_the_next_job_uses(fresh, relay):
    fresh("init", "--yes", "--password-stdin", *flags(relay), stdin=PASSWORD.encode())
    assert fresh("--", "sh", "-c", "echo hello; exit 3").status == 3
    assert "hello" in relay.wait_for(2)[1].body


def test_the_first_crontab_line_has_the_full_path_when_cron_does_not_find_the_program(fresh, relay):
    result = fresh("init", "--yes", "--password-stdin", *flags(relay), stdin=PASSWORD.encode())
    (line,) = [line for line in result.stdout.splitlines() if "/path/to/job" in line]
    program = line.split()[5]
    if shutil.which("cronwrap", path="/usr/bin:/bin"):  # this machine has one that cron finds
        assert program == "cronwrap"
        return
    assert os.access(program, os.X_OK)
    assert os.path.basename(program) == "cronwrap"
    assert f"CRONWRAP_CONFIG={fresh.config}" in result.stdout


def test_a_password_file_is_named_and_stays_where_it_is(fresh, relay, config):
    password_file = config(PASSWORD + "\n", "secret")
    result = fresh("init", "--yes", *flags(relay, **{"password-file": password_file}))
    assert result.status == 0, result
    assert written(fresh)["relay"][0]["password-file"] == password_file
    assert os.listdir(os.path.dirname(fresh.config)) == ["config.toml"]


def test_a_password_file_open_to_others_is_refused_and_nothing_is_written(fresh, relay, config):
    password_file = config(PASSWORD, "secret", mode=0o644)
    result = fresh("init", "--yes", *flags(relay, **{"password-file": password_file}))
    assert result.status == 1
    assert f"chmod 600 {password_file}" in result.stderr
    assert not os.path.exists(fresh.config)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_no_umask_opens_what_is_written(fresh, relay, umask):
    process = fresh.start(
        "init", "--yes", "--password-stdin", *flags(relay), stdin=-1, stdout=-1, stderr=-1, umask=umask
    )
    process.communicate(PASSWORD.encode(), 30)
    assert process.returncode == 0
    directory = os.path.dirname(fresh.config)
    assert {mode(os.path.join(directory, name)) for name in os.listdir(directory)} == {0o600}


def test_a_failed_test_exits_1_and_keeps_the_configuration(fresh, relay):
    result = fresh("init", "--yes", "--password-stdin", *flags(relay), stdin=b"wrong")
    assert result.status == 1
    assert "app password" in result.stdout
    assert written(fresh)["relay"][0]["user"] == USER
    assert relay.messages == []


def test_a_message_refused_after_the_check_is_told(fresh, relay):
    relay.refuse("DATA", "554 5.7.1 looks like a test")
    result = fresh("init", "--yes", "--password-stdin", *flags(relay), stdin=PASSWORD.encode())
    assert result.status == 1
    assert "did not get out" in result.stdout
    assert "looks like a test" in result.stdout
    assert os.path.exists(fresh.config)


def test_yes_keeps_a_backup_and_carries_other_settings_over(cli, relay):
    text = 'mailto = "old@example.test"\n[jobs.nightly]\ntimeout = 1.5\n[history]\nkeep = "30d"\n'
    cli.write_config(text, mode=0o644)
    result = cli("init", "--yes", "--password-stdin", *flags(relay), stdin=PASSWORD.encode())
    assert result.status == 0, result
    found = written(cli)
    assert (found["mailto"], found["jobs"], found["history"]) == (
        MAILTO,
        {"nightly": {"timeout": "1.5"}},
        {"keep": "30d"},
    )
    with open(cli.config + "~", encoding="utf-8") as file:
        assert "old@example.test" in file.read()
    assert mode(cli.config + "~") == 0o600
    assert cli("config", "check").status == 0


def test_a_private_certificate_is_never_pinned_without_a_person(fresh, relay):
    given = flags(relay, **{"ca-file": ""})
    result = fresh("init", "--yes", "--password-stdin", *given, stdin=PASSWORD.encode())
    assert result.status == 1
    assert relay.certificate.fingerprint in result.stdout
    assert "fingerprint" not in written(fresh)["relay"][0]
    assert relay.counters.logins == 0


def test_a_fingerprint_given_is_the_trust(fresh, relay):
    given = flags(relay, **{"ca-file": "", "fingerprint": relay.certificate.fingerprint})
    result = fresh("init", "--yes", "--password-stdin", *given, stdin=PASSWORD.encode())
    assert result.status == 0, result
    assert len(relay.messages) == 1


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        ([], b"", "no terminal"),
        (["--relay", "mail.example.test", "--mailto", MAILTO], b"", "no terminal"),
        (["--yes"], b"", "--mailto is missing"),
        (["--yes", "--mailto", MAILTO], b"", "--relay is missing"),
        (["--yes", "--mailto", "a b@c", "--relay", "smtp://localhost"], b"", "a b@c"),
        (["--yes", "--mailto", MAILTO, "--relay", "smtps://u:secret@h"], b"", "leave the password out"),
        (["--yes", "--mailto", MAILTO, "--relay", "u:secret@h"], b"", "leave the password out"),
        (["--yes", "--mailto", MAILTO, "--relay", "smtp://mail.example.test"], b"", "not encrypted"),
        (["--yes", "--mailto", MAILTO, "--relay", "h", "--user", "u"], b"", "without a password"),
        (["--yes", "--password-stdin"], b"", "holds no password"),
        (["--yes", "--password-stdin"], b"\xff\xfe", "not UTF-8"),
        (["--yes", "--password-stdin"], b"x" * 70_000, "more than a password"),
        (["--yes", "--password-stdin", "--password-file", "/x"], b"secret", "exclude each other"),
        (["--yes", "--password-file", "/nonexistent/x"], b"", "No such file"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_and_writes_nothing(fresh, words, stdin, said):
    result = fresh("init", *words, stdin=stdin)
    assert result.status in {1, 2}
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "secret" not in result.stderr.replace("secret@", "").replace("a secret", "")
    assert not os.path.exists(os.path.dirname(fresh.config))


# Through a terminal -----------------------------------------------------------------------------


def test_a_person_is_asked_for_everything_and_the_password_is_not_shown(fresh, relay):
    fresh.env["SSL_CERT_FILE"] = relay.authority.ca_file
    terminal = fresh.terminal("init")
    before = answer(
        terminal,
        (b"Send reports to", b"not an address"),
        (b"Send reports to", MAILTO.encode()),
        (b"Relay", relay.url.encode()),
        (b"Login there", USER.encode()),
        (b"Password of", PASSWORD.encode()),
        (b"Sender of the reports [" + USER.encode() + b"]", b""),
    )
    assert terminal.wait() == 0, terminal.shown
    assert USER.encode() in before
    assert PASSWORD.encode() not in before + terminal.shown
    assert b"test message sent" in terminal.shown
    assert relay.messages[0].recipients == (MAILTO,)
    with open(os.path.join(os.path.dirname(fresh.config), "password"), encoding="utf-8") as file:
        assert file.read() == PASSWORD + "\n"


def test_a_private_certificate_is_shown_and_pinned_when_the_person_says_so(fresh, make_relay, authority):
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=3)
    relay = make_relay(certificate=authority.certificate("localhost", not_after=soon))
    terminal = fresh.terminal("init", *flags(relay, mailfrom=USER, **{"ca-file": ""}))
    answer(terminal, (b"Password of", PASSWORD.encode()))
    shown = terminal.read_until(b"Trust this one certificate from now on? [y/N]")
    for part in (b"trustme", b"localhost", soon.strftime("%Y-%m-%d").encode()):
        assert part in shown
    assert relay.certificate.fingerprint.encode() in shown
    terminal.write(b"y\n")
    assert terminal.wait() == 0, terminal.shown
    assert written(fresh)["relay"][0]["fingerprint"] == relay.certificate.fingerprint
    assert len(relay.messages) == 1


def test_no_to_a_pin_and_no_to_writing_leaves_nothing(fresh, relay):
    terminal = fresh.terminal("init", *flags(relay, mailfrom=USER, **{"ca-file": ""}))
    answer(
        terminal,
        (b"Password of", PASSWORD.encode()),
        (b"from now on?", b"n"),
        (b"Write it all the same?", b"n"),
    )
    assert terminal.wait() == 1
    assert b"nothing is written" in terminal.shown
    assert not os.path.exists(fresh.config)
    assert relay.counters.logins == 0


def test_a_refused_login_is_asked_for_again(fresh, relay):
    terminal = fresh.terminal("init", *flags(relay, mailfrom=USER))
    answer(
        terminal,
        (b"Password of", b"wrong"),
        (b"Try again with another login?", b"y"),
        (b"Login there", b""),
        (b"Password of", PASSWORD.encode()),
    )
    assert terminal.wait() == 0, terminal.shown
    assert (relay.counters.failed_logins, len(relay.messages)) == (1, 1)


def test_a_refused_sender_is_asked_for_again(fresh, relay):
    relay.refuse("MAIL", "553 5.7.1 not owned by you", matching="root@")
    terminal = fresh.terminal("init", *flags(relay, mailfrom="root@example.test"))
    answer(
        terminal,
        (b"Password of", PASSWORD.encode()),
        (b"Try again with another sender?", b"y"),
        (b"Sender of the reports", USER.encode()),
    )
    assert terminal.wait() == 0, terminal.shown
    assert written(fresh)["mailfrom"] == USER


def test_a_provider_is_known_by_the_address_and_its_catch_is_told(fresh):
    terminal = fresh.terminal("init", "--mailto", "someone@gmail.com")
    shown = terminal.read_until(b"URL) [smtps://smtp.gmail.com:465]")
    assert b"Gmail" in shown
    terminal.write(b"\n")
    assert b"app password is needed" in terminal.read_until(b"Login there (- for none) [someone@gmail.com]")
    terminal.process.terminate()
    assert terminal.wait() != 0
    assert not os.path.exists(fresh.config)
    # Each answer is kept as it comes, however the terminal goes away.
    assert KeptAnswers(fresh.state).load() == Answers(
        mailto="someone@gmail.com", url="smtps://smtp.gmail.com:465"
    )


def test_an_existing_configuration_is_replaced_only_after_a_yes(cli, relay):
    cli.write_config('mailto = "old@example.test"\n')
    terminal = cli.terminal("init", *flags(relay, mailfrom=USER))
    answer(terminal, (b"Password of", PASSWORD.encode()), (b"Replace it? [y/N]", b"n"))
    assert terminal.wait() == 1
    assert written(cli) == {"mailto": "old@example.test"}
    assert relay.messages == []


# Interrupted ------------------------------------------------------------------------------------


def interrupt(terminal, question):
    """Press Ctrl-C once the question is asked and the answer waited for."""
    terminal.read_until(question)
    process = psutil.Process(terminal.process.pid)
    wait_until_true(lambda: process.status() == psutil.STATUS_SLEEPING)
    terminal.write(b"\x03")
    return terminal.wait()


def everything_kept(cli):
    found = b""
    for directory, _, names in os.walk(cli.directory):
        for name in names:
            with open(os.path.join(directory, name), "rb") as file:
                found += file.read()
    return found


def test_ctrl_c_keeps_what_was_typed_but_for_the_password_and_the_next_time_goes_on(fresh, relay):
    fresh.env["SSL_CERT_FILE"] = relay.authority.ca_file
    terminal = fresh.terminal("init")
    answer(
        terminal,
        (b"Send reports to", MAILTO.encode()),
        (b"Relay", relay.url.encode()),
        (b"Login there", USER.encode()),
        (b"Password of", PASSWORD.encode()),
    )
    assert interrupt(terminal, b"Sender of the reports [" + USER.encode() + b"]: ") == 130
    assert b"nothing is written; what you typed is kept, but for passwords" in terminal.shown
    kept = os.path.join(fresh.state, "init.answers")
    assert mode(kept) == 0o600
    assert PASSWORD.encode() not in everything_kept(fresh)
    assert not os.path.exists(fresh.config)

    terminal = fresh.terminal("init")
    shown = terminal.read_until(b"Go on from there? [Y/n]")
    assert all(word.encode() in shown for word in (MAILTO, relay.url, USER))
    answer(terminal, (b"from there?", b""), (b"Password of", PASSWORD.encode()), (b"Sender", b""))
    assert terminal.wait() == 0, terminal.shown
    assert relay.messages[0].recipients == (MAILTO,)
    assert not os.path.exists(kept)
    assert PASSWORD.encode() not in terminal.shown


def test_ctrl_c_at_the_first_question_keeps_nothing_and_promises_nothing(fresh):
    terminal = fresh.terminal("init")
    assert interrupt(terminal, b"Send reports to: ") == 130
    assert b"kept" not in terminal.shown
    assert not os.path.exists(os.path.join(fresh.state, "init.answers"))


def test_who_does_not_go_on_begins_anew(fresh):
    KeptAnswers(fresh.state).keep(Answers(mailto="old@example.test", url="smtps://old.example.test:465"))
    terminal = fresh.terminal("init")
    answer(terminal, (b"Go on from there?", b"n"))
    terminal.read_until(b"Send reports to")
    assert not os.path.exists(os.path.join(fresh.state, "init.answers"))
    terminal.write(b"\x04")  # the end of input is an interruption as well
    assert terminal.wait() == 130


def test_octets_that_are_no_text_are_asked_for_again_and_never_shown(fresh, relay):
    fresh.env["SSL_CERT_FILE"] = relay.authority.ca_file
    terminal = fresh.terminal("init", *flags(relay, mailto="", mailfrom=USER))
    answer(
        terminal,
        (b"Send reports to", b"p\xff@example.test"),
        (b"not UTF-8: type it again\r\nSend reports to: ", MAILTO.encode()),
        (b"Password of", b"s\xe9cret"),
        (b"not UTF-8: type it again\r\nPassword of", PASSWORD.encode()),
    )
    assert terminal.wait() == 0, terminal.shown
    assert b"cret" not in terminal.shown
    assert b"internal error" not in terminal.shown


def test_a_terminal_that_would_show_a_password_is_not_asked_for_one(monkeypatch):
    def shows(*_, **__):
        warnings.warn("it may be echoed", getpass.GetPassWarning, stacklevel=1)
        return "secret"

    monkeypatch.setattr("click.prompt", shows)
    with pytest.raises(CronwrapError, match="--password-stdin"):
        hidden("Password")


def test_neither_a_password_nor_a_command_that_may_hold_one_is_kept(tmp_path):
    kept = KeptAnswers(str(tmp_path / "state"))
    answers = Answers(
        url="smtps://h:465", user="u", secret="word1", token_command="t word2", mailto="a@b.test"
    )
    kept.keep(answers)
    assert kept.load() == answers.replace(secret="", token_command="")
    content = (tmp_path / "state" / "init.answers").read_text()
    assert "word1" not in content
    assert "word2" not in content


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"{}", b"[" * 50_000, b'{"url": 1}', b"x" * 100_000],
)
def test_answers_that_nobody_kept_are_not_offered(tmp_path, content):
    kept = KeptAnswers(str(tmp_path / "state"))
    kept.keep(Answers(mailto="a@b.test"))
    (tmp_path / "state" / "init.answers").write_bytes(content)
    assert kept.load() is None


def test_kept_answers_that_could_not_have_been_given_are_not_offered(tmp_path):
    kept = KeptAnswers(str(tmp_path / "state"))
    for answers in (
        Answers(mailto="a b"),
        Answers(url="smtps://u:p@h"),
        Answers(user="a\nb", url="smtp://x"),
    ):
        kept.keep(answers)
        assert kept.load() is None


def test_where_the_state_cannot_be_written_nothing_is_kept_and_init_goes_on(tmp_path):
    (tmp_path / "file").write_text("")
    kept = KeptAnswers(str(tmp_path / "file" / "state"))
    kept.keep(Answers(mailto="a@b.test"))
    assert (kept.holds, kept.load()) == (False, None)


# The parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("beside", [{"password": "a\udcffb\n"}, {}])
def test_what_is_not_utf_8_is_not_written_and_not_shown(tmp_path, beside):
    with pytest.raises(CronwrapError, match="not be UTF-8") as told:
        setup.install(str(tmp_path / "c.toml"), "x" if beside else "\udcff", beside, replace=False)
    assert "udcff" not in ascii(str(told.value))
    assert os.listdir(tmp_path) == []


def test_a_directory_that_no_configuration_can_name_is_refused(tmp_path):
    answers = Answers(url="smtps://h", user="u", secret="s", mailto="a@b.test")
    with pytest.raises(ConfigError, match="not UTF-8"):
        setup.document(answers, f"{tmp_path}/\udcff/config.toml")


@pytest.mark.parametrize(
    ("text", "url", "user"),
    [
        ("mail.example.com", "smtps://mail.example.com:465", ""),
        ("mail.example.com:587", "submission://mail.example.com:587", ""),
        ("mail.example.com:2465", "smtps://mail.example.com:2465", ""),
        ("localhost", "smtp://localhost:25", ""),
        ("localhost:587", "submission://localhost:587", ""),
        ("[2001:db8::1]:587", "submission://[2001:db8::1]:587", ""),
        ("2001:db8::1", "smtps://[2001:db8::1]:465", ""),
        ("smtps://me%40b@h:465", "smtps://h:465", "me@b"),
        ("sendmail:/usr/sbin/sendmail", "sendmail:/usr/sbin/sendmail", ""),
    ],
)
def test_a_relay_is_named_as_people_name_one(text, url, user):
    assert setup.relay_url(text) == (url, user)


def test_a_password_with_an_end_of_line_is_no_answer():
    with pytest.raises(ConfigError, match="line break"):
        Answers(url="smtps://h", user="u", secret="a\nb").relay()


def test_a_file_that_came_in_between_is_not_replaced(tmp_path):
    path = str(tmp_path / "config.toml")
    setup.install(path, "first", {}, replace=False)
    with pytest.raises(CronwrapError, match="there already"):
        setup.install(path, "second", {}, replace=False)
    assert (tmp_path / "config.toml").read_text() == "first"
    assert os.listdir(tmp_path) == ["config.toml"]


def test_a_link_stays_a_link_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "c.toml").write_text("old")
    (tmp_path / "config.toml").symlink_to(tmp_path / "real" / "c.toml")
    setup.install(str(tmp_path / "config.toml"), "new", {"password": "x\n"}, replace=True)
    assert (tmp_path / "config.toml").is_symlink()
    assert (tmp_path / "real" / "c.toml").read_text() == "new"
    assert (tmp_path / "real" / "c.toml~").read_text() == "old"
    assert mode(tmp_path / "real" / "password") == 0o600


def test_a_directory_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CronwrapError, match="cannot be written"):
        setup.install(str(tmp_path / "file" / "config.toml"), "x", {}, replace=False)
