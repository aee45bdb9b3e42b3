"""Crons beside Debian's own run wrapped jobs: cronie, BusyBox's crond, systemd-cron with its scripts."""

from __future__ import annotations

import email
import email.policy
import os
import shlex
import subprocess
import sys

import pytest

from cronwrap.crontab.dialect import BUSYBOX, CRONIE
from cronwrap.crontab.wrap import wrap
from support import packages
from support.cli import CRONWRAP_SHELL, SCRIPTS, write_private

MINUTE = 75.0
"""Seconds until a cron has come round."""
STAGE = """set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir /run/systemd
mount --bind {root}/crontab /etc/crontab
mount --bind {root}/cron.d /etc/cron.d
mkdir -p /var/spool/cron/crontabs
mount --bind {root}/spool /var/spool/cron/crontabs
exec "$@"
"""
LINES = (
    "sh -c 'echo broken >&2; exit 2'",
    "echo from the shell | tr a-z A-Z; exit 3",
    "cd /nowhere || echo 'two words' \"and quotes\" # managed by deploy",
)


@pytest.fixture
def place(needs, tmp_path):
    """A directory of tables, with a configuration whose mails go into a maildir."""
    needs("namespaces", "minutes", "dpkg-deb")
    for name in ("cron.d", "spool", "units", "mails"):
        (tmp_path / name).mkdir()
    (tmp_path / "crontab").write_text("")
    write_private(
        str(tmp_path / "config.toml"),
        f'mailto = "ops@example.test"\n[[relay]]\nurl = "maildir:{tmp_path}/mails"\n',
    )
    return tmp_path


def environment(place):
    return {
        "PATH": f"{SCRIPTS}:/usr/sbin:/usr/bin:/sbin:/bin",
        "CRONWRAP_STATE_DIR": f"{place}/state",
        "CRONWRAP_CONFIG": f"{place}/config.toml",
    }


def mails(place):
    """Give the mails by what stands in their subjects behind the host."""
    found = {}
    for directory, _, names in os.walk(place / "mails"):
        for name in names if os.path.basename(directory) == "new" else ():
            with open(os.path.join(directory, name), "rb") as file:
                mail = email.message_from_binary_file(file, policy=email.policy.default)
            found[mail["Subject"].partition("> ")[2]] = mail
    return found


def staged(place, *command):
    script = STAGE.format(root=shlex.quote(str(place)))
    return [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        "sh",
        "-c",
        script,
        "x",
        *command,
    ]


def units(place):
    """Give the command and the environment of each service that systemd-cron has written."""
    for path in sorted((place / "units").glob("*.service")):
        fields = [line.partition("=") for line in path.read_text().splitlines() if "=" in line]
        (command,) = [shlex.split(value) for name, _, value in fields if name == "ExecStart"]
        variables = [
            word for name, _, value in fields if name == "Environment" for word in shlex.split(value)
        ]
        yield command, dict(variable.split("=", 1) for variable in variables)


def test_systemd_cron_starts_its_scripts_with_the_shell_and_each_is_wrapped(place):
    """systemd itself is left out: what its unit would execute is executed, with the unit's environment."""
    root = packages.unpacked(place, "systemd-cron")
    table = "".join(f"*/5 * * * * root {line}\n" for line in LINES)
    (place / "cron.d" / "jobs").write_text(f"SHELL={CRONWRAP_SHELL}\nMAILTO=jobs@example.test\n{table}")
    generator = root / "lib/systemd/system-generators/systemd-crontab-generator"
    subprocess.run(
        staged(place, sys.executable, str(generator), str(place / "units")),
        check=True,
        env=environment(place),
    )
    made = list(units(place))
    assert len(made) == len(LINES)
    assert any(command[0] == CRONWRAP_SHELL and command[1].endswith(".sh") for command, _ in made)
    statuses = [
        subprocess.run(
            command, check=False, env={**environment(place), **variables}, stdin=subprocess.DEVNULL
        ).returncode
        for command, variables in made
    ]
    assert sorted(statuses) == [0, 2, 3]
    arrived = mails(place)
    assert set(arrived) == set(LINES)
    assert "FROM THE SHELL" in arrived[LINES[1]].get_body(("plain",)).get_content()
    assert "two words and quotes" in arrived[LINES[2]].get_body(("plain",)).get_content()
    assert {mail["To"] for mail in arrived.values()} == {"jobs@example.test"}


def run_until(place, crond, wanted, wait_until):
    """Give the mails of a cron daemon's first round."""
    with open(place / "log", "wb") as log:
        running = subprocess.Popen(
            staged(place, *crond), env=environment(place), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: wanted <= set(mails(place)), MINUTE, f"a report of every line\n{place}/log")
    finally:
        running.kill()
        running.wait()
    return mails(place)


@pytest.mark.timeout(300)
def test_busyboxs_crond_runs_wrapped_lines_with_their_percent_signs(place, wait_until):
    root = packages.unpacked(place, "busybox-static")  # the other one has no crond
    lines = (*LINES, "date -u '+%Y and a % sign'")
    table = "MAILTO=nobody@example.test\n" + "".join(f"* * * * * {line}\n" for line in lines)
    (place / "spool" / "root").write_text(wrap(table, dialect=BUSYBOX).text)
    (busybox,) = root.glob("**/bin/busybox")
    wanted = {line.partition(" #")[0] for line in lines}
    crond = str(busybox), "crond", "-f", "-c", str(place / "spool")
    arrived = run_until(place, crond, wanted, wait_until)
    assert set(arrived) == wanted
    assert " and a % sign" in arrived[lines[-1]].get_body(("plain",)).get_content()
    # The crontab's MAILTO does not reach a job.
    assert {mail["To"] for mail in arrived.values()} == {"ops@example.test"}


CRONIE_NEEDS = ("libc6", "libpam0g", "libaudit1", "libselinux1", "libpcre2-8-0", "libcap-ng0")


@pytest.mark.timeout(600)
def test_cronie_runs_wrapped_lines_and_cronwrap_shell(place, wait_until):
    root = packages.unpacked(place, "cronie", *CRONIE_NEEDS, release="trixie")
    wrapped = "".join(f"* * * * * root {line}\n" for line in (*LINES, "cat%first%second", r"echo \% '\\'"))
    shell = f"SHELL={CRONWRAP_SHELL}\n* * * * * root echo by the shell, which is $SHELL\n"
    variables = "".join(f"{name}={value}\n" for name, value in environment(place).items())
    table = wrap(f"{variables}MAILTO=jobs@example.test\n{wrapped}", system=True, dialect=CRONIE).text + shell
    (place / "cron.d" / "jobs").write_text(table)
    wanted = {line.partition(" #")[0] for line in LINES}
    wanted |= {"cat", r"echo % '\\'", "echo by the shell, which is $SHELL"}
    linker = next(root.glob("**/ld-linux*.so.*"))
    (crond,) = root.glob("**/sbin/crond")
    libraries = ":".join(sorted({str(path.parent) for path in root.glob("**/lib*.so.*")}))
    command = str(linker), "--library-path", libraries, str(crond), "-n", "-m", "off"
    arrived = run_until(place, command, wanted, wait_until)
    assert set(arrived) == wanted

    def said(subject):
        return arrived[subject].get_body(("plain",)).get_content()

    assert "first\nsecond\n" in said("cat")
    assert "which is /bin/sh" in said("echo by the shell, which is $SHELL")
    assert "two words and quotes" in said(LINES[2].partition(" #")[0])
    assert {mail["To"] for mail in arrived.values()} == {"jobs@example.test"}
