"""What ``doctor`` tells of each wrapped line: judged by what cron gives it, and not by what a shell has."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import tempfile
import time

import hypothesis
import psutil
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cronwrap.commands import doctor as command
from cronwrap.commands import views
from cronwrap.crontab import lines as crontab_lines
from cronwrap.crontab import named
from cronwrap.crontab.dialect import guess
from cronwrap.crontab.surroundings import PATH, Account, environment
from cronwrap.settings import load as settings
from cronwrap.settings import relays as endpoint
from cronwrap.setup import doctor, line_checks, mail_checks, other_users, state_checks, wrapped_lines
from cronwrap.setup.check import Check
from cronwrap.setup.trial import People
from support.cli import CRONWRAP
from support.relay import PASSWORD
from support.waiting import wait_until as wait_until_true

RELAY = '[[relay]]\nurl = "sendmail:/bin/true"\n'


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A home with a configuration that cron's jobs find there."""
    (tmp_path / ".config" / "cronwrap").mkdir(parents=True, mode=0o700)
    config = tmp_path / ".config" / "cronwrap" / "config.toml"
    config.write_text(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{RELAY}')
    config.chmod(0o600)
    monkeypatch.delenv("CRONWRAP_STATE_DIR", raising=False)
    return tmp_path


@pytest.fixture
def look(place):
    """Judge a crontab: ``look(text)`` gives what is said of its lines, ``%c`` being cronwrap's path."""

    def judge(text, path=""):
        text = text.replace("%c", CRONWRAP)
        before = f"HOME={place}\nCRONWRAP_STATE_DIR={place}/state\n"
        dialect, _ = guess(text, path)
        jobs = named.named_jobs("crontab", before + text, dialect, ())
        account = Account(name="me", uid=os.geteuid(), gid=os.getegid(), home=str(place))
        environ = {"HOME": str(place), "CRONWRAP_STATE_DIR": f"{place}/state"}
        base = settings.load({"dry-run": True}, environ)
        lines = wrapped_lines.wrapped_lines(jobs, account)
        return list(line_checks.checks(lines, base, environ))

    return judge


def only(checks):
    (check,) = checks
    return check


# One line at a time -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 3 * * * %c -- true", "line 3: would mail from cron@example.test to ops@example.test"),
        (
            "MAILTO=old@a.test\n0 3 * * * %c -- true",
            "line 4: would mail from cron@example.test to old@a.test",
        ),
        ("MAILFROM=me@a.test\n0 3 * * * %c -- true", "line 4: would mail from me@a.test to ops@example.test"),
        ("0 3 * * * %c -t own@a.test -- true", "line 3: would mail from cron@example.test to own@a.test"),
        ("0 3 * * * %c --mailto=own@a.test -c 'date; ls'", "to own@a.test"),
        ("CRONWRAP_MAILTO=v@a.test\nMAILTO=\n0 3 * * * %c -- true", "line 5: would mail from"),
        ("OPS=o@a.test\n0 3 * * * %c -t $OPS -- true", "to o@a.test"),
        ('OPS=o\n0 3 * * * %c -t "${OPS}@a.test" -- true', "to o@a.test"),
        ("0 3 * * * MAILTO=here@a.test %c -- true", "to here@a.test"),
        ("0 3 * * * cd /tmp && %c -t mid@a.test -- true", "to mid@a.test"),
        (
            "SHELL=%c-shell\nMAILTO=s@a.test\n0 3 * * * date; ls",
            "line 5: would mail from cron@example.test to s@a",
        ),
        ("MAILTO=\n0 3 * * * %c -t '' -- true", 'mails nobody (mailto = "" of the command line)'),
        ("MAILTO=\n0 3 * * * %c --on never -- true", "mails nobody (--on never)"),
        ("MAILTO=\n0 3 * * * %c --dry-run -- true", "mails nobody (--dry-run)"),
        ("CRONWRAP_DRY_RUN=1\nCRONWRAP_ON=failure\n0 3 * * * %c -- true", "mails nobody (--dry-run)"),
        ("CRONWRAP_ON=never\n0 3 * * * %c -- true", "mails nobody (--on never)"),
        ("0 3 * * * %c -t a@b.test -- /bin/echo 50\\%", "to a@b.test"),
        ("0 3 * * * cd /nonexistent && ./x && %c -- true", "would mail"),
    ],
)
def test_whom_a_line_would_mail_to_is_told(look, text, said):
    check = only(look(text + "\n"))
    assert check.ok, check
    assert said in check.text


