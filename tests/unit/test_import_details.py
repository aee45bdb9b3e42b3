"""Importers, one rule at a time; the rules of quoting are what S-nail 14.9.24 itself answered."""

import pytest

from cronwrap.setup import importers
from cronwrap.setup.importers.mailrc_syntax import (
    EXPANDED,
    UnclosedQuoteError,
    logical_lines,
    old_style,
    shell_style,
)


def load(text, kind, siblings=None):
    return importers.load(text.encode(), kind, kind, (siblings or {}).get)


def remarks(imported):
    return " / ".join(text for _, text in imported.remarks)


class TestQuotingOfMailRc:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("a='a#b\\c\"d'", ['a=a#b\\c"d']),
            ("a=\"x\\\"y\" b='x\\'y'", ['a=x"y', "b=x'y"]),
            ("a=pa\\#ss b=pa#ss c=#abc d=x\\ y", ["a=pa#ss", "b=pa#ss", "c=#abc", "d=x y"]),
            ('a=a"b c"d', ["a=ab cd"]),
            ('a="a\\\\" b=c', ['a=a\\" b=c']),
            ('a="unclosed b', ["a=unclosed b"]),
            ("a \t b", ["a", "b"]),
            ("''", [""]),
            ("end\\", ["end\\"]),
        ],
    )
    def test_the_old_way(self, text, words):
        assert old_style(text) == words

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("a=$'x\\'y' b=\"a\\\"b\\\\c\\$d\" c='a\\b' d=#x", ["a=x'y", 'b=a"b\\c$d', "c=a\\b", "d=#x"]),
            ("a=b # comment", ["a=b"]),
            ("a=$'\\x41\\u00e9\\101\\t\\q' b=\\ ", ["a=A\u00e9A\tq", "b= "]),
            ('a=$HOME b="${X}y" c=\\$Z', [f"a={EXPANDED}", f"b={EXPANDED}y", "c=$Z"]),
            ("a=$'\\UFFFFFFFF'", ["a=\ufffd"]),
            ("a\\", ["a\\"]),
        ],
    )
    def test_the_shell_way(self, text, words):
        assert shell_style(text) == (words, "")

    def test_a_semicolon_ends_a_command_and_a_pipe_the_line(self):
        assert shell_style("a=1;set b") == (["a=1"], "set b")
        assert shell_style("a=1|set b") == (["a=1"], "")

    @pytest.mark.parametrize("text", ["'a", '"a', "$'a", '"a\\"'])
    def test_the_shell_way_wants_quotes_closed(self, text):
        with pytest.raises(UnclosedQuoteError):
            shell_style(text)

    def test_lines_are_joined_by_an_odd_number_of_backslashes_comments_too(self):
        text = b"# a \\\nset gone\nset a\\\n  b\nset c\\\\\n\n\\\nset d\\"
        assert list(logical_lines(text)) == [(3, "set ab"), (5, "set c\\\\"), (8, "set d")]


class TestMailRc:
    def test_settings_in_a_macro_or_for_readers_do_not_count(self):
        text = (
            "define m {\nset smtp=smtps://m\n}\nif r\nset smtp=smtps://r\nelif x\nset smtp=smtps://x\nendif\n"
        )
        assert "no server" in remarks(load(text, "mail.rc"))

    @pytest.mark.parametrize("mta", ["test", "test://x", "lmtp://h", "smtps://"])
    def test_what_is_no_server_is_said(self, mta):
        imported = load(f"set mta={mta}\n", "mail.rc")
        assert "relay" not in imported.config
        assert imported.remarks

    @pytest.mark.parametrize("path", ["relative/../x", "//x"])
    def test_a_program_has_an_absolute_path(self, path):
        imported = load(f"set mta=file://{path}\n", "mail.rc")
        assert "relay" not in imported.config

    @pytest.mark.parametrize(
        ("setting", "found"),
        [("none", None), ("xoauth2", None), ("gssapi", {"user": "u", "password-file": "password"})],
    )
    def test_ways_of_logging_in(self, setting, found):
        text = f"set smtp=smtps://h smtp-auth={setting} smtp-auth-user=u smtp-auth-password=p\n"
        imported = load(text, "mail.rc")
        if setting == "xoauth2":
            assert "token-command" in remarks(imported)
        else:
            assert imported.config["relay"] == [{"url": "smtps://h:465", **(found or {})}]

    def test_an_unknown_account_and_a_bad_port_are_said(self):
        assert "no account `x`" in remarks(load("account x\nset smtp=smtps://h:0\n", "mail.rc"))
        assert "port" in remarks(load("set smtp=smtps://h:0\n", "mail.rc"))

    def test_of_several_senders_the_first_is_taken(self):
        imported = load('set smtp=smtps://h from="a@x.example, B <b@x.example>, nobody"\n', "mail.rc")
        assert imported.config["mailfrom"] == "a@x.example"
        assert "of several the first" in remarks(imported)
        assert "`nobody`" in remarks(imported)

    @pytest.mark.parametrize("value", ["0", "99999", "soon", "9" * 5000])
    def test_a_timeout_that_is_none_is_left_out(self, value):
        imported = load(f"set smtp=smtps://h socket-connect-timeout={value}\n", "mail.rc")
        assert imported.config["relay"] == [{"url": "smtps://h:465"}]
        assert "timeout" in remarks(imported)

    def test_a_ca_file_is_named_by_an_absolute_path(self):
        imported = load("set smtp=smtps://h ssl-ca-file=ca.pem\n", "mail.rc")
        assert imported.config["relay"] == [{"url": "smtps://h:465"}]
        assert "ca-file" in remarks(imported)


