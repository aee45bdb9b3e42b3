"""``cronwrap doctor`` against servers, files, clocks and crontabs with each fault."""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
import signal
import socket
import time
from types import SimpleNamespace

import psutil
import pytest

from cronwrap.commands import dialogue, doctor, views
from cronwrap.mail import Envelope, Message
from cronwrap.outbox.store import Outbox
from cronwrap.relay.dial import NO_NETWORK
from cronwrap.relay.probe import Step
from cronwrap.settings import load as settings
from cronwrap.settings import relays as endpoint
from cronwrap.setup import cron_checks, mail_checks, outbox_checks, state_checks
from cronwrap.setup.check import Check
from cronwrap.setup.draft import Answers
from support.misbehaving import Misbehaving
from support.relay import PASSWORD, USER

PEOPLE = 'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n'


@pytest.fixture
def patient(cli, relay):
    """A cronwrap with a relay and no crontab program."""
    cli.write_config(PEOPLE + relay.table)
    cli.env["PATH"] = cli.directory
    return cli


@pytest.fixture
def crontab(patient):
    """Give the user a crontab: ``crontab(text)``; the text begins in line 4, or with ``bare`` in line 1."""

    def install(text, *, bare=False):
        path = os.path.join(patient.directory, "table")
        variables = ("HOME", "CRONWRAP_CONFIG", "CRONWRAP_STATE_DIR")
        before = "".join(f"{name}={patient.env[name]}\n" for name in variables)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text if bare else before + text)
        program = os.path.join(patient.directory, "crontab")
        with open(program, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nexec /bin/cat {path}\n")
        os.chmod(program, 0o700)

    return install


def examined(cli, *words, **env):
    result = cli("doctor", "--json", *words, **env)
    steps = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.status == (0 if all(step["ok"] for step in steps) else 1), result
    assert PASSWORD not in result.stdout + result.stderr
    return steps


def faults(steps):
    """Give the faults, but for that of a machine where no cron runs."""
    found = [(step["name"], step["text"], step["advice"] or "") for step in steps if not step["ok"]]
    return [fault for fault in found if fault[0] != "daemon"]


def one_fault(steps):
    (found,) = faults(steps)
    return found


def named(steps, name):
    return [step for step in steps if step["name"] == name]


IDENTITY = "20260101T000000-00000000"


def store(state, age, *, failed=False, error="connection refused", job="j", identity=IDENTITY):
    box = Outbox(state)
    message = Message(
        envelope=Envelope(sender="a@b.test", recipients=("c@d.test",)), content=b"x\r\n", job=job, subject="s"
    )
    item = box.store(identity, message, time.time() - age)
    box.update(item, item.replace(last_error=error, attempts=3, state="failed" if failed else "queued"))


# All is well ------------------------------------------------------------------------------------


def test_a_sound_way_exits_0_and_shows_each_step_in_order(patient, relay):
    steps = examined(patient)
    assert faults(steps) == []
    names = [step["name"] for step in steps]
    assert names == [
        *("settings", "settings", "state", "disk", "clock", "addresses"),
        *("resolve", "connect", "tls", "certificate", "greeting", "login", "size", "sender", "recipient"),
        *("outbox", "daemon", "crontab", "path"),
    ]
    assert all(set(step) == {"name", "ok", "text", "advice", "seconds", "relay"} for step in steps)
    assert named(steps, "login")[0]["relay"] == relay.url
    assert relay.messages == []


def test_send_sends_a_test(patient, relay):
    (step,) = named(examined(patient, "--send"), "test")
    assert step["ok"]
    assert "this is a test" in relay.wait_for(1)[0].body


def test_a_test_that_is_refused_is_a_fault(patient, relay):
    relay.refuse("DATA", "554 5.7.1 no tests please")
    name, text, _ = one_fault(examined(patient, "--send"))
    assert (name, "no tests please" in text) == ("test", True)


def test_people_get_aligned_lines_without_colour_in_a_pipe_and_a_conclusion(patient):
    result = patient("doctor")
    assert result.status == 0, result
    assert "\x1b" not in result.stdout
    lines = result.stdout.splitlines()
    assert lines[-1] == "All is sound." or lines[-1].startswith("No fault; ")
    columns = {line.index(" s  ") for line in lines if line.startswith("ok") and " s  " in line[:30]}
    assert len(columns) == 1


def test_colour_is_for_terminals_and_not_where_no_color_is_set(patient):
    for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        terminal = patient.terminal("doctor", env=env)
        assert terminal.wait() == 0
        assert (b"\x1b[" in terminal.shown) is coloured


# Settings ---------------------------------------------------------------------------------------


def test_without_a_relay_the_next_thing_to_do_is_init(cli):
    found = {name: advice for name, _, advice in faults(examined(cli))}
    assert "cronwrap init" in found["relay"]


def test_the_variables_that_count_are_named(cli, relay):
    steps = examined(cli, **relay.environment, MAILTO="ops@example.test", CRONWRAP_NICE="", HOME=cli.home)
    (told,) = [step["text"] for step in named(steps, "settings") if "environment" in step["text"]]
    variables = "CRONWRAP_CONFIG, CRONWRAP_DELIVERY_BACKGROUND, CRONWRAP_RELAY, CRONWRAP_STATE_DIR, MAILTO"
    assert told.endswith(f": {variables}")


def test_faults_of_the_settings_are_faults_here(patient, relay):
    patient.write_config(PEOPLE + relay.table + '[defaults]\ntimeuot = "2h"\n')
    name, text, advice = one_fault(examined(patient))
    assert name == "settings"
    assert "did you mean timeout?" in text
    assert "config check" in advice


def test_a_broken_relay_of_the_environment_is_told(cli):
    steps = examined(cli, CRONWRAP_RELAY="smpts://mail.example.test")
    assert "CRONWRAP_RELAY" in faults(steps)[0][1]


def test_a_configuration_open_to_others_is_told_with_the_command(patient):
    os.chmod(patient.config, 0o644)
    found = faults(examined(patient))
    assert all(advice == f"chmod 600 {patient.config}" for _, _, advice in found)
    assert found


def test_a_password_file_open_to_others_is_told_even_when_the_relay_is_down(cli, config):
    password_file = config(PASSWORD, "secret", mode=0o640)
    table = f'[[relay]]\nurl = "smtps://localhost:1"\nuser = "u"\npassword-file = "{password_file}"\n'
    cli.write_config(PEOPLE + table)
    (step,) = named(examined(cli), "password")
    assert step["advice"] == f"chmod 600 {password_file}"


def test_addresses_nobody_set_are_a_warning_and_bad_ones_a_fault(patient, relay):
    patient.write_config(relay.table)
    assert "mailto is not set" in named(examined(patient), "addresses")[0]["advice"]
    assert "MAILTO" in named(examined(patient, MAILTO=""), "addresses")[0]["advice"]
    found = examined(patient, MAILTO="a b@c@d")
    assert any("MAILTO" in text for _, text, _ in faults(found))
    assert "user at this host" in named(found, "addresses")[0]["advice"]  # who stands in


# State and clock --------------------------------------------------------------------------------


def test_a_state_directory_that_cannot_be_made_is_a_fault(patient):
    with open(os.path.join(patient.directory, "file"), "w", encoding="utf-8"):
        pass
    name, text, advice = one_fault(examined(patient, CRONWRAP_STATE_DIR=f"{patient.directory}/file/state"))
    assert name == "state"
    assert "file" in text
    assert "CRONWRAP_STATE_DIR" in advice


def test_a_state_directory_of_somebody_else_is_a_fault(patient, needs):
    needs("root")
    os.mkdir(patient.state, 0o700)
    os.chown(patient.state, 4711, -1)
    name, text, _ = one_fault(examined(patient))
    assert name == "state"
    assert "uid 4711" in text


def test_a_shared_state_directory_is_a_fault(patient):
    os.mkdir(patient.state, 0o755)
    os.chmod(patient.state, 0o755)
    with open(os.path.join(patient.state, "of-somebody"), "w", encoding="utf-8"):
        pass
    name, text, _ = one_fault(examined(patient))
    assert name == "state"
    assert text.endswith(f"chmod 700 {patient.state}")


def test_a_directory_of_the_state_that_is_a_link_is_a_fault(patient, tmp_path):
    os.mkdir(patient.state, 0o700)
    os.symlink(tmp_path, os.path.join(patient.state, "runs"))
    name, text, _ = one_fault(examined(patient))
    assert name == "state"
    assert text.startswith(f"{patient.state}/runs: is a link")


@pytest.mark.parametrize(("blocks", "inodes", "said"), [(10, 100, "40 KiB"), (10**6, 0, "inode")])
def test_a_full_disk_is_a_fault(tmp_path, monkeypatch, blocks, inodes, said):
    full = os.statvfs_result((4096, 4096, 10**7, blocks, blocks, 10**6, inodes, inodes, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _path: full)
    check = state_checks._disk(str(tmp_path))
    assert not check.ok
    assert said in check.text


def test_a_clock_from_before_the_program_is_a_fault(tmp_path, monkeypatch):
    found = settings.load({"config": str(tmp_path / "none")}, {"CRONWRAP_STATE_DIR": str(tmp_path)})
    assert mail_checks._clock(found).ok
    monkeypatch.setattr(time, "time", lambda: 86400.0)
    assert "set the clock" in mail_checks._clock(found).advice
    monkeypatch.undo()
    os.utime(tmp_path, (time.time() + 10 * 86400,) * 2)
    check = mail_checks._clock(found)
    assert not check.ok
    assert str(tmp_path) in check.text


# Relays -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "fault", "name"),
    [
        ("connect", "refuse", "connect"),
        ("tls", "refuse", "tls"),
        ("banner", "5xx", "greeting"),
        ("ehlo", "drop", "greeting"),
        ("auth", "5xx", "login"),
        ("mail", "5xx", "sender"),
        ("rcpt", "5xx", "recipient"),
        ("rcpt", "4xx", "recipient"),
    ],
)
def test_each_fault_of_a_relay_is_named_by_its_step(patient, make_misbehaving, stage, fault, name):
    server = make_misbehaving(stage, fault, mode="starttls" if stage == "banner" else "implicit")
    patient.write_config(PEOPLE + table_of(server))
    assert faults(examined(patient))[0][0] == name


def test_a_relay_that_says_nothing_is_given_up_on(patient, make_misbehaving):
    server = make_misbehaving("banner", "hang", mode="starttls")
    patient.write_config(PEOPLE + table_of(server) + 'timeout = "1s"\n')
    assert one_fault(examined(patient))[0] == "greeting"


def test_steps_come_as_they_are_taken_on_a_pipe_too_and_ctrl_c_ends_with_a_word(patient, make_misbehaving):
    server = make_misbehaving("banner", "hang", mode="starttls")
    patient.write_config(PEOPLE + table_of(server))
    process = patient.start("doctor", stdout=-1, stderr=-1)
    while b"resolve" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, b"\ninterrupted: not everything was looked at\n")


