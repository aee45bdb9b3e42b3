"""A crontab is read as cron reads it, and not an octet of it is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.crontab.lines import (
    Assignment,
    Job,
    Unreadable,
    decode,
    encode,
    is_system_path,
    jobs,
    parse,
    shell_texts,
    split_input,
)

OCTETS = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from(
            (
                *(
                    b"* * * * * ",
                    b"@daily ",
                    b"-*/5 1-3,4 * jan mon\t",
                    b"root ",
                    b"SHELL=/bin/bash",
                    b"A = 'b c'",
                ),
                *(
                    b"cronwrap -- ",
                    b"cronwrap -c '",
                    b"echo x",
                    b"'",
                    b'"',
                    b"\\",
                    b"%",
                    b"\\%",
                    b" ",
                    b"\t",
                    b"#",
                ),
                *(
                    b"\n",
                    b"\n",
                    b"\n",
                    b"\r\n",
                    b"\0",
                    b"\xff",
                    b"\xc3\xa9",
                    b"\xe2\x80\xa8",
                    b"=",
                    b"*",
                    b"~",
                ),
            )
        ),
        max_size=30,
    ).map(b"".join),
)


def only(text, **options):
    (line,) = parse(text, **options)
    return line


@given(OCTETS, st.booleans())
def test_the_lines_in_a_row_are_the_file(octets, system):
    lines = parse(decode(octets), system=system)
    assert encode("".join(line.raw for line in lines)) == octets
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    for job in jobs(lines):
        assert job.with_command(job.command) == job.raw


@pytest.mark.parametrize("text", ["\n", " \t\n", "# a = b\n", "  # * * * * * x\n", "#"])
def test_blank_lines_and_comments_are_nothing_else(text):
    line = only(text)
    assert not isinstance(line, (Assignment, Job, Unreadable))


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("A=b\n", "A", "b"),
        ("  A = b c \t\n", "A", "b c"),
        ('A="  b "  \n', "A", "  b "),
        ("A='b\"c'\n", "A", 'b"c'),
        ("'A B'=c\n", "A B", "c"),
        ("A=b=c\n", "A", "b=c"),
        ('A=""\n', "A", ""),
        ("A=b\r\n", "A", "b"),
        ("A=$HOME/bin # text\n", "A", "$HOME/bin # text"),
        ("=b\n", "", "b"),
        ("1 = c\n", "1", "c"),
    ],
)
def test_assignments_are_read_as_cron_reads_them(text, name, value):
    line = only(text)
    assert isinstance(line, Assignment)
    assert (line.name, line.value) == (name, value)


@pytest.mark.parametrize(
    "text",
    [
        "A=\n",
        "A= \n",
        'A="b\n',
        'A="b"c\n',
        'A="b" # c\n',
        "export A=b\n",
        "A B=c\n",
        "word\n",
        "\x0b* * * * * x\n",
    ],
)
def test_what_cron_refuses_is_unreadable(text):
    assert isinstance(only(text), Unreadable)


@pytest.mark.parametrize(
    ("text", "schedule", "command"),
    [
        ("* * * * * x\n", "* * * * *", "x"),
        ("  */5\t1-3,4  *  jan  MON-fri \t x  y \n", "*/5\t1-3,4  *  jan  MON-fri", "x  y "),
        ("@daily x\n", "@daily", "x"),
        ("@reboot\tx\n", "@reboot", "x"),
        ("-0 0 1 1 * x\n", "0 0 1 1 *", "x"),
        ("* * * * * x\r\n", "* * * * *", "x\r"),
        ("* * * * * x", "* * * * *", "x"),
        ("* * * * *\n", "* * * * *", ""),
        ("@daily \n", "@daily", ""),
        ("0~59 H * * * x\n", "0~59 H * * *", "x"),
        ("* * * * * A=b x\n", "* * * * *", "A=b x"),
        ("99 * * * * x\n", "99 * * * *", "x"),
    ],
)
def test_jobs_are_split_into_schedule_and_command(text, schedule, command):
    line = only(text)
    assert isinstance(line, Job)
    assert (line.schedule, line.command, line.user) == (schedule, command, None)


@pytest.mark.parametrize(
    ("text", "user", "command"),
    [
        ("* * * * * root x y\n", "root", "x y"),
        ("@daily\troot\t x\n", "root", "x"),
        ("* * * * * root\n", "root", ""),
        ("* * * * *\n", "", ""),
    ],
)
def test_a_system_crontab_has_a_user_column(text, user, command):
    line = only(text, system=True)
    assert (line.user, line.command) == (user, command)


def test_an_assignment_holds_for_the_lines_below_it():
    first, _, second, _, third = parse("@daily a\nSHELL=/bin/bash\n@daily b\nSHELL=/bin/zsh\n@daily c\n")
    assert [line.shell for line in (first, second, third)] == ["/bin/sh", "/bin/bash", "/bin/zsh"]


@pytest.mark.parametrize(
    ("command", "written", "given"),
    [
        ("x", "x", None),
        ("x%", "x", ""),
        ("x%a%b", "x", "a%b"),
        (r"x\%y%z", r"x\%y", "z"),
        (r"x\\%y", r"x\\", "y"),
        (r"x\\\%y", r"x\\\%y", None),
        ("x\\", "x\\", None),
    ],
)
def test_the_first_bare_percent_sign_begins_the_input(command, written, given):
    assert split_input(command) == (written, given)


# What a recording shell was given by a running Debian cron 3.0pl1-162; cronie halves no backslashes.
@pytest.mark.parametrize(
    ("command", "texts"),
    [
        (r"a\%b", ("a%b",)),
        (r"b\\%in", ("b\\", "b\\\\")),
        (r"c 'x\%y' \\ \n", (r"c 'x%y' \ \n", r"c 'x%y' \\ \n")),
        (r"h\\\%q", (r"h\%q", r"h\\%q")),
    ],
)
def test_the_shell_sees_what_cron_makes_of_a_command(command, texts):
    assert shell_texts(command) == texts


def test_a_place_tells_whether_there_is_a_user_column():
    assert is_system_path("/etc/crontab")
    assert is_system_path("/etc/cron.d/job")
    assert not is_system_path("/etc/crontab.bak")
    assert not is_system_path("/home/me/crontab")