@pytest.mark.parametrize(
    ("text", "said", "advice"),
    [
        (
            'MAILTO=""\n0 3 * * * %c -- true',
            'line 4: MAILTO="" above it: a failure is mailed to nobody',
            "--mailto",
        ),
        ('MAILTO=" , "\n0 3 * * * %c -- true', "mailed to nobody", "--mailto"),
        ('MAILTO=""\nSHELL=%c-shell\n0 3 * * * date', "line 5", "--mailto"),
        ("MAILTO=a@b@c\n0 3 * * * %c -- true", "MAILTO: ", ""),
        ("CRONWRAP_TIMEOUT=soon\n0 3 * * * %c -- true", "line 4: CRONWRAP_TIMEOUT", ""),
        (
            "0 3 * * * %c --timeuot 2h -- true",
            "cronwrap refuses it, so the job does not run: no such option",
            "lint",
        ),
        ("0 3 * * * %c -c 'ls' -l", "cronwrap refuses it", "lint"),
        ("0 3 * * * %c --config none.toml -- true", "none.toml: No such file", ""),
        (
            "CRONWRAP_CONFIG=/nonexistent/c.toml\n0 3 * * * %c -- true",
            "/nonexistent/c.toml: No such file",
            "",
        ),
        ("0 3 * * * %c -- nosuchprogram", "nosuchprogram is not found on its PATH (", "PATH"),
        ("PATH=/nonexistent\n0 3 * * * %c -- ls", "ls is not found on its PATH (/nonexistent)", "PATH"),
        ("0 3 * * * %c -- /nonexistent/x", "/nonexistent/x is not there", ""),
        ("0 3 * * * %c -- ./none", "none is not there", ""),
        ("0 3 * * * %c -- cd", "cd is not found", ""),
        ("0 3 * * * %c -c 'nosuchprogram | sort'", "nosuchprogram is not found", ""),
        ("0 3 * * * %c -C /nonexistent -- ls", "its directory /nonexistent is not there", ""),
        ("SHELL=/nonexistent/zsh\n0 3 * * * %c -- true", "its SHELL /nonexistent/zsh is not there", ""),
        ("SHELL=%c-shell\n0 3 * * * nosuchprogram", "nosuchprogram is not found", ""),
        ("0 3 * * * %c --once -- true", "line 3: --once and --scope fleet need a fleet", "every host"),
        ("CRONWRAP_SCOPE=fleet\n0 3 * * * %c -- true", "--scope fleet need a fleet", "every host"),
    ],
)
def test_what_is_wrong_with_a_line_is_a_fault(look, text, said, advice):
    faults = [check for check in look(text + "\n") if not check.ok]
    assert any(said in check.text and advice in check.advice for check in faults), faults
    assert all(check.advice for check in faults)


@pytest.mark.parametrize(
    "text", ["0 3 * * * ls\n", "# nothing\n", "0 3 * * * %c status\n", "0 3 * * * echo cronwrap\n"]
)
def test_nothing_is_said_of_what_is_not_wrapped(look, text):
    assert look(text) == []


