"""Where a setting comes from, which one wins, what becomes of bad ones, and what is kept between runs."""

from __future__ import annotations

import contextlib
import os
import stat
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap import paths
from cronwrap.errors import ConfigError
from cronwrap.settings import anew, cache, values
from cronwrap.settings import files as config
from cronwrap.settings import load as settings
from cronwrap.settings.command_line import parse
from cronwrap.settings.defaults import DEFAULTS
from cronwrap.settings.options import OPTIONS, SECTIONS, Option


class Ground:
    """A system file, a user's file and a state directory of a test's own."""

    def __init__(self, directory):
        self.directory = str(directory)
        self.system = os.path.join(self.directory, "etc.toml")
        self.user = os.path.join(self.directory, "xdg", "cronwrap", "config.toml")
        self.state = os.path.join(self.directory, "state")
        self.environ = {
            "HOME": self.directory,
            "XDG_CONFIG_HOME": os.path.join(self.directory, "xdg"),
            "CRONWRAP_STATE_DIR": self.state,
        }
        os.makedirs(os.path.dirname(self.user))

    def write(self, path, text, mode=0o600):
        content = text if isinstance(text, bytes) else text.encode()
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode)
        return path

    def load(self, flags=None, command="", **environ):
        return settings.load(flags or {}, {**self.environ, **environ}, command)


@pytest.fixture
def ground(tmp_path, monkeypatch):
    made = Ground(tmp_path)
    monkeypatch.setattr(paths, "SYSTEM_CONFIG", made.system)
    return made


@pytest.fixture(name="settled")
def fixture_settled(monkeypatch):
    """Take away the time that a changed file is not trusted for."""
    monkeypatch.setattr(anew, "RACY", -1.0)


settled = pytest.mark.usefixtures("settled")


# Precedence -------------------------------------------------------------------------------------


def test_flags_beat_variables_beat_the_job_beat_defaults_beat_what_is_built_in(ground):
    def timeout(**more):
        return ground.load(more.get("flags", {}), "nightly", **more.get("environ", {}))["timeout"]

    assert timeout() is None
    ground.write(ground.system, '[defaults]\ntimeout = "1s"\n')
    assert timeout() == 1
    ground.write(ground.system, '[defaults]\ntimeout = "1s"\n[jobs.nightly]\ntimeout = "2s"\n')
    assert timeout() == 2
    assert timeout(environ={"CRONWRAP_TIMEOUT": "3"}) == 3
    assert timeout(environ={"CRONWRAP_TIMEOUT": "3"}, flags={"timeout": 4.0}) == 4


def test_each_source_is_named(ground):
    ground.write(ground.system, '[defaults]\nnice = 1\n[jobs.x]\nretries = 2\n[history]\nkeep = "1d"\n')
    found = ground.load({"name": "x", "after": 3}, CRONWRAP_DRAIN="1s", MAILTO="a@b", CRONWRAP_QUIET="1")
    assert found.sources["nice"] == f"{ground.system} [defaults]"
    assert found.sources["retries"] == f"{ground.system} [jobs.x]"
    assert found.sources["history.keep"] == ground.system
    assert found.sources["after"] == "the command line"
    assert (found.sources["drain"], found.sources["mailto"]) == ("CRONWRAP_DRAIN", "MAILTO")
    assert (found.sources["live"], found["live"]) == ("CRONWRAP_QUIET", False)
    assert "timeout" not in found.sources


def test_another_jobs_settings_are_not_taken(ground):
    ground.write(ground.system, '[jobs.other]\ntimeout = "2s"\n')
    assert ground.load(command="nightly")["timeout"] is None


def test_a_job_is_known_by_flag_then_variable_then_command(ground):
    text = "[jobs.a]\nnice = 1\n[jobs.b]\nnice = 2\n[jobs.c]\nnice = 3\n"
    ground.write(ground.system, text)
    assert ground.load({"name": "a"}, "c", CRONWRAP_NAME="b")["nice"] == 1
    assert ground.load({}, "c", CRONWRAP_NAME="b")["nice"] == 2
    assert ground.load({}, "c")["nice"] == 3


