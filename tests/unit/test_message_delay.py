"""Claims about messages that had to wait."""

import email
import email.policy

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cronwrap.model import Output
from cronwrap.report import compose
from support.reports import FAILED, files_of, output, parsed, report, text_of

SENTENCE = "This report waited 2 h 5 min for a relay: connection refused"


def stored(*tries, **more):
    return compose.compose(report(*tries, **more)).content


def annotated(content, waited=7500.0, reason="connection refused"):
    return compose.annotate_delay(content, waited, reason)


CONTENTS = st.binary(max_size=200) | st.sampled_from(
    [b"\x1b[1m" * 40_000, b"plain\n", b"From x\n", b"x" * 1000, "日本".encode() * 90]
)


@given(CONTENTS, st.sampled_from(["report", "cron"]), st.text(alphabet=st.characters(), max_size=40))
def test_a_report_tells_its_delay_and_is_otherwise_the_same(written, form, reason):
    content = stored(output(written), format=form)
    before, after = parsed(content), parsed(annotated(content, reason=reason))
    assert after["X-Cronwrap-Delayed"].startswith("2 h 5 min: ")
    del after["X-Cronwrap-Delayed"]
    unstable = {"content-type", "content-transfer-encoding"}
    kept = [item for item in before.items() if item[0].lower() not in unstable]
    assert [item for item in after.items() if item[0].lower() not in unstable] == kept
    assert files_of(after) == files_of(before)
    told = text_of(after)
    sentence = next(
        line for line in told.split("\n") if line.startswith("This report waited 2 h 5 min for a relay: ")
    )
    assert told.replace(f"{sentence}\n\n", "", 1) == text_of(before)


def test_the_sentence_stands_after_the_headline_in_text_and_html():
    mail = parsed(annotated(stored(output(b"x\n"), verdict=FAILED.replace(notes=("A note.",)))))
    assert text_of(mail).startswith(f"exit status 2 after 3.1 s\n\n{SENTENCE}\n\nA note.\n\nx\n")
    page = text_of(mail, "html")
    assert page.index("exit status 2") < page.index(SENTENCE) < page.index("A note.")


def test_the_cron_form_begins_with_the_sentence():
    assert text_of(parsed(annotated(stored(output(b"x\n"), format="cron")))) == f"{SENTENCE}\n\nx\n"


def test_output_that_looks_like_parts_of_a_message_is_left_alone():
    written = b"\n--=_1_0\nContent-Type: text/plain\n\nThis report waited\n<!-- after the headline -->\n"
    mail = parsed(annotated(stored(output(written))))
    assert written.decode() in text_of(mail)
    assert text_of(mail, "html").count(SENTENCE) == 1


def test_a_relay_s_words_are_shown_harmlessly():
    mail = parsed(
        annotated(
            stored(output(b"x\n")), reason="450 <b>later</b>\r\nBcc: victim@example.com\x1b[2J" + "x" * 9000
        )
    )
    assert mail["Bcc"] is None
    assert len(mail["X-Cronwrap-Delayed"]) < 600
    assert "450 <b>later</b> Bcc: victim@example.com␛[2J" in text_of(mail)
    assert "<b>" not in text_of(mail, "html")


FOREIGN = b"From: php@example.com\r\nTo: a@b.example\r\nSubject: hello\r\nX-Cronwrap-Job: x\r\n\r\nbody\r\n"


def test_a_message_that_is_not_ours_gets_a_field_alone():
    assert annotated(FOREIGN) == b"X-Cronwrap-Delayed: 2 h 5 min: connection refused\r\n" + FOREIGN


def test_the_field_uses_the_message_s_line_ends_and_follows_an_mbox_separator():
    content = b"From php Mon Mar  2 03:05:06 2026\n" + FOREIGN.replace(b"\r\n", b"\n")
    separator, field, rest = annotated(content).split(b"\n", 2)
    assert separator + b"\n" + rest == content
    assert field == b"X-Cronwrap-Delayed: 2 h 5 min: connection refused"


def test_a_field_is_never_put_where_it_would_swallow_the_first_line():
    assert annotated(b" folded\r\n\r\nbody") == b" folded\r\n\r\nbody"
    assert annotated(b"\r\nbody").endswith(b"\r\n\r\nbody")


def edits():
    content = stored(output(b"\x00x\n"))
    yield content.replace(b"Content-Type: text/plain; charset=utf-8", b"Content-Type: text/plain", 1)
    yield content.replace(
        b"Content-Transfer-Encoding: quoted-printable\r\n", b"Content-Transfer-Encoding: 8bit\r\n", 1
    )
    yield content.replace(b"boundary=", b"bound=", 1)
    yield content.replace(b"exit status", b"exit=00=FF status", 1)
    yield content.replace(b"exit status", b"exit=0D status", 1)
    yield content.replace(b"<!-- after the headline -->", b"", 1)
    yield content[: len(content) // 2]
    yield content[: content.index(b"\r\n\r\n") + 4]
    head, _empty, rest = content.partition(b"MIME-Version: 1.0\r\n")
    yield head + b"\r\n" + rest


@pytest.mark.parametrize("content", list(edits()))
def test_a_report_that_was_edited_or_cut_gets_a_field_alone(content):
    made = annotated(content)
    assert made.startswith(b"X-Cronwrap-Delayed: ")
    assert made.endswith(b"\r\n" + content)


@given(st.binary(max_size=300), st.integers(0, 20_000), st.integers(0, 50))
@example(b" folded", 0, 0)
def test_any_content_is_kept_whole(rubbish, at, length):
    own = stored(Output(head=b"\xff" * 90, stdout_bytes=90))
    at %= len(own)
    for content in (rubbish, own[:at] + rubbish + own[at + length :]):
        made = annotated(content)
        assert made == content or b"X-Cronwrap-Delayed: " in made
        assert len(made) >= len(content) * 3 // 4
        email.message_from_bytes(made, policy=email.policy.default)
