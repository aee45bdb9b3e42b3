"""Wrapped lines do what they did: each is executed as crond would, before and after."""

import os
import shutil
import subprocess
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cronwrap.crontab.audit import watch
from cronwrap.crontab.dialect import BUSYBOX, DEFAULT
from cronwrap.crontab.lines import decode, encode, jobs, parse
from cronwrap.crontab.wrap import unwrap, wrap
from cronwrap.history.runs import starts
from support.cli import CRONWRAP

STAND_IN = """\
#!/bin/sh
case $1 in
--) shift; exec "$@" ;;
-c) exec "${SHELL:-/bin/sh}" -c "$2" ;;
esac
exit 99
"""
"""What the real program does with a job, without all the rest; starts in a millisecond."""

TOOL = """\
#!/bin/sh
echo "$# arguments"
for argument; do printf '<%s>\\n' "$argument"; done
echo "${COLOUR-no colour} ${0##*/}" >&2
exit 7
"""

PLAIN = (
    b"tool",
    b"tool one two",
    b"tool  one\t two  ",
    b"./bin/tool --long=a/b:c,d+e@f -x 1.5",
    b"tool a=b",
    b"no-shebang one two",
    b"cat",
    b"cat%one line",
    b"cat%%one%%three%",
    b"cat%100\\% sure\\\\%next",
    b"cat - %text after a blank",
    b"tool one %",
    b"echo same as the program",
    b"true",
    b"false ignored",
    b"sh script.sh",
    b"echo comment # not shown",
    b'tool one  \t# it\'s managed "by" 100\\% (nobody',
    b"env COLOUR=red tool",
    b"cat %\\%\\\\%x\\y",
    b"cat /dev/null %\\",
    b"date -d @0 -u +%Y",
)
"""Lines that need no shell."""

SHELL = (
    b"echo -n no line feed",
    b"echo 'a  b'   c",
    b'echo "it\'s"',
    b"echo it\\'s",
    b"echo 'it'\\''s'",
    b'echo "double \\"inner\\" $HOME"',
    b"echo '$HOME' `echo back` $(echo dollar)",
    b"echo $((6*7)) ${COLOUR:-unset}",
    b"echo ~ ~/x a=~",
    b"echo *.txt [ab]* ?.txt",
    b"echo {a,b}",
    b"COLOUR=red tool",
    b"COLOUR='deep red' tool x",
    b"PATH=/nowhere:/usr/bin:/bin sh -c 'tool || echo gone'",
    b"tool one; tool two",
    b"tool && echo never",
    b"tool || echo always",
    b"tool one | tr a-z A-Z",
    b"tool >out.txt 2>&1",
    b"tool 2>/dev/null",
    b"tool >>a.txt; cat a.txt",
    b"cat <a.txt",
    b"cat <<X%body%X",
    b"exec tool x",
    b"cd dir && pwd",
    b"cd dir; pwd; exit 3",
    b". ./script.sh",
    b": nothing",
    b"! true",
    b"if true; then tool; fi",
    b"for i in 1 2 3; do echo $i; done",
    b'while read line; do echo "[$line]"; done%one%two',
    b"case x in x) echo matched ;; esac",
    b"{ tool; echo done; }",
    b"(tool; exit 5)",
    b"f() { echo in f; }; f",
    b"test -f a.txt",
    b"[ -f missing ]",
    b"[ -x /usr/sbin/none ] || echo none",
    b"printf '\\%s\\n' a b",
    b"date -d @0 -u +\\%Y-\\%m-\\%d",
    b"date -d @0 -u '+\\%H:\\%M'",
    b'echo "unclosed %F"',
    b"echo 'unclosed",
    b"echo a\\\\b 'c\\\\d' \"e\\\\f\"",
    b"echo one\\\\%in",
    b"cat; echo \\\\\\%x%in\\%put%more\\\\",
    b"echo ends in a backslash\\",
    b"cat 'b c.txt'",
    b"cat b\\ c.txt",
    b"echo 'a # b' c#d \\# e; tool # managed by x",
    b"tool $(echo a) `echo b` ${COLOUR#x}\t # managed",
    b"echo two\\\\ # is a comment to cronie alone",
    b"echo blank\\  # after a quoted blank",
    b"echo a;# right behind it",
    b"(echo a; echo b # within parentheses",
    b"# nothing but a comment",
    b"tool caf\xc3\xa9 \xff\xfe",
    b"echo 'caf\xe9'",
    b"tool '' \"\" x",
    b"echo 'a'\"b\"'c'",
    b"kill -l 9",
    b"sh -c 'kill -TERM $$'; echo $?",
    b"set -- a b; echo $# $0",
    b"umask 077; umask",
    b"export COLOUR=blue; tool",
    b"eval 'echo evaluated'",
    b"command -v sh",
    b"tool & wait",
    b"nohup tool </dev/null",
    b"time -p true 2>/dev/null; echo x",
    b"trap 'echo trapped' EXIT; tool",
    b'echo "$(echo "nested \'quotes\'")"',
    b"''tool x",
    b"-x",
    b"t'oo'l x",
    b"/no/such/program; echo $?",
    b"a=1 b=2; echo $a$b",
    b"echo CR\r",
    b"true\r",
    b"echo \x01\x02 \x7f",
    b"echo ''''''''''''%'%'\\''",
    b"awk 'BEGIN { print \"x\" ; exit 4 }'",
    b"sed -e 's/a/\\\\/' -e \"s/b/'/\"%abc",
    b"test $(cat) = in%in",
    b"echo $SHELL",
    b"sleep 0 && ulimit -n >/dev/null",
    b"#!/bin/sh",
)
"""Lines that need one."""

