"""Earlier states of a crontab, kept byte for byte; and which crontabs there are, by name."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.crontab import places, states
from cronwrap.crontab.states import OUTSIDE, SEEN, alone, content, every, keep, notice
from cronwrap.errors import StateError

MINE, OTHER = "user:alice", "cron.d:backup"


@pytest.fixture
def home(tmp_path):
    return str(tmp_path / "state")


def test_each_state_is_kept_to_the_octet_with_who_and_what(home):
    octets = [b"", b"a\r\n\0\xe9", b"a"]
    kept = [keep(home, MINE, each, by="alice", what="saved") for each in octets]
    keep(home, OTHER, b"other", by="root", what="saved")
    found = list(every(home, MINE))
    assert found == kept[::-1]
    assert [content(home, MINE, state.id) for state in kept] == octets
    assert (found[0].by, found[0].what, found[0].octets) == ("alice", "saved", 1)


def test_what_was_changed_elsewhere_is_kept_once(home):
    for octets in (b"a", b"a", b"b", b"b", b"a"):
        notice(home, MINE, octets)
    assert [(state.what, state.by) for state in every(home, MINE)] == [
        (OUTSIDE, ""),
        (OUTSIDE, ""),
        (SEEN, ""),
    ]


def test_nothing_of_it_is_open_to_others(home):
    keep(home, MINE, b"MAILTO=secret", by="alice", what="saved")
    directory = os.path.join(home, states.CRONTABS)
    assert os.stat(directory).st_mode & 0o777 == 0o700
    assert {os.stat(os.path.join(directory, name)).st_mode & 0o777 for name in os.listdir(directory)} == {
        0o600
    }


def test_the_oldest_make_room(home, monkeypatch):
    monkeypatch.setattr(states, "MOST_STATES", 5)
    for number in range(8):
        keep(home, MINE, b"%d" % number, by="", what="")
        keep(home, OTHER, b"%d" % number, by="", what="")
    assert [content(home, MINE, state.id) for state in every(home, MINE)] == [b"7", b"6", b"5", b"4", b"3"]
    monkeypatch.setattr(states, "MOST_OCTETS", 1000)
    for _ in range(4):
        keep(home, MINE, b"x" * 600, by="", what="")
    assert [state.octets for state in every(home, MINE)] == [600, 600]
    assert len(list(every(home, OTHER))) == 5


def test_a_clock_that_was_set_back_leaves_their_order(home, monkeypatch):
    times = iter([2_000_000_000, 1_000_000_000])
    monkeypatch.setattr(states.time, "time_ns", lambda: next(times))
    keep(home, MINE, b"a", by="", what="")
    keep(home, MINE, b"b", by="", what="")
    assert [content(home, MINE, state.id) for state in every(home, MINE)] == [b"b", b"a"]


@pytest.mark.parametrize("damage", [b"", b"{}\nx", b"no line", b"[" * 100_000 + b"\n", b"\xff\n"])
def test_a_damaged_state_is_no_state(home, damage):
    good, bad = (keep(home, MINE, each, by="", what="") for each in (b"good", b"bad"))
    (name,) = (name for name in os.listdir(f"{home}/{states.CRONTABS}") if name.endswith(bad.id))
    with open(f"{home}/{states.CRONTABS}/{name}", "r+b") as file:
        file.truncate()
        file.write(damage)
    assert list(every(home, MINE)) == [good]
    with pytest.raises(StateError, match="not what was written"):
        content(home, MINE, bad.id)


@pytest.mark.parametrize("which", ["", "../x", "0", f"{0:020d}.{'0' * 16}"])
def test_there_is_no_other_state(home, which):
    assert content(home, MINE, which) is None
    keep(home, MINE, b"a", by="", what="")
    assert content(home, MINE, which) is None


def test_one_changes_a_crontab_at_a_time(home, monkeypatch):
    monkeypatch.setattr(states, "PATIENCE", 0.1)
    with alone(home), pytest.raises(StateError, match="under way"), alone(home):
        pass
    with alone(home):
        pass


def test_a_full_disk_is_said_and_leaves_nothing(home, monkeypatch):
    keep(home, MINE, b"a", by="", what="")

    def full(_fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(states.os, "fsync", full)
    with pytest.raises(StateError, match="No space left"):
        keep(home, MINE, b"b", by="", what="")
    assert len(list(every(home, MINE))) == len(os.listdir(f"{home}/{states.CRONTABS}")) == 1


def test_what_a_crash_left_goes_after_a_while(home, monkeypatch):
    keep(home, MINE, b"a", by="", what="")
    (name,) = os.listdir(f"{home}/{states.CRONTABS}")
    with open(f"{home}/{states.CRONTABS}/.{name}.0000", "wb"):
        pass
    keep(home, MINE, b"b", by="", what="")
    assert len(os.listdir(f"{home}/{states.CRONTABS}")) == 3
    monkeypatch.setattr(states, "STALE", -1.0)
    keep(home, MINE, b"c", by="", what="")
    assert len(os.listdir(f"{home}/{states.CRONTABS}")) == 3


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with system crontabs of its own."""
    (tmp_path / "cron.d").mkdir()
    (tmp_path / "crontab").write_text("# the system's\n")
    monkeypatch.setattr(places, "SYSTEM_PATHS", (str(tmp_path / "crontab"), f"{tmp_path}/cron.d/"))
    return tmp_path


def test_a_user_has_their_own_crontab_and_root_the_systems_too(host):
    for name in ("backup", "b a.ck", "backup~", ".placeholder"):
        (host / "cron.d" / name).write_text("")
    (host / "cron.d" / "directory").mkdir()
    found = places.places("root", system=True)
    named = ["user:root", "system", "cron.d:b=20a.ck", "cron.d:backup"]
    assert [place.id for place in found] == named
    assert [place.system for place in found] == [False, True, True, True]
    assert [places.find(name, "root", system=True) for name in named] == found
    assert [places.whose(name) for name in named] == ["root"] * 4
    assert [place.id for place in places.places("daemon", system=False)] == ["user:daemon"]
    assert not any(places.find(name, "daemon", system=False) for name in named)
    assert places.find("user:daemon", "daemon", system=False)
    assert places.whose("user:daemon") == "daemon"


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(
    "name",
    [
        "",
        "user:",
        "user:no-such-user",
        "user:roo=74",
        "cron.d:..=2Fcrontab",
        "cron.d:gone",
        "other",
        "user:=ZZ",
    ],
)
def test_nothing_else_is_a_crontab(name):
    assert places.find(name, "root", system=True) is None


@given(st.binary(min_size=1, max_size=255).filter(lambda name: not {0, 0x2F} & set(name)))
def test_the_name_of_any_file_fits_into_an_address_and_is_its_own(name):
    path = os.fsdecode(b"/etc/cron.d/" + name)
    place = places.at(path)
    assert place.id.removeprefix("cron.d:").isascii()
    assert not set(place.id) & set("/?#%& \\")
    assert len(place.id) <= places.LONGEST_ID
    assert os.fsdecode(places._octets(place.id.removeprefix("cron.d:"))) == os.path.basename(path)
