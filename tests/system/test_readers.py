"""The mails read back by programs that share no code: each finds the same text and the same octets."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess

import pytest

from cronwrap.mail import Envelope
from cronwrap.past import Past
from cronwrap.report import compose, digest
from support import debian
from support.reports import STARTED, files_of, outcome, output, parsed, report, text_of

LIMIT = 240.0
"""Seconds; SpamAssassin loads some thousand rules, and reads all mails, in six of a core."""
SCORE_LIMIT = 0.01
"""Points that one test of SpamAssassin may give: 0.001 is what every mail has that is HTML as well."""
WAY = ("NO_RECEIVED", "NO_RELAYS", "ALL_TRUSTED", "RCVD_ILLEGAL_IP")
"""What is said of the way a mail came: here it is made up."""

PERL = r"""
use strict; use warnings;
use MIME::Parser; use MIME::Base64; use JSON::PP; use Encode qw(decode);
my $parser = MIME::Parser->new; $parser->output_to_core(1); $parser->extract_nested_messages(1);
my $message = $parser->parse(\*STDIN);
my @found;
sub walk {
  my ($part) = @_;
  if ($part->parts) { walk($_) for $part->parts; return; }
  push @found, {
    type => $part->effective_type,
    name => $part->head->recommended_filename // "",
    charset => $part->head->mime_attr("content-type.charset") // "",
    content => encode_base64($part->bodyhandle ? $part->bodyhandle->as_string : "", ""),
  };
}
walk($message);
my $subject = $message->head->get("Subject") // "";
chomp $subject;
print JSON::PP->new->ascii->encode({
  subject => decode("MIME-Header", $subject),
  faults => [map { "$_" } $parser->results->errors, $parser->results->warnings],
  parts => \@found,
});
"""

LONG = b"".join(b"line %07d of something\n" % number for number in range(20_000))
REPORTS = {
    "plain": report(output(b"copying\n", b"disk full\n")),
    "colours": report(output(b"\x1b[1;31mred\x1b[0m and \x1b[38;2;1;2;3mdark\x1b[0m\n")),
    "umlauts": report(output("Grüße, 日本, 🎉\n".encode()), command="echo Grüße", job="Grüße"),
    "legacy": report(output(b"M\xe4rz\n"), environment={"LANG": "de_DE.ISO-8859-1"}),
    "controls": report(output("evil\u202etxt.exe \x1b[2J\r\nx\n".encode())),
    "octets": report(output(bytes(range(256)) * 3)),
    "long": report(output(LONG[:100_000])),
    "huge": report(output(LONG)),
    "no line end": report(output(b"trailing space ")),
    "silent": report(output()),
    "hostile": report(output(b"\nFrom x\n.\n--=_1_0\n-- \nBcc: x@y\n"), command="a\r\nBcc: x@y.example"),
    "tries": report(outcomes=(outcome(output(b"\0one")), outcome(output(b"\xfftwo\n")))),
    "cron form": report(output(b"crond's \xc3\xa9\n"), format="cron"),
    "past": report(
        output(b"x\n"), past=Past(results=("ok",) * 9, durations=(1.0, 2.0), last_success=STARTED)
    ),
}
MAILS = {name: compose.compose(made).content for name, made in REPORTS.items()}
TOGETHER = [
    digest.Part(run=f"r{number}", content=content, queued=STARTED)
    for number, content in enumerate(MAILS.values())
]
ENVELOPE = Envelope(sender="cron@example.com", recipients=("ops@example.com",))
DIGEST = digest.compose("0123456789abcdef", ENVELOPE, TOGETHER, STARTED + 60)


def run(*words, given=b"", cwd=None, env=None):
    done = subprocess.run(
        words, input=given, capture_output=True, timeout=LIMIT, check=False, cwd=cwd, env=env
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.fixture
def perl(needs):
    """Give what MIME-tools reads: subject, and parts with type, name, charset and octets."""
    needs("perl", "/usr/share/perl5/MIME/Parser.pm")

    def read(content):
        found = json.loads(run("perl", "-e", PERL, given=content.replace(b"\r\n", b"\n")))
        assert found["faults"] == []
        for part in found["parts"]:
            part["content"] = base64.b64decode(part["content"])
        return found

    return read


@pytest.mark.parametrize("name", MAILS)
def test_mime_tools_find_the_text_and_the_attachments(perl, name):
    message = parsed(MAILS[name])
    found = perl(MAILS[name])
    assert found["subject"] == message["Subject"]
    [plain] = [part for part in found["parts"] if part["type"] == "text/plain" and not part["name"]]
    assert plain["charset"] == "utf-8"
    assert plain["content"].decode().replace("\r\n", "\n") == text_of(message)
    files = {part["name"]: part["content"] for part in found["parts"] if part["name"]}
    assert files == files_of(message)


def test_mime_tools_find_every_report_of_a_digest(perl):
    found = perl(DIGEST)
    first, *texts = [part for part in found["parts"] if part["type"] == "text/plain" and not part["name"]]
    assert first["content"].decode().startswith(f"{len(MAILS)} reports")
    wanted = [text_of(parsed(content)) for content in MAILS.values()]
    assert [part["content"].decode().replace("\r\n", "\n") for part in texts] == wanted
    files = [part["content"] for part in found["parts"] if part["name"]]
    assert files == [octets for content in MAILS.values() for octets in files_of(parsed(content)).values()]


@pytest.mark.parametrize("name", [name for name, content in MAILS.items() if files_of(parsed(content))])
def test_munpack_takes_the_attachments_out_as_they_were(needs, tmp_path, name):
    needs("munpack")
    run("munpack", "-f", "-q", given=MAILS[name], cwd=tmp_path)
    taken = {
        file: (tmp_path / file).read_bytes() for file in os.listdir(tmp_path) if file.startswith("output")
    }
    wanted = files_of(parsed(MAILS[name]))
    if "output.txt" in wanted:  # it gives text this host's line ends
        wanted["output.txt"] = wanted["output.txt"].replace(b"\r\n", b"\n")
    assert taken == wanted
    for file, content in taken.items():
        if file.endswith(".gz"):
            assert gzip.decompress(content) == LONG


@pytest.mark.parametrize("name", MAILS)
def test_reformime_finds_the_same_parts(needs, name):
    needs("reformime")
    content = MAILS[name].replace(b"\r\n", b"\n")
    said = run("reformime", "-i", given=content).decode()
    kinds = [line.partition(": ")[2] for line in said.splitlines() if line.startswith("content-type: ")]
    assert kinds == [part.get_content_type() for part in parsed(MAILS[name]).walk()]
    sections = [line.partition(": ")[2] for line in said.splitlines() if line.startswith("section: ")]
    plain = sections[kinds.index("text/plain")]
    text = run("reformime", "-e", "-s", plain, given=content).decode()
    assert text.replace("\r\n", "\n") == text_of(parsed(MAILS[name]))


def in_one_worker(test):
    """Let one process of SpamAssassin do for all tests, and have its time."""
    return pytest.mark.xdist_group("spamassassin")(pytest.mark.timeout(LIMIT + 60)(test))


WRONG_TYPE = "wrong type"


@pytest.fixture(scope="module")
def points(needs, tmp_path_factory):
    """Give what SpamAssassin says against each mail, by its tests, without asking the network."""
    needs("minutes", "spamassassin")
    wrong = MAILS["controls"].replace(b"text/plain; charset=utf-8; name", b"application/octet-stream; name")
    return scored(MAILS | {"digest": DIGEST, WRONG_TYPE: wrong}, tmp_path_factory.mktemp("scored"))


def scored(mails, home):
    """Give each mail's points: one process for all, since it takes a second to read its own rules."""
    received = (
        b"Received: from web1.example.com (web1.example.com [192.0.2.1])\r\n"
        b"\tby mx.example.com (Postfix) with ESMTPS id 1; Mon, 02 Mar 2026 03:05:10 +0000\r\n"
    )
    names = list(mails)
    for number, name in enumerate(names):
        content = received + b"X-Number: %d\r\n" % number + mails[name]
        (home / f"{number}.eml").write_bytes(content.replace(b"\r\n", b"\n"))
    said = run(
        *("spamassassin", "-L", "-t", "--cf", "report_safe 0", "--cf", "use_bayes 0"),
        *("--cf", "add_header all Points <_HEADER(X-Number)_>_TESTSSCORES(,)_"),
        *(str(home / f"{number}.eml") for number in range(len(names))),
        env={"HOME": str(home), "PATH": debian.SEARCH_PATH, "LC_ALL": "C.UTF-8"},
    )
    lines = said.decode(errors="replace").replace("\n\t", "").splitlines()
    found = [line.partition("<")[2].split(">") for line in lines if line.startswith("X-Spam-Points:")]
    return {names[int(number)]: suspicions(tests) for number, tests in found}


def suspicions(tests):
    given = dict(test.split("=") for test in tests.split(",") if "=" in test)
    return {
        test: float(score) for test, score in given.items() if test not in WAY and float(score) > SCORE_LIMIT
    }


@in_one_worker
@pytest.mark.parametrize("name", MAILS)
def test_nothing_in_a_mail_is_suspect_to_spamassassin(points, name):
    assert points[name] == {}


@in_one_worker
def test_nothing_in_a_digest_is_suspect_to_spamassassin(points):
    assert points["digest"] == {}


@in_one_worker
def test_text_under_a_wrong_type_would_be_suspect(points):
    assert "OBFU_TEXT_ATTACH" in points[WRONG_TYPE]
