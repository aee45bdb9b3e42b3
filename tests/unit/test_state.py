"""The state directory: made, closed to others, and refused where somebody else could have a hand in it."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from cronwrap import state as state_module
from cronwrap import state_setup
from cronwrap.state import state

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture(autouse=True)
def nothing_held():
    state_module._held.clear()


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_the_state_directory_and_what_leads_to_it_are_made_private(tmp_path):
    place = str(tmp_path / "a" / "b" / "state")
    before = os.umask(0)
    try:
        state(place, "outbox", "tmp", make=True)
    finally:
        os.umask(before)
    made = (f"{place}/outbox/tmp", f"{place}/outbox", place, str(tmp_path / "a" / "b"), str(tmp_path / "a"))
    assert {mode_of(path) for path in made} == {0o700}


def test_looking_makes_nothing(tmp_path):
    for names in ((), ("runs",)):
        with pytest.raises(FileNotFoundError):
            state(str(tmp_path / "state"), *names)
    assert os.listdir(tmp_path) == []


def test_a_state_directory_that_others_may_look_into_is_closed_to_them(tmp_path):
    os.chmod(tmp_path, 0o755)
    for name in ("outbox", "locks", "runs", "history.db-wal", "settings.cache"):
        (tmp_path / name).touch()
    state(str(tmp_path))
    assert mode_of(tmp_path) == 0o700


@as_root
def test_an_empty_directory_is_closed_where_its_name_says_that_it_is_ours(tmp_path, monkeypatch):
    os.chmod(tmp_path, 0o755)
    with pytest.raises(PermissionError, match=f"open to other users: chmod 700 {tmp_path}"):
        state(str(tmp_path), make=True)
    assert mode_of(tmp_path) == 0o755
    monkeypatch.setattr(state_setup, "USUAL", str(tmp_path))
    state(str(tmp_path), make=True)
    assert mode_of(tmp_path) == 0o700


@pytest.mark.parametrize(("mode", "name"), [(0o755, "of-somebody"), (0o770, "runs"), (0o1777, "runs")])
def test_a_directory_is_left_as_it_is_when_it_holds_other_things_or_others_could_write_to_it(
    tmp_path, mode, name
):
    os.chmod(tmp_path, mode)
    (tmp_path / name).touch()
    with pytest.raises(PermissionError, match=f"chmod 700 {tmp_path}"):
        state(str(tmp_path), make=True)
    assert mode_of(tmp_path) == mode


@as_root
@pytest.mark.parametrize("names", [(), ("outbox",), ("outbox", "queue")])
def test_a_directory_of_somebody_else_is_refused_with_words(tmp_path, names):
    place = str(tmp_path / "state")
    state(place, "outbox", "queue", make=True)
    state_module._held.clear()
    os.chown(os.path.join(place, *names), 4711, -1)
    with pytest.raises(PermissionError, match=r"uid 4711.*chown"):
        state(place, "outbox", "queue", make=True)


@pytest.mark.parametrize("names", [(), ("outbox",), ("outbox", "queue")])
def test_a_link_in_the_place_of_a_directory_is_refused(tmp_path, names):
    place = str(tmp_path / "state")
    state(place, "outbox", "queue", make=True)
    state_module._held.clear()
    path = os.path.join(place, *names)
    os.rename(path, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path)
    with pytest.raises(PermissionError, match="is a link") as caught:
        state(place, "outbox", "queue", make=True)
    assert caught.value.filename == path


def test_an_inner_directory_that_is_open_to_others_is_refused(tmp_path):
    state(str(tmp_path), "runs", make=True)
    os.chmod(tmp_path / "runs", 0o750)
    with pytest.raises(PermissionError, match=f"chmod 700 {tmp_path}/runs"):
        state(str(tmp_path), "runs")
    assert mode_of(tmp_path / "runs") == 0o750


def test_a_file_in_the_place_of_the_state_directory_is_an_error_of_the_system(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"):
        state(str(tmp_path / "file" / "state"), make=True)


def test_a_directory_that_was_removed_meanwhile_is_made_anew(tmp_path):
    place = str(tmp_path / "state")
    state(place, "runs", make=True)
    os.rmdir(f"{place}/runs")
    os.close(state(place, "runs", make=True).create("x"))
    assert os.listdir(f"{place}/runs") == ["x"]


def test_few_directories_are_kept_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for number in range(200):
        state(str(tmp_path / f"s{number}"), "outbox", make=True)
    assert len(os.listdir("/proc/self/fd")) - before <= state_module.MOST_HELD


def test_only_a_regular_file_that_nobody_else_can_write_is_opened(tmp_path):
    place = state(str(tmp_path), make=True)
    os.close(place.create("good"))
    os.close(place.open("good"))
    os.mkfifo(tmp_path / "pipe")
    os.symlink(tmp_path / "good", tmp_path / "link")
    os.mkdir(tmp_path / "directory")
    os.close(place.create("shared"))
    os.chmod(tmp_path / "shared", 0o620)
    for name in ("pipe", "link", "directory", "shared"):
        with pytest.raises(PermissionError):
            place.open(name)
        with pytest.raises(
            OSError, match=r"not a regular file|written by other|is a link|directory|No such device"
        ):
            place.open(name, os.O_WRONLY | os.O_CREAT)
        with pytest.raises(FileExistsError):
            place.create(name)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{place.fd}/socket")
        with pytest.raises(OSError, match="No such device"):
            place.open("socket")


@as_root
def test_a_file_of_somebody_else_and_a_device_are_not_opened(tmp_path):
    place = state(str(tmp_path), make=True)
    os.close(place.create("theirs"))
    os.chown(tmp_path / "theirs", 4711, -1)
    os.mknod(tmp_path / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    for name, words in (("theirs", "uid 4711"), ("null", "not a regular file")):
        with pytest.raises(PermissionError, match=words):
            place.open(name)


def test_two_threads_that_open_it_at_once_hold_the_same(tmp_path, monkeypatch):
    place, ours, first = str(tmp_path / "state"), state_module._ours, []
    state(place, make=True)
    state_module._held.clear()

    def meanwhile(found):
        if not first:
            first.append(None)
            first.append(state(place))  # another thread was faster
        return ours(found)

    monkeypatch.setattr(state_module, "_ours", meanwhile)
    assert state(place) is first[1]
    assert os.fstat(state(place).fd).st_ino == os.stat(place).st_ino