def table_of(server: Misbehaving) -> str:
    scheme = "smtps" if server.mode == "implicit" else "submission"
    return (
        f'[[relay]]\nurl = "{scheme}://localhost:{server.port}"\nuser = "{USER}"\npassword = \'{PASSWORD}\'\n'
        f'ca-file = "{server.authority.ca_file}"\n'
    )


def test_an_unknown_authority_is_shown_with_the_line_that_pins_it(patient, relay):
    table = "\n".join(line for line in relay.table.splitlines() if not line.startswith("ca-file"))
    patient.write_config(PEOPLE + table)
    name, text, advice = one_fault(examined(patient))
    assert name == "certificate"
    assert "localhost" in text
    assert relay.certificate.fingerprint in advice


def test_a_certificate_that_ends_soon_is_a_warning(patient, make_relay, authority):
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=5, hours=1)
    server = make_relay(certificate=authority.certificate("localhost", not_after=soon))
    patient.write_config(PEOPLE + server.table)
    (step,) = named(examined(patient), "certificate")
    assert step["ok"]
    assert "5 days left" in step["text"]
    assert step["advice"]


def test_every_relay_is_tried_also_after_one_that_fails(patient, relay):
    patient.write_config(
        PEOPLE + '[[relay]]\nurl = "smtps://nowhere.invalid"\ntimeout = "5s"\n' + relay.table
    )
    steps = examined(patient)
    assert faults(steps)[0][0] == "resolve"
    assert named(steps, "login")[0]["relay"] == relay.url


