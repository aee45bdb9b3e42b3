"""Redaction: no secret of a known kind gets through, and what is none stays as it is."""

import string
import time
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cronwrap.model import STDERR, STDOUT, Mark, Output
from cronwrap.redact import known_secrets, without_secrets
from cronwrap.redact.redactor import REPLACEMENT, Redactor

PLAIN = Redactor()
KEY_BODY = "\n".join(
    f"{line:02d}MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cK" for line in range(20)
)
KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_BODY}\n-----END RSA PRIVATE KEY-----"
NAME = string.ascii_letters + string.digits


def after(text):
    return PLAIN.text(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("git clone https://bob:s3cret@example.com/x", "git clone https://bob:[redacted]@example.com/x"),
        ("redis://:s3cret@cache:6379/0", "redis://:[redacted]@cache:6379/0"),
        ("postgres://u:p@ss:w@db/x", "postgres://u:[redacted]@db/x"),
        ("postgres://u:pa/ss@db/x", "postgres://u:[redacted]@db/x"),
        ("curl -H 'Authorization: Bearer abc' http://x", "curl -H 'Authorization: [redacted]' http://x"),
        ('{"authorization":"Basic dTpw","a":1}', '{"authorization":"[redacted]","a":1}'),
        (r"{\"Authorization\": \"Basic dTpw\", 1}", r"{\"Authorization\": \"[redacted]\", 1}"),
        ("Proxy-Authorization: Basic dTpw\r\nHost: x", "Proxy-Authorization: [redacted]\r\nHost: x"),
        (r"b'Authorization: Basic dTpw\r\nHost: x'", r"b'Authorization: [redacted]\r\nHost: x'"),
        ('Authorization: Digest username="u", response="r"\nx', "Authorization: [redacted]\nx"),
        ("token ghp_" + "a1B2" * 9 + ".", "token [redacted]."),
        ("id AKIAIOSFODNN7EXAMPLE, next", "id [redacted], next"),
        (f"jwt eyJ{'a' * 20}.eyJ{'b' * 20}.{'c' * 20} end", "jwt [redacted] end"),
        (f"jwt eyJ{'a' * 20}.eyJ{'b' * 20}", "jwt [redacted]"),
        (f"before\n{KEY}\nafter", "before\n[redacted]\nafter"),
        (f"before\n{KEY[:400]}", "before\n[redacted]"),
        (f"{KEY[400:]}\nafter", "[redacted]\nafter"),
        (f"{KEY}\nbetween\n{KEY}", "[redacted]\nbetween\n[redacted]"),
        (KEY.replace("RSA ", "").replace("\n", "\\n"), "[redacted]"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nx\n-----END PGP PRIVATE KEY BLOCK-----", "[redacted]"),
    ],
)
def test_a_secret_goes_and_what_stands_around_it_stays(text, expected):
    assert after(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rsync -a /srv/ backup:/srv/",
        "task-force-one-two-three-four-five disk-usage-of-the-whole-machine",
        "http://localhost:8080/path@2x.png and mailto:bob@example.com",
        "https://example.com/?q=a:b@c",
        "http://[::1]:80/a@b",
        "ssh bob@example.com:/srv",
        "no authorization was given",
        "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIIC\n-----END PUBLIC KEY-----",
        "the PRIVATE KEY of the house",
        "ghp_short AKIA AKIAtoolower eyJ.eyJ ya29. sk-short",
        "AKIAIOSFODNN7EXAMPLEANDMORE",
        "XAKIAIOSFODNN7EXAMPLE",
        "ein Prüfstück für Größe",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text):
    assert after(text) == text