@pytest.mark.parametrize("key", ["mailto", "mailfrom"])
def test_the_crontabs_own_variables_beat_the_file_and_lose_to_ours_and_to_flags(ground, key):
    table = f'{key} = "top@x"\n[defaults]\n{key} = "defaults@x"\n[jobs.j]\n{key} = "job@x"\n'
    ground.write(ground.system, table)
    plain, ours = key.upper(), f"CRONWRAP_{key.upper()}"
    assert ground.load()[key] == "defaults@x"
    assert ground.load(command="j")[key] == "job@x"
    assert ground.load(command="j", **{plain: "cron@x"})[key] == "cron@x"
    assert ground.load(command="j", **{plain: "cron@x", ours: "ours@x"})[key] == "ours@x"
    assert ground.load({key: "flag@x"}, "j", **{plain: "cron@x", ours: "ours@x"})[key] == "flag@x"


@pytest.mark.parametrize("variable", ["MAILTO", "CRONWRAP_MAILTO"])
def test_an_empty_mailto_says_no_mail_and_an_empty_mailfrom_says_nothing(ground, variable):
    ground.write(ground.system, 'mailto = "a@x"\nmailfrom = "b@x"\n')
    found = ground.load(**{variable: "", variable.replace("TO", "FROM"): ""})
    assert (found["mailto"], found["mailfrom"]) == ("", "b@x")


def test_a_bad_mailfrom_of_the_crontab_is_told_and_not_taken(ground):
    ground.write(ground.system, 'mailfrom = "b@x"\n')
    found = ground.load(MAILFROM="a b@c@d")
    assert found["mailfrom"] == "b@x"
    assert found.faults[0].startswith("MAILFROM: ")


def test_a_partly_bad_mailto_of_the_crontab_is_told_and_still_used(ground):
    found = ground.load(MAILTO="ops@x, a b@c@d")
    assert found["mailto"] == "ops@x, a b@c@d"
    assert found.faults[0].startswith("MAILTO: ")


@pytest.mark.parametrize("text", ['"ops@x, a b@c@d"', '["ops@x", "a b@c@d"]'])
def test_a_partly_bad_mailto_of_a_file_or_variable_is_told_and_still_used(ground, text):
    path = ground.write(ground.system, f"mailto = {text}\n")
    found = ground.load()
    assert found["mailto"].startswith("ops@x,")
    assert found.faults[0].startswith(f"{path}: mailto: ")
    found = ground.load(CRONWRAP_MAILTO="a b@c, own@x", MAILTO="crontab@x")
    assert found["mailto"] == "a b@c, own@x"
    assert any(fault.startswith("CRONWRAP_MAILTO: ") for fault in found.faults)
    assert ground.load(CRONWRAP_MAILTO="a b@c", MAILTO="crontab@x")["mailto"] == "crontab@x"


@pytest.mark.parametrize("key", ["timeout", "idle-timeout", "max-duration", "max-memory"])
def test_a_limit_of_zero_takes_away_the_one_of_the_defaults(ground, key):
    ground.write(ground.system, f'[defaults]\n{key} = "2"\n[jobs.free]\n{key} = 0\n')
    assert ground.load(command="other")[key] == 2
    assert ground.load(command="free")[key] is None
    variable = "CRONWRAP_" + key.upper().replace("-", "_")
    assert ground.load(command="other", **{variable: "0"})[key] is None
    assert ground.load(parse([f"--{key}", "0", "--", "other"]).flags, "other")[key] is None


@pytest.mark.parametrize("option", [*OPTIONS, *SECTIONS], ids=lambda option: option.key)
def test_every_option_is_a_variable_too(ground, option: Option):
    samples = {"config": ground.write(ground.system, ""), "on": "never", "format": "cron", "overlap": "skip"}
    samples |= {"scope": "fleet", "unreachable": "skip"}
    samples |= {"ping": "https://x/y", "mailto": "a@b", "mailfrom": "a@b", "name": "j", "chdir": "/"}
    samples |= {"delivery.lifetime": "1d", "history.keep": "1d", "metrics.textfile": "/"}
    samples |= {"web.proxy-header": "x", "web.proxy-root": "yes", "web.hosts": "a.example"}
    text = samples.get(option.key, "1")
    found = ground.load(**{option.variable: text})
    assert found.faults == ()
    expected = option.read(text)
    if option.sets:
        assert found[option.sets] is not expected
    else:
        assert found[option.key] == expected