def test_each_line_is_judged_by_what_stands_above_it_and_the_same_is_said_once(look):
    found = look(
        "0 1 * * * %c -- true\nMAILTO=x@a.test\n0 2 * * * %c -- true\n0 3 * * * %c -- true\n"
        'MAILTO=""\n0 4 * * * %c -- true\nMAILTO=x@a.test\n0 5 * * * %c -- true\n'
    )
    assert [(check.ok, check.text.partition(":")[0]) for check in found] == [
        (False, "line 8"),
        (True, "line 3"),
        (True, "lines 5, 6, 10"),
    ]


def test_of_very_many_lines_the_first_are_named(look):
    assert only(look("0 1 * * * %c -- true\n" * 9)).text.startswith("lines 3, 4, 5, 6, 7, …: ")


def test_options_that_only_the_shell_can_tell_are_a_note(look):
    check = only(look("0 3 * * * %c -t ${OPS:-a@b.test} -- true\n"))
    assert check.ok
    assert check.advice
    assert "only its shell can tell" in check.text


def test_the_settings_of_a_job_by_its_name_are_those_of_its_line(look, place):
    with open(place / ".config" / "cronwrap" / "config.toml", "a", encoding="utf-8") as file:
        file.write('[jobs.nightly]\nmailto = "night@a.test"\n[jobs.quiet]\nmailto = ""\n')
    found = look("0 3 * * * %c -n nightly -- true\n0 4 * * * %c -n quiet -- true\n")
    assert [check.ok for check in found] == [True, True]
    assert "night@a.test" in found[0].text
    assert "mails nobody" in found[1].text


def test_who_is_told_by_a_notify_need_not_be_mailed_to(look, place):
    path = place / ".config" / "cronwrap" / "config.toml"
    before = path.read_text()
    path.write_text(before + '[[notify]]\nurl = "exec:/bin/true"\njobs = ["a-*"]\n')
    found = look('MAILTO=""\n0 3 * * * %c -n a-b -- true\n0 3 * * * %c -n b -- true\n')
    assert [(check.ok, check.text.partition(":")[0]) for check in found] == [
        (False, "line 5"),
        (True, "line 4"),
    ]


def test_busyboxs_crond_hands_on_no_variable_but_the_shell():
    text = 'MAILTO=""\nPATH=/nonexistent\nSHELL=/bin/ash\n0 3 * * * cronwrap -- ls\n'
    (one,) = named.named_jobs("crontab", text, guess(text, "/etc/crontabs/me")[0], ())
    given = environment(one.job, Account(name="me", uid=1, gid=1, home="/x"))
    assert "MAILTO" not in given
    assert (given["PATH"], given["SHELL"]) == (PATH, "/bin/ash")


def test_what_only_this_shell_knows_is_said_to_be_missing_in_the_crontab(place):
    os.rename(place / ".config" / "cronwrap" / "config.toml", place / "c.toml")
    text = f"HOME={place}\nCRONWRAP_STATE_DIR={place}/state\n0 3 * * * {CRONWRAP} -- true\n"
    jobs = list(named.named_jobs("crontab", text, guess("")[0], ()))
    account = Account(name="me", uid=os.geteuid(), gid=os.getegid(), home=str(place))
    lines = wrapped_lines.wrapped_lines(jobs, account)
    environ = {"HOME": str(place), "CRONWRAP_CONFIG": f"{place}/c.toml", "CRONWRAP_STATE_DIR": "/none"}
    base = settings.load({"dry-run": True}, environ)
    check = only(line_checks.checks(lines, base, environ))
    assert not check.ok
    assert "no relay is configured for it" in check.text
    assert "this shell's CRONWRAP_CONFIG" in check.advice
    check = only(line_checks.checks(lines, base, {"HOME": "/elsewhere"}))
    assert f"cron's HOME is {place}" in check.advice