def test_octets_that_are_no_text_stay_beside_a_secret():
    assert PLAIN.bytes(b"\xff\0 redis://:pw@h \xfe") == b"\xff\0 redis://:[redacted]@h \xfe"
    assert PLAIN.text("\udcff redis://:pw@h") == "\udcff redis://:[redacted]@h"
    assert PLAIN.text("\ud800 redis://:pw@h") == "\\ud800 redis://:[redacted]@h"


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"token=\S+", "a token=x1 b\ntoken=y2", "a [redacted] b\n[redacted]"),
        (r"^pin \d+$", "pin 1\npin 2x\npin 3", "[redacted]\npin 2x\n[redacted]"),
        (r"(?i)größe\w*", "ä GRÖßEN ä", "ä [redacted] ä"),
        (r"x*", "axxb", "a[redacted]b"),
    ],
)
def test_the_users_patterns_are_applied(pattern, text, expected):
    assert Redactor((pattern,)).text(text) == expected


def test_a_users_pattern_sees_octets_that_are_no_utf8_as_characters():
    assert (
        Redactor((r"key=.+",)).bytes(b"\xc3\xa4\xff key=\xfe\xc3\xa4z\nrest")
        == b"\xc3\xa4\xff [redacted]\nrest"
    )


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "(?P<n>a)(?P<n>b)", "a{99999999999999999999}"])
def test_a_pattern_that_cannot_be_used_is_named(pattern):
    with pytest.raises(ValueError, match="not a regular expression") as caught:
        Redactor((r"fine", pattern))
    assert repr(pattern) in str(caught.value)


# Whatever the chunking ---------------------------------------------------------------------------

