"""audit tells a missed run from a late one, from a young job, and from a clock that was changed."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.crontab.audit import Window, due_times, missed, watch
from cronwrap.settings.job_name import job_name

HOUR = 3600.0
DAY = 24 * HOUR
BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC).timestamp()


def one(text, **options):
    (job,), unwatched = watch(text, **options)
    assert unwatched == ()
    return job


def refused(text, **options):
    watched, (job,) = watch(text, **options)
    assert watched == ()
    return job.reason


def window(begin=NOON - DAY, now=NOON, zone=UTC, grace=300.0):
    return Window(begin=begin, now=now, zone=zone, grace=grace)


def missing(job, starts, judged=None):
    found = missed(job, {"j": starts}, judged or window())
    return () if found is None else found.due


def test_a_job_that_ran_when_it_was_due_is_not_missing():
    job = one("0 3 * * * cronwrap -n j -- tool\n")
    assert missing(job, [NOON - 9 * HOUR + 2]) == ()


def test_a_job_that_did_not_run_is_missing_with_its_last_run():
    job = one("# first\n0 3 * * * cronwrap -n j -- tool\n")
    found = missed(job, {"j": [NOON - 33 * HOUR], "other": [NOON - 9 * HOUR]}, window())
    assert (found.number, found.name, found.due, found.last) == (2, "j", (NOON - 9 * HOUR,), NOON - 33 * HOUR)


def test_a_job_that_never_ran_is_missing():
    found = missed(one("0 3 * * * cronwrap -n j -- tool\n"), {}, window())
    assert (found.due, found.last) == ((NOON - 9 * HOUR,), None)


@pytest.mark.parametrize(("late", "absent"), [(0, 0), (299, 0), (301, 1), (-30, 0), (-90, 1)])
def test_a_start_counts_within_the_grace(late, absent):
    job = one("0 3 * * * cronwrap -n j -- tool\n")
    assert len(missing(job, [NOON - 9 * HOUR + late])) == absent


def test_the_jobs_own_jitter_is_added_to_the_grace():
    starts = [NOON - 9 * HOUR + 1000]
    assert missing(one("0 3 * * * cronwrap -n j -- tool\n"), starts)
    assert not missing(one("0 3 * * * cronwrap -n j --jitter 15m -- tool\n"), starts)
    assert not missing(one("CRONWRAP_JITTER=15m\n0 3 * * * cronwrap -n j -- tool\n"), starts)


def test_a_run_that_is_not_yet_overdue_is_not_missing():
    job = one("58 11 * * * cronwrap -n j -- tool\n")
    assert missing(job, []) == ()
    assert missing(job, [], window(grace=60.0)) == (NOON - 120,)


def test_every_due_time_wants_a_run_of_its_own():
    job = one("0 * * * * cronwrap -n j -- tool\n")
    starts = [NOON - hours * HOUR + 1 for hours in range(1, 25) if hours not in {5, 6}]
    assert missing(job, starts) == (NOON - 6 * HOUR, NOON - 5 * HOUR)


def test_a_frequent_job_is_missing_once_its_gap_is_longer_than_the_grace():
    job = one("* * * * * cronwrap -n j -- tool\n")
    minutes = [NOON - 60 * ago + 1 for ago in range(60, 0, -1)]
    judged = window(begin=NOON - HOUR)
    assert missing(job, minutes, judged) == ()
    assert missing(job, minutes[:20] + minutes[40:], judged)


def test_runs_under_either_reading_of_backslashes_count():
    text = "SHELL=/opt/cronwrap-shell\n0 3 * * * echo a\\\\b\n"
    job = one(text)
    for seen in ("echo a\\b", "echo a\\\\b"):
        assert missed(job, {job_name(seen): [NOON - 9 * HOUR]}, window()) is None
    assert missed(job, {}, window())


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("cronwrap -n night -- tool", "night"),
        ("cronwrap --name=night -c 'a; b'", "night"),
        ("cronwrap -- tool 'a b'", job_name("tool 'a b'")),
        ("cronwrap -c 'a; b \\%'%in", job_name("a; b %")),
        ("/opt/x/cronwrap --quiet -- tool", job_name("tool")),
    ],
)
def test_a_job_is_known_by_its_name_or_its_command(line, name):
    assert one(f"@daily {line}\n").names[0] == name


def test_a_name_may_come_from_the_crontabs_variables():
    assert one("CRONWRAP_NAME=all\n@daily cronwrap -- tool\n").names == ("all",)


def test_a_shell_that_wraps_makes_every_job_a_watched_one():
    job = one("SHELL=/opt/cronwrap-shell\n@daily a; b\n")
    assert job.names == (job_name("a; b"),)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("@reboot cronwrap -- tool\n", "no set time"),
        ("1~9 * * * * cronwrap -- tool\n", "no set time"),
        ("99 * * * * cronwrap -- tool\n", "out of range"),
        ("@daily cronwrap -- tool $HOME\n", "--name"),
        ("@daily cronwrap --timeoot 1 -- tool\n", "--timeoot"),
        ("CRON_TZ=Nowhere/Else\n@daily cronwrap -- tool\n", "Nowhere/Else"),
    ],
)
def test_what_cannot_be_judged_has_a_reason(line, part):
    assert part in refused(line)


def test_an_expansion_does_no_harm_when_the_name_is_given():
    assert one("@daily cronwrap -n j -- tool $HOME\n").names == ("j",)


def test_unwrapped_jobs_and_subcommands_are_not_watched():
    assert watch("@daily tool\n@daily cronwrap crontab audit\n60 * * * * tool\n") == ((), ())


def test_jobs_of_other_users_are_not_judged():
    text = "@daily root cronwrap -n a -- tool\n@daily joe cronwrap -n b -- tool\n"
    watched, unwatched = watch(text, system=True, user="joe")
    assert [job.names for job in watched] == [("b",)]
    assert "root" in unwatched[0].reason


def due(schedule, begin, end, zone=BERLIN):
    job = one(f"{schedule} cronwrap -n j -- tool\n")
    moments = due_times(job, begin.timestamp(), end.timestamp(), zone)
    return [datetime.fromtimestamp(moment, UTC).strftime("%d %H:%M") for moment in moments]


# 29 March 2026: 02:00 becomes 03:00 in Berlin, at 01:00 UTC.
def test_a_fixed_time_in_the_hour_that_is_left_out_is_due_directly_after_it():
    night = datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 3, 29, 20, tzinfo=UTC)
    assert due("30 2 * * *", *night) == ["29 01:00"]
    assert due("30 * * * *", *night)[4:7] == ["29 00:30", "29 01:30", "29 02:30"]


# 25 October 2026: 03:00 becomes 02:00 in Berlin, at 01:00 UTC.
def test_a_fixed_time_in_the_repeated_hour_is_due_once_and_a_star_twice():
    night = datetime(2026, 10, 24, 23, tzinfo=UTC), datetime(2026, 10, 25, 3, 59, tzinfo=UTC)
    assert due("30 2 * * *", *night) == ["25 00:30"]
    assert due("30 * * * *", *night) == ["24 23:30", "25 00:30", "25 01:30", "25 02:30", "25 03:30"]
    assert due("@hourly", *night) == ["24 23:00", "25 00:00", "25 01:00", "25 02:00", "25 03:00"]


def test_cron_tz_sets_the_zone_of_the_lines_below_it():
    job = one("CRON_TZ=Asia/Tokyo\n0 3 * * * cronwrap -n j -- tool\n")
    assert due_times(job, NOON - DAY, NOON, UTC) == [datetime(2026, 3, 3, 18, tzinfo=UTC).timestamp()]


def test_both_ends_of_the_window_belong_to_it():
    job = one("0 12 * * * cronwrap -n j -- tool\n")
    assert due_times(job, NOON - DAY, NOON, UTC) == [NOON - DAY, NOON]


FIELDS = st.tuples(
    st.sampled_from(["*", "*/7", "0", "5,35", "10-20/5"]),
    st.sampled_from(["*", "*/6", "2", "0-4", "23"]),
    st.sampled_from(["*", "*/2", "1", "31"]),
    st.sampled_from(["*", "mar", "2-4", "nov,dec"]),
    st.sampled_from(["*", "sun", "7", "1-5", "*/3"]),
)


@given(FIELDS, st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]))
def test_a_job_that_ran_at_all_its_due_times_is_never_missing(fields, zone):
    job = one(f"{' '.join(fields)} cronwrap -n j -- tool\n")
    judged = window(begin=NOON - 3 * DAY, zone=ZoneInfo(zone))
    starts = due_times(job, judged.begin, judged.now, judged.zone)
    assert starts == sorted(starts)
    assert missing(job, starts, judged) == ()
    assert missing(job, [], judged) == tuple(start for start in starts if start <= NOON - 300)