def test_a_password_in_a_variable_is_the_crontabs_and_not_the_shells(place, monkeypatch):
    with open(place / ".config" / "cronwrap" / "config.toml", "w", encoding="utf-8") as file:
        file.write('[[relay]]\nurl = "smtps://localhost"\nuser = "u"\npassword-env = "PW"\n')
    monkeypatch.setenv("PW", "of the shell")
    account = Account(name="me", uid=os.geteuid(), gid=os.getegid(), home=str(place))
    job = f"0 3 * * * {CRONWRAP} -- true\n"
    text = f"HOME={place}\nCRONWRAP_STATE_DIR={place}/state\n{job}PW=other\n{job}"
    first, second = wrapped_lines.wrapped_lines(named.named_jobs("crontab", text, guess("")[0], ()), account)
    assert first.relays[0].fault == "password-env: PW is not set where cron starts the job"
    assert second.relays[0].password == "other"


ODD = ("\0", "a\0b", "\udcff", "\u202e", "`x`", "$(y)", "$X", "'q r'", '"d $X"', "%", "#", "|", "~/x", "é")
CALL = f"{CRONWRAP} -t a@b.test"


@hypothesis.settings(max_examples=80, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.builds(
                "{}={}\n".format,
                st.sampled_from(("MAILTO", "MAILFROM", "PATH", "SHELL", "HOME", "CRONWRAP_CONFIG", "X")),
                st.sampled_from((*ODD, "/x:/y", "/bin/bash", "a@b.test", "/" * 5000, "cronwrap")),
            ),
            st.builds(
                "* * * * * {} {}\n".format,
                st.sampled_from((CALL, f"{CALL} --", f"cd /x && {CALL}", f"MAILTO=$X {CRONWRAP} -c", "ls")),
                st.lists(st.sampled_from((*ODD, "--", "-c", "ls", "--config", "-n", "&&", "("))).map(
                    " ".join
                ),
            ),
        ),
        max_size=6,
    )
)
@example(["CRONWRAP_CONFIG=x\0y\n", f"* * * * * {CALL} -- ls\n"])
@example([f"* * * * * {CALL} -C a\0b -- ls\0\n", f"* * * * * {CALL} -- \0\n"])
def test_whatever_a_crontab_holds_each_line_of_it_is_judged(look, parts):
    for check in look("".join(parts)):
        assert check.text.startswith("line")
        assert "cannot be judged" not in check.text


def test_a_line_that_cannot_be_judged_keeps_no_other_from_it(look, monkeypatch):
    in_force = wrapped_lines._in_force

    def fails(one, *rest):
        if one.job.number == 3:
            raise RuntimeError("of our own")
        return in_force(one, *rest)

    monkeypatch.setattr(wrapped_lines, "_in_force", fails)
    note, other = look("0 3 * * * %c -- true\n0 3 * * * %c -- true\n")
    assert "line 3: it cannot be judged" in note.text
    assert other.text.startswith("line 4: would mail")


# At the relays ----------------------------------------------------------------------------------


