"""cronwrap run gives a job what the real cron gives it."""

from __future__ import annotations

import os
import subprocess

import pytest

from support.cli import CRONWRAP

MINUTE = 75.0
"""Seconds until cron has come round."""
PROBE = """#!/bin/sh
exec >"$1.new" 2>&1
env | grep -v -e ^CRONWRAP_BY_HAND= -e ^_= | sort
echo "in $(pwd)"; umask; id; ulimit -a; ulimit -H -a; nice
ls /proc/$PPID/fd; readlink /proc/$PPID/fd/0 | tr -d '0-9'
grep Sig[BI] /proc/$PPID/status
[ "$(ps -o sid= -p $$ | tr -d ' ')" = "$PPID" ] && echo the shell leads its session
ps -o tty= -p $$
cat
exec mv "$1.new" "$1"
"""
TABLE = """\
FOO = bar baz
* * * * * {probe} {out}.${{CRONWRAP_BY_HAND:-cron}}; cronwrap -n probe -- true%first%second \\% third
"""


@pytest.fixture
def place(place):
    """A directory that every user may write to."""
    os.chmod(place, 0o777)
    return place


@pytest.mark.timeout(300)
def test_a_job_by_hand_has_the_surroundings_of_the_real_cron(needs, crond, place, wait_until):
    needs("minutes")
    users = ("root", "nobody")
    probe, programs = f"{place}/probe", f"{place}/bin"
    os.mkdir(programs)
    for path, text in (
        (probe, PROBE),
        (f"{programs}/crontab", f'#!/bin/sh\ncat "{place}/${{2:-root}}.table"\n'),
    ):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
    for user in users:
        table = TABLE.format(probe=probe, out=f"{place}/{user}")
        crond.user_table(user, table)
        with open(f"{place}/{user}.table", "w", encoding="utf-8") as file:
            file.write(table)

    def exists(by):
        return all(os.path.exists(f"{place}/{user}.{by}") for user in users)

    with crond:
        wait_until(lambda: exists("cron"), MINUTE, "cron's run of every user")
        for user in users:
            by = ["--user", user] if user != "root" else []
            subprocess.run(
                ["nice", "-n", "5", CRONWRAP, "run", "probe", *by],
                env={"PATH": f"{programs}:/usr/bin:/bin", "MINE": "1", "HOME": place, "SUDO_USER": "hand"},
                cwd="/",
                umask=0o077,
                check=False,
                capture_output=True,
            )
    assert exists("hand")
    for user in users:
        texts = []
        for by in ("cron", "hand"):
            with open(f"{place}/{user}.{by}", encoding="utf-8") as file:
                texts.append(file.read())
        assert texts[1] == texts[0], user
        assert texts[0].endswith("first\nsecond % third\n")
