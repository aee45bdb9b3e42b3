"""The JSON schema of the configuration: made from the table of options, of one mind with `config check`."""

import importlib.util
import json
import os
import tomllib

import jsonschema
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cronwrap.settings import files, notify, relays, values
from cronwrap.settings.options import BY_KEY, OPTIONS, SECTIONS
from support.mailer_files import CASES, CORPUS

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SPEC = importlib.util.spec_from_file_location("schema", os.path.join(PROJECT, "tools", "schema.py"))
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)
WHOLE = tool.document()
VALIDATOR = jsonschema.Draft202012Validator(
    WHOLE, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)
SETTINGS = [*(option for option in OPTIONS if option.key not in files.NOT_IN_FILES), *SECTIONS]


def validator(option):
    schema = {**tool.schema_of(option), "$defs": WHOLE["$defs"]}
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def read(option, value):
    try:
        option.read(value)
    except values.BAD_VALUE:
        return False
    return True


def faults(tmp_path, text):
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return files.values(files.File(str(path)))["faults"]


def test_the_file_is_the_one_that_the_table_makes():
    with open(tool.PLACE, encoding="utf-8") as file:
        assert json.load(file) == WHOLE, "write it anew: make schema"
    jsonschema.Draft202012Validator.check_schema(WHOLE)