@pytest.fixture
def told(cli):
    """Run doctor over a crontab: ``told(config, crontab)`` gives its steps."""

    def run(config, crontab):
        cli.write_config(config)
        variables = "".join(
            f"{name}={cli.env[name]}\n" for name in ("HOME", "CRONWRAP_CONFIG", "CRONWRAP_STATE_DIR")
        )
        table = os.path.join(cli.directory, "table")
        with open(table, "w", encoding="utf-8") as file:
            file.write(variables + crontab.replace("%c", CRONWRAP))
        program = os.path.join(cli.directory, "crontab")
        with open(program, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nexec /bin/cat {table}\n")
        os.chmod(program, 0o700)
        cli.env["PATH"] = cli.directory
        result = cli("doctor", "--json")
        assert PASSWORD not in result.stdout + result.stderr
        return [json.loads(line) for line in result.stdout.splitlines()]

    return run


PEOPLE = 'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n'


def test_nothing_is_sound_while_a_wrapped_job_would_mail_nobody(told, relay):
    steps = told(PEOPLE + relay.table, 'MAILTO=""\n0 3 * * * %c -- false\n')
    assert ["line 5" in step["text"] for step in steps if step["name"] == "lines"] == [True]
    assert "lines" in {step["name"] for step in steps if not step["ok"]}


def test_what_needs_no_crontab_is_told_before_a_crontab_program_that_hangs_ends(cli):
    program = os.path.join(cli.directory, "crontab")
    with open(program, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\nexec /bin/sleep 1000\n")
    os.chmod(program, 0o700)
    process = cli.start("doctor", stdout=-1, env={"PATH": cli.directory})
    shown = process.stdout.readline()
    while b"clock" not in shown:
        assert shown
        shown = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130


def test_each_address_of_a_line_is_tried_at_its_relay_in_one_conversation(told, relay):
    relay.refuse("RCPT", "550 5.1.1 gone", matching="old@")
    steps = told(
        PEOPLE + relay.table,
        "MAILTO=old@example.test\n0 3 * * * %c -- true\nMAILTO=new@example.test\nMAILFROM=me@example.test\n"
        "0 4 * * * %c -- true\n",
    )
    tried = {step["text"].partition(":")[0]: step for step in steps if step["name"] == "recipient"}
    assert [tried[f"{who}@example.test"]["ok"] for who in ("ops", "old", "new")] == [True, False, True]
    assert tried["old@example.test"]["text"].endswith("(line 5)")
    senders = [step["text"].partition(":")[0] for step in steps if step["name"] == "sender"]
    assert senders == ["cron@example.test", "me@example.test"]
    assert relay.counters.logins == 1
    assert relay.messages == []


def test_a_configuration_of_a_line_alone_has_its_own_relay_tried(told, relay, make_relay, config):
    other = make_relay()
    other.refuse("RCPT", "550 5.1.1 nobody here")
    path = config(PEOPLE + other.table, "other.toml")
    steps = told(PEOPLE + relay.table, f"0 3 * * * %c --config {path} -- true\n")
    (refused,) = [step for step in steps if step["name"] == "recipient" and not step["ok"]]
    assert refused["relay"] == other.url
    assert "(line 4)" in refused["text"]
    assert relay.counters.logins == other.counters.logins == 1


def test_an_address_that_no_line_would_mail_to_and_nobody_set_is_not_tried(told, relay):
    steps = told(relay.table, "MAILTO=ops@example.test\n0 3 * * * %c -- true\n")
    assert [step["text"].partition(":")[0] for step in steps if step["name"] == "recipient"] == [
        "ops@example.test"
    ]
    (addresses,) = [step for step in steps if step["name"] == "addresses"]
    assert (addresses["ok"], addresses["advice"]) == (True, None)


def test_where_each_line_has_its_own_relay_none_is_missed(told, relay, config):
    path = config(PEOPLE + relay.table, "other.toml")
    steps = told("", f"0 3 * * * %c --config {path} -- true\n")
    assert [step["name"] for step in steps if not step["ok"]] in ([], ["daemon"])


def test_of_very_many_addresses_the_rest_is_counted(monkeypatch):
    every = tuple(f"u{number}@a.test" for number in range(60))
    asked = wrapped_lines.envelopes([People(sender="me@a.test", recipients=(*every, *every))], ())
    ((_, recipients),) = asked.pairs
    assert (len(recipients), asked.left) == (wrapped_lines.MOST_TRIED, 10)
    monkeypatch.setattr(mail_checks, "probe", lambda *_: ())
    relay = endpoint.parse({"url": "smtps://localhost"}, "test")
    assert only(mail_checks._try(relay, asked)).text.startswith("10 more of the crontab are not tried")


def test_a_state_directory_that_a_line_names_is_tried(place):
    text = f"HOME={place}\nCRONWRAP_STATE_DIR=/dev/null/x\n0 3 * * * {CRONWRAP} -- true\n"
    account = Account(name="me", uid=os.geteuid(), gid=os.getegid(), home=str(place))
    lines = wrapped_lines.wrapped_lines(named.named_jobs("crontab", text, guess("")[0], ()), account)
    fault = only(state_checks.of_lines(lines, "/elsewhere"))
    assert (fault.ok, fault.text.partition(":")[0]) == (False, "line 3")
    assert not list(state_checks.of_lines(lines, "/dev/null/x"))


def test_a_configuration_that_a_user_may_not_read_is_named_where_the_relay_is_missing(place):
    (place / ".config" / "cronwrap" / "config.toml").unlink()
    environ = {"HOME": str(place), "CRONWRAP_STATE_DIR": f"{place}/state"}
    found = settings.load({}, environ)
    closed = ("/etc/cronwrap/config.toml",)
    fault = mail_checks._no_relay(found, People(sender="a@b", recipients=("c@d",)), closed, elsewhere=False)
    assert not fault.ok
    assert "(/etc/cronwrap/config.toml is passed over: this user may not read it)" in fault.text


# Other users ------------------------------------------------------------------------------------


def me():
    return Account(name=pwd.getpwuid(os.geteuid()).pw_name, uid=os.geteuid(), gid=os.getegid(), home="/tmp")


def step(text, **more):
    return Check(name="lines", ok=True, text=text, **more)


def test_what_a_child_finds_out_comes_whole_and_in_order(monkeypatch):
    monkeypatch.setenv("SHELL_OF_ROOT", "1")

    def work():
        yield step("1", advice="ü", seconds=0.5, relay="smtps://x:1")
        yield step(f"{os.environ.get('SHELL_OF_ROOT')} {os.environ['HOME']} {os.getcwd()}")

    assert list(other_users.as_user(me(), work)) == [
        step("1", advice="ü", seconds=0.5, relay="smtps://x:1"),
        step("None /tmp /tmp"),
    ]


def test_a_child_that_hangs_is_ended_with_what_it_started(tmp_path):
    def work():
        yield step("first")
        os.system(f"sleep 1000 & echo $! > {tmp_path}/pid; wait")

    began = time.monotonic()
    first, fault = other_users.as_user(me(), work, limit=1.0)
    assert time.monotonic() - began < 20
    assert (first.text, fault.ok) == ("first", False)
    assert "more than 1 s" in fault.text
    pid = int((tmp_path / "pid").read_text())
    wait_until_true(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")


def test_a_child_ends_with_whoever_asked_for_it():
    def work():
        yield step(str(os.getpid()))
        time.sleep(1000)

    steps = other_users.as_user(me(), work)
    pid = int(next(steps).text)
    steps.close()  # as Ctrl-C does
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "did not come to its end"),
    ],
)
def test_a_child_that_fails_is_a_fault_and_the_others_are_looked_at(end, why):
    def work():
        yield step("first")
        end()

    first, fault = other_users.as_user(me(), work)
    assert (first.text, fault.ok) == ("first", False)
    assert "not everything" in fault.text
    assert why in fault.text
    assert fault.advice == f"run cronwrap doctor as {me().name}"


