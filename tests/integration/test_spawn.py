"""Which jobs are started by vfork: those that nothing may hold up between cronwrap and the program."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from cronwrap.job import spawn
from cronwrap.job.spawn import Start
from cronwrap.model import Command
from support.tracing import need_strace

TEXTS = {"script": "#!/bin/sh -e\necho said", "elsewhere": "#!/opt/python3\n", "binary": "\x7fELF"}


@pytest.fixture
def place(tmp_path):
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "text").write_text("none")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o700)
    return str(tmp_path)


def program(word, path="/usr/bin:/bin", chdir=""):
    environment = {b"PATH": os.fsencode(path)}
    return spawn._program(Start(command=Command(argv=(word,), text=""), environment=environment, chdir=chdir))


def test_a_program_of_the_system_is_found_without_a_thread(monkeypatch):
    monkeypatch.setattr(spawn, "Beside", None)
    assert program("sh") in (b"/bin/sh", b"/usr/bin/sh")
    assert program("/bin/sh") == b"/bin/sh"


@pytest.mark.parametrize("name", ["script", "binary"])
def test_a_program_elsewhere_is_looked_at(place, name):
    assert program(f"{place}/{name}") == f"{place}/{name}".encode()
    assert program(name, f"{place}/none:{place}:/bin") == f"{place}/{name}".encode()
    assert program(f"./{name}", chdir=place) == f"./{name}".encode()


def test_an_empty_member_of_path_is_the_current_directory(place, monkeypatch):
    monkeypatch.chdir(place)
    for path in (f":{place}:/bin", f"/none::{place}"):
        assert program("script", path) == b"./script"
        assert program("script", path, chdir=place) == b"./script"
    assert program("sh", ":/bin") == b"/bin/sh"


@pytest.mark.parametrize("name", ["elsewhere", "text", "directory", "pipe", "none"])
def test_whatever_else_is_started_by_a_fork(place, name):
    assert program(f"{place}/{name}") == b""


def test_so_is_a_job_in_a_directory_that_cannot_be_entered(place):
    assert program("/bin/sh", chdir=f"{place}/none") == b""
    assert program("/bin/sh", chdir=f"{place}/text") == b""
    assert program("/bin/sh", chdir=place) == b"/bin/sh"


def test_a_program_that_cannot_be_read_in_time_is_started_by_a_fork(place, monkeypatch):
    monkeypatch.setattr(spawn, "ANSWER", 0.05)
    answers = threading.Event()
    monkeypatch.setattr(spawn, "_seen", lambda *_words: answers.wait() and b"late")
    assert program(f"{place}/script") == b""
    answers.set()


@pytest.mark.parametrize("words", [["{}/script"], ["-C", "{}", "./script"], ["sh", "-c", "echo said"]])
def test_no_page_is_copied_for_a_job_that_wants_nothing_unusual(cli, place, words):
    need_strace()
    trace = f"{place}/trace"
    words = [word.format(place) for word in words]
    options = words[:2] if words[0] == "-C" else []
    call = [*options, "--", *words[len(options) :]]
    traced = ["-f", "-qq", "-o", trace, "-e", "trace=fork,vfork,clone", sys.executable, "-m", "cronwrap"]
    told = "--dry-run", "--on", "always"
    process = cli.start(*traced, *told, *call, program="strace", stdout=subprocess.PIPE)
    assert b"said" in process.communicate(timeout=60)[0]
    with open(trace, encoding="utf-8") as file:
        assert "vfork(" in file.read()
