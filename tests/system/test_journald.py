"""A real journald, in a mount namespace with a /run and a /var/log of its own."""

import json
import subprocess

from support.cli import CRONWRAP

SCRIPT = r"""
set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir -p /run/systemd/journal /run/log/journal
/usr/lib/systemd/systemd-journald &
daemon=$!
for i in $(seq 200); do test -S /run/systemd/journal/socket && break; sleep 0.05; done
"$0" -n 'jour nal' -- sh -c 'exit 3' || echo "status $?"
"$0" -n quiet -- true
kill -TERM $daemon
wait $daemon || true
journalctl --directory=/run/log/journal --no-pager -o json SYSLOG_IDENTIFIER=cronwrap
"""


def test_the_journal_has_a_line_of_fields_for_each_run(needs, cli):
    needs("root", "namespaces", "/usr/lib/systemd/systemd-journald")
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", SCRIPT, CRONWRAP],
        env={**cli.env, "MAILTO": "", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "status 3" in done.stdout, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    names = ("CRONWRAP_JOB", "CRONWRAP_RESULT", "CRONWRAP_EXIT_CODE", "PRIORITY", "_TRANSPORT")
    assert [tuple(line[name] for name in names) for line in lines] == [
        ("jour nal", "failed", "3", "3", "journal"),
        ("quiet", "ok", "0", "6", "journal"),
    ]
