"""Importers: whatever octets a file has, and the files beside it."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.errors import ConfigError
from cronwrap.setup import importers
from support.mailer_files import accepted

NAMES = st.sampled_from(importers.KINDS)
WORDS = st.sampled_from(
    [
        "set",
        "unset",
        "wysh",
        "account",
        "define",
        "if",
        "else",
        "endif",
        "{",
        "}",
        ";",
        "#",
        "\\",
        "'",
        '"',
        "$'",
        "$HOME",
        "=",
        ":",
        "@",
        "-",
        "smtp=",
        "mta=smtps://",
        "[::1]",
        "smtp-auth-user=",
        "smtp-auth-password=",
        "v15-compat=1",
        "from=",
        "a@b.example",
        "host",
        "port",
        "465",
        "25",
        "99999",
        "tls",
        "on",
        "off",
        "auth",
        "user",
        "password",
        "passwordeval",
        "defaults",
        "default",
        "tls_fingerprint",
        "root=",
        "mailhub=",
        "AuthUser=",
        "AuthPass=",
        "UseTLS=YES",
        "smtp",
        "--tls",
        "--user=u",
        "--pass=",
        "machine",
        "login",
        "~",
        "~x/",
        "$HOME/",
        "${HOME}",
        "$a",
        "a=$a$a",
        "netrc-lookup",
        "sendmail=",
        "SMARTHOST",
        "AUTHPATH",
        "SECURETRANSFER",
        "MASQUERADE",
        "u|h:p",
        "relayhost=[h]:587",
        "smtp_sasl_auth_enable=yes",
        "smtp_sasl_password_maps=hash:x,static:u:p",
        "dc_smarthost='h::587;[::1]:25'",
        "dc_eximconfig_configtype='smarthost'",
        "h:u:p",
        "*:u:p",
        "hostname",
        "username",
        "identity",
        "force",
        "reverse_path",
        "localhost",
        "127.0.0.1",
        "\x00",
        "\x7f",
        "�",
        "é",
        "%",
        "%zz",
        "\n",
        "\n",
        "\t",
        "\r\n",
    ]
)
GARBAGE = st.one_of(
    st.binary(max_size=400),
    st.lists(WORDS, max_size=60).map(lambda words: " ".join(words).encode("utf-8", "surrogateescape")),
    st.lists(WORDS, max_size=60).map(lambda words: "".join(words).encode("utf-8", "surrogateescape")),
)


class TestWhateverTheOctets:
    @settings(max_examples=300)
    @given(name=NAMES, text=GARBAGE, sibling=GARBAGE)
    def test_the_result_is_accepted_or_explained(self, name, text, sibling):
        imported = importers.load(text, name, name, lambda _name: sibling)
        config = accepted(imported)
        assert config.get("relay") or imported.remarks
        for secret in imported.secrets.values():
            assert secret.encode().endswith(b"\n")
        for line, remark in imported.remarks:
            assert 0 <= line <= text.count(b"\n") + 1
            assert remark.isprintable()

    @settings(max_examples=100)
    @given(text=st.binary(max_size=400), name=st.text(max_size=20))
    def test_detection_gives_a_kind_or_says_that_there_is_none(self, text, name):
        with contextlib.suppress(ConfigError):
            assert importers.detect(text, name) in importers.KINDS
