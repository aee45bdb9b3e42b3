"""A file written whole beside others who would have it lead elsewhere."""

from __future__ import annotations

import os
import stat

import pytest

from cronwrap import whole_file
from cronwrap.crontab.store import File
from cronwrap.errors import CronwrapError
from cronwrap.setup.draft import install
from cronwrap.whole_file import WholeFile
from support.cli import ATTACKER

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def file(tmp_path):
    directory = tmp_path / "d"
    directory.mkdir(mode=0o755)
    path = directory / "table"
    path.write_bytes(b"old\n")
    os.chmod(path, 0o640)
    return path


def replace(path, content=b"new\n", **how):
    with WholeFile(str(path)) as place:
        place.replace(content, **how)


def kept(path):
    return {name: (path.parent / name).read_bytes() for name in sorted(os.listdir(path.parent))}


def test_what_was_there_is_kept_beside_it_with_its_mode(file):
    replace(file)
    assert kept(file) == {"table": b"new\n", "table~": b"old\n"}
    assert {stat.S_IMODE(os.stat(file.parent / name).st_mode) for name in kept(file)} == {0o640}


def test_a_private_file_is_closed_and_so_is_its_backup(file):
    os.chmod(file, 0o666)
    replace(file, private=True)
    assert {stat.S_IMODE(os.stat(file.parent / name).st_mode) for name in kept(file)} == {0o600}


@as_root
@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6711, 0o1644])
def test_no_set_id_bit_is_ever_given_on(file, mode):
    os.chown(file, ATTACKER, ATTACKER)
    os.chmod(file, mode)
    replace(file)
    for name in kept(file):
        found = os.stat(file.parent / name)
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (mode & 0o777, ATTACKER)


@as_root
@pytest.mark.parametrize("how", ["theirs", "open", "on the way"])
def test_nothing_is_written_where_another_user_could_interfere(file, how):
    if how == "theirs":
        os.chown(file.parent, ATTACKER, -1)
    elif how == "open":
        os.chmod(file.parent, 0o777)
    else:
        os.chown(file.parent.parent, ATTACKER, -1)
    for work in (
        lambda: File(str(file)).replace(b"old\n", b"new\n"),
        lambda: install(str(file), "new", {"password": "p"}, replace=True),
        lambda: install(str(file.parent / "new" / "config"), "new", {}, replace=False),
    ):
        with pytest.raises(CronwrapError, match=r"is not written|nothing is written"):
            work()
    assert kept(file) == {"table": b"old\n"}


@as_root
def test_in_a_sticky_directory_the_file_must_be_ours(file):
    os.chmod(file.parent, 0o1777)
    replace(file)
    assert kept(file)["table"] == b"new\n"
    os.chown(file, ATTACKER, -1)
    with pytest.raises(CronwrapError, match=f"uid {ATTACKER}"):
        replace(file, b"newer\n")
    assert kept(file)["table"] == b"new\n"


def test_a_link_that_is_swapped_in_after_the_reading_leads_nowhere(file, tmp_path):
    """The attack: owner and mode of the backup were those of whatever the name led to by then."""
    store = File(str(file))
    old = store.read()
    elsewhere = tmp_path / "set-uid"
    elsewhere.write_bytes(old)
    os.chmod(elsewhere, 0o4755)

    class Swapped(WholeFile):
        def __init__(self, path):
            super().__init__(path)
            os.unlink(file)
            os.symlink(elsewhere, file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cronwrap.crontab.store.WholeFile", Swapped)
        with pytest.raises(CronwrapError, match="cannot be written"):
            store.replace(old, b"new\n")
    assert os.listdir(file.parent) == ["table"]
    assert elsewhere.read_bytes() == old


def test_a_file_that_is_swapped_while_it_is_written_is_noticed(file, monkeypatch):
    real = os.rename

    def swapping(old, new, **where):
        real(old, new, **where)
        other = file.with_name("other")  # made while the first is there: it gets another inode
        other.write_bytes(b"old\n")
        os.replace(other, file)

    monkeypatch.setattr(whole_file.os, "rename", swapping)
    with pytest.raises(CronwrapError, match="changed in the meantime"):
        replace(file)
    assert kept(file) == {"table": b"old\n", "table~": b"old\n"}


@pytest.mark.parametrize("what", ["pipe", "directory", "missing"])
def test_what_is_no_file_is_neither_waited_for_nor_replaced(file, what):
    os.unlink(file)
    if what == "pipe":
        os.mkfifo(file)
    elif what == "directory":
        os.mkdir(file)
    with pytest.raises((CronwrapError, FileNotFoundError, IsADirectoryError)):
        replace(file)
    assert sorted(os.listdir(file.parent)) == ([] if what == "missing" else ["table"])


def test_links_that_wait_for_the_names_we_write_are_not_written_through(file, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    os.symlink(victim, file.parent / "table~")
    replace(file)
    assert victim.read_bytes() == b"precious"
    assert kept(file) == {"table": b"new\n", "table~": b"old\n"}
    assert not (file.parent / "table~").is_symlink()


def test_a_full_disk_leaves_everything_as_it_was(file, monkeypatch):
    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_file.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace(file)
    assert kept(file) == {"table": b"old\n"}
