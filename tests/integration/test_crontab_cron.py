"""crontab(1) of this host agrees: it refuses nothing in which lint sees no error, and takes what wrap makes.

It works on a spool of its own, in a mount namespace of its own.
"""

import random
import subprocess

import pytest

from cronwrap.crontab.lines import decode, parse
from cronwrap.crontab.lint import ERROR, World, lint
from cronwrap.crontab.wrap import LONGEST_COMMAND, wrap

SPOOL = "/var/spool/cron/crontabs"
WORLD = World(find=lambda name, _path: name, is_user=lambda _name: False, subcommands=frozenset())

ASK = """\
mount --bind "$1/spool" "$2" || exit 77
cd "$1/tables" || exit 77
for table in *; do
    if crontab - <"$table" 2>/dev/null; then echo "$table"; fi
done
"""


@pytest.fixture
def accepted(needs, tmp_path):
    """Give which of some crontabs Debian's crontab(1) would install."""
    needs("cron", "crontab", "namespaces")

    def ask(tables):
        for name in ("spool", "tables"):
            (tmp_path / name).mkdir()
        for number, table in enumerate(tables):
            (tmp_path / "tables" / f"{number:04d}").write_bytes(table)
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", ASK, "sh", str(tmp_path), SPOOL],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert not done.returncode, done.stderr
        taken = {int(name) for name in done.stdout.split()}
        return [number in taken for number in range(len(tables))]

    return ask


def has_error(table):
    return any(found.severity == ERROR for found in lint(decode(table), WORLD))


ITEMS = (
    "*",
    "0",
    "5",
    "07",
    "59",
    "60",
    "1-5",
    "5-1",
    "1-9/2",
    "*/2",
    "*/0",
    "*/99",
    "3/2",
    "mon",
    "Jan",
    "fri-sun",
)
ITEMS += (
    "x",
    "1-",
    "-1",
    "",
    "*5",
    "1#2",
    "L",
    "7",
    "sun-sat",
    "12",
    "13",
    "31",
    "0~9",
    "1-2-3",
    "mon/2",
    "24",
    "23",
)
ENDS = ("x\n", "x", "\n", "*\n", "x\r\n", "%x\n", " \n", "# x\n")
STRAYS = (
    "A=b\n",
    "A=\n",
    "A='b'c\n",
    "A B=c\n",
    '"A B"=c\n',
    "A = b # c\n",
    "=b\n",
    "export A=b\n",
    'A="b\n',
    " A=b\n",
)
STRAYS += (
    "@daily x\n",
    "@Daily x\n",
    "@daily\n",
    "@every_hour x\n",
    "-@daily x\n",
    "word\n",
    "\r\n",
    " \t\n",
    "#\n",
)


def random_table(dice):
    if dice.random() < 0.2:
        return dice.choice(STRAYS)
    fields = [dice.choice(ITEMS) if dice.random() < 0.35 else "*" for _ in range(5)]
    if dice.random() < 0.2:
        fields[dice.randrange(5)] += "," + dice.choice(ITEMS)
    return dice.choice((" ", "\t", "  ")).join(fields) + " " + dice.choice(ENDS)


def test_what_crontab_refuses_lint_calls_an_error(accepted):
    dice = random.Random(1)
    tables = [random_table(dice).encode() for _ in range(200)]
    verdicts = accepted(tables)
    assert 40 < sum(verdicts) < 160
    missed = [
        table for table, taken in zip(tables, verdicts, strict=True) if not taken and not has_error(table)
    ]
    # cronie's dash and the random times are for other crons to take.
    assert [table for table in missed if b"~" not in table and not table.startswith(b"-@")] == []


def test_lint_calls_no_sound_line_an_error(accepted):
    dice = random.Random(2)
    tables = [random_table(dice).encode() for _ in range(200)]
    # Debian's cron ignores the rest of the field, or never runs the job; others refuse the line.
    strict = (b"#2", b"*5", b"5-1", b"fri-sun", b"1-2-3")
    wrong = [
        table
        for table, taken in zip(tables, accepted(tables), strict=True)
        if taken
        and has_error(table)
        and table.endswith(b" x\n")
        and not any(part in table for part in strict)
    ]
    assert wrong == []


def test_the_longest_command_is_taken_and_one_octet_more_is_not(accepted):
    head = "* * * * * "
    tables = [f"{head}{'x' * size}\n".encode() for size in (LONGEST_COMMAND, LONGEST_COMMAND + 1)]
    assert accepted(tables) == [True, False]
    assert [has_error(table) for table in tables] == [False, True]


def test_what_wrap_makes_is_taken(accepted):
    text = "SHELL=/bin/bash\n@daily it's | a 'b'%c\n*/5 * * * mon-fri tool\n@weekly echo \\% \\\\\n"
    wrapped = wrap(text).text
    assert wrapped != text
    assert len(parse(wrapped)) == len(parse(text))
    assert accepted([wrapped.encode()]) == [True]