# What is random has capitals, small letters and digits in any twenty characters; what has not is a name.
words = st.text(NAME, min_size=20, max_size=42).map(lambda text: "Zq7xK2mW9pL4vB8nTy" + text)
tokens = st.builds(
    lambda entry, body: (entry[0].decode() + body, body),
    st.sampled_from(known_secrets.PREFIXES),
    words,
)
key_ids = st.builds(
    lambda prefix, body: (prefix.decode() + body, body),
    st.sampled_from(known_secrets.KEY_IDS),
    st.text(string.ascii_uppercase + string.digits, min_size=16, max_size=16),
)
web_tokens = st.builds(lambda a, b, c: (f"eyJ{a}.eyJ{b}.{c}", b), words, words, words)
url_passwords = st.builds(
    lambda scheme, body: (f"{scheme}://user:{body}@host/", body),
    st.sampled_from(["https", "ftp", "amqp"]),
    words,
)
headers = st.builds(
    lambda name, scheme, body: (f"{name}: {scheme} {body}", body),
    st.sampled_from(["Authorization", "authorization", "Proxy-Authorization", "AUTHORIZATION"]),
    st.sampled_from(["Basic", "Bearer", "token"]),
    words,
)
keys = st.builds(
    lambda kind, lines: (
        f"-----BEGIN {kind}PRIVATE KEY-----\n" + "\n".join(lines) + f"\n-----END {kind}PRIVATE KEY-----",
        "\n".join(lines),
    ),
    st.sampled_from(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "]),
    st.lists(st.text(NAME + "+/", min_size=60, max_size=60), min_size=3, max_size=10),
)
secrets = st.one_of(tokens, key_ids, web_tokens, url_passwords, headers, keys)
noise = st.text(st.characters(codec="utf-8"), max_size=60).map(lambda text: text.replace("PRIVATE KEY", ""))


def survives(body, content, length=12):
    """Give a piece of ``body`` that is still in ``content``."""
    octets = body.encode()
    pieces = (octets[start : start + length] for start in range(len(octets) - length + 1))
    return next((piece for piece in pieces if piece in content), None)


@given(before=noise, secret=secrets, later=noise)
def test_no_known_secret_survives_in_a_text(before, secret, later):
    text, body = secret
    assume(survives(body, f"{before} \n{later}".encode()) is None)
    assert survives(body, after(f"{before} {text}\n{later}").encode("utf-8", "surrogateescape")) is None


def marked(pieces):
    """Give an output out of (stream, octets) in order of arrival."""
    content, marks = b"", []
    for stream, piece in pieces:
        marks.append(Mark(offset=len(content), stream=stream, elapsed=float(len(marks))))
        content += piece
    return Output(head=content, stdout_bytes=len(content), marks=tuple(marks))


def chunked(draw, content, stream):
    cuts = sorted(draw(st.sets(st.integers(0, len(content)), max_size=6)) | {0, len(content)})
    return [(stream, content[first:last]) for first, last in pairwise(cuts)]


@given(data=st.data(), secret=secrets)
def test_no_known_secret_survives_whatever_comes_in_between(data, secret):
    text, body = secret
    whole = f"start {text}\nend\n".encode()
    pieces = []
    for chunk in chunked(data.draw, whole, STDOUT):
        pieces.append(chunk)
        if data.draw(st.booleans()):
            pieces.append(
                (STDERR, data.draw(st.sampled_from([b"warning: slow\n", b"x", b"\xff\xfe", b"a b"])))
            )
    output = marked(pieces)
    redacted = PLAIN.redact_output(output)
    assert REPLACEMENT in redacted.kept
    stdout = b"".join(piece for stream, piece in by_stream(redacted) if stream == STDOUT)
    assert survives(body, redacted.kept) is None
    assert survives(body, stdout) is None
    assert stdout.endswith(b"end\n")
    assert stdout.startswith(b"start ")


def by_stream(output):
    ends = [*(mark.offset for mark in output.marks[1:]), len(output.kept)]
    return [
        (mark.stream, output.kept[mark.offset : end]) for mark, end in zip(output.marks, ends, strict=True)
    ]


@given(secret=secrets, data=st.data())
def test_no_known_secret_survives_that_the_gap_has_cut(secret, data):
    text, body = secret
    whole = f"the start of it\n{text}\nand the end of it\n".encode()
    first = data.draw(st.integers(0, len(whole)))
    last = data.draw(st.integers(min(first + 1, len(whole)), len(whole)))
    output = Output(
        head=whole[:first],
        tail=whole[last:],
        left_out_bytes=last - first,
        stdout_bytes=len(whole),
        marks=(Mark(offset=0, stream=STDOUT, elapsed=0.0),),
    )
    redacted = PLAIN.redact_output(output)
    # A key's body that lost both its lines to the gap, or a header's value that lost its name, is like any
    # other text: only what is recognisable can go.
    if b"BEGIN" in text.encode() or "uthoriz" in text.lower():
        lost = first < whole.index(body.encode()) and last > whole.index(text.encode())
        if lost:
            return
    assert survives(body, redacted.head, 20) is None
    assert survives(body, redacted.tail, 20) is None


@pytest.mark.parametrize(
    ("head", "tail", "expected_head", "expected_tail"),
    [
        (b"see ghp_a1", b"b2 done", b"see [redacted]", b"b2 done"),
        (b"see ", b"kjhgfdsaqwertzuiopyx done", b"see ", b"[redacted] done"),
        (b"see ", b"a1b2c3d4e5f6g7 done", b"see ", b"[redacted] done"),
        (b"amqp://u:se", b"cret@host", b"amqp://u:[redacted]", b"[redacted]@host"),
        (b"amqp", b"://u:secret@host", b"amqp", b"://[redacted]@host"),
        (b"amqp:", b"//u:secret@host", b"amqp:", b"//[redacted]@host"),
        (b"Authorization: Bea", b"x", b"Authorization: [redacted]", b"x"),
        (b"http://localhost:80", b"80/ up", b"http://localhost:80", b"80/ up"),
        (b"a configu", b"ration that is\nlong", b"a configu", b"ration that is\nlong"),
        (b"mask-a", b"task-b", b"mask-a", b"task-b"),
    ],
)
def test_beside_the_gap_what_looks_like_a_part_of_a_secret_goes(head, tail, expected_head, expected_tail):
    mark = Mark(offset=0, stream=STDOUT, elapsed=0.0)
    redacted = PLAIN.redact_output(Output(head=head, tail=tail, left_out_bytes=1, marks=(mark,)))
    assert (redacted.head, redacted.tail) == (expected_head, expected_tail)


@given(
    pieces=st.lists(
        st.tuples(
            st.sampled_from([STDOUT, STDERR]),
            st.one_of(
                st.binary(max_size=20), st.sampled_from([b"k=abc", b"k=a", b" ", b"bc\n", b"redis://:p@h"])
            ),
        ).filter(lambda pair: pair[1]),
        max_size=12,
    ),
    border=st.integers(0, 200),
    left_out=st.integers(0, 2),
)
@settings(deadline=None)  # patterns are searched for by another process
def test_marks_stay_ascending_and_the_rest_of_each_stretch_is_untouched(pieces, border, left_out):
    output = marked(pieces)
    output = output.replace(head=output.kept[:border], tail=output.kept[border:], left_out_bytes=left_out)
    redacted = Redactor((r"k=\w+",)).redact_output(output)
    offsets = [mark.offset for mark in redacted.marks]
    assert offsets == sorted(set(offsets))
    assert not offsets or (offsets[0] == 0 and offsets[-1] <= len(redacted.kept))
    if REPLACEMENT not in redacted.kept:
        assert redacted == output
    if output.marks:
        streams = {mark.elapsed: mark.stream for mark in output.marks}
        assert all(mark.stream == streams[mark.elapsed] for mark in redacted.marks)


def test_marks_move_with_what_was_taken_out():
    output = marked([(STDOUT, b"a redis://:secretsecretsecret@h\n"), (STDERR, b"oops\n"), (STDOUT, b"b\n")])
    redacted = PLAIN.redact_output(output)
    assert by_stream(redacted) == [
        (STDOUT, b"a redis://:[redacted]@h\n"),
        (STDERR, b"oops\n"),
        (STDOUT, b"b\n"),
    ]


@pytest.mark.parametrize(
    "piece",
    [
        b"ghp_",
        b"sk-",
        b"eyJ",
        b".eyJ",
        b"://",
        b"://a:b",
        b"://a:b/",
        b"authorization:",
        b'"authorization":"x",',
        b"-----BEGIN PRIVATE KEY-----",
        b"-----END PRIVATE KEY-----",
        b"PRIVATE KEY",
        b"PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw",
        b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----",
        b"- ",
        b"\x1b[",
        b"\x1b]",
        b"\x1b[0mghp_",
        b"'authorization', \"\\\"",
        b'"authorization":"\\',
        b"authorization: basic ",
        b"hf_",
        b"AKIA",
        b"a",
    ],
)
def test_hostile_output_takes_time_in_proportion(piece):
    def cost(size):
        content = (piece * (size // len(piece) + 1))[:size]
        output = Output(
            head=content,
            tail=content,
            left_out_bytes=1,
            marks=(Mark(offset=0, stream=1, elapsed=0.0), Mark(offset=99, stream=2, elapsed=0.0)),
        )
        begun = time.process_time()
        PLAIN.redact_output(output)
        return time.process_time() - begun

    # Quadratic behaviour would take minutes here, not a second.
    assert cost(200_000) < 3.0


WORDS = ["Basic", "BEGIN", "END", "PRIVATE", "KEY", "sk-", "AKIA", "ghp_", "eyJ", ".eyJ", "://", "----"]
PIECES = st.sampled_from([*WORDS, *"abc:/@.-_ =", "\u3000", "\xa0", "\udc80"])


@given(st.lists(PIECES, max_size=14).map("".join))
def test_a_text_that_is_passed_without_a_look_holds_nothing_secret(text):
    assert without_secrets(text) == Redactor().command(text)


def test_a_text_is_looked_at_for_the_patterns_however_short_it_is():
    assert without_secrets("a pin", ["pin"]) == "a [redacted]"