RELAY = '[[relay]]\nurl = "smtps://h"\n'
LOGIN = RELAY + 'user = "u"\n'
DOCUMENTS = [
    "",
    'mailto = "ops@example.com"',
    'mailto = ["ops@example.com", "Ops, N. <a@b.example>"]',
    'mailto = ["ops@example.com", "Ops <a@b.example>"]',
    "mailto = 5",
    'mailto = "a b@c@d"',
    'mailto = "a@example.com;b@example.com"',
    'mailto = ""',
    'mailto = "a..b@example.com"',
    'mailto = "https://h/"',
    'mailto = "a@"',
    'mailto = "@b"',
    'mailto = "a@b,"',
    'mailto = "a@b:c"',
    'mailto = "a@example.com."',
    'mailto = "a@-example.com"',
    'mailto = "a@example-.com"',
    'mailto = "a@192.0.2.1"',
    'mailto = "a@[192.0.2.1], b@1.example"',
    'mailto = "Ops <a@10>"',
    'mailto = "root"',
    'mailto = "\\"Ops, N.\\" <a@b.example>, root (the admin)"',
    'mailto = "Ops <a@b.example"',
    """mailto = '"a b"@b.example'""",
    """mailto = '"a\tb"@b.example'""",
    """mailto = '"a\\\tb"@b.example'""",
    """mailfrom = '"\t"'""",
    """mailfrom = '"é"@b.example'""",
    """mailfrom = '"\t é" <a@b.example>'""",
    'mailto = "a@b.example,\\n"',
    'mailfrom = "cron@example.com"',
    'mailfrom = "a@example.com, b@example.com"',
    'mailfrom = "\\"Cron, daily\\" <cron@example.com>"',
    'mialto = "a@b"',
    'timeout = "2h"',
    "[defaults]\ntimeout = 90\nkill-after = 1.5\ndrain = 0",
    '[defaults]\ntimeout = "1h30m"\nidle-timeout = ".1"',
    '[defaults]\ntimeout = "soon"',
    '[defaults]\ntimeout = "100000d"',
    '[defaults]\ntimeout = "36500d"',
    "[defaults]\ntimeout = -1",
    "[defaults]\ntimeout = true",
    "[defaults]\ntimeout = inf",
    '[defaults]\nname = "x"',
    '[defaults]\nconfig = "/x"',
    "[defaults]\nzzz = 1",
    '[defaults]\non = ["failure", "Output"]',
    '[defaults]\non = "failure, output"',
    '[defaults]\non = "failure,"',
    '[defaults]\non = ["failure "]',
    '[defaults]\non = ["failures"]',
    "[defaults]\non = []",
    '[defaults]\nok-codes = [0, 24, "100-103"]',
    '[defaults]\nok-codes = "0,24, 100 - 103"',
    '[defaults]\nok-codes = "103-100"',
    "[defaults]\nok-codes = [0, 256]",
    "[defaults]\nok-codes = [true]",
    "[defaults]\nok-codes = 3",
    '[defaults]\nmax-output = "2M"\nmax-memory = "1t"',
    "[defaults]\nmax-output = 65536.0",
    '[defaults]\nmax-output = "1X"',
    '[defaults]\nmax-output = "1.5M"',
    '[defaults]\noverlap = "skip"\nformat = "cron"',
    '[defaults]\noverlap = "block"',
    "[defaults]\nlive = true\nquiet = 'no'\ntimestamps = 1",
    "[defaults]\nlive = 2",
    "[defaults]\nafter = 3\nretries = 1000\nnice = -20",
    '[defaults]\nafter = "3"\nnice = "-5"',
    "[defaults]\nafter = 0",
    "[defaults]\nnice = 20",
    "[defaults]\nretries = 1.5",
    "[defaults]\nfail-match = ['error: \\d+', 'x']",
    "[defaults]\nfail-match = '('",
    '[defaults]\nping = "https://hc.example/x"',
    '[defaults]\nping = "ftp://hc.example/x"',
    '[defaults]\nping = "https://hc.example/x y"',
    '[defaults]\nchdir = "/srv"',
    "[defaults]\nchdir = 5",
    "defaults = 1",
    '[jobs.nightly]\ntimeout = "6h"\n[jobs."a b"]\nnice = 1',
    "[jobs.j]\nzzz = 1",
    "[jobs]\nj = true",
    "jobs = []",
    "jobs = 1979-05-27",
    '[delivery]\ninline = "30s"\nlifetime = "5d"\nbackground = true',
    "[delivery]\nlifetime = 5",
    '[delivery]\nlifetime = "5"',
    '[delivery]\ninlin = "1s"',
    "[delivery]\nbackground = 5",
    '[history]\nkeep = "90d"',
    "[history]\nkeep = 90",
    "[history]\nzzz = 1",
    "[redact]\npatterns = ['token=\\S+']",
    "[redact]\npatterns = ['(']",
    RELAY,
    '[relay]\nurl = "smtps://h"',
    "relay = 5",
    "relay = []",
    "[[relay]]",
    '[[relay]]\nurll = "x"',
    LOGIN,
    LOGIN + 'password = "p"',
    LOGIN + 'password = "p"\npassword-file = "/p"',
    LOGIN + 'password = ""',
    LOGIN + "password = 5",
    LOGIN + 'password = "a\\nb"',
    LOGIN + 'password-file = "p"',
    LOGIN + 'password-file = "~/p"',
    LOGIN + 'password-command = "pass show x"\nauth = "LOGIN"',
    LOGIN + 'token-command = "token"\nauth = "xoauth2"',
    LOGIN + 'token-command = "token"\nauth = "plain"',
    LOGIN + 'password = "p"\nauth = "xoauth2"',
    LOGIN + 'password = "p"\nauth = "ntlm"',
    RELAY + 'auth = "login"',
    RELAY + 'password = "p"',
    RELAY + 'timeout = "30s"',
    RELAY + 'helo = "web1.example.com"',
    RELAY + 'helo = "[192.0.2.1]"',
    RELAY + 'helo = "a b"',
    RELAY + 'helo = "-a"',
    RELAY + 'source = "192.0.2.7"',
    RELAY + 'source = "2001:db8::7"',
    RELAY + 'source = "eth0"',
    RELAY + 'source = "192.0.2.256"',
    RELAY + 'proxy = "socks5://u:p@proxy:1080"',
    RELAY + 'proxy = "SOCKS5H://proxy"',
    RELAY + 'proxy = "http://[::1]:8080"',
    RELAY + 'proxy = "proxy:1080"',
    RELAY + 'proxy = "ftp://proxy"',
    '[[relay]]\nurl = "smtp://localhost"\nproxy = "http://p"',
    '[[relay]]\nurl = "smtp://localhost"\nhelo = "a"\nsource = "127.0.0.1"',
    RELAY + "timeout = 0",
    RELAY + 'timeout = "2h"',
    RELAY + 'ca-file = "/ca.pem"',
    RELAY + 'ca-file = "ca.pem"',
    RELAY + f'fingerprint = "sha256:{":".join(["AB"] * 32)}"',
    RELAY + 'fingerprint = "sha256:AB:CD"',
    *(
        f'[[relay]]\nurl = "{url}"'
        for url in [
            "smtps://u:p@h",
            "smtps://u%40example.com:p%25@h:465/",
            "smtps://u@h",
            "smtps://u:%zz@h",
            "smtps://[::1]:465",
            "smtps://::1",
            "smtps://h:0",
            "smtps://h:65535",
            "smtps://h:65536",
            "smtps://h:x",
            "smtps://",
            "smtps:h",
            "smtps://a b",
            "smtps://-h",
            "smtps://m\u00fcnchen.example",
            "SUBMISSION://mail.example.com.",
            "smtp://mail.example.com",
            "smtp://localhost",
            "smtp://127.0.0.9:2525",
            "smtp://u:p@localhost",
            "sendmail:/usr/sbin/sendmail",
            "sendmail:~/bin/send",
            "sendmail:sendmail",
            "sendmail://x",
            "maildir:///home/me/Maildir",
            "imap://h",
            "h",
        ]
    ),
    '[[relay]]\nurl = "sendmail:/x"\nuser = "u"',
    *(
        f'[[notify]]\nurl = "{url}"'
        for url in [
            "https://hooks.example.com",
            "https://hooks.example.com:8443/a/b?c=d#e",
            "HTTPS://u:p%2F@h?x",
            "https://h:8443?x",
            "https://h/a b",
            "https://u:p/w@h/",
            "https://h:0/",
            "https:///x",
            "https:h",
            "http://localhost:8080/x",
            "http://[::1]",
            "http://h/",
            "exec:/x",
            "exec:///x",
            "exec://x",
            "exec:x",
            "exec:~/x",
            "ntfy://topic",
            "tgram://1:a/2 3",
            "+://x",
            "ntfy:topic",
            "h",
            "",
        ]
    ),
    *(
        f'[[notify]]\nurl = "{url}"\n{key}'
        for url in ("https://h/", "http://localhost/", "exec:/x", "ntfy://t")
        for key in ('secret-file = "/s"', 'proxy = "http://p"', 'timeout = "5s"', 'on = "failure, recovery"')
    ),
    '[[notify]]\nurl = "https://h"\nsecret-file = "s"',
    '[[notify]]\nurl = "https://h"\nfingerprint = "x"',
    '[[notify]]\nurl = "https://h"\non = ["failures"]',
    '[[notify]]\nurl = "https://h"\njobs = ["backup-*", "x"]',
    '[[notify]]\nurl = "https://h"\njobs = "a, b"',
    '[[notify]]\nurl = "https://h"\njobs = "a,"',
    '[[notify]]\nurl = "https://h"\njobs = [""]',
    '[[notify]]\nurl = "https://h"\njobs = []',
    '[[notify]]\nurl = "https://h"\njobs = 5',
    '[[notify]]\nurl = "https://h"\nuser = "u"',
    "[[notify]]",
    "notify = 5",
    '[notify]\nurl = "https://h"',
    '[[relay]]\nurl = "sendmail:/x"\ntimeout = "5s"',
    '[[relay]]\nurl = "smtp://localhost"\nfingerprint = "x"',
    '[[relay]]\nurl = "smtps://u:p@h"\npassword = "p"',
    '[[relay]]\nurl = "smtps://u@h"\npassword = "p"',
]


