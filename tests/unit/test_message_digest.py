"""Claims about the mail that stands for many."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.mail import Envelope
from cronwrap.report import digest
from cronwrap.report.compose import compose
from support.reports import FAILED, STARTED, output, parsed, report, text_of

ENVELOPE = Envelope(sender="cron@example.com", recipients=("ops@example.com", "dev@example.com"))
TEXT = st.text(alphabet=st.characters(), max_size=40)
REPORTS = st.builds(
    lambda job, command, host, headline, octets, form: report(
        output(octets),
        job=job,
        command=command,
        host=host,
        format=form,
        verdict=FAILED.replace(headline=headline),
    ),
    *(TEXT, TEXT, TEXT, TEXT, st.binary(max_size=200), st.sampled_from(["report", "cron"])),
)


def parts_of(*reports):
    return [
        digest.Part(run=f"r{number}", content=compose(made).content, queued=STARTED)
        for number, made in enumerate(reports)
    ]


@given(st.lists(REPORTS, min_size=2, max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_reports_make_a_valid_message_that_has_them_as_they_were(reports):
    parts = parts_of(*reports)
    assert all(digest.is_report(part.content) for part in parts)
    content = digest.compose("0123456789abcdef", ENVELOPE, parts, STARTED)
    message = parsed(content)
    for name in ("From", "To", "Subject", "Date", "Message-ID", "References", "List-Id"):
        assert len(message.get_all(name)) == 1
    assert text_of(message).count("cronwrap show r") == len(parts)
    for part in parts:
        assert b"\r\n\r\n" + part.content + b"\r\n--=_" in content
    names = [part.get_filename() for part in message.iter_attachments()]
    assert names == [f"{part.run}.eml" for part in parts]


@given(st.binary(max_size=300), st.integers(0, 6000), st.integers(0, 60))
@settings(deadline=None)
def test_reports_that_were_edited_are_listed_all_the_same(rubbish, at, length):
    whole, other = parts_of(report(output(b"x\n")), report(output(b"y\n")))
    at %= len(whole.content)
    edited = whole.replace(content=whole.content[:at] + rubbish + whole.content[at + length :])
    if digest.is_report(edited.content):
        content = digest.compose("0123456789abcdef", ENVELOPE, [edited, other], STARTED)
        assert b"cronwrap show r0" in content or b"cronwrap show=20r0" in content


def test_what_is_no_report_of_ours_is_told_apart():
    [part] = parts_of(report(output(b"x\n")))
    assert digest.is_report(part.content)
    for other in (
        b"",
        b"Subject: x\r\n\r\nX-Cronwrap-Result: exit 2\r\n",
        part.content.replace(b"\r\n", b"\n"),
        part.content + b"\xff\r\n",
        part.content.replace(b"X-Cronwrap-Result", b"X-Other"),
    ):
        assert not digest.is_report(other)


def test_the_list_is_in_the_order_of_time_and_says_how_long_they_waited():
    late, early = report(output(b"x\n"), ended=STARTED + 500, job="late"), report(output(b"x\n"), job="early")
    text = text_of(
        parsed(digest.compose("0123456789abcdef", ENVELOPE, parts_of(late, early), STARTED + 7200))
    )
    assert text.index("  early: ") < text.index("  late: ")
    assert "(the longest for 2 h" in text