BASH = (
    b"echo {a,b}{1,2}",
    b"[[ abc == a* ]] && echo glob",
    b"diff <(echo a) <(echo b)",
    b"echo $'a\\tb' !x ^y",
    b"TIMEFORMAT=timed; time true",
    b"function f { echo bash; }; f",
    b"tool one two",
    b"cat <<<here",
    b"echo ${COLOUR^^} a=(b)",
    b"echo $'it\\'s' 'a # b' # managed",
)

CORPUS = (
    *(("/bin/sh", line) for line in PLAIN + SHELL),
    *(("/bin/bash", line) for line in BASH),
)


def crond(command, *, halves_backslashes):
    r"""Give what crond makes of a command: the shell's text and the standard input, in octets.

    Written from do_command.c of Debian's cron 3.0pl1, which makes one backslash of two, and of cronie,
    which does not. Standard input: ``%`` is a line feed, ``\%`` is ``%``, and a last line is ended.
    """
    text, at = bytearray(), 0
    while at < len(command) and command[at : at + 1] != b"%":
        pair = command[at : at + 2]
        if pair == b"\\%" or (pair == b"\\\\" and halves_backslashes):
            text += pair[1:]
        elif pair[:1] == b"\\":
            text += pair
        else:
            text += pair[:1]
        at += 2 if pair[:1] == b"\\" else 1
    given = command[at + 1 :]
    typed, at = bytearray(), 0
    while at < len(given):
        pair = given[at : at + 2]
        if pair == b"\\%":
            typed += b"%"
            at += 2
        else:
            typed += b"\n" if pair[:1] == b"%" else pair[:1]
            at += 1
    if typed and not typed.endswith(b"\n"):
        typed += b"\n"
    return bytes(text), bytes(typed)


class Host:
    """A directory in which crond runs jobs, made anew for each."""

    def __init__(self, path, cronwrap):
        self.path = str(path / "home")
        self.bin = str(path / "bin")
        self.state = str(path / "state")
        os.mkdir(self.bin)
        self._program(self.bin, "tool", TOOL)
        self._program(self.bin, "no-shebang", 'echo "no shebang: $*"\n')
        if cronwrap:
            os.symlink(cronwrap, os.path.join(self.bin, "cronwrap"))
        else:
            self._program(self.bin, "cronwrap", STAND_IN)

    @staticmethod
    def _program(directory, name, text):
        path = os.path.join(directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)

    def run(self, shell, command, *, halves_backslashes=True, **environment):
        """Give status, output, errors and the files that are left, after one run of a command."""
        self._furnish()
        text, typed = crond(command, halves_backslashes=halves_backslashes)
        return self._run(shell, text, typed, environment)

    def _furnish(self):
        shutil.rmtree(self.path, ignore_errors=True)
        os.makedirs(os.path.join(self.path, "dir"))
        os.symlink(self.bin, os.path.join(self.path, "bin"))
        for name, content in (
            ("a.txt", "A\n"),
            ("b c.txt", "BC\n"),
            ("script.sh", "echo in script; false\n"),
        ):
            with open(os.path.join(self.path, name), "w", encoding="utf-8") as file:
                file.write(content)

    def run_text(self, shell, text):
        """Give the same for a command of BusyBox's crond, which hands it to the shell as it is."""
        self._furnish()
        return self._run(shell, text, b"", {})

    def _run(self, shell, text, typed, environment):
        done = subprocess.run(
            [shell, b"-c", text],
            input=typed,
            capture_output=True,
            check=False,
            cwd=self.path,
            timeout=60,
            env={
                "SHELL": shell,
                "HOME": self.path,
                "PATH": f"{self.bin}:/usr/bin:/bin",
                "LOGNAME": "nobody",
                "LC_ALL": "C",
                **environment,
            },
        )
        # A shell's child that a signal ended has this status; crond sees no difference either.
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return status, done.stdout, done.stderr, self._files()

    def _files(self):
        found = {}
        for directory, _, names in os.walk(self.path):
            for name in names:
                path = os.path.join(directory, name)
                with open(path, "rb") as file:
                    found[path] = file.read()
        return found


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return Host(tmp_path_factory.mktemp("crond"), None)


KNOWN = DEFAULT.replace(assumed=False)
"""The rules of Debian's cron and cronie, for a crontab that is known to be for one of them."""


