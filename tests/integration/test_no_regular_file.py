"""A pipe, a socket, a directory or a device where a file is named: an error at once, never a wait."""

from __future__ import annotations

import os
import socket

import pytest

from cronwrap.commands.config import _content
from cronwrap.crontab.store import File
from cronwrap.crontab.surroundings import _read
from cronwrap.errors import ConfigError, CronwrapError, TemporaryError
from cronwrap.relay import certificate, credentials
from cronwrap.settings import files, relays

TLS = {"url": "smtps://relay.example.test"}


@pytest.fixture(params=["pipe", "socket", "directory", "device"])
def strange(request, tmp_path):
    path = str(tmp_path / "strange")
    if request.param == "pipe":
        os.mkfifo(path, 0o600)
    elif request.param == "directory":
        os.mkdir(path)
    elif request.param == "device":
        return "/dev/zero"
    else:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path)
    return path


@pytest.mark.parametrize(
    "read",
    [
        lambda path: certificate.context(relays.parse({**TLS, "ca-file": path}, "test")),
        lambda path: credentials.from_file(path, "password-file"),
        lambda path: credentials.from_file(path, "secret-file"),
        lambda path: File(path).read(),
        files.File,
        _content,
    ],
    ids=["ca-file", "password-file", "secret-file", "crontab", "configuration", "import"],
)
def test_what_is_no_regular_file_is_an_error_at_once(strange, read):
    with pytest.raises((CronwrapError, TemporaryError, ConfigError, OSError)) as caught:
        read(strange)
    # The way to a configuration is walked step by step; whoever reads it tells of the whole.
    assert os.path.basename(strange) in str(caught.value)


def test_what_pam_names_is_not_waited_for(strange):
    assert _read(strange) == ""


def test_the_systems_authorities_are_not_waited_for(strange, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", strange)
    if os.path.isdir(strange):
        certificate.context(relays.parse(TLS, "test"))
    else:
        with pytest.raises(TemporaryError, match="SSL_CERT_FILE"):
            certificate.context(relays.parse(TLS, "test"))


def test_a_file_of_authorities_is_not_read_without_end(tmp_path):
    with open(tmp_path / "large", "wb") as file:
        file.truncate(certificate.LARGEST + 1)
    with pytest.raises(TemporaryError, match="larger"):
        certificate.context(relays.parse({**TLS, "ca-file": file.name}, "test"))


@pytest.mark.parametrize(
    "words",
    [("crontab", "lint"), ("config", "import"), ("--config",)],
    ids=" ".join,
)
def test_a_subcommand_says_so(cli, tmp_path, words):
    path = str(tmp_path / "pipe")
    os.mkfifo(path, 0o600)
    result = cli(*words, path, *(("--", "true") if len(words) == 1 else ()))
    assert result.status == (0 if len(words) == 1 else 1)
    assert "not a regular file" in result.stdout + result.stderr


def test_what_a_shell_hands_on_as_a_file_is_read(cli, tmp_path):
    reading, writing = os.pipe()
    os.write(writing, b"* * * * * true\n")
    os.close(writing)
    process = cli.start("crontab", "lint", f"/dev/fd/{reading}", pass_fds=(reading,))
    os.close(reading)
    assert process.wait(30) in (0, 1)
    assert not os.path.exists(tmp_path / "pipe")