def test_a_port_that_is_blocked_is_told_from_a_relay_that_is_down(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        port, answering = taken.getsockname()[1], other.getsockname()[1]
        relay = endpoint.parse({"url": f"smtps://127.0.0.1:{port}"}, "test")
        monkeypatch.setattr(mail_checks, "PORTS", (answering, port))
        monkeypatch.setattr(mail_checks, "BETTER", (answering,))
        monkeypatch.setattr(mail_checks, "KINDS", {answering: "submission"})
        connect, ports = list(mail_checks.try_relay(relay, "", ()))[-2:]
        assert (connect.name, connect.ok, ports.name, ports.ok) == ("connect", False, "ports", False)
        assert "the relay is up" in ports.text
        assert dialogue._url_in(ports.advice) == f"submission://127.0.0.1:{answering}"
        monkeypatch.setattr(mail_checks, "PORTS", (port,))
        relay = endpoint.parse({"url": "smtps://127.0.0.1:1"}, "test")
        assert "takes no mail at any port" in list(mail_checks.try_relay(relay, "", ()))[-1].text


def test_a_local_relay_is_looked_at(patient):
    patient.write_config(PEOPLE + '[[relay]]\nurl = "sendmail:/nonexistent/sendmail"\n')
    name, text, _ = one_fault(examined(patient))
    assert (name, "/nonexistent/sendmail" in text) == ("connect", True)


# Outbox -----------------------------------------------------------------------------------------


def test_an_outbox_that_waits_over_an_hour_comes_first_and_is_a_fault(patient):
    store(patient.state, 2 * 3600)
    steps = examined(patient)
    assert steps[0]["name"] == "outbox"
    assert "2 h" in steps[0]["text"]
    assert "connection refused" in steps[0]["text"]
    assert faults(steps)[0][2].endswith("cronwrap outbox flush")
    assert len(named(steps, "outbox")) == 1


def test_an_outbox_that_waits_for_minutes_is_no_fault(patient):
    store(patient.state, 120)
    steps = examined(patient)
    assert faults(steps) == []
    assert "1 report" in named(steps, "outbox")[0]["text"]


def test_each_report_that_was_given_up_is_named_with_what_to_do(patient):
    store(patient.state, 120, failed=True, error="550 no such user", job="nightly")
    name, text, advice = one_fault(examined(patient))
    assert name == "outbox"
    assert text.startswith("a report of nightly from ")
    assert text.endswith(f"({IDENTITY}) was given up: 550 no such user")
    assert advice == (
        f"cronwrap outbox retry {IDENTITY} sends it again; cronwrap outbox drop {IDENTITY} throws it away"
    )
    assert patient("outbox", "drop", IDENTITY).status == 0
    assert faults(examined(patient)) == []


def test_of_many_reports_that_were_given_up_the_newest_are_named_and_the_others_counted(tmp_path):
    state = str(tmp_path / "state")
    for number in range(8):
        store(state, 120 - number, failed=True, identity=f"2026010{number}T000000-00000000")
    found = list(outbox_checks.given_up(Outbox(state)))
    assert [check.ok for check in found] == [False] * 6
    assert "20260107T000000" in found[0].text
    assert found[-1].text == "3 more were given up"


def test_a_damaged_file_that_was_set_aside_is_named_and_can_be_thrown_away(tmp_path):
    box = Outbox(str(tmp_path / "state"))
    store(str(tmp_path / "state"), 5, failed=True)
    path = os.path.join(box.directory, "failed", IDENTITY)
    with open(path, "r+b") as file:
        file.truncate(20)
    (check,) = outbox_checks.given_up(box)
    assert IDENTITY in check.text
    assert "retry" not in check.advice
    assert f"outbox drop {IDENTITY}" in check.advice


# Cron -------------------------------------------------------------------------------------------


def test_jobs_that_are_not_wrapped_are_named_by_their_lines(patient, crontab):
    crontab("# a comment\n0 3 * * * backup\n@daily clean\n")
    (step,) = named(examined(patient), "crontab")
    assert step["ok"]
    assert "2 jobs not wrapped (lines 5, 6)" in step["text"]
    assert "crontab wrap" in step["advice"]


def test_a_wrapped_job_that_cron_cannot_start_is_a_fault(patient, crontab):
    crontab("PATH=/nonexistent\n0 3 * * * cronwrap -- backup\n0 4 * * * /nonexistent/cronwrap -- x\n")
    name, text, advice = one_fault(examined(patient))
    assert name == "crontab"
    assert "lines 5, 6" in text
    assert "PATH" in advice


def test_a_shell_that_cron_cannot_start_is_a_fault(patient, crontab):
    crontab("SHELL=/nonexistent/cronwrap-shell\n0 3 * * * backup\n")
    assert one_fault(examined(patient))[0] == "crontab"


def test_a_job_wrapped_by_the_full_path_is_sound(patient, crontab):
    program = patient.start("--version").args[0]
    crontab(f"0 3 * * * {program} -- true\n")
    steps = examined(patient)
    assert faults(steps) == []
    assert named(steps, "crontab")[0]["text"] == "every job is wrapped"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 3 * * * cronwrap --live -- backup\n", "line 1: the output is passed through"),
        ("CRONWRAP_LIVE=true\n0 3 * * * cronwrap -- backup\n", "line 2: the output is passed through"),
        ("CRONWRAP_LIVE=true\n0 3 * * * cronwrap --quiet -- backup\n", "can send mail as well"),
        ("0 3 * * * cronwrap -- backup\n", "can send mail as well"),
        ('MAILTO=""\n0 3 * * * cronwrap --live -- backup\n', 'MAILTO="" keeps crond'),
        ("0 3 * * * cronwrap --no-such-option -- backup\n", "can send mail as well"),
        ('MAILTO=""\n0 3 * * * x\nMAILTO=a@b.test\n0 4 * * * cronwrap --live -- y\n', "line 4: the output"),
    ],
)
def test_what_crond_would_mail_as_well_is_told(patient, crontab, monkeypatch, text, said):
    crontab(text, bare=True)
    monkeypatch.setenv("PATH", patient.directory)
    monkeypatch.setattr(cron_checks, "SENDMAIL", (os.path.join(patient.directory, "crontab"),))
    found = settings.load({"config": patient.config}, patient.env)
    (crond,) = [check for check in cron_checks.checks(found) if check.name == "crond"]
    assert said in crond.text