def test_what_is_built_in_is_told_of_each_option_and_of_nothing_else():
    assert list(DEFAULTS) == [option.key for option in (*OPTIONS, *SECTIONS) if not option.sets]


def test_an_option_has_no_field_but_those_written_down():
    known = Option.__annotations__.keys()
    assert [
        vars(option).keys() - known for option in (*OPTIONS, *SECTIONS) if vars(option).keys() - known
    ] == []


def test_an_empty_variable_counts_as_not_set(ground):
    ground.write(ground.system, '[defaults]\ntimeout = "1s"\nlive = true\n')
    found = ground.load(CRONWRAP_TIMEOUT="", CRONWRAP_LIVE="", CRONWRAP_ON="")
    assert (found["timeout"], found["live"], found.faults) == (1, True, ())


def test_a_misspelt_variable_and_a_bad_value_are_told(ground):
    found = ground.load(CRONWRAP_TIMEUOT="1s", CRONWRAP_NICE="fast")
    assert sorted(found.faults) == [
        "CRONWRAP_NICE: 'fast' is not a whole number",
        "CRONWRAP_TIMEUOT: unknown variable: did you mean CRONWRAP_TIMEOUT?",
    ]
    assert found["nice"] is None


def test_an_expression_without_measure_is_a_fault_and_no_crash(ground):
    hostile = ("(" * 5000 + ")" * 5000, "a{99999999999}", "(")
    for pattern in hostile:
        found = ground.load(CRONWRAP_FAIL_MATCH=pattern)
        assert found["fail-match"] == ()
        assert found.faults
    ground.write(ground.system, f"[defaults]\nfail-match = ['{hostile[0]}']\nnice = 3\n")
    found = ground.load()
    assert (found["nice"], found["fail-match"], len(found.faults)) == (3, (), 1)


# Files ------------------------------------------------------------------------------------------


def test_the_users_file_lies_over_the_systems_key_by_key(ground):
    ground.write(ground.system, 'mailto = "s@x"\nmailfrom = "s@x"\n[jobs.j]\nnice = 1\nretries = 1\n')
    ground.write(ground.user, 'mailto = "u@x"\n[jobs.j]\nnice = 2\n[history]\nkeep = "1d"\n')
    found = ground.load(command="j")
    assert (found["mailto"], found["mailfrom"]) == ("u@x", "s@x")
    assert (found["nice"], found["retries"], found["history.keep"]) == (2, 1, 86400)
    assert found.paths == (ground.system, ground.user)


def test_the_systems_job_beats_the_users_defaults(ground):
    ground.write(ground.system, "[jobs.j]\nnice = 1\n")
    ground.write(ground.user, "[defaults]\nnice = 2\n")
    assert ground.load(command="j")["nice"] == 1


def test_the_list_of_relays_is_one_key(ground):
    two = '[[relay]]\nurl = "smtps://a"\n[[relay]]\nurl = "smtps://b"\n'
    ground.write(ground.system, two)
    assert ground.load().relays == 2
    ground.write(ground.user, '[[relay]]\nurl = "maildir:/m"\n')
    found = ground.load()
    assert found.relays == 1
    assert [relay.kind for relay in config.relays_in_files(found.paths)] == ["maildir"]
    ground.write(ground.user, "relay = []\n")
    assert ground.load().relays == 0


@pytest.mark.parametrize("by_flag", [True, False])
def test_a_named_file_is_the_only_one(ground, by_flag):
    ground.write(ground.system, "[defaults]\nnice = 1\nretries = 1\n")
    own = ground.write(os.path.join(ground.directory, "own.toml"), "[defaults]\nnice = 5\n")
    found = ground.load({"config": own}) if by_flag else ground.load(CRONWRAP_CONFIG=own)
    assert (found["nice"], found["retries"], found.paths) == (5, 0, (own,))


def test_the_flag_names_the_file_before_the_variable_does(ground):
    own = ground.write(os.path.join(ground.directory, "own.toml"), "")
    assert ground.load({"config": own}, CRONWRAP_CONFIG="/nonexistent").paths == (own,)


