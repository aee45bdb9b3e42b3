"""What stands in for psutil in the single file says of processes what psutil says."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import psutil
import pytest

from support.documents import PROJECT


@pytest.fixture(scope="module")
def stand_in():
    path = os.path.join(PROJECT, "packaging", "single", "psutil.py")
    spec = importlib.util.spec_from_file_location("psutil_stand_in", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def child():
    """A process with a child of its own, and a word in its environment."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", "sleep 60 & echo $!; wait"], env={"MARK": "a=b"}, stdout=subprocess.PIPE, text=True
    )
    below = int(process.stdout.readline())
    yield process, below
    os.kill(below, 9)
    process.kill()
    process.communicate()


def test_it_says_the_same_of_a_process(stand_in, child):
    process, below = child
    ours, theirs = stand_in.Process(process.pid), psutil.Process(process.pid)
    for name in ("cmdline", "environ", "name", "ppid", "username"):
        assert getattr(ours, name)() == getattr(theirs, name)(), name
    assert tuple(ours.uids()) == tuple(theirs.uids())
    assert ours.create_time() == pytest.approx(theirs.create_time(), abs=1.1)
    assert ours.memory_info().rss == theirs.memory_info().rss
    assert ours.cpu_times().user == pytest.approx(theirs.cpu_times().user, abs=0.1)
    assert [one.pid for one in ours.children(recursive=True)] == [below]
    assert below in [one.pid for one in stand_in.Process().children(recursive=True)]
    assert below not in [one.pid for one in stand_in.Process().children()]


def test_it_tells_what_has_ended_from_what_has_gone(stand_in):
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    ended = stand_in.Process(process.pid)
    assert (ended.status(), ended.cmdline()) == (stand_in.STATUS_ZOMBIE, [])
    process.wait()
    with pytest.raises(stand_in.NoSuchProcess):
        ended.status()
    with pytest.raises(stand_in.Error):
        ended.kill()
    with pytest.raises(stand_in.NoSuchProcess):
        stand_in.Process(process.pid)


def test_it_lists_what_psutil_lists(stand_in):
    found = {process.pid: process.info for process in stand_in.process_iter(["name", "ppid"])}
    own = psutil.Process()
    assert found[os.getpid()] == {"name": own.name(), "ppid": own.ppid()}
    assert {1, os.getpid()} <= {*stand_in.pids()}


def test_it_reads_the_list_of_mounts_as_psutil_does(stand_in):
    def shown(partitions):
        return [(one.mountpoint, one.fstype) for one in partitions]

    assert shown(stand_in.disk_partitions(all=True)) == shown(psutil.disk_partitions(all=True))
    assert stand_in._plain(b"/a\\040b\\134\xc3\xa9") == "/a b\\é"
