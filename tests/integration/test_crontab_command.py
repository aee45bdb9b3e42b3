"""cronwrap crontab as it is called: files, standard input, one's own crontab, the history."""

import builtins
import os
import stat
import time
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from cronwrap.commands import SUBCOMMANDS
from cronwrap.commands.crontab import command
from cronwrap.crontab import dialect as crontab_dialect
from cronwrap.crontab import store as crontab_store
from cronwrap.crontab.store import File
from cronwrap.errors import CronwrapError, UsageError
from cronwrap.history import journal
from support.crontab_program import put_crontab_program

PLAIN = b"# table\n0 3 * * *\ttool\n@daily a | b\n"
WRAPPED = b"# table\n0 3 * * *\tcronwrap -- tool\n@daily cronwrap -c 'a | b'\n"


@pytest.fixture
def state(tmp_path):
    return str(tmp_path / "state")


@pytest.fixture
def run(state):
    def call(*words, given=b""):
        settings = SimpleNamespace(settings=lambda: SimpleNamespace(state_dir=state))
        return CliRunner().invoke(command, words, input=given, obj=settings)

    return call


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "table"
    path.write_bytes(PLAIN)
    return path


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Somebody's own crontab, kept by a crontab program."""
    directory = tmp_path / "bin"
    table = tmp_path / "spool"
    put_crontab_program(directory, table)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    return table


def test_wrap_writes_to_standard_output_and_leaves_the_file(run, file):
    done = run("wrap", str(file))
    assert (done.exit_code, done.stdout_bytes) == (0, WRAPPED)
    assert "2 jobs wrapped, 0 left" in done.stderr
    assert file.read_bytes() == PLAIN


def test_unwrap_gives_back_what_wrap_made_of_it(run):
    octets = PLAIN + b"@daily \xff\xfe 'x\x01' ; y%z\r\n\n  # end"
    wrapped = run("wrap", "-", given=octets)
    assert wrapped.stdout_bytes != octets
    assert run("unwrap", "-", given=wrapped.stdout_bytes).stdout_bytes == octets


def test_what_is_left_is_said_on_standard_error(run):
    done = run("wrap", "-", given=b"SHELL=/usr/bin/fish\n@daily a\n")
    assert "-:2: left as it is: SHELL=/usr/bin/fish" in done.stderr


def test_options_that_are_lost_are_said(run):
    done = run("unwrap", "-", given=b"@daily cronwrap --timeout 2h -- a\n")
    assert done.stdout_bytes == b"@daily a\n"
    assert "options dropped: --timeout 2h" in done.stderr


def test_a_program_that_the_jobs_would_not_find_is_warned_of(run, file):
    done = run("wrap", "--prefix", "/nowhere/cronwrap", str(file))
    assert "warning: /nowhere/cronwrap is not on the PATH" in done.stderr


def test_in_place_keeps_mode_and_owner_and_a_backup(run, file):
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 12, 34)
    before = file.stat()
    assert run("wrap", "--in-place", str(file)).exit_code == 0
    for path, content in ((file, WRAPPED), (file.with_name("table~"), PLAIN)):
        assert path.read_bytes() == content
        now = path.stat()
        assert (now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode)) == (before.st_uid, before.st_gid, 0o640)
    assert sorted(os.listdir(file.parent)) == ["table", "table~"]


def test_in_place_writes_nothing_when_nothing_changes(run, file):
    run("wrap", "--in-place", str(file))
    before = file.stat()
    file.with_name("table~").unlink()
    assert run("wrap", "--in-place", str(file)).exit_code == 0
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not file.with_name("table~").exists()