def test_paths_are_absolute_for_who_sends_later_from_elsewhere(ground, monkeypatch):
    monkeypatch.chdir(ground.directory)
    ground.write("own.toml", '[[relay]]\nurl = "maildir:/m"\n')
    found = ground.load({"config": "own.toml"}, CRONWRAP_STATE_DIR="state")
    monkeypatch.chdir("/")
    assert len(config.relays_in_files(found.paths)) == 1
    assert found.state_dir == ground.state
    assert ground.load(CRONWRAP_CONFIG="~/own.toml").paths == found.paths


def test_a_working_directory_that_has_gone_stops_nothing(ground, monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    found = ground.load({"config": "own.toml"}, CRONWRAP_STATE_DIR="state")
    assert found.faults


def test_without_files_all_is_built_in(ground):
    found = ground.load()
    assert (found.paths, found.faults, found.relays) == ((), (), 0)
    assert found.sources == {settings.STATE_KEY: "CRONWRAP_STATE_DIR"}


def test_a_named_file_that_is_missing_is_a_fault(ground):
    found = ground.load({"config": "/nonexistent/c.toml"})
    assert found.faults == ("/nonexistent/c.toml: No such file or directory",)
    assert found["on"] == ("failure", "output")


def test_a_file_that_may_not_be_read_is_passed_over_and_told_when_it_was_named(ground, monkeypatch, needs):
    needs("root")
    monkeypatch.chdir(ground.directory)  # the way from the root is closed to others
    os.chmod(ground.directory, 0o711)
    ground.write("secret.toml", "[defaults]\nnice = 1\n")
    monkeypatch.setattr(paths, "SYSTEM_CONFIG", "secret.toml")
    environ = {"HOME": "/nonexistent", "CRONWRAP_STATE_DIR": "/nonexistent/state"}
    monkeypatch.setattr(paths, "absolute", lambda path, _environ: path)
    os.seteuid(65534)
    try:
        found = settings.load({}, environ)
        told = settings.load({"config": "secret.toml"}, environ)
    finally:
        os.seteuid(0)
    assert (found["nice"], found.paths, found.faults) == (None, (), ())
    assert told.faults == ("secret.toml: Permission denied",)
    assert settings.load({}, ground.environ)["nice"] == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"mailto = \n", "line 1"),
        (b'mailto = "a@b"\nmailto = "c@d"\n', "line 2"),
        (b"\xff\xfe", "not UTF-8 at octet 0"),
        (b"\x00\x01\x02", "line 1"),
        (b"a = " + b"[" * 5000, "nested too deeply"),
        (b"#" * ((1 << 20) + 1), "larger than"),
        (b"mailto = ops@example.com", 'quotes are missing: write mailto = "ops@example.com"'),
        (b"[defaults]\ntimeout = 5m # at most", 'quotes are missing: write timeout = "5m"'),
        (b"[defaults]\ntimeout=.1", 'write timeout = ".1"'),
        (b"[defaults]\non = never", 'write on = "never"'),
        (b"[defaults]\non = [failure, output]", 'each text in the list needs quotes: write on = ["'),
        (b"[defaults]\non = [\n  failure,\n]", "a text needs quotes"),
        (b"[defaults]\nlive = True", "write live = true or live = false"),
        (b"[delivery]\nbackground = yes", "write background = true or background = false"),
        ("mailto = \u201cops@example.com\u201d".encode(), 'quotes are straight: write mailto = "'),
        (b'[redact]\npatterns = "\\d"', "within single quotes a backslash is an ordinary character"),
        (b"[[relay]]\npassword = hunter2", 'quotes are missing: write password = "\u2026"'),
        (b"[defaults]\nping = https://me:hunter2@h/", 'write ping = "\u2026"'),
        (b"mailto: ops@example.com", 'write mailto = "\u2026"'),
        (b"[[relay]\nurl = 'smtps://h'", "write [[relay]]"),
        (b"[relay]]\nurl = 'smtps://h'", "write [[relay]]"),
        (b"[defaults]]\nnice = 1", "write [defaults]"),
        (b"[relay]\n[[relay]]", "write [[relay]] above each relay, in line 1 too"),
        (b"[relay]\nuser = 'a'\n[relay]", "write [[relay]] above each relay, in line 3 too"),
        (b"[defaults]\nnice = 1\nnice = 2\n", "nice stands in lines 2 and 3: keep one of them"),
        (b"[defaults]\n\n[defaults]\n", "[defaults] stands in lines 1 and 3"),
        (b'mailto = "a@b\n', "the closing quote is missing"),
        (b'export mailto="a@b"\n', 'export has no place here: write mailto = "\u2026"'),
        (b"; settings", "a comment begins with #"),
        (b'mailto = "a@b";\n', "leave out the ; at the end"),
        (b'[defaults]\rtimeout = "2h"\r', "not with a carriage return alone"),
        (b"[redact]\npatterns = ['a', \"\\d\"]", "within single quotes a backslash"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_place(ground, content, said):
    ground.write(ground.system, content)
    found = ground.load()
    (fault,) = found.faults
    assert fault.startswith(f"{ground.system}: ")
    assert said in fault
    assert "hunter2" not in fault


def test_a_broken_file_does_not_take_the_other_one_with_it(ground):
    ground.write(ground.system, "[defaults]\nnice = 1\n")
    ground.write(ground.user, "nonsense")
    found = ground.load()
    assert found["nice"] == 1
    assert len(found.faults) == 1


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["directory", "fifo"])
def test_what_is_no_file_holds_nobody_up(ground, make):
    make(ground.system)
    started = time.monotonic()
    (fault,) = ground.load().faults
    assert fault.startswith(f"{ground.system}: ")
    assert time.monotonic() - started < 5


