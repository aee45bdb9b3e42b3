"""lint finds what cron would not do, or not as it is meant, and keeps quiet about the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.crontab.lint import ERROR, LIKELY_PATH, NOTE, WARNING, World, lint

PROGRAMS = [f"/usr/bin/{name}" for name in ("tool", "mail", "date", "cronwrap", "cat", "tee", "fish")]
PROGRAMS.append("/bin/sh")


def find(name, path):
    """Programs are in /usr/bin, and one in /usr/local/bin."""
    if "/" in name:
        return name if name in PROGRAMS else None
    if name == "elsewhere":
        return "/usr/local/bin/elsewhere" if "/usr/local/bin" in path.split(":") else None
    return f"/usr/bin/{name}" if f"/usr/bin/{name}" in PROGRAMS and "/usr/bin" in path.split(":") else None


WORLD = World(
    find=find, is_user=lambda name: name in {"root", "joe"}, subcommands=frozenset({"crontab", "status"})
)


def findings(text, **options):
    return [(found.number, found.severity, found.text) for found in lint(text, WORLD, **options)]


SOUND = """\
# a comment
SHELL=/bin/sh
PATH=/usr/local/bin:/usr/bin:/bin
MAILTO="a@example.com"

*/5 * * * * cronwrap -- tool --flag
0 3 * * mon-fri cronwrap -c 'cd /srv && tool | tee log'
@reboot cronwrap -n at-boot -- elsewhere
0 0 1 * * cronwrap -c 'date +\\%F'
@weekly cronwrap -- mail -s hello joe%Joe,%%are you there?
@weekly cronwrap -c 'mail -s "how are you" joe'%Joe,%
@daily cronwrap -c '[ -x /usr/sbin/gone ] && /usr/sbin/gone'
@daily cronwrap -c 'A=b tool >/dev/null 2>&1; B=c tool'
@hourly cronwrap -- cronwrap crontab audit
@hourly cronwrap --config /etc/other.toml status
@hourly cronwrap "$WHAT"
@hourly cronwrap --version
"""


def test_a_sound_crontab_gives_no_finding():
    assert findings(SOUND) == []


@pytest.mark.parametrize(
    ("text", "severity", "part"),
    [
        ("60 * * * * cronwrap -- tool\n", ERROR, "minute 60 is out of range"),
        ("*/0 * * * * cronwrap -- tool\n", ERROR, "above 0"),
        ("@Daily cronwrap -- tool\n", ERROR, "small letters"),
        ("0 0 30 2 * cronwrap -- tool\n", ERROR, "no year has such a date"),
        ("*/90 * * * * cronwrap -- tool\n", WARNING, "leaves 0 alone"),
        ("0~9 * * * * cronwrap -- tool\n", WARNING, "random time"),
        ("0 0 1 * mon cronwrap -- tool\n", NOTE, "either one matches"),
        ("-0 0 1 * * cronwrap -- tool\n", NOTE, "cronie's"),
        ("* * * * *\n", ERROR, "no command"),
        ("* * * * * * tool\n", ERROR, "five fields"),
        ("@daily tool\n", NOTE, "not wrapped"),
        ("SHELL=/usr/bin/fish\n@daily tool\n", NOTE, "SHELL=/usr/bin/fish"),
        ("@daily cronwrap -- date +%F\n", WARNING, "write \\%"),
        ("@daily cronwrap -c 'mail -s \"%F\" joe'\n", WARNING, "write \\%"),
        ("@daily cronwrap -- tool %x\n", WARNING, "write \\%"),
        ("@daily cronwrap -- tool", ERROR, "line feed"),
        ("@daily cronwrap -- tool\r\n", ERROR, "CR LF"),
        ("\r\n", ERROR, "CR LF"),
        ("@daily cronwrap -- to\0ol\n", ERROR, "NUL"),
        ("@daily cronwrap -- nonsense\n", WARNING, "no program 'nonsense'"),
        ("@daily cronwrap -c 'tool | nonsense'\n", WARNING, "no program 'nonsense'"),
        ("@daily cronwrap -c 'cd /srv && nonsense'\n", WARNING, "no program 'nonsense'"),
        ("@daily cronwrap -c 'tool >x nonsense; missing'\n", WARNING, "no program 'missing'"),
        ("@daily cronwrap -- elsewhere\n", WARNING, "write /usr/local/bin/elsewhere"),
        ("@daily cronwrap -- /usr/sbin/gone\n", WARNING, "/usr/sbin/gone is not there"),
        ("PATH=/bin\n@daily cronwrap -- cat\n", WARNING, "no program 'cronwrap'|write /usr/bin/cronwrap"),
        ("@daily root cronwrap -- tool\n", WARNING, "user column"),
        ("PATH=$HOME/bin:/usr/bin\n", WARNING, "expands nothing in PATH"),
        ("WHEN=`date`\n", WARNING, "expands nothing in WHEN"),
        ("PATH=/usr/bin:~/bin\n", WARNING, "does not expand ~"),
        ("MAILTO=joe # me\n", WARNING, "line of its own"),
        ("1 = c\n", WARNING, "no shell can read"),
        ("SHELL=bash\n", ERROR, "full path"),
        ("SHELL=/opt/cronwrap-shell\n", ERROR, "no program '/opt/cronwrap-shell'"),
        ("CRON_TZ=Europe/Berlin\n", NOTE, "time zone of the host"),
        ("export A=b\n", ERROR, "write A=b"),
        ("A=\n", ERROR, 'write A=""'),
        ("A='b' # c\n", ERROR, "quotes"),
        ("every day at noon tool\n", ERROR, "five time fields"),
        (f"@daily cronwrap -- tool {'x' * 998}\n", ERROR, "octets, cron takes 998"),
        ("@daily cronwrap --timeoot 2h -- tool\n", ERROR, "did you mean --timeout"),
        ("@daily cronwrap tool --flag\n", ERROR, "to run a command: cronwrap -- tool --flag"),
        ("@daily cronwrap -n nightly --live tool\n", ERROR, "cronwrap -n nightly --live -- tool"),
        ("@daily cronwrap --timeoot=2h tool\n", ERROR, "did you mean --timeout"),
        ("@daily cronwrap --after many tool\n", ERROR, "not a whole number"),
        ("@daily cronwrap -n nightly\n", ERROR, "names no command"),
        ("@daily cronwrap >/dev/null\n", ERROR, "names no command"),
    ],
)
def test_a_mistake_is_found_with_its_line_and_what_to_do(text, severity, part):
    found = findings(text)
    wanted = [
        number
        for number, how, said in found
        if how == severity and any(option in said for option in part.split("|"))
    ]
    assert wanted == [max(1, text.rstrip("\n").count("\n") + 1)], found


@pytest.mark.parametrize(
    ("text", "severity", "part"),
    [
        ("@daily nobody-here tool\n", ERROR, "no user 'nobody-here'"),
        ("@daily /usr/bin/tool\n", ERROR, "no user '/usr/bin/tool'"),
        ("@daily\n", ERROR, "user column is missing"),
        ("@daily root\n", ERROR, "no command"),
    ],
)
def test_the_user_column_is_checked(text, severity, part):
    assert any(how == severity and part in said for _, how, said in findings(text, system=True))


def test_a_system_crontab_may_be_sound():
    assert findings("@daily root cronwrap -- tool\n", system=True) == []


@pytest.mark.parametrize(
    "command",
    [
        "command -v nonsense && nonsense",
        "test -x /usr/sbin/gone || exit 0; /usr/sbin/gone",
        "if true; then nonsense; fi",
        "$TOOL x",
        "PATH=/opt/bin nonsense",
        "(nonsense)",
        "./nonsense",
        "bin/nonsense",
        "tool 'nonsense; missing'",
    ],
)
def test_no_program_is_missed_where_the_text_is_not_simple(command):
    assert not [said for _, how, said in findings(f"@daily {command}\n") if how != NOTE]


def test_a_program_that_has_a_user_of_its_name_is_no_user_column():
    found = findings("@daily joe -s hello\n")
    assert not [said for _, _, said in found if "user column" in said]


def test_a_login_shells_path_is_not_crons():
    (found,) = findings("@daily cronwrap -- elsewhere\n")
    assert find("elsewhere", LIKELY_PATH)
    assert "cron's PATH (/usr/bin:/bin)" in found[2]


def test_findings_come_in_the_order_of_the_lines():
    numbers = [number for number, _, _ in findings("A=$B\n99 * * * * x\nC=$D\n@daily y")]
    assert numbers == sorted(numbers)
    assert set(numbers) == {1, 2, 3, 4}


PIECES = (
    "* * * * * ",
    "@daily ",
    "root ",
    "cronwrap -- ",
    "cronwrap -c '",
    "'",
    '"',
    "\\",
    "%",
    "A=",
    "$(",
    "`",
)
PIECES += ("\n", "\r\n", " ", ";", "&&", ">", "2>&1", "tool", "\udcff", "\0", "~", "(", ")", "PATH=", "é")


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=25).map("".join)), st.booleans())
def test_any_text_can_be_linted(text, system):
    for found in lint(text, WORLD, system=system):
        assert found.text
        assert "\n" not in found.text