def test_in_place_follows_a_link(run, file, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(file)
    run("wrap", "--in-place", str(link))
    assert link.is_symlink()
    assert file.read_bytes() == WRAPPED


def test_a_file_that_changed_in_the_meantime_is_not_written(file):
    store = File(str(file))
    old = store.read()
    file.write_bytes(b"changed\n")
    with pytest.raises(CronwrapError, match="changed in the meantime"):
        store.replace(old, WRAPPED)
    assert file.read_bytes() == b"changed\n"


def test_a_full_disk_leaves_the_file_as_it_was(file, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(crontab_store.os, "fsync", full)
    with pytest.raises(CronwrapError, match="No space left"):
        File(str(file)).replace(PLAIN, WRAPPED)
    assert file.read_bytes() == PLAIN
    assert os.listdir(file.parent) == ["table"]


def test_a_file_that_is_not_there_is_said_so(run, tmp_path):
    done = run("lint", str(tmp_path / "none"))
    assert isinstance(done.exception, CronwrapError)
    assert "No such file" in str(done.exception)


def test_a_device_is_no_crontab():
    with pytest.raises(CronwrapError, match="not a regular file"):
        File("/dev/zero").read()


@pytest.mark.parametrize(
    "words",
    [("wrap", "--in-place"), ("wrap", "--system"), ("wrap", "--prefix", "tool"), ("lint", "--system")],
)
@pytest.mark.usefixtures("own")
def test_what_makes_no_sense_is_a_usage_error(run, words):
    assert isinstance(run(*words).exception, UsageError)


def test_ones_own_crontab_is_shown_and_installed(run, own):
    own.write_bytes(PLAIN)
    done = run("wrap", "--yes", "--prefix", "cronwrap --quiet")
    assert done.exit_code == 0
    assert "\n-0 3 * * *\ttool\n-@daily a | b\n+0 3 * * *\tcronwrap --quiet -- tool\n" in done.stdout
    assert b"cronwrap --quiet -c 'a | b'" in own.read_bytes()
    assert run("unwrap", "--yes").exit_code == 0
    assert own.read_bytes() == PLAIN


def test_ones_own_crontab_gets_a_path_when_cron_would_not_find_the_name(run, own, tmp_path, monkeypatch):
    own.write_bytes(b"@daily tool\n")
    program = tmp_path / "cronwrap"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(program), "crontab", "wrap"])
    monkeypatch.setattr("cronwrap.crontab.here.CRON_PATH", str(tmp_path / "bin"))  # this host may have one
    run("wrap", "--yes")
    assert own.read_text() == f"@daily {program} -- tool\n"
    own.write_text(f"PATH={tmp_path}\n@daily tool\n")
    run("wrap", "--yes")
    assert own.read_text() == f"PATH={tmp_path}\n@daily cronwrap -- tool\n"


@pytest.mark.parametrize(("answer", "expected"), [(b"y\n", WRAPPED), (b"n\n", PLAIN), (b"\n", PLAIN)])
def test_on_a_terminal_a_yes_is_asked_for(cli, own, answer, expected):
    own.write_bytes(PLAIN)
    words = ("crontab", "wrap", "--prefix", "cronwrap")
    terminal = cli.terminal(*words, env={"PATH": f"{own.parent}/bin:/usr/bin:/bin"})
    assert b"+0 3 * * *\tcronwrap -- tool" in terminal.read_until(b"Install this crontab?")
    terminal.write(answer)
    assert terminal.wait() == (0 if expected == WRAPPED else 1)
    assert own.read_bytes() == expected


def test_without_a_terminal_nothing_is_installed_unasked(run, own):
    own.write_bytes(PLAIN)
    done = run("wrap", given=b"y\n")
    assert "--yes" in str(done.exception)
    assert own.read_bytes() == PLAIN


def test_ones_own_crontab_may_be_missing(run, own):
    assert run("wrap", "--yes").exit_code == 0
    assert not own.exists()
    assert run("lint").stdout == ""


def test_a_crontab_that_is_refused_is_said_so(run, own):
    own.write_bytes(b"@daily refused\n")
    done = run("wrap", "--yes")
    assert "bad command" in str(done.exception)
    assert own.read_bytes() == b"@daily refused\n"