def test_a_device_is_not_read_to_its_end(ground):
    (fault,) = ground.load({"config": "/dev/zero"}).faults
    assert fault == "/dev/zero: not a regular file"


def test_a_byte_order_mark_is_no_fault(ground):
    ground.write(ground.system, b"\xef\xbb\xbf[defaults]\nnice = 1\n")
    assert ground.load()["nice"] == 1


# Faults -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('mialto = "a@b"', "unknown key 'mialto': did you mean mailto?"),
        (
            "zzz = 1",
            "allowed: mailto, mailfrom, relay, notify, fleet, delivery, defaults, jobs, history, redact",
        ),
        ('timeout = "2h"', "it belongs into [defaults]"),
        ("[defaults]\ntimeuot = 1", "defaults: unknown key 'timeuot': did you mean timeout?"),
        ("[defaults]\nzzz = 1", "unknown key 'zzz'; allowed: chdir, on, ok-codes"),
        ("[jobs.j]\nzzz = 1", "jobs.j: unknown key 'zzz'"),
        ('[jobs.j]\nname = "x"', "jobs.j.name: not allowed in a file"),
        ('[defaults]\nconfig = "x"', "defaults.config: not allowed in a file"),
        ('[delivery]\ninlin = "1s"', "delivery: unknown key 'inlin': did you mean inline?"),
        ("[history]\nzzz = 1", "history: unknown key 'zzz'; allowed: keep"),
        ("[delivery]\nbackground = 5", "delivery.background: 5 is neither true nor false"),
        ("[defaults]\ntimeout = true", "defaults.timeout: true is not a duration"),
        ("mailto = 5", "mailto: 5 is not a text"),
        ('mailto = "a b@c@d"', "mailto: "),
        ('mailto = "a..b@example.com"', "a dot stands at an end or beside another"),
        ('mailto = "ops@"', "what stands after the @ is no domain"),
        ("defaults = 1", "defaults: expected a table, found a number"),
        ("[jobs]\nj = true", "jobs.j: expected a table, found true or false"),
        ("jobs = 1979-05-27", "jobs: expected a table, found a date"),
        ("relay = 5", "relay 1: expected a table, [[relay]]"),
        ('[[relay]]\nurll = "x"', "relay 1: unknown key 'urll': did you mean url?; allowed: url, user"),
        ('[[relay]]\nurl = "smtp://mail.example.com"', "relay 1: url leads off this host"),
        ('[defaults]\ntimeout = "soon"', "'soon' is not a duration: write 90, 90s, 1.5s"),
        ('[defaults]\nmax-output = "1X"', "'1X' is not a size: write 512, 64K, 1M or 2G"),
        ('[defaults]\non = ["failures"]', "'failures' is not an event: did you mean failure?; allowed: "),
        ("[defaults]\nok-codes = [0, 256]", "defaults.ok-codes: 256 is not a range of exit codes"),
        ('[defaults]\noverlap = "block"', "use allow, skip, wait, kill"),
        ("[history]\nkeep = 90", "history.keep: 90 lacks its unit: write 90d"),
        ('[delivery]\nlifetime = "5"', "delivery.lifetime: '5' lacks its unit: write 5d"),
        ("[redact]\npatterns = ['(']", "redact.patterns: '(' is not a regular expression"),
    ],
)
def test_a_fault_names_file_and_key_and_what_is_allowed(ground, text, said):
    ground.write(ground.system, text + "\n")
    (fault,) = ground.load().faults
    assert fault.startswith(f"{ground.system}: ")
    assert said in fault
    assert fault.isprintable()


