"""``cronwrap config show|check|import`` as programs, and settings on the way of a job."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tomllib

import pytest

from support.mailer_files import CASES, CORPUS, main_file
from support.relay import PASSWORD


def values(cli, *words, **env):
    result = cli("config", "show", "--json", *words, **env)
    assert result.status == 0, result
    return {one["key"]: (one["value"], one["source"]) for one in map(json.loads, result.stdout.splitlines())}


# show -------------------------------------------------------------------------------------------


def test_show_names_each_value_with_its_source_and_hides_the_password(cli, relay):
    cli.write_config(f'mailto = "ops@x"\n{relay.table}[defaults]\ntimeout = "90m"\n')
    found = values(cli, CRONWRAP_NICE="5")
    assert found["mailto"] == ("ops@x", cli.config)
    assert found["timeout"] == ("1h30m", f"{cli.config} [defaults]")
    assert found["nice"] == (5, "CRONWRAP_NICE")
    assert found["on"] == (["failure", "output"], None)
    assert found["relay 1 password"] == ("(hidden)", f"{cli.config}: relay 1")
    for words in ((), ("--json",)):
        result = cli("config", "show", *words)
        assert PASSWORD not in result.stdout + result.stderr
        assert relay.url in result.stdout


def test_show_of_a_job_has_the_settings_of_that_job(cli):
    cli.write_config("[defaults]\nnice = 1\n[jobs.nightly]\nnice = 2\n")
    assert values(cli)["nice"][0] == 1
    assert values(cli, "--job", "nightly")["nice"] == (2, f"{cli.config} [jobs.nightly]")
    other = cli.write_config("[jobs.nightly]\nnice = 3\n")
    words = ("config", "show", "--json", "--job", "nightly")
    result = cli("--config", other, *words, CRONWRAP_CONFIG="/nonexistent")
    assert result.status == 0
    assert '"nice", "value": 3' in result.stdout


def test_show_tells_faults_on_standard_error_and_goes_on(cli):
    cli.write_config("[defaults]\nnice = true\nretries = 2\n")
    result = cli("config", "show")
    assert result.status == 0
    assert "defaults.nice: true is not a whole number" in result.stderr
    assert "retries" in result.stdout


def test_show_lines_stand_below_each_other(cli):
    lines = cli("config", "show").stdout.splitlines()
    at = lines[0].index("VALUE")
    assert all(line[at - 1] == " " != line[at] for line in lines)


# check ------------------------------------------------------------------------------------------


def test_check_of_a_sound_file_says_so_and_exits_0(cli, relay):
    cli.write_config(f'mailto = "ops@x"\n{relay.table}')
    result = cli("config", "check")
    assert (result.status, result.stdout) == (0, f"{cli.config}: no faults\n")


def test_check_lists_each_fault_on_a_line_and_exits_1(cli):
    cli.write_config('mailto = 5\n[[relay]]\nurl = "x"\n[jobs.a]\nzzz = 1\n')
    result = cli("config", "check", CRONWRAP_RETRIES="many")
    assert result.status == 1
    assert len(result.stdout.splitlines()) == 4
    assert result.stderr == ""


@pytest.mark.parametrize(("how", "status"), [("run", 3), ("elect", 3), ("skip", 75)])
def test_a_run_that_asks_for_a_fleet_where_there_is_none_is_told_as_a_fault(cli, how, status):
    done = cli("--once", "--unreachable", how, "--on", "never", "-c", "exit 3")
    assert done.status == status
    assert done.stderr.startswith("cronwrap: --once and --scope fleet need a fleet, and none is configured")


def test_check_looks_into_the_files_that_relays_name(cli, config):
    secret = config("", "secret")
    trust = config("no certificate", "ca.pem")
    table = f'[[relay]]\nurl = "smtps://a"\nuser = "u"\npassword-file = "{secret}"\nca-file = "{trust}"\n'
    cli.write_config(table)
    lines = cli("config", "check").stdout.splitlines()
    assert len(lines) == 2
    assert "is empty" in lines[0]
    assert "holds no certificate" in lines[1]


def test_check_runs_no_password_command(cli):
    mark = os.path.join(cli.directory, "mark")
    table = f'[[relay]]\nurl = "smtps://a"\nuser = "u"\npassword-command = "touch {mark}; echo x"\n'
    cli.write_config(table)
    assert cli("config", "check").status == 0
    assert not os.path.exists(mark)


def test_check_of_another_file_looks_at_that_one_alone(cli, config):
    cli.write_config("nonsense")
    sound, broken = config("", "sound.toml"), config("nonsense", "broken.toml")
    assert cli("config", "check", sound).status == 0
    assert cli("config", "check", broken).stdout.startswith(f"{broken}: ")
    assert cli("config", "check", "/nonexistent.toml").status == 1


# import -----------------------------------------------------------------------------------------


def source_of(case):
    return os.path.join(CORPUS, case, main_file(case))


@pytest.mark.parametrize("case", CASES)
def test_what_is_imported_is_written_closed_to_others_and_has_no_faults(cli, case):
    target = os.path.join(cli.directory, "new", "config.toml")
    result = cli("config", "import", source_of(case), "-o", target)
    assert result.status == 0, result
    directory = os.path.dirname(target)
    for name in os.listdir(directory):
        assert stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode) == 0o600
    expected = os.path.join(CORPUS, case, "expected")
    for name in [name for name in os.listdir(expected) if name.startswith("password")]:
        secret = content_of(directory, name)
        assert secret == content_of(expected, name)
        assert secret.strip() not in result.err
    # Files that were there on the machine the settings come from.
    faults = [line for line in cli("config", "check", target).stdout.splitlines() if "no faults" not in line]
    assert all("No such file" in fault for fault in faults), faults


def content_of(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def test_import_prints_the_configuration_and_neither_writes_nor_shows_a_password(cli):
    result = cli("config", "import", source_of("heirloom-qq"))
    with open(os.path.join(CORPUS, "heirloom-qq", "expected", "password"), encoding="utf-8") as file:
        assert file.read().strip() not in result.stdout + result.stderr
    table = tomllib.loads(result.stdout)
    assert table["relay"][0]["password-file"] == os.path.join(cli.directory, "password")
    assert "--write puts it into" in result.stderr
    assert not os.path.exists(os.path.join(cli.directory, "password"))


def test_import_writes_to_where_the_next_run_reads_and_says_each_remark_with_its_line(cli):
    os.unlink(cli.config)
    source = source_of("heirloom-qq")
    result = cli("config", "import", source, "--write")
    assert result.status == 0
    assert f"{source}:27: the server's certificate was not verified" in result.stderr
    assert "relay 1 url" in cli("config", "show").stdout


def test_import_replaces_nothing_unless_told_and_then_keeps_a_backup(cli):
    cli.write_config('mailto = "old@x"\n')
    refused = cli("config", "import", source_of("heirloom-qq"), "--write")
    assert refused.status == 1
    assert "is there already" in refused.stderr
    assert cli("config", "import", source_of("heirloom-qq"), "--write", "--yes").status == 0
    with open(cli.config + "~", encoding="utf-8") as file:
        assert "old@x" in file.read()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("/nonexistent/mail.rc",), "no such file"),
        (("/",), "Is a directory"),
        (("/dev/null",), "looks like an empty file"),
        (("/dev/null", "--kind", "msmtprc", "-o", "x", "--write"), "exclude each other"),
        (("/dev/null", "--kind", "msmtprc", "-o", "/dev/null/x"), "cannot be written"),
    ],
)
def test_an_import_that_cannot_be_is_told_in_one_line(cli, words, said):
    result = cli("config", "import", *words)
    assert result.status == 1
    assert said in result.stderr.splitlines()[-1]


def test_import_reads_standard_input_when_told_its_kind(cli):
    text = (
        b"account default\nhost mail.example.test\nport 465\ntls on\ntls_starttls off\nfrom a@example.test\n"
    )
    result = cli("config", "import", "-", "--kind", "msmtprc", stdin=text)
    assert result.status == 0, result
    assert tomllib.loads(result.stdout)["relay"][0]["url"] == "smtps://mail.example.test:465"


# On the way of a job ----------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["nonsense", '[defaults]\nnice = "fast"\n', None])
def test_a_file_that_cannot_be_used_never_stops_a_job_and_its_fault_is_told_and_mailed(cli, relay, content):
    if content is None:
        os.unlink(cli.config)
    else:
        cli.write_config(content)
    cli.env |= relay.environment | {"MAILTO": "ops@example.test"}
    result = cli("--", "sh", "-c", "echo ran; exit 7")
    assert result.status == 7
    assert cli.config in result.stderr
    (mail,) = relay.messages
    assert "ran" in mail.body
    assert cli.config in mail.body


def test_a_fifo_in_the_place_of_the_file_does_not_hold_a_job_up(cli):
    os.unlink(cli.config)
    os.mkfifo(cli.config)
    result = cli("--", "true", timeout=20)
    assert result.status == 0
    assert "not a regular file" in result.stderr


def test_a_relative_path_still_leads_to_the_relay_when_the_report_is_sent(cli, relay):
    cli.write_config(f'mailto = "ops@example.test"\n{relay.table}')
    name = os.path.relpath(cli.config, cli.home)
    result = cli("--config", name, "--", "false", CRONWRAP_CONFIG="")
    assert (result.status, result.stderr) == (1, "")
    assert len(relay.messages) == 1


def test_a_broken_relay_of_the_environment_is_told_and_the_report_is_kept(cli):
    relay = "smpts://u:hunter2@mail.example.test"
    result = cli("--", "false", CRONWRAP_RELAY=relay, MAILTO="ops@example.test")
    assert result.status == 1
    assert "CRONWRAP_RELAY" in result.stderr
    assert "kept" in result.stderr
    assert "hunter2" not in result.stderr
    assert len(os.listdir(os.path.join(cli.state, "outbox", "queue"))) == 1


@pytest.mark.parametrize("group", ["config", "crontab"])
def test_a_group_without_a_subcommand_shows_its_help_as_it_is(cli, group):
    result = cli(group)
    assert (result.status, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Usage: cronwrap {group} [OPTIONS] COMMAND")
    assert "see: cronwrap" not in result.stderr


@pytest.mark.parametrize("words", [("config", "show"), ("outbox",), ("history",), ("doctor", "--json")])
def test_a_full_disk_behind_standard_output_is_told_in_one_line(cli, words):
    with open("/dev/full", "wb") as full:
        process = cli.start(*words, stdout=full, stderr=subprocess.PIPE)
        _out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (
        1,
        b"cronwrap: the output cannot be written: No space left on device\n",
    )