@pytest.mark.parametrize("table", [b"0 3 * * *\ttool\r\n@daily a \\r\n", b"@daily a \\r\n", b"a\rb\r\r\n"])
def test_a_crontab_is_read_to_the_octet_where_its_listing_writes_out_what_ends_a_line(own, table):
    """As Debian's does; an editor gets the octets themselves."""
    put_crontab_program(own.parent / "bin", own, writes_out_cr=True)
    own.write_bytes(table)
    assert crontab_store.Own().read() == table
    crontab_store.Own().replace(table, table + b"# more\r\n")
    assert own.read_bytes() == table + b"# more\r\n"
    assert sorted(os.listdir(own.parent / "bin")) == ["crontab"]


def test_ones_own_crontab_that_changed_is_not_installed(own):
    own.write_bytes(b"changed\n")
    with pytest.raises(CronwrapError, match="changed in the meantime"):
        crontab_store.Own().replace(PLAIN, WRAPPED)
    assert own.read_bytes() == b"changed\n"


def test_a_host_without_crontab_is_said_so(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no crontab program" in str(run("lint").exception)


def test_lint_tells_file_line_and_severity_and_exits_1(run, file):
    file.write_bytes(b"@daily true\n61 * * * * true\n")
    done = run("lint", str(file))
    assert done.exit_code == 1
    assert f"{file}:2: error: minute 61 is out of range" in done.stdout


def test_lint_exits_0_when_there_are_notes_at_most(run):
    done = run("lint", "-", given=b"@daily true\n")
    assert (done.exit_code, done.stdout.count("note:")) == (0, 1)


def test_lint_asks_the_host_for_users_and_programs(run):
    done = run(
        "lint",
        "--system",
        "-",
        given=b"@daily root sh -c :\n@daily no-such-user sh\n@daily root no-such-tool\n",
    )
    assert ":1: note" in done.stdout
    assert ":2: error: no user 'no-such-user'" in done.stdout
    assert ":3: warning: no program 'no-such-tool'" in done.stdout


def test_a_place_known_to_cron_needs_no_system_option(monkeypatch, run, file):
    monkeypatch.setattr("cronwrap.crontab.lines.SYSTEM_PATHS", ("/etc/crontab", f"{file.parent}/"))
    file.write_bytes(b"@daily root tool\n")
    assert run("wrap", str(file)).stdout == "@daily root cronwrap -- tool\n"


@pytest.fixture
def record(state):
    """Write runs into the history: ``record(job=[start, ...])``."""

    def write(**jobs):
        who = {"command": "tool", "host": "here", "user": "me"}
        for job, starts in jobs.items():
            for start in starts:
                run = f"{job}-{start:.0f}"
                entry = journal.begin(state, {**who, "run": run, "job": job, "started": start})
                entry.finish({"ended": start, "duration": 0.0, "result": "ok", "mailed": False}, None)

    return write


EVERY_HOUR = b"0 * * * * cronwrap -n hourly -- tool\n"


def test_audit_names_what_did_not_run_and_exits_1(run, record):
    now = time.time()
    record(hourly=[now - 40 * 3600], other=[now - 50 * 3600])
    done = run("audit", "-", given=EVERY_HOUR)
    assert done.exit_code == 1
    assert done.stdout.startswith("-:1: hourly did not run: due ")
    assert "more; last run" in done.stdout


def test_audit_is_silent_when_all_ran(run, record):
    now = time.time()
    hour = now - now % 3600
    record(hourly=[hour - 3600 * ago + 1 for ago in range(26)])
    done = run("audit", "-", given=EVERY_HOUR)
    assert (done.exit_code, done.output) == (0, "")


def test_audit_does_not_expect_a_job_before_it_was_first_seen(run, record):
    now = time.time()
    hour = now - now % 3600
    record(hourly=[hour - 3600 * ago + 1 for ago in range(3)])
    assert run("audit", "-", given=EVERY_HOUR).exit_code == 0


def test_audit_expects_a_job_that_never_ran_from_the_first_job_on(run, record):
    record(other=[time.time() - 10])
    assert run("audit", "-", given=EVERY_HOUR).exit_code == 0
    record(other=[time.time() - 5 * 3600])
    done = run("audit", "-", given=EVERY_HOUR)
    assert done.exit_code == 1
    assert "never seen to run" in done.stdout


def test_audit_looks_back_as_far_as_it_is_told(run, record):
    now = time.time()
    hour = now - now % 3600
    record(hourly=[hour - 3600 * ago + 1 for ago in range(5)] + [hour - 3600 * 100])
    assert run("audit", "--since", "3h", "-", given=EVERY_HOUR).exit_code == 0
    assert run("audit", "--since", "2d", "-", given=EVERY_HOUR).exit_code == 1
    assert run("audit", "--since", "soon", "-", given=EVERY_HOUR).exit_code == 2


def test_audit_does_not_expect_runs_from_before_the_crontab_was_installed(run, record, monkeypatch, file):
    record(hourly=[time.time() - 40 * 3600])
    file.write_bytes(EVERY_HOUR)
    assert run("audit", str(file)).exit_code == 1
    monkeypatch.setattr(crontab_store, "SPOOLS", (str(file.parent),))
    assert run("audit", str(file)).exit_code == 0


def test_audit_tells_jobs_it_cannot_judge_when_asked(run):
    given = b"@reboot cronwrap -n a -- tool\n"
    assert "no wrapped job" in run("audit", "-", given=given).stderr
    done = run("audit", "-v", "-", given=given)
    assert (done.exit_code, done.stderr.count("not judged: it has no set time")) == (0, 1)


def test_audit_of_an_empty_history_misses_all(run):
    done = run("audit", "-", given=EVERY_HOUR)
    assert done.exit_code == 1
    assert "never seen to run" in done.stdout


def test_audit_without_cronsim_says_what_to_install(run, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "cronsim":
            raise ModuleNotFoundError(name, name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    done = run("audit", "-", given=EVERY_HOUR)
    assert str(done.exception) == "audit needs cronsim: pip install 'cronwrap[audit]'"


def test_lint_takes_every_subcommand_for_one_and_nothing_else(run):
    lines = "".join(f"@daily cronwrap {name}\n" for name in SUBCOMMANDS)
    assert "there is no subcommand" not in run("lint", "-", given=lines.encode()).stdout
    done = run("lint", "-", given=b"@daily cronwrap backup\n")
    assert done.exit_code == 1
    assert (
        "-:1: error: cronwrap does not understand this line: there is no subcommand 'backup'" in done.stdout
    )


# Whose crontab it is, and whose host ------------------------------------------------------------


def test_a_dialect_that_the_file_shows_is_told(run):
    flagged = b"0 5 * * * -n -q ls\n"
    done = run("wrap", "-", given=flagged)
    assert done.stdout_bytes == flagged
    assert "-: taken for a crontab of a BSD's cron, as it has flags before a command" in done.stderr
    assert "taken for" not in run("wrap", "--dialect", "bsd", "-", given=flagged).stderr


def test_a_crontab_in_busyboxs_spool_has_no_percent_rule(run, monkeypatch, file):
    monkeypatch.setattr(crontab_dialect, "BUSYBOX_SPOOLS", (f"{os.path.realpath(file.parent)}/",))
    octets = b"0 5 * * * date '+%F'\n"
    file.write_bytes(octets)
    done = run("wrap", str(file))
    assert done.stdout_bytes == rb"0 5 * * * cronwrap -c 'date '\''+%F'\'''" + b"\n"
    assert "taken for a crontab of BusyBox's crond" in done.stderr
    file.write_bytes(done.stdout_bytes)
    assert run("unwrap", str(file)).stdout_bytes == octets


@pytest.mark.parametrize("dialect", ["debian", "cronie", "busybox", "bsd", "supercronic"])
@pytest.mark.parametrize("subcommand", ["wrap", "unwrap", "lint", "audit"])
def test_every_subcommand_takes_every_dialect(run, dialect, subcommand):
    assert run(subcommand, "--dialect", dialect, "-", given=b"0 5 * * * true\n").exit_code == 0
    assert run(subcommand, "--dialect", "vms", "-", given=b"").exit_code == 2


def test_no_host_finds_nothing_that_is_only_missing_here(run):
    table = b"SHELL=/opt/other/bin/bash\n0 5 * * * nobody-of-ours no-such-program --all\n"
    assert run("lint", "--system", "-", given=table).exit_code == 1
    done = run("lint", "--system", "--no-host", "-", given=table)
    assert (done.exit_code, "error" in done.stdout) == (0, False)
    assert run("lint", "--no-host", "-", given=b"61 5 * * * true\n").exit_code == 1


def test_a_name_that_cron_passes_over_is_found(run, tmp_path):
    (tmp_path / "cron.d").mkdir()
    for name, status in (("backup.sh", 1), ("backup~", 1), ("back_up-1", 0)):
        path = tmp_path / "cron.d" / name
        path.write_bytes(b"0 5 * * * root cronwrap -- true\n")
        done = run("lint", "--no-host", "--system", str(path))
        assert (done.exit_code, "passes over" in done.stdout) == (status, bool(status)), name
    path = tmp_path / "cron.d" / "backup.sh"
    assert run("lint", "--no-host", "--system", "--dialect", "cronie", str(path)).exit_code == 0


@pytest.mark.parametrize(
    "text",
    [
        "echo it's done",
        "if true; fi",
        "echo $(",
        'echo "',
        "ls | | cat",
        "for i in 1 2; echo $i; done",
        "-l (x",
    ],
)
def test_what_the_shell_cannot_parse_is_found_wrapped_or_not(run, text):
    bare = f"0 5 * * * {text}\n".encode()
    wrapped = run("wrap", "-", given=bare).stdout_bytes
    assert wrapped != bare
    for given in (bare, wrapped):
        done = run("lint", "--no-host", "-", given=given)
        assert done.exit_code == 1
        assert "-:1: error: /bin/sh cannot parse this: " in done.stdout


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash", "/bin/dash", "/usr/bin/zsh"])
def test_lint_executes_nothing(run, tmp_path, shell):
    mark = tmp_path / "executed"
    texts = (
        f"touch {mark}",
        f"echo $(touch {mark})",
        f"echo `touch {mark}`",
        f"x=$(touch {mark}); exit",
        f"set +n; touch {mark}",
        f"cat <(touch {mark})",
        f"trap 'touch {mark}' EXIT; true",
        f"true%touch {mark}",
    )
    (tmp_path / "rc").write_text(f"touch {mark}\n")
    head = f"SHELL={shell}\nENV={tmp_path}/rc\nBASH_ENV={tmp_path}/rc\n"
    run("lint", "-", given=(head + "".join(f"0 5 * * * {text}\n" for text in texts)).encode())
    assert not mark.exists()


def test_a_shell_that_the_crontab_brings_along_is_not_executed(run, tmp_path):
    shell = tmp_path / "bash"
    shell.write_text(f"#!/bin/sh\ntouch {tmp_path}/executed\n")
    shell.chmod(0o755)
    done = run("lint", "-", given=f"SHELL={shell}\n0 5 * * * echo it's\n".encode())
    assert not (tmp_path / "executed").exists()
    assert f"{shell} cannot parse this" in done.stdout  # said by the bash of this host


def test_one_line_that_cannot_be_judged_keeps_no_other_from_being_judged(run, record):
    record(hourly=[time.time() - 40 * 3600])
    schedules = "0 0 30 2 *", "0 0 31 2,4,6 *", "0 0 29-31 2 1", "0 0 99 * *", "@never", "0~5 * * * *"
    odd = "".join(f"{schedule} cronwrap -n odd -- tool\n" for schedule in schedules).encode()
    done = run("audit", "-v", "-", given=odd + EVERY_HOUR)
    assert done.exit_code == 1
    assert "hourly did not run" in done.stdout
    assert "-:1: not judged: no year has such a date" in done.stderr