def test_one_bad_key_takes_no_other_with_it(ground):
    ground.write(
        ground.system, '[defaults]\nnice = "fast"\nretries = 2\n[[relay]]\nurl = "x"\n[jobs.j]\nafter=2'
    )
    found = ground.load(command="j")
    assert (found["nice"], found["retries"], found["after"], found.relays) == (None, 2, 2, 0)
    assert len(found.faults) == 2


def test_a_file_of_another_kind_makes_few_and_short_faults_and_soon(ground):
    lines = [f"timeuot{number} = 1" for number in range(6_000)]
    ground.write(ground.system, "[defaults]\n" + "\n".join(lines) + f"\n{'x' * 5000} = 1\n[defaults.x]\n")
    started = time.process_time()
    faults = ground.load().faults
    assert time.process_time() - started < 5  # a comparison of each with each takes minutes
    assert len(faults) == config.FAULT_LIMIT + 1
    assert faults[-1].endswith("more faults")
    ground.write(ground.system, f"{'x' * 5000} = 1\n[defaults]\nchdir = {list(range(5000))}\n")
    assert max(map(len, ground.load().faults)) <= config.FAULT_LENGTH


def test_the_example_of_the_manual_has_no_fault(ground):
    here = os.path.dirname(os.path.abspath(__file__))
    example = os.path.join(here, "..", "..", "examples", "config.toml")
    with open(example, "rb") as file:
        ground.write(ground.system, file.read())
    assert ground.load().faults == ()


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_no_octets_make_reading_fail_in_any_other_way(content):
    path = os.path.join(os.environ["TMPDIR"], "fuzz.toml")
    with open(path, "wb") as file:
        file.write(content)
    try:
        found = config.values(config.File(path))
    except ConfigError:
        return
    assert all(isinstance(fault, str) for fault in found["faults"])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@given(st.sampled_from([*OPTIONS, *SECTIONS]), VALUES)
def test_any_value_of_any_type_is_read_or_told(option, value):
    with contextlib.suppress(*values.BAD_VALUE):
        option.read(value)


# Relays -----------------------------------------------------------------------------------------


def test_the_relay_of_the_environment_stands_for_the_whole_list(ground):
    two = '[[relay]]\nurl = "smtps://a"\nuser = "file@x"\npassword = "p"\n[[relay]]\nurl = "smtps://b"\n'
    ground.write(ground.system, two)
    assert (ground.load().relays, ground.load().login) == (2, "file@x")
    environ = {"CRONWRAP_RELAY": "smtps://c", "CRONWRAP_RELAY_USER": "env@x", "CRONWRAP_RELAY_PASSWORD": "p"}
    found = ground.load(**environ)
    assert (found.relays, found.login, found.faults) == (1, "env@x", ())


def test_a_relay_of_the_environment_that_cannot_be_used_is_told_without_its_password(ground):
    found = ground.load(CRONWRAP_RELAY="smtps://u:hunter2@mail.example.com:99999")
    (fault,) = found.faults
    assert "CRONWRAP_RELAY has a bad port" in fault
    assert "hunter2" not in fault
    assert found.relays == 0


