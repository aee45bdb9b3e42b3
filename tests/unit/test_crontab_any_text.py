"""What takes a crontab from outside takes any text: it gives an answer, and loses no octet."""

import os
import subprocess
import time
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cronwrap.crontab.dialect import ANACRON, BY_NAME, DEFAULT, guess
from cronwrap.crontab.grammar import DEEPEST, comment_start, complete, simple_commands, tokens
from cronwrap.crontab.lines import decode, encode
from cronwrap.crontab.lint import World, lint
from cronwrap.crontab.place import passed_over
from cronwrap.crontab.shell import surely_parsed
from cronwrap.crontab.shell_check import ShellCheck
from cronwrap.crontab.wrap import calls_cronwrap, unwrap, wrap

DIALECTS = st.sampled_from([*BY_NAME.values(), DEFAULT, ANACRON])
WORDS = (
    *(
        "*/5 * * * * ",
        "0 5 * * * ",
        "@daily ",
        "@monthly 45 job ",
        "* * * * * * * ",
        "0 0 30 2 * ",
        "1 5 id ",
    ),
    *(
        "-n -q ",
        "root ",
        "cronwrap ",
        "cronwrap -- ",
        "cronwrap -c ",
        "cd /x && ",
        "'",
        '"',
        "\\",
        "%",
        "\\%",
    ),
    *(
        "# by y",
        " # ",
        "#",
        "$(",
        "`",
        "${",
        ")",
        "(",
        "}",
        " & ",
        "| ",
        "&> ",
        " >f ",
        " 2>&1",
        "<<<",
        "; ",
        "ls ",
    ),
    *(
        "A=b",
        "MAILTO=",
        "SHELL=/bin/bash -l",
        "CRON_TZ=x",
        "$A",
        "\n",
        "\n",
        "\r\n",
        "\t",
        "\0",
        "\ufeff",
        "é",
    ),
)
TABLES = st.lists(st.sampled_from(WORDS), max_size=30).map("".join) | st.text(max_size=60)
WORLD = World(find=lambda _name, _path: None, is_user=lambda _name: False, subcommands=frozenset({"status"}))


@given(TABLES, DIALECTS, st.booleans())
@example("0 5 * * * echo a;# b\n", DEFAULT, False)
@example("0 5 * * * echo \\\\\\ # b\n", DEFAULT, False)
def test_what_wrap_put_there_comes_off_to_the_octet(text, dialect, system):
    how = {"dialect": dialect, "system": system}
    wrapped = wrap(text, **how)
    assert wrap(wrapped.text, **how).text == wrapped.text
    if "cronwrap" not in text:
        assert unwrap(wrapped.text, **how).text == text


@given(TABLES)
def test_wrapping_does_not_change_what_a_crontab_is_taken_for(text):
    dialect, _ = guess(text)
    assert guess(wrap(text, dialect=dialect).text)[0] == dialect


@given(TABLES, DIALECTS, st.booleans())
def test_every_line_can_be_judged(text, dialect, system):
    assert not [
        said.text
        for said in lint(text, WORLD, system=system, dialect=dialect)
        if "not be judged" in said.text
    ]


@given(st.binary(max_size=60).map(decode) | TABLES)
def test_the_grammar_of_any_text_can_be_asked(text):
    found = list(tokens(text))
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert all(text[token.start : token.end] for token in found)
    assert -1 <= comment_start(text) < max(1, len(text))
    complete(text)
    calls_cronwrap(text)
    assert all(one.text in text for one in simple_commands(text))
    assert encode(decode(encode(text))) == encode(text)


@pytest.mark.parametrize("begun", ["$(", "${", "(", '"$(', "$((", "<("])
def test_what_is_nested_deeper_than_anyone_writes_is_not_followed_to_the_end(begun):
    text = "echo " + begun * (DEEPEST * 100) + " # x"
    assert begun == "(" or not complete(text)
    assert comment_start(text) == -1


@pytest.mark.parametrize(
    "text", ["a" * 60_000, "a=b " * 15_000, "/" * 60_000, "cronwrap " * 6_000, "'\\''" * 15_000]
)
def test_a_long_line_takes_no_time_that_anyone_notices(text):
    begun = time.process_time()
    lint(f"0 5 * * * {text}\n", WORLD)
    wrap(f"0 5 * * * {text}\n")
    assert time.process_time() - begun < 4


def test_a_text_that_no_argument_can_hold_is_not_given_to_a_shell():
    check = ShellCheck()
    assert check.fault("/bin/sh", "echo '" + "a" * 1_000_000) == ""
    assert check.fault("/bin/sh", "echo \0'") == ""
    assert check.fault("/usr/bin/perl", "'") == ""
    assert "nterminated" in check.fault("/bin/sh", "echo '") or os.path.realpath("/bin/sh") != "/bin/dash"


def test_an_owner_or_a_mode_that_cron_refuses_is_found_on_this_host_alone(monkeypatch, tmp_path):
    path = tmp_path / "cron.d" / "table"
    path.parent.mkdir()
    path.write_text("")
    path.chmod(0o666)
    monkeypatch.setattr("cronwrap.crontab.place.is_system_path", lambda _path: True)
    assert any("chmod go-w" in said for said in passed_over(str(path), DEFAULT, look=True))
    assert passed_over(str(path), DEFAULT, look=False) == ()


PIECES = (
    *("echo", "a=b", "[", "]", "-f", "/x", "$HOME", "${A}", "'a b'", '"$A b"', "2", "&1", ">", ">>", "<"),
    *(
        "2>&1",
        "&",
        "&&",
        "|",
        "||",
        ";",
        "if",
        "done",
        "!",
        "{",
        "}",
        "time",
        "\\",
        "x\\ y",
        "'",
        '"',
        "a[",
        "*?",
    ),
    *("`", "$(", ")", "#", "<<", ">&", ">|", "$", "é", "=", "case", "in"),
)


@settings(max_examples=25)
@given(st.lists(st.lists(st.sampled_from([*PIECES, " ", " ", " "]), max_size=9).map("".join), min_size=30))
@example(["echo a &", "a &&", "; a", "a >", "a > > b", "a 2>&1x", "> x", "a; ; b", "[ -f x ] && a > y 2>&1;"])
@example(["if", "a if", "'if' x", "time", "a & b", "&", "", "a\\", "a[ b", "echo ${A", 'echo "$(b"', "x <y"])
@example(
    [
        "echo done",
        "a=b if",
        "> x if",
        "a in",
        "echo }",
        "a; fi",
        "a | time b",
        "! a",
        "x=y {",
        "a [ b",
        "2>&1 do",
    ]
)
def test_what_is_taken_for_sound_without_a_shell_is_sound_to_the_shells(texts):
    sure = [text for text in texts if surely_parsed(text)]
    for shell in ("/bin/dash", "/bin/bash"):
        if os.access(shell, os.X_OK) and sure:
            # In one go: of a text with a fault in it the shell would read no further.
            whole = "".join(f"{text}\n:\n" for text in sure)
            done = subprocess.run([shell, "-n"], input=whole.encode(), capture_output=True, check=False)
            assert (done.returncode, done.stderr) == (0, b""), sure


@pytest.mark.parametrize(
    "text",
    [
        "/usr/local/bin/backup --all /srv >/dev/null 2>&1",
        "cd /srv && ./run \"$HOME/x\" || echo 'it failed' | mail -s x root; true",
        "[ -x /usr/bin/x ] && X=1 x --name=a:b,c *.txt < input >> out &",
    ],
)
def test_what_most_crontabs_have_needs_no_shell_to_be_asked(text):
    assert surely_parsed(text)