def test_without_a_sendmail_program_crond_stays_silent(patient, crontab, monkeypatch):
    crontab("0 3 * * * backup\n", bare=True)
    monkeypatch.setenv("PATH", patient.directory)
    monkeypatch.setattr(cron_checks, "SENDMAIL", ("/nonexistent",))
    found = settings.load({"config": patient.config}, patient.env)
    assert "crond cannot send mail" in list(cron_checks.checks(found))[-1].text


# Lines ------------------------------------------------------------------------------------------


def test_what_a_server_says_moves_no_cursor():
    check = Check(name="greeting", ok=False, text="\x1b[2Jgone\nnext", advice="\x07bell")
    shown = list(doctor.lines(views.Screen(), check))
    assert len(shown) == 2
    assert all(line.isprintable() for line in shown)


def test_an_outbox_that_is_none_is_a_fault(patient):
    os.makedirs(patient.state, mode=0o700)
    with open(os.path.join(patient.state, "outbox"), "w", encoding="ascii"):
        pass
    steps = examined(patient)
    ((name, text, advice),) = faults(steps)
    assert (name, steps[0]["name"]) == ("outbox", "outbox")
    assert "cannot be read: Not a directory" in text
    assert "let this user read and write" in advice


def test_an_outbox_from_which_nothing_can_be_taken_is_a_fault(patient):
    box = Outbox(patient.state)
    envelope = Envelope(sender="cron@example.test", recipients=("ops@example.test",))
    box.store("r1", Message(envelope=envelope, content=b"x", job="j", subject="s"), time.time())
    os.rmdir(os.path.join(box.directory, "tmp"))
    ((name, text, _advice),) = faults(examined(patient))
    assert (name, "cannot be written" in text) == ("outbox", True)