@pytest.mark.parametrize(
    "secret",
    [
        'user = "u"\npassword = "p"',
        'user = "u"\npassword-file = "/p"',
        'user = "u"\npassword-command = "pass"',
        'user = "u"\npassword-env = "P"',
        'user = "u"\ntoken-command = "t"',
    ],
)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_holds_or_names_a_password_must_be_closed_to_others(ground, secret, mode):
    text = f'[[relay]]\nurl = "smtps://a"\n{secret}\n[[relay]]\nurl = "maildir:/m"\n[defaults]\nnice = 3\n'
    ground.write(ground.system, text, mode)
    found = ground.load()
    (fault,) = found.faults
    assert "relay 1" in fault
    assert f"chmod 600 {ground.system}" in fault
    first, second = config.relays_in_files(found.paths)
    assert (bool(first.fault), second.fault, found["nice"]) == (True, "", 3)
    os.chmod(ground.system, 0o600)
    assert ground.load().faults == ()


def test_a_password_in_a_url_is_one(ground):
    ground.write(ground.system, '[[relay]]\nurl = "smtps://u:p@a"\n', 0o644)
    assert "chmod 600" in ground.load().faults[0]


def test_a_file_with_a_password_must_belong_to_the_user_or_to_root(ground, needs):
    needs("root")
    ground.write(ground.system, '[[relay]]\nurl = "smtps://u:p@a"\n')
    os.chown(ground.system, 4711, -1)
    assert "uid 4711" in ground.load().faults[0]


def test_a_file_without_passwords_may_be_read_by_all(ground):
    ground.write(ground.system, '[[relay]]\nurl = "maildir:/m"\n', 0o644)
    assert ground.load().faults == ()


# The cache --------------------------------------------------------------------------------------


def parsed(monkeypatch):
    """Count how often a file is read and parsed."""
    seen = []
    original = config.File.__init__

    def counted(self, path):
        seen.extend([path] if os.path.exists(path) else [])
        original(self, path)

    monkeypatch.setattr(config.File, "__init__", counted)
    return seen


@settled
def test_an_unchanged_file_is_parsed_once(ground, monkeypatch):
    seen = parsed(monkeypatch)
    ground.write(ground.system, "[defaults]\nnice = 1\nunknown = 2\n")
    first, second = ground.load(), ground.load()
    assert first == second
    assert second.faults
    assert len(seen) == 1


def test_a_file_changed_a_moment_ago_is_read_again(ground, monkeypatch):
    seen = parsed(monkeypatch)
    ground.write(ground.system, "[defaults]\nnice = 1\n")
    ground.load()
    ground.load()
    assert len(seen) == 2


@settled
@pytest.mark.parametrize("change", ["content", "same size and time", "mode", "gone", "new file", "replaced"])
def test_no_change_goes_unseen(ground, change):
    ground.write(ground.system, '[[relay]]\nurl = "smtps://u:p@a"\n[defaults]\nnice = 1\n')
    before = ground.load()
    state = os.stat(ground.system)
    if change == "content":
        ground.write(ground.system, "[defaults]\nnice = 22\n")
    elif change == "same size and time":
        ground.write(ground.system, '[[relay]]\nurl = "smtps://u:p@a"\n[defaults]\nnice = 2\n')
        os.utime(ground.system, ns=(state.st_atime_ns, state.st_mtime_ns))
    elif change == "mode":
        os.chmod(ground.system, 0o644)
    elif change == "gone":
        os.unlink(ground.system)
    elif change == "new file":
        ground.write(ground.user, "[defaults]\nnice = 2\n")
    else:
        other = ground.write(ground.system + ".new", "[defaults]\nnice = 2\n")
        os.rename(other, ground.system)
    assert ground.load() != before


@settled
def test_the_cache_holds_no_secret_and_is_closed_to_others(ground):
    ground.write(ground.system, '[[relay]]\nurl = "smtps://a"\nuser = "u"\npassword = "hunter2"\n')
    ground.load()
    path = os.path.join(ground.state, cache.CACHE)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.listdir(ground.state) == [cache.CACHE]
    with open(path, "rb") as file:
        assert b"hunter2" not in file.read()