class TestMsmtp:
    @pytest.mark.parametrize(
        ("line", "why"),
        [
            ("protocol lmtp", "LMTP"),
            ("auth gssapi", "Kerberos"),
            ("auth external", "client certificates"),
        ],
    )
    def test_a_server_that_cannot_be_used_is_left_out(self, line, why):
        imported = load(f"host h\ntls on\n{line}\n", "msmtprc")
        assert "relay" not in imported.config
        assert why in remarks(imported)

    def test_a_login_without_a_user_is_said(self):
        imported = load("host h\ntls on\nauth plain\n", "msmtprc")
        assert imported.config["relay"] == [{"url": "submission://h:25"}]
        assert "set user" in remarks(imported)

    def test_a_password_goes_before_a_command(self):
        text = "host h\ntls on\nauth on\nuser u\npasswordeval cat x\npassword p\n"
        imported = load(text, "msmtprc")
        assert imported.secrets == {"password": "p\n"}

    def test_the_old_name_of_the_timeout_is_known(self):
        assert load("host h\ntls on\nconnect_timeout 5\n", "msmtprc").config["relay"][0]["timeout"] == "5s"

    @pytest.mark.parametrize(
        "text", ["account\nhost h\n", "account a : b\n", "account a\nhost x\naccount a\nhost y\n"]
    )
    def test_broken_accounts_are_said(self, text):
        assert "account" in remarks(load(text, "msmtprc"))

    def test_a_host_that_is_none_is_said(self):
        imported = load("host a b\ntls on\nport 0\n", "msmtprc")
        assert "relay" not in imported.config
        assert "left out" in remarks(imported)


class TestSsmtp:
    def test_the_sender_comes_from_the_domain_when_the_login_is_no_address(self):
        text = "mailhub=h:x\nUseTLS=yes\nAuthUser=u\nAuthPass=p\nrewriteDomain=@x.example\nAuthMethod=ntlm\n"
        imported = load(text, "ssmtp.conf")
        assert imported.config["mailfrom"] == "root@x.example"
        assert "AuthMethod" in remarks(imported)
        assert "port" in remarks(imported)

    def test_without_a_mailhub_there_is_no_relay(self):
        imported = load("root=a@b.example\n", "ssmtp.conf")
        assert imported.config == {"mailto": "a@b.example"}
        assert "no mailhub" in remarks(imported)

    def test_a_root_without_domain_is_left_to_the_person(self):
        assert "`postmaster`" in remarks(load("root=postmaster\nmailhub=localhost\n", "ssmtp.conf"))


class TestNullmailer:
    def test_the_sender_of_all_mail_goes_before_the_name_of_the_host(self):
        imported = load(
            "localhost\n", "remotes", {"allmailfrom": b"# c\n\na@b.example\n", "me": b"x.example"}
        )
        assert imported.config["mailfrom"] == "a@b.example"

    def test_a_login_that_is_an_address_needs_no_sender(self):
        imported = load("h smtp tls user=a@b.example pass=p\n", "remotes", {"me": b"x.example"})
        assert "mailfrom" not in imported.config

    def test_a_password_without_user_is_left_out(self):
        imported = load("h smtp tls pass=p\n", "remotes")
        assert imported.config["relay"] == [{"url": "smtps://h:465"}]
        assert "without a user" in remarks(imported)
