"""Importers: files as they are found in the wild, beside what becomes of them."""

import os
import tomllib

import pytest

from cronwrap.errors import ConfigError
from cronwrap.setup import importers
from support.mailer_files import CASES, CORPUS, accepted, main_file


def no_siblings(_name):
    return None


def load(text, name, siblings=no_siblings, **more):
    text = text.encode() if isinstance(text, str) else text
    return importers.load(text, importers.detect(text, name), name, siblings, **more)


def read(*path):
    with open(os.path.join(CORPUS, *path), "rb") as stream:
        return stream.read()


def neighbours(case):
    def sibling(name):
        here = not name.startswith(("/", "~", ".."))  # what this machine has is no part of the case
        return read(case, name) if here and os.path.exists(os.path.join(CORPUS, case, name)) else None

    return sibling


def relay(imported):
    assert len(imported.config["relay"]) == 1
    return imported.config["relay"][0]


def remark_on(imported, line):
    return " ".join(text for number, text in imported.remarks if number == line)


class TestTheCorpus:
    @pytest.mark.parametrize("case", CASES)
    def test_each_file_becomes_what_stands_beside_it(self, case):
        name = main_file(case)
        imported = load(read(case, name), name, neighbours(case))
        assert imported.placed("/etc/cronwrap") == tomllib.loads(
            read(case, "expected", "config.toml").decode()
        )
        secrets = set(os.listdir(os.path.join(CORPUS, case, "expected"))) - {"config.toml", "remarks"}
        assert imported.secrets == {secret: read(case, "expected", secret).decode() for secret in secrets}
        remarks = "".join(f"{line}: {text}\n" for line, text in imported.remarks)
        assert remarks == read(case, "expected", "remarks").decode()

    @pytest.mark.parametrize("case", CASES)
    def test_what_comes_out_is_accepted_by_cronwrap_and_remarks_show_no_password(self, case):
        name = main_file(case)
        imported = load(read(case, name), name, neighbours(case))
        accepted(imported)
        for secret in imported.secrets.values():
            assert secret.strip() not in str(imported.remarks) + str(imported.config)


