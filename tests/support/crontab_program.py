"""A stand-in for crontab(1): it keeps one crontab in a file, and refuses what has ``refused`` in it."""

from __future__ import annotations

import os
import shlex

LISTS = "cat {table}"
WRITES_OUT_CR = r"sed 's/\r/\\r/g' {table}"
PROGRAM = """\
#!/bin/sh
case $1 in
-l) [ -e {table} ] || {{ echo 'no crontab for nobody' >&2; exit 1; }}
    {lists} ;;
-e) cp {table} {table}.edited; $VISUAL {table}.edited ;;
-) cat >{table}.new
   if grep -q refused {table}.new; then echo '"-":1: bad command' >&2; exit 1; fi
   mv {table}.new {table} ;;
esac
"""


def put_crontab_program(directory, table, *, writes_out_cr=False):
    """Put a ``crontab`` into a directory, which is made, for the crontab that is the file ``table``.

    With ``writes_out_cr`` it lists a CR as two characters, as Debian's does; an editor gets the octets.
    """
    os.makedirs(directory, exist_ok=True)
    path, quoted = os.path.join(directory, "crontab"), shlex.quote(str(table))
    lists = (WRITES_OUT_CR if writes_out_cr else LISTS).format(table=quoted)
    with open(path, "w", encoding="utf-8") as file:
        file.write(PROGRAM.format(table=quoted, lists=lists))
    os.chmod(path, 0o755)