def test_another_users_steps_have_a_heading_and_a_key():
    mine, theirs = step("a"), step("b", user="alice")
    assert "user" not in command.public(mine)
    assert command.public(theirs)["user"] == "alice"


@pytest.fixture
def crontabs(monkeypatch, tmp_path):
    """Crontabs of several users: ``crontabs(nobody=text)``, as crontab(1) tells of them."""
    spool = tmp_path / "spool"
    spool.mkdir()
    program = tmp_path / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nuser=root\n[ "$1" = -u ] && user=$2\ncat {spool}/$user 2>/dev/null || '
        '{ echo "no crontab for $user" >&2; exit 1; }\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(other_users, "SPOOLS", (str(spool), "/nonexistent"))
    directory = tmp_path / "cron.d"
    directory.mkdir()
    for module in (named, crontab_lines):
        monkeypatch.setattr(module, "SYSTEM_PATHS", (str(tmp_path / "none"), f"{directory}/"))

    def install(system="", **texts):
        (directory / "all").write_text(system.replace("%c", CRONWRAP))
        for user, text in texts.items():
            (spool / user).write_text(text.replace("%c", CRONWRAP))

    return install


def test_whose_crontabs_there_are_is_told_and_no_leftover_is_taken_for_one(crontabs):
    crontabs(
        nobody="0 3 * * * %c -- true\n", gonzo_the_unknown="0 3 * * * x\n", **{"tmp.x": "", "cron.y": ""}
    )
    found = {one.name: one for one in other_users.others("root", ())}
    assert set(found) == {"nobody", "gonzo_the_unknown"}
    assert found["nobody"].wrapped
    assert "no such user" in found["gonzo_the_unknown"].fault