class TestDetection:
    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("/etc/mail.rc", "mail.rc"),
            ("/home/u/.mailrc", "mail.rc"),
            ("/etc/s-nail.rc", "mail.rc"),
            ("/etc/msmtprc", "msmtprc"),
            ("/home/u/.msmtprc", "msmtprc"),
            ("/home/u/.config/msmtp/config", "msmtprc"),
            ("/etc/ssmtp/ssmtp.conf", "ssmtp.conf"),
            ("/etc/ssmtp/revaliases", "revaliases"),
            ("/etc/nullmailer/remotes", "remotes"),
            ("/etc/dma/dma.conf", "dma.conf"),
            ("/etc/dma/auth.conf", "auth.conf"),
            ("/etc/postfix/main.cf", "main.cf"),
            ("/etc/postfix/sasl_passwd", "sasl_passwd"),
            ("/etc/exim4/update-exim4.conf.conf", "update-exim4.conf.conf"),
            ("/etc/exim4/passwd.client", "passwd.client"),
            ("/home/u/.esmtprc", "esmtprc"),
        ],
    )
    def test_the_name_tells(self, name, kind):
        assert importers.detect(b"", name) == kind

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            (b"set hold\nset smtp=smtps://h:465\n", "mail.rc"),
            (b"defaults\ntls on\naccount a\nhost h\n", "msmtprc"),
            (b"host h\nfrom a@b\n", "msmtprc"),
            (b"# c\nRoot = a@b\nMailHub=h:587\n", "ssmtp.conf"),
            (b"smtp.example.org smtp --port=465 --ssl\n", "remotes"),
            (b"# c\nroot:ops@example.com:mail.example.com:587\nwww-data:web@example.com\n", "revaliases"),
            (b"SMARTHOST h.example\nPORT 587\n", "dma.conf"),
            (b"user|smtp.example.com:password\n", "auth.conf"),
            (b"relayhost = [h]:587\nsmtp_use_tls = yes\n", "main.cf"),
            (b"[smtp.example.com]:587 user:password\n", "sasl_passwd"),
            (b"dc_smarthost='h::587'\n", "update-exim4.conf.conf"),
            (b"smtp.example.com:user@example.com:password\n*:u:p\n", "passwd.client"),
            (b"hostname = h:587\nusername = u\npassword = p\n", "esmtprc"),
        ],
    )
    def test_under_another_name_the_lines_tell(self, text, kind):
        assert importers.detect(text, "/tmp/old") == kind

    def test_something_else_is_refused_with_the_kinds_there_are(self):
        with pytest.raises(ConfigError, match="one of mail"):
            importers.detect(b"[Unit]\nDescription=x\n", "x.service")

    @pytest.mark.parametrize(
        ("text", "name", "looks"),
        [
            (b"", "x", "an empty file"),
            (b"set smtp_url = smtps://u@h\nset smtp_pass = x\nset folder = ~/Mail\n", "x", "a muttrc"),
            (b"set realname = x\n", "/home/u/.muttrc", "a muttrc"),
            (b"# m h dom\n0 5 * * * /bin/backup --all\n@daily x\n", "x", "a crontab"),
            (b"postmaster: root\nroot: ops@example.com\n", "x", "an alias file"),
            (b"machine h login u password p\n", "x", "a .netrc, whose logins are read beside"),
            (b"machine h login u password p\n", "/home/u/.authinfo", "a .netrc, whose logins are read"),
            (b'mailto = "a@b.example"\n[[relay]]\nurl = "smtps://h"\n', "x", "cronwrap's own configuration"),
            (b"[Unit]\nDescription=x\n", "x", "an INI file or a unit of systemd"),
            (b"begin acl\nbegin routers\n", "x", "exim's whole configuration"),
            (b"dnl x\ndefine(`SMART_HOST', `h')dnl\n", "x", "a configuration of sendmail"),
            (b'listen on lo0\naction "relay" relay host smtp://h\n', "x", "OpenSMTPD's smtpd.conf"),
            (b"smtp      inet  n       -       y       -       -       smtpd\n", "x", "Postfix' master.cf"),
            (b"#!/bin/sh\nset -e\n", "x", "a script"),
            (b"-----BEGIN CERTIFICATE-----\n", "x", "a certificate or key"),
            (b'{"host": "h"}\n', "x", "JSON or the like"),
            ("host h\n".encode("utf-16"), "x", "a text in UTF-16"),
            (b"\0" * 12 + b"\x61\x15\x06\0" + b"\0" * 99, "sasl_passwd.db", "a hashed table"),
            (b"\0" * 16 + b"\xde\xc0\xef\xbe" + b"\0" * 99, "sasl_passwd.lmdb", "a hashed table"),
            (b"a\0b", "x", "no text"),
        ],
    )
    def test_what_is_none_is_told_what_it_looks_like_and_what_would_do(self, text, name, looks):
        with pytest.raises(ConfigError) as told:
            importers.detect(text, name)
        assert f"looks like {looks}" in str(told.value)
        assert "`cronwrap init`" in str(told.value)

    def test_an_unknown_kind_and_a_file_without_end_are_refused(self):
        with pytest.raises(ConfigError, match="no kind"):
            importers.load(b"", "exim", "x", no_siblings)
        with pytest.raises(ConfigError, match="larger"):
            importers.load(b"#" * (importers.SIZE_LIMIT + 1), "msmtprc", "x", no_siblings)


class TestVerificationIsNeverTurnedOff:
    @pytest.mark.parametrize(
        ("name", "text", "line"),
        [
            ("mail.rc", "set smtp=smtps://h\nset ssl-verify=ignore\n", 2),
            ("mail.rc", "set smtp=smtps://h\nset tls-verify-h=warn\n", 2),
            ("msmtprc", "host h\ntls on\ntls_certcheck off\n", 3),
            ("msmtprc", "host h\ntls on\ntls_nocertcheck\n", 3),
            ("msmtprc", "host h\ntls on\ntls_trust_file\n", 3),
            ("ssmtp.conf", "mailhub=h\nUseTLS=yes\n", 1),
            ("remotes", "h smtp --tls --insecure\n", 1),
        ],
    )
    def test_a_switch_for_it_becomes_a_pointer_to_the_pin(self, name, text, line):
        imported = load(text, name)
        assert "`cronwrap doctor`" in remark_on(imported, line)
        assert set(relay(imported)) == {"url"}

    def test_a_sha_256_fingerprint_is_kept_and_takes_the_place_of_the_ca(self):
        digits = ":".join(["ab"] * 32)
        imported = load(f"host h\ntls on\ntls_trust_file /ca.pem\ntls_fingerprint {digits}\n", "msmtprc")
        assert relay(imported)["fingerprint"] == "sha256:" + digits.upper()
        assert "ca-file" not in relay(imported)

    @pytest.mark.parametrize(("octets", "kind"), [(20, "SHA-1"), (16, "MD5")])
    def test_a_weaker_fingerprint_is_not(self, octets, kind):
        imported = load(f"host h\ntls on\ntls_fingerprint {':'.join(['ab'] * octets)}\n", "msmtprc")
        assert "fingerprint" not in relay(imported)
        assert kind in remark_on(imported, 3)
        assert "SHA-256" in remark_on(imported, 3)