def test_a_sender_that_the_provider_takes_from_no_such_login_is_warned_of(monkeypatch):
    monkeypatch.setattr(mail_checks, "probe", lambda *_people: ())
    relay = endpoint.Endpoint(kind="smtps", host="smtp.gmail.com", port=465, user="me@gmail.com")
    (check,) = mail_checks.try_relay(relay, "cron@example.test", ("ops@example.test",))
    assert (check.name, check.ok) == ("sender", True)
    assert "Gmail refuses or rewrites" in check.text
    assert "set mailfrom to an address of me@gmail.com" in check.advice
    assert not list(mail_checks.try_relay(relay, "me@gmail.com", ("ops@example.test",)))


def test_init_shows_that_warning_and_goes_on(monkeypatch, capsys):
    monkeypatch.setattr(mail_checks, "probe", lambda *_people: ())
    answers = Answers(
        url="smtps://smtp.gmail.com:465",
        user="me@gmail.com",
        secret="x",
        mailto="ops@example.test",
        mailfrom="cron@example.test",
    )
    assert dialogue.check(answers) is None
    assert "Gmail refuses or rewrites a sender" in capsys.readouterr().out


# The machine ------------------------------------------------------------------------------------


class Seen:
    """A process as psutil tells of it."""

    def __init__(self, pid, name, **more):
        self.pid = pid
        defaults = {"cmdline": [name], "ppid": 1, "status": psutil.STATUS_SLEEPING, "uid": 0}
        found = {**defaults, **more}
        uids = None if found["uid"] is None else SimpleNamespace(real=found["uid"])
        self.info = {"name": name, "uids": uids, **{key: found[key] for key in ("cmdline", "ppid", "status")}}


