"""Files that decide what cronwrap does: who else could change one, or put another in its place."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
import tempfile

import pytest

from cronwrap import trust
from cronwrap.relay import credentials
from cronwrap.settings.relays import parse
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


def as_somebody(work, *, uid=ATTACKER, groups=()):
    """Give what comes of work that is done by a process of another user, who belongs to these groups."""
    ours, theirs = os.pipe()
    if not (pid := os.fork()):
        try:
            os.setgroups(groups)
            os.setgid(uid)
            os.setuid(uid)
            os.write(theirs, repr(work()).encode())
        except BaseException as error:  # noqa: BLE001  # it is told of in the other process
            os.write(theirs, repr(error).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(pid, 0)
    with open(ours, "rb") as stream:
        return stream.read().decode()


@pytest.fixture
def public():
    """A directory of root's that everybody may look into, which pytest's own are not."""
    directory = tempfile.mkdtemp(prefix="cronwrap-test-", dir="/tmp")
    os.chmod(directory, 0o755)
    yield directory
    shutil.rmtree(directory)


@as_root
@pytest.mark.parametrize(
    ("mode", "gid", "taken"),
    [
        (0o440, 4712, True),
        (0o640, 4712, True),
        (0o440, 4713, False),
        (0o444, 4712, False),
        (0o460, 4712, False),
    ],
)
def test_a_mounted_secret_may_be_readable_by_a_group_of_the_users_own(public, mode, gid, taken):
    path = os.path.join(public, "secret")
    with open(path, "w", encoding="ascii") as file:
        file.write("password")
    os.chown(path, 0, gid)
    os.chmod(path, mode)
    relay = parse({"url": "smtps://h", "user": "u", "password-file": path}, "test")
    found = as_somebody(lambda: credentials.secret(relay), groups=(4712,))
    assert (found == "b'password'") is taken
    assert taken or "chmod 600" in found or "Permission denied" in found


@as_root
def test_what_is_ours_is_no_mounted_secret(place):
    os.chmod(place / "file", 0o440)
    assert not trust.mounted_secret(str(place / "file"), os.stat(place / "file"))


@as_root
def test_another_user_takes_their_own_files_and_roots_and_nobody_elses(public):
    for name, uid in (("theirs", ATTACKER), ("roots", 0), ("anothers", 4713)):
        path = os.path.join(public, name)
        with open(path, "w", encoding="ascii"):
            pass
        os.chown(path, uid, uid)
        found = as_somebody(lambda path=path: untrusted(path))
        assert ("uid 4713" in found) is (name == "anothers"), found