class TestMailInTheClear:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("mail.rc", "set smtp=h.example\n"),
            ("msmtprc", "host h.example\n"),
            ("ssmtp.conf", "mailhub=h.example\n"),
            ("remotes", "h.example\n"),
        ],
    )
    def test_off_this_host_starttls_is_proposed(self, name, text):
        imported = load(text, name)
        assert relay(imported)["url"] == "submission://h.example:25"
        assert "STARTTLS" in remark_on(imported, 1)

    def test_with_a_login_the_port_for_logins_is_proposed(self):
        imported = load("set smtp=h.example smtp-auth-user=u smtp-auth-password=p\n", "mail.rc")
        assert relay(imported)["url"] == "submission://h.example:587"

    def test_to_this_host_it_stays(self):
        imported = load("host localhost\n", "msmtprc")
        assert relay(imported) == {"url": "smtp://localhost:25"}
        assert imported.remarks == []

    @pytest.mark.parametrize(
        ("text", "url"),
        [
            ("set smtp=h.example:465\n", "smtps://h.example:465"),
            ("set smtp=smtps://h.example:587\n", "submission://h.example:587"),
            ("set smtp=h.example:465 smtp-use-starttls\n", "smtps://h.example:465"),
        ],
    )
    def test_ports_465_and_587_have_one_kind_of_tls_each(self, text, url):
        imported = load(text, "mail.rc")
        assert relay(imported)["url"] == url
        assert remark_on(imported, 1)


class TestPasswords:
    @pytest.mark.parametrize(
        "password", ["#first", "a#b", "tail#", "a\\b", 'q"q', "sp ace", "ünï", "%41", "a=b"]
    )
    def test_arrive_as_they_were_meant(self, password):
        single = password.replace("'", "\\'")
        texts = {
            "mail.rc": f"set smtp=smtps://h smtp-auth-user=u smtp-auth-password='{single}'\n",
            "msmtprc": f"host h\ntls on\nauth on\nuser u\npassword {password}\n",
            "ssmtp.conf": f"mailhub=h\nUseTLS=yes\nAuthUser=u\nAuthPass={password}\n",
            "remotes": f"h smtp tls user=u pass='{password}'\n",
        }
        for name, text in texts.items():
            assert load(text, name).secrets == {"password": password + "\n"}, name

    @pytest.mark.parametrize("password", [b"caf\xe9", b"a\x01b"])
    def test_that_no_server_would_take_are_left_to_the_person(self, password):
        imported = load(b"host h\ntls on\nauth on\nuser u\npassword " + password + b"\n", "msmtprc")
        assert imported.secrets == {}
        assert relay(imported)["password-file"] == "password"
        assert "chmod 600" in remark_on(imported, 1)

    def test_that_a_terminal_was_asked_for_get_a_place_to_be_written_to(self):
        imported = load("set smtp=smtps://h smtp-auth-user=u\n", "mail.rc")
        assert relay(imported)["password-file"] == "password"
        assert "`password`" in remark_on(imported, 1)

    def test_in_what_looks_like_a_port_are_not_shown(self):
        imported = load("set mta=smtps://user:hunter2\n", "mail.rc")
        assert "hunter2" not in str(imported)


class TestAccounts:
    MAILRC = "account a {\nset smtp=smtps://a\n}\naccount b {\nset smtp=smtps://b\n}\n"
    MSMTPRC = "account a\nhost a\ntls on\naccount b\nhost b\ntls on\n"

    @pytest.mark.parametrize(("name", "text"), [("mail.rc", MAILRC), ("msmtprc", MSMTPRC)])
    def test_can_be_chosen_and_the_others_are_named(self, name, text):
        assert "//a:" in relay(load(text, name))["url"]
        chosen = load(text, name, account="b")
        assert "//b:" in relay(chosen)["url"]
        assert "`a` is left out" in str(chosen.remarks)
        assert "no account `c`" in str(load(text, name, account="c").remarks)

    def test_of_msmtp_inherit_in_the_order_of_the_list(self):
        text = "account a\nhost a\ntls on\naccount b\nhost b\nport 2525\naccount default : a, b\n"
        assert relay(load(text, "msmtprc"))["url"] == "submission://b:2525"

    def test_of_mailx_that_choose_themselves_come_to_an_end(self):
        text = "account a {\nset smtp=smtps://a\naccount a\n}\naccount a\n"
        assert relay(load(text, "mail.rc"))["url"] == "smtps://a:465"


class TestRevaliases:
    def test_can_be_named_instead_of_the_configuration(self):
        conf = b"mailhub=h:587\nUseSTARTTLS=yes\nAuthUser=u\nAuthPass=p\n"
        imported = load("root:a@b.example:other:587\n", "/etc/ssmtp/revaliases", {"ssmtp.conf": conf}.get)
        assert imported.config["mailfrom"] == "a@b.example"
        assert relay(imported)["url"] == "submission://other:587"
        assert "ssmtp.conf, line 1" in remark_on(imported, 0)