@settled
@pytest.mark.parametrize("damage", ["cut", "empty", "torn", "forged", "open to others", "link", "fifo"])
def test_a_cache_that_is_not_ours_or_not_whole_is_not_believed(ground, damage):
    ground.write(ground.system, "[defaults]\nnice = 1\n")
    ground.load()
    path = os.path.join(ground.state, cache.CACHE)
    with open(path, "rb") as file:
        content = file.read()
    forged = content.replace(b"nice", b"dice")
    body = forged[cache.CHECK_LENGTH :]
    whole = cache._check_of(body) + body
    os.unlink(path)
    if damage == "link":
        ground.write(path + "-", whole)
        os.symlink(path + "-", path)
    elif damage == "fifo":
        os.mkfifo(path, 0o600)
    else:
        torn = bytes(32) + content[32:]
        written = {"cut": content[:-5], "empty": b"", "torn": torn, "forged": forged}.get(damage, whole)
        ground.write(path, written, 0o644 if damage == "open to others" else 0o600)
    assert ground.load()["nice"] == 1


@given(st.binary(max_size=200))
def test_no_octets_in_the_cache_do_harm(octets):
    directory = os.environ["TMPDIR"]
    with open(os.path.join(directory, cache.CACHE), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(octets)
    assert cache.read(directory, ("key",)) is None


@settled
def test_a_dry_run_keeps_nothing(ground):
    ground.write(ground.system, "[defaults]\nnice = 1\n")
    assert ground.load({"dry-run": True})["nice"] == 1
    assert not os.path.exists(ground.state)


@settled
def test_a_state_directory_that_cannot_be_written_costs_the_cache_alone(ground):
    ground.write(ground.system, "[defaults]\nnice = 1\n")
    blocked = ground.write(os.path.join(ground.directory, "file"), "")
    assert ground.load(CRONWRAP_STATE_DIR=f"{blocked}/state")["nice"] == 1


@settled
def test_a_disk_that_is_full_leaves_no_piece_of_a_cache(ground, monkeypatch):
    ground.write(ground.system, "[defaults]\nnice = 1\n")
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: write(handle, content[:5]))
    ground.load()
    assert os.listdir(ground.state) == []


# The state directory ----------------------------------------------------------------------------


def test_the_state_directory_follows_variable_then_xdg_then_home(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    find = paths.state_directory
    assert find({"HOME": "/h"}) == "/h/.local/state/cronwrap"
    assert find({"HOME": "/h", "XDG_STATE_HOME": "/x"}) == "/x/cronwrap"
    assert find({"HOME": "/h", "XDG_STATE_HOME": "relative"}) == "/h/.local/state/cronwrap"
    assert find({"HOME": "/h", "XDG_STATE_HOME": "/x", "CRONWRAP_STATE_DIR": "/s"}) == "/s"
    assert find({"HOME": "/h", "CRONWRAP_STATE_DIR": "~/s"}) == "/h/s"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert find({"HOME": "/h", "XDG_STATE_HOME": "/x"}) == "/var/lib/cronwrap"
    assert find({"CRONWRAP_STATE_DIR": "/s"}) == "/s"


def test_the_variable_behind_the_state_directory_is_its_source(ground, monkeypatch):
    def source(uid, **environ):
        monkeypatch.setattr(os, "geteuid", lambda: uid)
        return settings.load({}, {"HOME": ground.directory, **environ}).sources.get(settings.STATE_KEY, "")

    assert source(1000) == source(1000, XDG_STATE_HOME="relative") == source(0, XDG_STATE_HOME="/x") == ""
    assert source(1000, XDG_STATE_HOME="/x") == "XDG_STATE_HOME"
    assert source(0, CRONWRAP_STATE_DIR="/s", XDG_STATE_HOME="/x") == "CRONWRAP_STATE_DIR"


def test_the_users_file_follows_xdg_then_home():
    assert paths.user_config({"HOME": "/h"}) == "/h/.config/cronwrap/config.toml"
    assert paths.user_config({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}) == "/x/cronwrap/config.toml"
    assert paths.user_config({"HOME": "/h", "XDG_CONFIG_HOME": "x"}) == "/h/.config/cronwrap/config.toml"