@pytest.mark.parametrize("text", DOCUMENTS)
def test_schema_and_check_are_of_one_mind(tmp_path, text):
    assert VALIDATOR.is_valid(tomllib.loads(text)) == (faults(tmp_path, text) == [])


@pytest.mark.parametrize("case", [*CASES, "../../../examples/config.toml"])
def test_what_an_import_writes_and_the_example_are_valid(case):
    place = case if case.endswith(".toml") else os.path.join(case, "expected", "config.toml")
    with open(os.path.join(CORPUS, place), "rb") as file:
        VALIDATOR.validate(tomllib.load(file))


def test_each_option_and_each_key_of_a_relay_and_a_target_is_in_it():
    options = {name.removeprefix("option-") for name in WHOLE["$defs"] if name.startswith("option-")}
    assert options == BY_KEY.keys() - set(files.NOT_IN_FILES)
    assert tuple(WHOLE["$defs"]["relay"]["properties"]) == relays.KEYS
    assert tuple(WHOLE["$defs"]["target"]["properties"]) == notify.KEYS
    assert set(WHOLE["properties"]) == {*files.TOP_LEVEL, *files.TABLES}


PIECES = st.lists(
    st.sampled_from(
        [
            *"0123456789",
            *"smhdKMGT,.- \n\t@<>()\"'",
            "12",
            "255",
            "256",
            "failure",
            "OUTPUT",
            "never",
            "true",
            "no",
            "skip",
            "a@b.example",
            "Name",
            "https://h/",
            "sha256:",
            "é",
            "\x00",
            "cron",
        ]
    ),
    max_size=5,
).map("".join)
SCALARS = st.one_of(PIECES, st.booleans(), st.integers(-300, 300), st.integers(), st.floats(allow_nan=False))
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3))


@pytest.mark.parametrize("option", SETTINGS, ids=lambda option: option.key)
@given(value=VALUES)
def test_any_value_is_judged_alike(option, value):
    assume(not _expression_of_lines(option, value))
    assert validator(option).is_valid(value) == read(option, value), value


def _expression_of_lines(option, value):
    """Tell whether a text is several expressions, a line each: a schema sees one."""
    return option.read is values.patterns and "\n" in str(value)


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 9), (1, 1000), (5, 255), (99, 101), (250, 36500)])
def test_the_expressions_for_numbers_are_right(low, high):
    form = jsonschema.Draft202012Validator({"pattern": f"^{tool.numbers(low, high)}{tool.END}"})
    step = max(1, high // 5000)
    for number in {*range(0, high + 50, step), low - 1, low, high, high + 1}:
        if number >= 0:
            assert form.is_valid(str(number)) == (low <= number <= high)
