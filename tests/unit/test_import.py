"""Importers: files as they are found in the wild, beside what becomes of them; and any octets at all."""

import contextlib
import os
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.errors import ConfigError
from cronwrap.settings import relays as endpoint
from cronwrap.setup import importers

CORPUS = os.path.join(os.path.dirname(__file__), "..", "data", "import")
CASES = sorted(entry.name for entry in os.scandir(CORPUS) if entry.is_dir())
CONFIG_DIRECTORY = "/etc/cronwrap"


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
        return read(case, name) if os.path.exists(os.path.join(CORPUS, case, name)) else None

    return sibling


def relay(imported):
    assert len(imported.config["relay"]) == 1
    return imported.config["relay"][0]


def remark_on(imported, line):
    return " ".join(text for number, text in imported.remarks if number == line)


def accepted(imported):
    """Assert that cronwrap takes the configuration, and that no secret stands in it."""
    config = imported.placed(CONFIG_DIRECTORY)
    assert set(config) <= {"mailto", "mailfrom", "relay", "delivery"}
    for table in config.get("relay", []):
        endpoint.parse(table, "imported")
        assert "password" not in table
    return config


class TestTheCorpus:
    @pytest.mark.parametrize("case", CASES)
    def test_each_file_becomes_what_stands_beside_it(self, case):
        sources = [name for name in os.listdir(os.path.join(CORPUS, case)) if name != "expected"]
        name = next(name for name in ("mail.rc", *sources) if name in sources and name in MAIN_FILES)
        imported = load(read(case, name), name, neighbours(case))
        assert imported.placed(CONFIG_DIRECTORY) == tomllib.loads(
            read(case, "expected", "config.toml").decode()
        )
        secrets = set(os.listdir(os.path.join(CORPUS, case, "expected"))) - {"config.toml", "remarks"}
        assert imported.secrets == {secret: read(case, "expected", secret).decode() for secret in secrets}
        remarks = "".join(f"{line}: {text}\n" for line, text in imported.remarks)
        assert remarks == read(case, "expected", "remarks").decode()

    @pytest.mark.parametrize("case", CASES)
    def test_what_comes_out_is_accepted_by_cronwrap_and_remarks_show_no_password(self, case):
        name = next(name for name in MAIN_FILES if os.path.exists(os.path.join(CORPUS, case, name)))
        imported = load(read(case, name), name, neighbours(case))
        accepted(imported)
        for secret in imported.secrets.values():
            assert secret.strip() not in str(imported.remarks) + str(imported.config)


MAIN_FILES = ("mail.rc", "mailrc", "s-nail.rc", "msmtprc", "ssmtp.conf", "remotes")


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
        ],
    )
    def test_under_another_name_the_lines_tell(self, text, kind):
        assert importers.detect(text, "/tmp/old") == kind

    def test_something_else_is_refused_with_the_kinds_there_are(self):
        with pytest.raises(ConfigError, match="one of mail"):
            importers.detect(b"[Unit]\nDescription=x\n", "x.service")

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


NAMES = st.sampled_from(["mail.rc", "msmtprc", "ssmtp.conf", "revaliases", "remotes"])
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