@pytest.mark.parametrize(
    ("processes", "said"),
    [
        ([Seen(7, "cron"), Seen(8, "cron", ppid=7)], "cron (process 7) runs"),
        ([Seen(7, "busybox", cmdline=["/bin/busybox", "crond", "-f"])], "crond (process 7) runs"),
        ([Seen(7, "busybox", cmdline=["/usr/sbin/crond"])], "crond (process 7) runs"),
        ([Seen(7, "busybox", cmdline=["busybox", "sh"])], "no cron daemon runs here"),
        ([Seen(7, "cron", uid=os.geteuid() + 4711)], "no cron daemon runs here"),
        ([Seen(7, "cron", uid=None, cmdline=None)], "no cron daemon runs here"),
        ([Seen(7, "crond", status=psutil.STATUS_ZOMBIE)], "no cron daemon runs here"),
        ([], "no cron daemon runs here"),
    ],
)
def test_a_cron_daemon_is_found_among_the_processes(monkeypatch, processes, said):
    monkeypatch.setattr(cron_checks.psutil, "process_iter", lambda _attributes: processes)
    monkeypatch.setattr(cron_checks.psutil, "pids", lambda: [1])
    check = cron_checks._daemon()
    assert check.ok
    assert check.text == said
    assert bool(check.advice) == ("no cron" in said)
    with_jobs = cron_checks._daemon(wrapped=True)
    assert with_jobs.ok == ("no cron" not in said)
    assert said in with_jobs.text