def wrapped_command(shell, command, dialect=KNOWN):
    """Wrap a crontab of one job; give the job's new command, after taking the wrapping off again."""
    crontab = f"SHELL={shell}\n* * * * * ".encode() + command + b"\n"
    result = wrap(decode(crontab), dialect=dialect)
    assert encode(unwrap(result.text, dialect=dialect).text) == crontab
    assert wrap(result.text, dialect=dialect).text == result.text
    (job,) = jobs(parse(result.text))
    return encode(job.command)


def test_the_corpus_is_large():
    assert len(CORPUS) >= 100


@pytest.mark.parametrize(
    ("halves_backslashes", "shell", "command"),
    [
        *((True, shell, line) for shell, line in CORPUS),
        *((False, shell, line) for shell, line in CORPUS if b"\\\\" in line),
    ],
)
def test_a_wrapped_line_does_what_it_did(host, halves_backslashes, shell, command):
    wrapped = wrapped_command(shell, command)
    assert wrapped.startswith(b"cronwrap -")
    before = host.run(shell, command, halves_backslashes=halves_backslashes)
    after = host.run(shell, wrapped, halves_backslashes=halves_backslashes)
    assert after == before


@pytest.fixture(scope="module")
def real_host(tmp_path_factory):
    return Host(tmp_path_factory.mktemp("real"), CRONWRAP)


@pytest.mark.parametrize(("shell", "command"), CORPUS)
def test_the_program_itself_does_what_the_line_did_and_audit_knows_its_name(real_host, shell, command):
    begun = time.time()
    wrapped = wrapped_command(shell, command)
    before = real_host.run(shell, command)
    after = real_host.run(
        shell,
        wrapped,
        CRONWRAP_LIVE="true",
        CRONWRAP_MAILTO="",
        CRONWRAP_STATE_DIR=real_host.state,
        CRONWRAP_CONFIG="/dev/null",
    )
    assert after == before
    (watched,), _ = watch(decode(f"SHELL={shell}\n@daily ".encode() + wrapped + b"\n"))
    assert set(starts(real_host.state, begun)) <= set(watched.names)
    assert starts(real_host.state, begun)


@pytest.mark.parametrize("command", PLAIN)
def test_a_plain_line_gets_no_further_shell(command):
    assert wrapped_command("/bin/sh", command) == b"cronwrap -- " + command


@pytest.mark.parametrize("command", SHELL)
def test_a_line_that_needs_the_shell_is_wrapped_whole(command):
    assert wrapped_command("/bin/sh", command).startswith(b"cronwrap -c '")


BUSYBOX_LINES = (
    b"date -d @0 -u '+%F %T'",
    b"date -d @0 -u +%Y",
    b"echo 100\\% \\\\ %% # 5% are kept",
    b'tool "%s" a%b',
    b"cat /dev/null %\\",
)


@pytest.mark.parametrize("command", BUSYBOX_LINES)
def test_under_busybox_a_percent_sign_means_nothing_before_and_after(host, command):
    wrapped = wrapped_command("/bin/sh", command, BUSYBOX)
    assert host.run_text("/bin/sh", wrapped) == host.run_text("/bin/sh", command)


def test_a_percent_sign_within_quotes_is_right_for_busybox_so_the_line_is_left_alone():
    crontab = "* * * * * date '+%F'\n"
    result = wrap(crontab)
    assert result.text == crontab
    assert "--dialect busybox" in result.changes[0].remark


def test_a_missing_program_gives_the_same_status(host):
    assert host.run("/bin/sh", b"no-such-program")[0] == 127
    assert host.run("/bin/sh", wrapped_command("/bin/sh", b"no-such-program"))[0] == 127


# No pipe: who of its two ends is the first to fail is a matter of luck.
FRAGMENTS = st.sampled_from(
    (
        *(b"echo", b"tool", b"cat", b"a", b" ", b"  ", b"\t", b"'", b'"', b"\\", b"%", b"\\%", b"-n"),
        *(b"$HOME", b"`echo x`", b"=", b"~", b"*", b"?", b";", b"&&", b"#", b"(", b")", b"{", b"}"),
        *(b"<a.txt", b"!", b"\xc3\xa9", b"\xff"),
    )
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FRAGMENTS, min_size=1, max_size=8).map(b"".join), st.booleans())
def test_any_wrapped_line_does_what_it_did(host, command, halves_backslashes):
    command = command.lstrip(b" \t")
    wrapped = wrapped_command("/bin/sh", command) if command else b""
    if not wrapped.startswith(b"cronwrap -"):
        return
    before = host.run("/bin/sh", command, halves_backslashes=halves_backslashes)
    after = host.run("/bin/sh", wrapped, halves_backslashes=halves_backslashes)
    if wrapped.startswith(b"cronwrap -- ") and before[0] in (126, 127):
        before, after = before[0], after[0]  # "not found" is said in other words
    assert after == before
