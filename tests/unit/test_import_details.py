"""Importers, one rule at a time; the rules of quoting are what S-nail 14.9.24 itself answered."""

import pytest

from cronwrap.setup import importers
from cronwrap.setup.importers.mailrc_syntax import (
    EXPANDED,
    HOME,
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
            ('a=$HOME b="${X}y" c=\\$Z', [f"a={HOME}", f"b={EXPANDED}y", "c=$Z"]),
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


class TestWaysOfLoggingIn:
    @pytest.mark.parametrize(
        ("kind", "text"),
        [
            ("msmtprc", "host h\ntls on\nauth oauthbearer\nuser u\npasswordeval token\n"),
            ("mail.rc", "set smtp=smtps://h smtp-auth=oauthbearer smtp-auth-user=u\n"),
        ],
    )
    def test_oauthbearer_is_kept(self, kind, text):
        imported = load(text, kind)
        assert "XOAUTH2" not in remarks(imported)
        if kind == "msmtprc":
            assert imported.config["relay"][0]["token-command"] == "token"
        else:
            assert "needs a command that prints a fresh token" in remarks(imported)


class TestNoSecretIsShown:
    POSTFIX = "relayhost=[h]\nsmtp_sasl_auth_enable=yes\n"

    @pytest.mark.parametrize(
        ("kind", "text"),
        [
            ("esmtprc", "hostname h\nusername u\npassword half hunter2\n"),
            ("esmtprc", "hostname h\nforce hunter2\n"),
            ("auth.conf", "u|hunter2\nu|hunter2 x\n"),
            ("dma.conf", "SMARTHOST h\nSECURETRANSFER\n"),
            ("main.cf", POSTFIX + "smtp_sasl_password_maps=static:u:a hunter2\n"),
            ("main.cf", POSTFIX + "smtp_sasl_password_maps=static:{u: hunter2:x}\n"),
            ("sasl_passwd", "hunter2\n[h] hunter2\n[h]:587 u hunter2\n"),
            ("passwd.client", "h:hunter2\nh u hunter2\n"),
            ("msmtprc", "host h\ntls on\nauth on\nuser u\npassword hunter2 # x\n"),
            ("mail.rc", "set mta=smtps://u:hunter2@h\nset password-x@y=hunter2\n"),
            ("remotes", "h smtp tls user=u pass=hunter2 pass\n"),
        ],
    )
    def test_not_even_of_a_line_that_is_malformed(self, kind, text):
        beside = {
            "auth.conf": b"u|h:hunter2\nu|hunter2 x\n",
            ".netrc": b"machine h login u password hunter2\n",
        }
        imported = load(text, kind, beside)
        assert "hunter2" not in remarks(imported)
        assert "hunter2" not in str(imported.config)


class TestMailRcPaths:
    @pytest.mark.parametrize(
        ("text", "url"),
        [
            ("set mta=~/bin/send.sh\n", "sendmail:~/bin/send.sh"),
            ("set mta=$HOME/bin/send.sh\n", "sendmail:~/bin/send.sh"),
            ("set mta=${HOME}/bin/send.sh\n", "sendmail:~/bin/send.sh"),
            ("set mta=file://$HOME/bin/send.sh\n", "sendmail:~/bin/send.sh"),
            ('set v15-compat=1 mta="$HOME/bin/send.sh"\n', "sendmail:~/bin/send.sh"),
            ("set v15-compat=1\nset mta=file://$HOME/bin/send.sh\n", "sendmail:~/bin/send.sh"),
            ("set sendmail=~root/bin/send.sh\n", "sendmail:~root/bin/send.sh"),
        ],
    )
    def test_begin_at_home_where_s_nail_has_them_begin_there(self, text, url):
        imported = load(text, "mail.rc")
        assert imported.config["relay"] == [{"url": url}]
        assert imported.remarks == []

    @pytest.mark.parametrize("value", ["$HOMES/x", "$X/bin/send.sh", "~nobody-of-that-name/x", "$HOME"])
    def test_that_only_mailx_knows_are_said(self, value):
        imported = load(f"set mta={value}\n", "mail.rc")
        assert "relay" not in imported.config or value == "$HOME"
        assert imported.remarks or value == "$HOME"


class TestLoginsBeside:
    MSMTP = "host h\nport 587\ntls on\nauth on\nuser u\n"

    @pytest.mark.parametrize(
        ("name", "text", "password"),
        [
            (".netrc", "machine h login u password p", "p"),
            ("netrc", "machine h\n\tlogin u\n\tpassword 'p", "'p"),
            (".authinfo", "machine h port 587 login u password p", "p"),
            ("~/.netrc", "machine H login u password p", "p"),
            (".netrc", "machine h port 25 login u password p", None),
            (".netrc", "machine h login v password p", None),
            (".netrc", "default login u password p", None),
            (".netrc", "machine h login u", None),
        ],
    )
    def test_are_taken_for_that_server_and_user_alone(self, name, text, password):
        imported = load(self.MSMTP, "msmtprc", {name: text.encode()})
        assert imported.secrets == ({"password": f"{password}\n"} if password else {})
        assert (f"taken from {name}" in remarks(imported)) == bool(password)

    def test_do_not_go_before_a_password_or_a_command_of_the_file_itself(self):
        beside = {".netrc": b"machine h login u password p"}
        assert load(self.MSMTP + "password q\n", "msmtprc", beside).secrets == {"password": "q\n"}
        (relay,) = load(self.MSMTP + "passwordeval x\n", "msmtprc", beside).config["relay"]
        assert relay["password-command"] == "x"

    def test_of_several_for_one_server_none_is_guessed(self):
        beside = {".netrc": b"machine h login u password p machine h login v password q"}
        imported = load("set mta=smtps://h netrc-lookup\n", "mail.rc", beside)
        assert imported.secrets == {}
        assert "no login for this server" in remarks(imported)


class TestCommentsBehindValues:
    @pytest.mark.parametrize("comment", [" # c", "\t# c", " #c"])
    def test_are_left_out_of_what_msmtp_takes_whole_and_told(self, comment):
        text = f'host h{comment}\nport 587{comment}\ntls on{comment}\nfrom "a@b.example"{comment}\n'
        imported = load(text, "msmtprc")
        assert imported.config == {"mailfrom": "a@b.example", "relay": [{"url": "submission://h:587"}]}
        assert [line for line, _ in imported.remarks] == [1, 2, 3, 4]

    def test_within_quotes_and_in_commands_are_none(self):
        text = 'host h\ntls on\nauth on\nuser "u # v"\npasswordeval x # y\n'
        (relay,) = load(text, "msmtprc").config["relay"]
        assert (relay["user"], relay["password-command"]) == ("u # v", "x # y")

    def test_a_tab_in_a_password_stays_one(self):
        imported = load("host h\ntls on\nauth on\nuser\tu\npassword\ta\tb c\n", "msmtprc")
        assert imported.secrets == {"password": "a\tb c\n"}


class TestPostfix:
    BASE = "relayhost = [h.example]:587\nsmtp_sasl_auth_enable = yes\nsmtp_tls_security_level = encrypt\n"

    def test_variables_that_hold_themselves_or_grow_come_to_an_end(self):
        grow = "\n".join(f"v{n} = " + f"$v{n + 1} " * 200 for n in range(20))
        for text in ("relayhost = $a\na = $b$b\nb = $a$a\n", f"relayhost = $v0\n{grow}\n"):
            assert load(text, "main.cf").remarks

    @pytest.mark.parametrize("key", ["[h.example]:587", "h.example", "[h.example]", "H.EXAMPLE"])
    def test_a_login_is_found_by_server_or_relayhost(self, key):
        maps = "smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd\n"
        imported = load(self.BASE + maps, "main.cf", {"sasl_passwd": f"{key} u:p\n".encode()})
        assert imported.secrets == {"password": "p\n"}

    def test_a_table_is_looked_for_where_the_copied_directory_has_it(self):
        maps = "smtp_sasl_password_maps = hash:/etc/postfix/sasl/logins\n"
        beside = {"sasl/logins": b"h.example u:below\n", "logins": b"h.example u:beside\n"}
        assert load(self.BASE + maps, "main.cf", beside).secrets == {"password": "below\n"}

    def test_the_name_of_the_host_may_stand_in_a_file(self):
        beside = {"mailname": b"web1.example.org\n"}
        imported = load("relayhost=[h]\nmyorigin = /etc/mailname\n", "main.cf", beside)
        assert imported.config["mailfrom"] == "root@web1.example.org"

    def test_without_a_login_none_is_made(self):
        maps = "smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd\n"
        imported = load("relayhost = [h]\n" + maps, "main.cf", {"sasl_passwd": b"h u:p\n"})
        assert imported.secrets == {}
        assert "smtp_sasl_auth_enable" in remarks(imported)


class TestEsmtp:
    @pytest.mark.parametrize(
        ("written", "read"),
        [
            (r"'a\'b'", "'a'b'"),
            (r"'a\x31b'", "a1b"),
            (r'"a\061b"', "a1b"),
            (r"a\x31b", "a1b"),
            ("p#x", "p#x"),
            ("it's", "it's"),
            ('"a#b c=d" # comment', "a#b c=d"),
            ('"unclosed', '"unclosed'),
            ('= "x"', "x"),
            ('""', None),
        ],
    )
    def test_quotes_and_escapes_are_read_as_esmtp_did(self, written, read):
        imported = load(f"hostname h\nusername u\nstarttls required\npassword {written}\n", "esmtprc")
        assert imported.secrets == ({"password": f"{read}\n"} if read else {})

    def test_without_starttls_it_is_proposed(self):
        imported = load("hostname=h:25\nusername=u\npassword=p\n", "esmtprc")
        assert imported.config["relay"][0]["url"] == "submission://h:587"
        assert "in the clear" in remarks(imported)


class TestExim:
    def test_the_login_of_another_name_is_taken_when_it_is_the_only_one_and_told(self):
        conf = "dc_eximconfig_configtype='smarthost'\ndc_smarthost='relay.example.com::587'\n"
        imported = load(conf, "update-exim4.conf.conf", {"passwd.client": b"mx7.example.net:u:p\n"})
        assert imported.secrets == {"password": "p\n"}
        assert "`mx7.example.net`, the only one" in remarks(imported)

    def test_of_several_for_other_servers_none_is(self):
        conf = "dc_eximconfig_configtype='smarthost'\ndc_smarthost='relay.example.com'\n"
        imported = load(conf, "update-exim4.conf.conf", {"passwd.client": b"a.example:u:p\nb.example:u:q\n"})
        assert imported.secrets == {}
        assert "no login for `relay.example.com`" in remarks(imported)


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