@pytest.mark.parametrize("booted", [True, False])
def test_where_systemd_starts_the_jobs_no_daemon_is_missed(monkeypatch, tmp_path, booted):
    generator = tmp_path / "systemd-crontab-generator"
    generator.write_text("")
    generator.chmod(0o755)
    monkeypatch.setattr(cron_checks.psutil, "process_iter", lambda _attributes: [])
    monkeypatch.setattr(cron_checks.psutil, "pids", lambda: [1])
    monkeypatch.setattr(cron_checks, "GENERATORS", (str(generator),))
    monkeypatch.setattr(cron_checks, "SYSTEMD", str(tmp_path if booted else tmp_path / "none"))
    check = cron_checks._daemon(wrapped=True)
    assert (check.ok, "systemd starts the jobs" in check.text) == (booted, booted)


def test_where_others_processes_are_hidden_no_missing_daemon_is_claimed(monkeypatch):
    monkeypatch.setattr(cron_checks.psutil, "process_iter", lambda _attributes: [])
    monkeypatch.setattr(cron_checks.psutil, "pids", lambda: [os.getpid()])
    check = cron_checks._daemon(wrapped=True)
    assert check.ok
    assert "hidden" in check.text
    assert not check.advice


@pytest.mark.parametrize(
    ("mounts", "where", "advice"),
    [
        ([("/", "ext4"), ("STATE", "tmpfs")], " on STATE (tmpfs)", "in memory"),
        ([("/", "ext4"), ("STATE", "nfs4")], " on STATE (nfs4)", "another machine's"),
        ([("STATE", "tmpfs"), ("STATE", "xfs")], " on STATE (xfs)", ""),
        ([("/", "overlay"), ("STATExy", "tmpfs")], " on / (overlay)", ""),
        ([], "", ""),
    ],
)
def test_the_file_system_of_the_state_is_named_and_minded(monkeypatch, tmp_path, mounts, where, advice):
    state = str(tmp_path)
    found = [SimpleNamespace(mountpoint=place.replace("STATE", state), fstype=kind) for place, kind in mounts]
    monkeypatch.setattr(state_checks.psutil, "disk_partitions", lambda **_all: found)
    check = state_checks._disk(state)
    assert check.ok
    assert check.text.endswith(f"free for the state{where.replace('STATE', state)}")
    assert advice in check.advice
    assert bool(advice) == bool(check.advice)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_rights_are_not_blamed_for_what_the_disk_does(monkeypatch, tmp_path, number):
    def fails(_directory):
        raise OSError(number, os.strerror(number), str(tmp_path))

    monkeypatch.setattr(state_checks, "_try_to_write", fails)
    (check,) = state_checks.checks(str(tmp_path / "state"))
    assert not check.ok
    assert "let this user" not in check.advice
    assert "chmod" not in check.advice


def test_a_network_that_cannot_be_reached_is_one_fault(monkeypatch):
    step = Step(name="connect", ok=False, text="network is unreachable", advice=NO_NETWORK)
    monkeypatch.setattr(mail_checks, "probe", lambda *_: [step])
    relay = endpoint.parse({"url": "smtps://127.0.0.1:465"}, "relay")
    (check,) = mail_checks.try_relay(relay, "", ())
    assert check.text == "network is unreachable"


def test_a_maildir_on_a_file_system_that_is_read_only_is_not_a_matter_of_rights(monkeypatch, tmp_path):
    monkeypatch.setattr("cronwrap.relay.probe.os.access", lambda *_: False)
    monkeypatch.setattr("cronwrap.relay.probe.is_read_only", lambda _: True)
    relay = endpoint.parse({"url": f"maildir:{tmp_path}/mail"}, "relay")
    (check,) = mail_checks.try_relay(relay, "", ())
    assert not check.ok
    assert check.advice == "have its file system mounted for writing"
