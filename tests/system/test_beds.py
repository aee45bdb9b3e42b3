"""Postfix and cron do what the other system tests rely on, told without cronwrap."""

from __future__ import annotations

import smtplib
import socket
import ssl

import pytest

from support import ports
from support import postfix as postfix_module
from support.postfix import NEEDS, PASSWORD, USER, Postfix

TEXT = "Subject: by hand\n\nhello\n"


def send(postfix, user=USER):
    context = ssl.create_default_context(cafile=postfix.authority.ca_file)
    with smtplib.SMTP_SSL("localhost", postfix.port, timeout=10, context=context) as client:
        client.login(user, PASSWORD)
        client.sendmail(USER, ["ops@example.test"], TEXT)


def test_postfix_takes_a_mail_over_smtps_from_who_has_logged_in(postfix, wait_until):
    before = len(postfix.mails())
    send(postfix)
    wait_until(lambda: len(postfix.mails()) > before, what="the delivery")
    assert "by hand" in [mail["Subject"] for mail in postfix.mails()]
    with pytest.raises(smtplib.SMTPAuthenticationError):
        send(postfix, user="stranger@example.test")


def test_postfix_comes_back_after_a_stop(postfix):
    postfix.stop()
    with pytest.raises(ConnectionRefusedError):
        send(postfix)
    postfix.start()
    send(postfix)


def test_postfix_whose_port_is_taken_starts_at_another(needs, authority, monkeypatch):
    needs(*NEEDS)
    free = ports.free_port()
    with socket.create_server(("127.0.0.1", 0)) as other, monkeypatch.context() as patch:
        offered = [other.getsockname()[1], free]
        patch.setattr(ports, "free_port", lambda: offered.pop(0))
        patch.setattr(ports, "is_free", lambda _port: True)  # it is taken a moment later
        with Postfix(authority) as server:
            assert server.port == free


def test_postfix_that_cannot_start_tells_what_its_log_says(needs, authority, monkeypatch):
    needs(*NEEDS)
    monkeypatch.setattr(ports, "ATTEMPTS", 1)
    monkeypatch.setattr(postfix_module, "SERVICES", "smtp inet nonsense\n")
    with pytest.raises(ports.NotStartedError, match=r"master\.cf"), Postfix(authority):
        pass


def test_cron_runs_the_tables_of_its_own_place_and_its_mail_goes_nowhere_else(crond, wait_until):
    crond.user_table("root", "@reboot echo from the user table\n")
    crond.system_table("system", "@reboot root echo from the system table\n")
    with crond:
        wait_until(lambda: crond.mailed().count("Subject:") == 2, timeout=20, what="cron's own mails")
        assert "from the user table" in crond.mailed()
        assert "from the system table" in crond.mailed()
    assert not crond.runs()