def test_reading_all_crontabs_is_bounded_in_time(crontabs, monkeypatch):
    crontabs(nobody="0 3 * * * %c -- true\n")
    monkeypatch.setattr(other_users, "READ_LIMIT", 0.0)
    (one,) = other_users.others("root", ())
    assert "took too long" in one.fault
    assert not one.wrapped


def test_root_sees_each_users_lines_by_a_process_that_has_become_that_user(needs, crontabs):
    needs("root")
    home = tempfile.mkdtemp(dir="/var/tmp")
    try:
        account = pwd.getpwnam("nobody")
        config = os.path.join(home, "config.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"{PEOPLE}{RELAY}")
        secret = os.path.join(home, "secret.toml")
        shutil.copy(config, secret)
        os.chmod(secret, 0o600)
        for path in (home, config):
            os.chown(path, account.pw_uid, account.pw_gid)
        crontabs(
            root=f"HOME={home}\n0 3 * * * ls\n",
            nobody=f"HOME={home}\nMAILTO=\n0 3 * * * {shutil.which('true')} && %c -t '' -- true\n"
            f"MAILTO=u@a.test\n0 3 * * * /bin/cronwrap --config {config} -- true\n"
            f"0 4 * * * /bin/cronwrap --config {secret} -- true\n",
        )
        crontabs(
            system=f"HOME={home}\nMAILTO=s@a.test\n0 1 * * * nobody %c -t '' -- true\n"
            f"CRONWRAP_STATE_DIR={os.environ['CRONWRAP_STATE_DIR']}\n0 1 * * * root %c -- true\n"
        )
        found = settings.load({"config": os.devnull}, dict(os.environ))
        every = list(doctor.steps(found, dict(os.environ)))
        steps = [check for check in every if check.user == "nobody"]
    finally:
        shutil.rmtree(home)
    told = [(check.name, check.ok, check.text) for check in steps]
    assert any(
        name == "lines" and ok and "would mail from cron@example.test to u@a.test" in text
        for name, ok, text in told
    ), told
    assert any(not ok and f"{secret}: Permission denied" in text for _, ok, text in told), told
    assert any(name == "crontab" and "cron does not find cronwrap" in text for name, _, text in told), told
    assert any(ok and "cron.d/all:3" in text and "mails nobody" in text for _, ok, text in told), told
    assert any("cron.d/all:5" in check.text and "s@a.test" in check.text for check in every if not check.user)
    assert not any(name == "state" for name, _, _ in told), "it is judged by the HOME of the crontab"


# The end ----------------------------------------------------------------------------------------


def test_the_last_line_names_what_is_to_be_looked_at_again():
    screen = views.Screen()
    fault, note = Check(name="daemon", ok=False, text="x"), step("y", advice="z")
    assert command.conclusion(screen, [step("a")]) == "All is sound."
    assert command.conclusion(screen, [step("a"), note]) == "No fault; 1 note above."
    assert command.conclusion(screen, [fault, note]) == "1 of these is a fault: daemon."
    assert command.conclusion(screen, [fault, fault, Check(name="lines", ok=False, text="")]) == (
        "3 of these are faults: daemon, lines."
    )
