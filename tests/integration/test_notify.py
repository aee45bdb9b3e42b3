"""Who is told beside the mail: targets of ``[[notify]]`` over real HTTPS, and programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import psutil
import pytest

from cronwrap.channels import connect, webhook
from cronwrap.settings.notify import parse
from support import documents, proxies
from support.cli import CRONWRAP, write_private
from support.hook import SECRET

NO_MAIL = 'mailto = ""\n'
PATTERN = "[redact]\npatterns = ['hunter\\w+']\n"


@pytest.fixture
def notify(cli):
    """Write a configuration that mails nobody and has these tables."""
    return lambda *tables, more="": cli.write_config(
        NO_MAIL + "".join(f"{table}\n" for table in tables) + more
    )


@pytest.fixture
def send(authority):
    """Make one attempt with a target: ``send(hook, timeout="1s")``."""

    def send(hook, identity="a-run.0", **keys):
        trust = (
            {} if hook.url.startswith("http:") or "fingerprint" in keys else {"ca-file": authority.ca_file}
        )
        return connect.send(parse({"url": hook.url, **trust, **keys}, "test"), identity, b'{"a": 1}')

    return send


def outbox(cli):
    return [json.loads(line) for line in cli("outbox", "--json").stdout.splitlines()]


def hook_program(cli, text, name="hook"):
    path = write_private(f"{cli.directory}/{name}", f"#!/bin/sh\n{text}\n", 0o700)
    return f'[[notify]]\nurl = "exec:{path}"\n'


def test_a_failure_is_told_as_signed_json_that_says_what_history_says(cli, notify, make_hook):
    hook = make_hook()
    secret = write_private(f"{cli.directory}/secret", SECRET + "\n")
    notify(f'{hook.table}secret-file = "{secret}"', more=PATTERN)
    ran = cli("-n", "backup", "--", "sh", "-c", "echo hunter2 said no; exit 3")
    assert (ran.status, ran.stderr) == (3, "")
    [call] = hook.calls
    assert call.signed
    assert (call.path, call.headers["content-type"]) == ("/hooks/cron", "application/json")
    assert abs(time.time() - int(call.headers["webhook-timestamp"])) < 60
    assert (call.json["type"], call.json["timestamp"]) == ("cronwrap.run", call.data["ended"])
    known = json.loads(cli("history", "--json").stdout)
    assert {key: call.data[key] for key in known} == known
    assert call.data["event"] == "failure"
    assert call.data["headline"].startswith("exit status 3 after")
    assert call.data["output"].endswith(" said no\n")
    assert "hunter2" not in call.body.decode()
    assert call.data["key"] == f"backup.{known['user']}.{known['host']}"
    assert call.data["id"] == call.headers["webhook-id"]
    assert outbox(cli) == []


def test_each_target_hears_what_it_wants_of_the_jobs_it_wants_whatever_mail_does(cli, notify, make_hook):
    quiet, all_of_backup, closing = make_hook(), make_hook(), make_hook()
    notify(
        f'{quiet.table}on = ["failure"]',
        f'{all_of_backup.table}on = ["always"]\njobs = ["back*"]',
        f'{closing.table}on = "failure,recovery"',
        more='[defaults]\non = ["never"]\n',
    )
    for job, command in (("backup", "true"), ("other", "true"), ("backup", "false"), ("backup", "true")):
        cli("-n", job, "--", command)
    assert [call.data["event"] for call in quiet.calls] == ["failure"]
    assert [call.data["event"] for call in all_of_backup.calls] == ["success", "failure", "recovery"]
    assert [call.data["event"] for call in closing.calls] == ["failure", "recovery"]
    first, second = closing.calls
    assert first.data["key"] == second.data["key"]
    assert second.data["headline"].startswith("recovered after 1 failure")


def test_what_holds_a_mail_back_holds_a_notification_back(cli, notify, make_hook):
    hook = make_hook()
    notify(f'{hook.table}on = ["failure", "recovery"]')
    options = ("-n", "job", "--after", "2", "--remind", "1d", "--on", "never", "--")
    for command in ("false", "true", "false", "false", "false", "true"):
        cli(*options, command)
    # One failure alone is told to nobody, nor is its end; the second in a row is, the third not again.
    assert [call.data["event"] for call in hook.calls] == ["failure", "recovery"]


def test_skipped_and_abandoned_runs_are_told_too(cli, notify, make_hook, wait_until):
    hook = make_hook()
    notify(f'{hook.table}on = ["failure", "skip"]')
    options = ("-n", "job", "--overlap", "skip", "--")
    running = cli.start(*options, "sleep", "30")
    wait_until(lambda: "running" in cli("history", "--json").stdout)
    assert cli(*options, "true").status == 75
    running.send_signal(signal.SIGKILL)
    running.wait()
    cli.kill_left()
    assert cli(*options, "true").status == 0
    assert [call.data["event"] for call in hook.calls] == ["skip", "failure"]
    assert hook.calls[1].data["result"] == "abandoned"
    assert hook.calls[1].data["id"].partition(".")[0].endswith("-abandoned")


def test_a_run_that_still_goes_on_is_told_once_with_what_it_said_so_far(cli, notify, make_hook, wait_until):
    hook = make_hook()
    notify(f'{hook.table}on = ["running"]')
    line = "echo so far; while [ ! -e go ]; do sleep 0.05; done"
    process = cli.start("-n", "job", "--still-running", "0.2s", "--", "sh", "-c", line)
    wait_until(lambda: hook.calls)
    assert process.poll() is None
    write_private(f"{cli.home}/go", "")
    assert process.wait() == 0
    [call] = hook.calls
    assert (call.data["event"], call.data["result"], call.data["ended"]) == ("running", "running", None)
    assert call.data["output"] == "so far\n"
    assert call.data["id"].partition(".")[0].endswith("-running")


def test_a_crontabs_line_that_cannot_be_understood_is_told(cli, notify, make_hook):
    hook = make_hook()
    notify(hook.table)
    assert cli("--timeuot", "2h", "-n", "job", "--", "true").status == 2
    [call] = hook.calls
    assert (call.data["job"], call.data["event"], call.data["result"]) == ("job", "failure", "not-started")
    assert "--timeuot" in call.data["headline"]


# What a server may do ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 410])
def test_other_answers_are_final(send, make_hook, status):
    answer = send(make_hook((status, {}, b"no\x1b[31m such hook")))
    assert answer.final
    assert not answer.taken
    assert f"answered {status}" in answer.words
    assert answer.words.endswith("no [31m such hook")


@pytest.mark.parametrize("status", [429, 500])
def test_answers_that_may_pass_are_tried_again(send, make_hook, status):
    answer = send(make_hook(status))
    assert (answer.final, answer.taken) == (False, False)


def test_a_redirect_is_not_followed(send, make_hook):
    elsewhere = make_hook()
    answer = send(make_hook((301, {"Location": elsewhere.url}, b"")))
    assert answer.final
    assert "no redirect is followed" in answer.words
    assert elsewhere.calls == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("drop", "hung up without an answer"),
        ("hang", "no answer within 0.5 s"),
        ("drip", "no answer within 0.5 s"),
        ("garbage", "its answer is no http"),
        ("endless", "answer"),
    ],
)
def test_whatever_a_server_does_an_attempt_ends_and_may_be_repeated(send, make_hook, fault, words):
    began = time.monotonic()
    answer = send(make_hook(fault), timeout="0.5s")
    assert time.monotonic() - began < 5
    assert words in answer.words.lower()
    assert (answer.final, answer.taken, answer.target_fault) == (False, False, True)


def test_of_a_huge_answer_the_beginning_is_read(send, make_hook):
    answer = send(make_hook("huge"))
    assert len(answer.words) < 1000
    assert not answer.final


def test_a_server_that_is_not_the_right_one_is_told_nothing(send, make_hook, authority):
    other = make_hook(certificate=authority.certificate("other.example.test"))
    answer = send(other)
    assert "is not for localhost" in answer.words
    assert "sha256:" in answer.words
    own = authority.certificate("other.example.test")
    pinned = make_hook(certificate=own)
    assert send(pinned, fingerprint=own.fingerprint).taken
    assert "not the pinned one" in send(other, fingerprint=own.fingerprint).words
    assert len(pinned.calls) == 1
    assert other.calls == []


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1%lo",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "0.0.0.0",
        "100.100.100.200",
        "fd00:ec2::254",
        "2002:a9fe:a9fe::1",
        "::",
        "224.0.0.1",
    ],
)
def test_nothing_is_sent_to_what_is_this_networks_own_business(address):
    assert webhook.forbidden(address)


def test_a_webhook_is_reached_through_a_proxy(send, make_hook):
    hook = make_hook()
    with proxies.Proxy("http") as proxy:
        assert send(hook, proxy=f"http://localhost:{proxy.port}").taken
        assert proxy.asked == [("localhost", hook.port)]
        assert b"webhook-id" not in proxy.carried
        answer = send(hook, proxy=f"http://localhost:{proxy.port}", url="https://169.254.169.254/latest")
        assert "169.254.169.254" in answer.words
        assert len(proxy.asked) == 1


def test_a_name_that_leads_to_a_link_local_address_is_refused_by_the_address(send, make_hook, monkeypatch):
    hook = make_hook()
    monkeypatch.setattr(webhook.dial, "resolve", lambda *_: [(2, ("169.254.169.254", 443))])
    answer = send(hook)
    assert "169.254.169.254" in answer.words
    assert (answer.final, answer.taken) == (False, False)


def test_retry_after_is_kept_to_by_every_run(cli, notify, make_hook):
    hook = make_hook((429, {"Retry-After": "3600"}, b""), 204)
    notify(hook.table)
    assert "a notification is kept:" in cli("-n", "one", "--", "false").stderr
    cli("-n", "two", "--", "false")
    assert len(hook.calls) == 1
    first, second = outbox(cli)
    assert (first["attempts"], second["attempts"]) == (1, 0)
    assert cli("outbox", "flush").status == 0
    assert [call.data["job"] for call in hook.calls] == ["one", "one", "two"]


# On its way ----------------------------------------------------------------------------------------


def test_an_attempt_is_repeated_under_the_same_id_and_in_order(cli, notify, make_hook):
    hook = make_hook(500, 500, 204)
    notify(f'{hook.table}on = ["failure", "recovery"]')
    cli("-n", "job", "--", "false")
    cli("-n", "job", "--", "true")
    waiting = outbox(cli)
    assert [item["to"] for item in waiting] == [[hook.url], [hook.url]]
    assert "answered 500" in waiting[0]["last_error"]
    assert cli("outbox").stdout.count("due once what the job had to say before has gone") == 1
    assert {call.data["event"] for call in hook.calls} == {"failure"}
    cli("outbox", "flush")
    cli("outbox", "flush")
    events = [call.data["event"] for call in hook.calls]
    assert events == sorted(events)
    assert events[-1] == "recovery"
    assert len({call.headers["webhook-id"] for call in hook.calls}) == 2
    assert outbox(cli) == []


def test_what_is_refused_for_good_is_named_until_somebody_deals_with_it(cli, make_hook, relay):
    hook = make_hook(410)
    cli.write_config(f'mailto = "a@example.test"\n{relay.table}\n{hook.table}')
    ran = cli("-n", "job", "--", "false")
    assert "a notification failed:" in ran.stderr
    [failed] = outbox(cli)
    assert (failed["state"], failed["to"]) == ("failed", [hook.url])
    assert hook.url in cli("status").stdout
    assert hook.url in cli("doctor").stdout
    cli("-n", "job", "--", "false")
    assert hook.url in relay.messages[-1].content.decode()
    assert json.loads(cli("outbox", "show", "--raw", failed["id"]).stdout)["data"]["job"] == "job"
    assert '"headline"' in cli("outbox", "show", failed["id"]).stdout
    hook.answers = [204]
    assert cli("outbox", "retry", "--all").status == 0
    assert outbox(cli) == []


def test_a_hook_that_hangs_holds_up_neither_mail_nor_another_hook(cli, make_hook, relay, wait_until):
    hanging, other = make_hook("hang"), make_hook()
    tables = f'{hanging.table}timeout = "20s"\n{other.table}'
    cli.write_config(f'mailto = "a@example.test"\n{relay.table}\n{tables}')
    run = cli.start("-n", "job", "--", "false", stderr=subprocess.DEVNULL)
    wait_until(lambda: relay.messages and other.calls and hanging.calls, timeout=15)
    assert run.poll() is None
    run.send_signal(signal.SIGTERM)
    assert run.wait() == 1
    [kept] = outbox(cli)
    assert kept["state"] == "queued"


def test_a_relay_that_hangs_holds_up_no_hook(cli, make_hook, make_misbehaving, wait_until):
    hook, relay = make_hook(), make_misbehaving("banner", "hang")
    table = f'[[relay]]\nurl = "{relay.url}"\nca-file = "{relay.authority.ca_file}"\n'
    cli.write_config(f'mailto = "a@example.test"\n{table}\n{hook.table}')
    run = cli.start("-n", "job", "--", "false", stderr=subprocess.DEVNULL)
    wait_until(lambda: hook.calls, timeout=15)
    assert run.poll() is None
    run.send_signal(signal.SIGTERM)
    assert run.wait() == 1
    assert [item["to"] for item in outbox(cli)] == [["a@example.test"]]


def test_what_was_not_taken_is_waited_for_though_there_is_no_relay(cli, notify, make_hook, wait_until):
    notify(make_hook("drop", 204).table)
    cli("-n", "job", "--", "false", CRONWRAP_DELIVERY_BACKGROUND="true")
    wait_until(lambda: any("cronwrap.outbox.waiter" in process.cmdline() for process in cli.processes()))


def test_what_was_for_a_target_that_has_gone_waits_for_it_to_come_back(cli, notify, make_hook):
    hook = make_hook(503)
    notify(hook.table)
    cli("-n", "job", "--", "false")
    notify()
    assert cli("outbox", "flush").status == 1
    assert "no [[notify]]" in outbox(cli)[0]["last_error"]
    notify(hook.table)
    hook.answers = [204]
    assert cli("outbox", "flush").status == 0


def test_an_outbox_that_cannot_be_written_is_no_reason_not_to_tell(cli, notify, make_hook):
    hook = make_hook()
    notify(hook.table)
    os.makedirs(f"{cli.state}", mode=0o700)
    write_private(f"{cli.state}/outbox", "in the way")
    assert cli("-n", "job", "--", "false").status == 1
    assert [call.data["event"] for call in hook.calls] == ["failure"]


def test_a_quiet_run_tells_nobody_and_keeps_nothing(cli, notify, make_hook):
    hook = make_hook()
    notify(f'{hook.table}on = ["failure", "recovery"]')
    assert cli("-n", "job", "--", "true").status == 0
    assert hook.calls == []
    assert not os.path.exists(f"{cli.state}/outbox")


# Programs ------------------------------------------------------------------------------------------


def test_a_program_gets_the_same_on_standard_input_and_a_small_environment(cli, notify):
    notify(hook_program(cli, f"cat > {cli.directory}/got; env > {cli.directory}/env"))
    cli("-n", "job", "--", "false", AWS_SECRET_ACCESS_KEY="x", CRONWRAP_RELAY_PASSWORD="y")
    with open(f"{cli.directory}/got", encoding="utf-8") as file:
        told = json.load(file)
    assert (told["type"], told["data"]["event"]) == ("cronwrap.run", "failure")
    with open(f"{cli.directory}/env", encoding="utf-8") as file:
        environment = dict(line.rstrip("\n").split("=", 1) for line in file)
    assert environment["CRONWRAP_NOTIFY_ID"] == told["data"]["id"]
    assert {"AWS_SECRET_ACCESS_KEY", "CRONWRAP_RELAY_PASSWORD", "CRONWRAP_STATE_DIR"}.isdisjoint(environment)


def test_a_program_that_runs_cronwrap_is_not_called_for_that_again(cli, notify):
    again = f"CRONWRAP_STATE_DIR={cli.state} CRONWRAP_CONFIG={cli.config} {CRONWRAP} -n hook -- false"
    notify(hook_program(cli, f"echo called >> {cli.directory}/calls; {again}; exit 0"))
    cli("-n", "job", "--", "false")
    with open(f"{cli.directory}/calls", encoding="utf-8") as file:
        assert file.read() == "called\n"


@pytest.mark.parametrize(("status", "state"), [(75, "queued"), (7, "queued"), (65, "failed")])
def test_a_programs_exit_status_decides(cli, notify, status, state):
    notify(hook_program(cli, f"echo hunter2 is wrong >&2; exit {status}"), more=PATTERN)
    cli("-n", "job", "--", "false")
    [item] = outbox(cli)
    assert item["state"] == state
    assert f"ended with status {status}" in item["last_error"]
    assert "is wrong" in item["last_error"]
    assert "hunter2" not in item["last_error"]


def test_a_program_that_does_not_end_is_ended_with_all_it_started(cli, notify, wait_until):
    table = hook_program(cli, f"setsid sh -c 'echo $$ > {cli.directory}/pid; exec sleep 60' & sleep 60")
    notify(f'{table}timeout = "0.5s"')
    assert "did not end within 0.5 s" in cli("-n", "job", "--", "false").stderr
    with open(f"{cli.directory}/pid", encoding="utf-8") as file:
        pid = int(file.read())
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_a_program_that_others_can_change_is_not_run(cli, notify):
    notify(hook_program(cli, f"touch {cli.directory}/ran"))
    os.chmod(f"{cli.directory}/hook", 0o777)
    cli("-n", "job", "--", "false")
    assert not os.path.exists(f"{cli.directory}/ran")
    assert "can be written by other users" in outbox(cli)[0]["last_error"]


def test_apprise_that_is_not_there_says_how_to_have_it_and_keeps_what_it_is_told(cli, notify):
    notify('[[notify]]\nurl = "ntfy://topic-nobody-may-know"')
    stderr = cli("-n", "job", "--", "false").stderr
    assert "pip install 'cronwrap[notify]'" in stderr
    [item] = outbox(cli)
    assert (item["state"], item["to"]) == ("queued", ["ntfy://…"])
    assert "topic-nobody" not in json.dumps(item) + stderr + cli("config", "show").stdout


# The cookbook's programs ---------------------------------------------------------------------------


def cookbook(cli, name, **instead):
    """Write a program as the cookbook has it, with other addresses and files."""
    text = documents.read("docs/cookbook.md").partition(f"cat > {name} <<'END'\n")[2].partition("END\n")[0]
    for old, new in instead.items():
        text = "\n".join(
            f"{old} = {new!r}" if line.startswith(f"{old} = ") else line for line in text.split("\n")
        )
    path = write_private(f"{cli.directory}/{name}", text, 0o700)
    return f'[[notify]]\nurl = "exec:{path}"\non = ["failure", "recovery"]\n'


def test_pagerdutys_incident_and_alertmanagers_alert_are_opened_and_closed_by_the_job(cli, notify, make_hook):
    pager, alerts = make_hook(202, tls=False), make_hook(200, tls=False)
    key = write_private(f"{cli.directory}/key", "routing\n")
    notify(
        cookbook(cli, "notify-pagerduty", URL=pager.url, KEY_FILE=key),
        cookbook(cli, "notify-alertmanager", URL=alerts.url),
    )
    cli("-n", "job", "--", "false")
    cli("-n", "job", "--", "true")
    opened, closed = (call.json for call in pager.calls)
    assert (opened["event_action"], closed["event_action"]) == ("trigger", "resolve")
    assert opened["dedup_key"] == closed["dedup_key"]
    assert opened["routing_key"] == "routing"
    [[started], [ended]] = (call.json for call in alerts.calls)
    assert started["labels"] == ended["labels"]
    assert started["endsAt"] > ended["endsAt"]
    pager.answers = [400]
    cli("-n", "job", "--", "false")
    assert [item["state"] for item in outbox(cli)] == ["failed"]


def test_uptime_kuma_hears_of_each_run(cli, notify, make_hook):
    kuma = make_hook(200, tls=False)
    token = write_private(f"{cli.directory}/token", "t0ken\n")
    table = cookbook(cli, "notify-kuma", URL=f"{kuma.url}/", TOKEN_FILE=token)
    notify(table.replace('["failure", "recovery"]', '["always"]'))
    cli("-n", "backup", "--", "true")
    cli("-n", "backup", "--", "false")
    up, down = (call.path for call in kuma.calls)
    assert up.startswith("/hooks/cron/t0ken?status=up&msg=ok+after")
    assert down.startswith("/hooks/cron/t0ken?status=down&msg=exit+status+1+after")


# By hand -------------------------------------------------------------------------------------------


def test_doctor_looks_at_each_target_and_tells_it_on_request(cli, notify, make_hook):
    hook = make_hook()
    notify(hook.table, '[[notify]]\nurl = "exec:/nowhere/hook"')
    looked = [json.loads(line) for line in cli("doctor", "--json").stdout.splitlines()]
    found = {step["text"].partition(" ")[0]: step["ok"] for step in looked if step["name"] == "notify"}
    assert found == {hook.url: True, "exec:/nowhere/hook": False}
    assert hook.calls == []
    cli("doctor", "--send")
    [call] = hook.calls
    assert call.json["type"] == "cronwrap.test"


def test_config_check_names_what_is_wrong_with_a_target(cli, notify):
    open_file = write_private(f"{cli.directory}/secret", SECRET, 0o644)
    notify(
        f'[[notify]]\nurl = "https://hooks.example.com/cron"\nsecret-file = "{open_file}"',
        '[[notify]]\nurl = "http://hooks.example.com/cron"',
        '[[notify]]\nurl = "https://hooks.example.com/"\non = ["failures"]',
        '[[notify]]\nurl = "exec:/bin/true"\nproxy = "http://proxy:1"',
    )
    told = cli("config", "check").stdout
    assert f"chmod 600 {open_file}" in told
    assert "notify 2: url leads off this host" in told
    assert "notify 3: on 'failures' is not an event" in told
    assert "notify 4: proxy has no use with exec:" in told
