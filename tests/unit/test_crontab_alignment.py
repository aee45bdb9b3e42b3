"""Which lines of two crontabs belong together: rightly, and in little time however many are alike."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.crontab import alignment
from cronwrap.crontab.alignment import opcodes
from cronwrap.crontab.difference import hunks
from cronwrap.crontab.edit import as_form, merged

LINES = st.lists(st.sampled_from(["", "", "#", "a", "b", "c", "d", "e"]), max_size=30)


@settings(max_examples=100)
@given(LINES, LINES, st.integers(0, 20))
def test_one_text_becomes_the_other_by_what_is_told(old, new, short):
    before = alignment.SHORT
    alignment.SHORT = short  # so that what is for long texts is done for these
    try:
        codes = opcodes(old, new)
    finally:
        alignment.SHORT = before
    made, at_old, at_new = [], 0, 0
    for kind, a, b, c, d in codes:
        assert (a, c) == (at_old, at_new)
        made += old[a:b] if kind == "equal" else new[c:d]
        assert (kind == "equal") == (old[a:b] == new[c:d])
        at_old, at_new = b, d
    assert (made, at_old, at_new) == (new, len(old), len(new))


def test_a_line_that_both_have_once_is_found_again_whatever_is_around_it():
    old = [line for number in range(400) for line in (f"job {number}", "")]
    new = ["first", *old[100:300], "", "", *old[310:], "last"]
    same = {line for kind, a, b, _c, _d in opcodes(old, new) if kind == "equal" for line in old[a:b]}
    assert {line for line in new if line} - same == {"first", "last"}


def test_every_job_between_blank_lines_is_changed_in_no_time():
    """Half a minute, before: what ``difflib`` makes of many lines that are alike."""
    old = b"".join(b"%d 3 * * * job %d\r\n\r\n" % (number % 60, number) for number in range(5000))
    new = old.replace(b"* job", b"* cronwrap -- job")
    begun = time.process_time()
    found = hunks(old, new)
    assert merged(old, as_form(new)) == new
    assert time.process_time() - begun < 2
    assert sum(line["kind"] == "same" for hunk in found for line in hunk["lines"]) == 5000
