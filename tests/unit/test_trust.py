"""Files that decide what cronwrap does: who else could change one, or put another in its place."""

from __future__ import annotations

import grp
import os
import pwd
import stat

import pytest

from cronwrap import trust
from cronwrap.trust import opened, untrusted
from support.cli import ATTACKER

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def fault(path):
    """What is wrong with a file, which is the same whether it is opened or only looked at."""
    handle, why = opened(str(path))
    os.close(handle)
    assert untrusted(str(path)) == why
    return why


@pytest.fixture
def place(tmp_path):
    directory = tmp_path / "a" / "b"
    directory.mkdir(parents=True)
    for path in (tmp_path, tmp_path / "a", directory):
        os.chmod(path, 0o755)
    (directory / "file").write_text("content", encoding="ascii")
    os.chmod(directory / "file", 0o644)
    return directory


def test_a_file_that_only_its_owner_can_change_is_used(place):
    handle, why = opened(str(place / "file"))
    assert (os.read(handle, 100), why) == (b"content", "")
    os.close(handle)


@pytest.mark.parametrize("mode", [0o646, 0o602, 0o666, 0o777])
def test_a_file_that_everybody_can_write_is_not(place, mode):
    os.chmod(place / "file", mode)
    assert fault(place / "file") == f"{place}/file can be written by other users: chmod go-w {place}/file"


@pytest.mark.parametrize("up", ["", ".."])
def test_a_directory_on_the_way_that_everybody_can_write_counts_as_well(place, up):
    directory = os.path.normpath(place / up)
    os.chmod(directory, 0o777)
    assert fault(place / "file") == f"{directory} can be written by other users: chmod go-w {directory}"


def test_a_sticky_directory_will_do_for_what_is_ours(place):
    os.chmod(place, 0o1777)
    assert fault(place / "file") == ""


@as_root
@pytest.mark.parametrize("name", ["file", "", ".."])
def test_what_belongs_to_another_user_counts_wherever_it_is_on_the_way(place, name):
    path = os.path.normpath(place / name)
    os.chown(path, ATTACKER, -1)
    assert fault(place / "file").startswith(f"{path} belongs to another user (uid {ATTACKER}): chown it")


@as_root
def test_a_file_of_somebody_else_in_a_sticky_directory_is_not_used(place):
    os.chmod(place, 0o1777)
    os.chown(place / "file", ATTACKER, -1)
    assert f"uid {ATTACKER}" in fault(place / "file")


@as_root
def test_a_link_is_as_good_as_its_owner_and_where_it_leads(place, tmp_path):
    (tmp_path / "links").mkdir()
    os.chmod(tmp_path / "links", 0o1777)
    link = tmp_path / "links" / "link"
    os.symlink("../a/./b/../b/file", link)
    assert fault(link) == ""
    os.chmod(place, 0o777)
    assert f"{place} can be written" in fault(link)
    os.chmod(place, 0o755)
    os.chown(link, ATTACKER, -1, follow_symlinks=False)
    assert f"{link} belongs to another user" in fault(link)


def test_links_in_a_circle_end(place):
    os.symlink("two", place / "one")
    os.symlink("one", place / "two")
    with pytest.raises(OSError, match="symbolic links"):
        opened(str(place / "one"))
    assert untrusted(str(place / "one")) == ""


def test_what_is_not_there_is_an_error_of_the_system(place):
    for name in ("missing", "missing/file", "file/file"):
        with pytest.raises((FileNotFoundError, NotADirectoryError)):
            opened(str(place / name))
        assert untrusted(str(place / name)) == ""
    with pytest.raises(IsADirectoryError):
        opened(str(place))


def test_a_pipe_is_opened_without_waiting(place):
    os.mkfifo(place / "pipe")
    handle, _why = opened(str(place / "pipe"))
    assert stat.S_ISFIFO(os.fstat(handle).st_mode)
    os.close(handle)


def test_a_group_of_the_user_alone_may_write(place, monkeypatch):
    gid = 4712
    os.chmod(place / "file", 0o664)
    monkeypatch.setattr(trust.os, "fstat", _with_gid(gid, os.fstat))
    me = pwd.getpwuid(os.geteuid())
    known = {
        me.pw_name: me,
        "root": pwd.getpwuid(0),
        "mallory": pwd.struct_passwd(("mallory", "", 4711, 1, *"abc")),
    }
    monkeypatch.setattr(pwd, "getpwnam", known.__getitem__)
    people = [me]
    monkeypatch.setattr(pwd, "getpwall", lambda: people)
    for members, alone in (
        ([], True),
        ([me.pw_name], True),
        (["root"], True),
        ([me.pw_name, "mallory"], False),
        (["gone"], False),
    ):
        monkeypatch.setattr(grp, "getgrgid", lambda _gid, m=members: grp.struct_group(("g", "", gid, m)))
        assert ("can be written" in fault(place / "file")) is not alone
    people.append(pwd.struct_passwd(("mallory", "", 4711, gid, *"abc")))
    monkeypatch.setattr(grp, "getgrgid", lambda _gid: grp.struct_group(("g", "", gid, [])))
    assert "can be written" in fault(place / "file")


def _with_gid(gid, real):
    def fstat(fd):
        found = real(fd)
        return os.stat_result((*found[:5], gid, *found[6:])) if stat.S_ISREG(found.st_mode) else found

    return fstat


def test_a_group_that_nobody_knows_may_not_write(place, monkeypatch):
    os.chmod(place / "file", 0o664)

    def unknown(_gid):
        raise KeyError

    monkeypatch.setattr(grp, "getgrgid", unknown)
    assert "can be written" in fault(place / "file")


def test_where_nobody_can_write_the_mode_says_nothing(place, monkeypatch):
    os.chmod(place / "file", 0o666)
    os.chmod(place, 0o777)
    real = os.fstatvfs
    monkeypatch.setattr(
        trust.os,
        "fstatvfs",
        lambda fd: os.statvfs_result((*real(fd)[:8], real(fd).f_flag | os.ST_RDONLY, real(fd)[9])),
    )
    assert fault(place / "file") == ""


def test_looking_leaves_no_descriptor_open(place):
    before = len(os.listdir("/proc/self/fd"))
    for name in ("file", "missing", "missing/x", "file/x", "."):
        untrusted(str(place / name))
    assert len(os.listdir("/proc/self/fd")) == before
