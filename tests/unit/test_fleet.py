"""What a fleet is told, and by whom, without a database."""

from __future__ import annotations

import itertools
import re
import time
import zlib
from importlib.resources import files
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.commands import fleet as fleet_command
from cronwrap.errors import ConfigError, CronwrapError, StateError
from cronwrap.fleet import batch, database, grants, migrations, peers, ship, shipper
from cronwrap.fleet.watch import Alarm
from cronwrap.history import kept_output
from cronwrap.pipeline import shared, watching
from cronwrap.pipeline.shared import elected
from cronwrap.pipeline.watching import words
from cronwrap.report import details
from cronwrap.settings import fleet
from cronwrap.settings.fleet import Fleet

SECRET = "hunter2secret"


def parse(url, **more):
    return fleet.parse({"url": url, **more}, "file: fleet")


def test_a_host_is_forgotten_only_by_who_can_be_asked():
    done = CliRunner().invoke(fleet_command.command, ["forget", "web1"])
    assert isinstance(done.exception, CronwrapError)
    assert "without a terminal" in str(done.exception)


# Settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "hosts", "ports", "base"),
    [
        ("postgresql://u@db.example.com/c", ("db.example.com",), (5432,), "c"),
        ("postgres://u@db.example.com:6432/c", ("db.example.com",), (6432,), "c"),
        ("postgresql://u@a.example,b.example:5433/c", ("a.example", "b.example"), (5432, 5433), "c"),
        ("postgresql://[2001:db8::1]:5433/c", ("2001:db8::1",), (5433,), "c"),
        ("postgresql:///c?host=/run/postgresql", ("/run/postgresql",), (5432,), "c"),
        ("postgresql://u@/c?host=/run/postgresql&port=5433", ("/run/postgresql",), (5433,), "c"),
        ("postgresql://%2Frun%2Fpostgresql/c", ("/run/postgresql",), (5432,), "c"),
    ],
)
def test_a_url_names_hosts_ports_and_a_database(url, hosts, ports, base):
    found = parse(url)
    assert (found.hosts, found.ports, found.database) == (hosts, ports, base)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "url is missing; write postgresql://"),
        ({"url": "mysql://db/x"}, "url is not postgresql://"),
        ({"url": "postgresql://db.example.com"}, "names no database"),
        ({"url": "postgresql://db.example.com/x?sslmode=disable"}, "may not say 'sslmode'"),
        ({"url": "postgresql://db.example.com/x?sslrootcert=/x"}, "write ca-file = "),
        ({"url": "postgresql://db.example.com/x?host=a&port=x"}, "has a bad port"),
        ({"url": f"postgresql://u:{SECRET}@db/x", "password": SECRET}, "more than one password"),
        ({"url": "postgresql://u@db/x", "cert-file": "/x"}, "go together"),
        ({"url": "postgresql://u@db/x", "ship": "run"}, "must be runs or changes: did you mean runs?"),
        ({"url": "postgresql://u@db/x", "watch": "maybe"}, "watch "),
        ({"url": "postgresql://u@db/x", "ulr": "x"}, "unknown key 'ulr': did you mean url?"),
        ({"url": "postgresql://u@db/x", "host": "x" * 64}, "longer than 63 octets"),
    ],
)
def test_what_is_wrong_is_named(table, said):
    with pytest.raises(ConfigError) as caught:
        fleet.parse(table, "file: fleet")
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


@given(
    st.dictionaries(st.sampled_from([*fleet.KEYS, "x"]), st.one_of(st.text(), st.integers(), st.booleans()))
)
def test_no_table_breaks_the_reader(table):
    try:
        found = fleet.parse(table, "f")
    except ConfigError:
        return
    assert found.database


def test_a_password_is_never_shown():
    found = parse(f"postgresql://u:{SECRET}@db.example.com/c")
    assert found.password == SECRET
    assert SECRET not in repr(found) + found.display
    assert found.names_secret


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://u@db.example.com/c", "verify-full"),
        ("postgresql://u@192.0.2.1/c", "verify-full"),
        ("postgresql://u@localhost,db.example.com/c", "verify-full"),
        ("postgresql://u@127.0.0.1/c", "prefer"),
        ("postgresql:///c?host=/run/postgresql", "disable"),
    ],
)
def test_off_the_host_tls_is_verified(url, mode):
    found = database.parameters(parse(url), writing=True)
    assert found["sslmode"] == mode
    assert bool(found.get("sslrootcert")) == (mode == "verify-full")


def test_a_private_authority_is_verified_on_the_loopback_too():
    found = database.parameters(parse("postgresql://u@localhost/c", **{"ca-file": "/ca.pem"}), writing=True)
    assert (found["sslmode"], found["sslrootcert"]) == ("verify-full", "/ca.pem")


# What is sent -----------------------------------------------------------------------------------


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    else:
        for item in value.values():
            yield from strings(item)


@given(
    st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
)
def test_nothing_that_is_sent_has_a_nul(value):
    assert all("\0" not in text for text in strings(batch.clean(value)))


@pytest.mark.parametrize("value", [-1.0, 1e300, 0.0, 1764000000.0])
def test_a_time_fits_a_timestamp(value):
    assert 0.0 <= batch.moment(value) <= batch.LATEST


def test_an_hour_has_the_results_and_quantiles_of_each_job():
    runs = [
        {"job": job, "duration": float(number), "result": result}
        for job in ("a", "b")
        for number, result in enumerate(["ok", "ok", "failed", "skipped", "ok"])
    ]
    hour = batch.hour("u", 7200.0, runs)
    assert (hour["hour"], hour["runs"], hour["failures"]) == (7200.0, 10, 2)
    assert [job["job"] for job in hour["jobs"]] == ["a", "b"]
    assert hour["jobs"][0]["results"] == "2o1x1s1o"
    assert [hour["jobs"][1][name] for name in ("p50", "p95", "longest")] == [2.0, 4.0, 4.0]


def test_with_changes_a_run_like_the_one_before_changes_nothing():
    row = {"next": 100.0, "grace": 75.0, "running": "r", "running_since": 90.0, "result": "ok"}
    assert batch.steady(row, 120.0) == {**row, "next": None, "running": "", "running_since": None}
    assert batch.steady(row, 176.0)["next"] == 100.0  # late
    assert batch.steady(row, 151.0)["running"] == "r"  # long


@given(*[st.lists(st.integers(), max_size=5)] * 3)
def test_a_batch_is_halved_until_one_thing_is_left(part, rows, hours):
    todo, alone = [(part, rows, hours)], []
    while todo:
        one = todo.pop()
        halves = ship._halves(*one)
        todo += halves
        alone += [] if halves else [one]
    assert all(sum(map(len, one)) <= 1 for one in alone)
    for kind, things in enumerate((part, rows, hours)):
        assert sorted(thing for one in alone for thing in one[kind]) == sorted(things)


# When -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempts", [1, 2, 7, 500])
def test_the_time_to_the_next_attempt_is_drawn_below_a_bound_that_doubles(attempts):
    assert shipper.delay(attempts, min) == 1.0
    assert shipper.delay(attempts, max) == min(60.0 * 2 ** (attempts - 1), 3600.0)


def test_hosts_spread_what_they_send_at_second_zero():
    waits = sorted(shipper.spread(f"web{number}.example.com") for number in range(500))
    assert waits[0] < 1
    assert 9 < waits[-1] < 10
    assert max(after - before for before, after in itertools.pairwise(waits)) < 1.5


@given(st.sets(st.text(min_size=1), min_size=1, max_size=8), st.text())
def test_every_host_elects_the_same_one_of_those_it_knows(hosts, what):
    chosen = elected(what, hosts)
    assert chosen in hosts
    assert elected(what, set(hosts)) == chosen
    assert elected(what, {chosen}) == chosen


def test_peers_that_cannot_be_read_are_nobody(tmp_path):
    assert peers.peers(str(tmp_path), ("runs", True, "web1")) == ("web1", [])


# Statements -------------------------------------------------------------------------------------


def test_no_statement_is_more_than_others_who_speak_the_protocol_can():
    text = "\n".join([*migrations.steps(), *(item.read_text() for item in _python())])
    for word in (
        r"\bLISTEN\b",
        r"\bNOTIFY\b",
        r"advisory",
        r"\bTEMP(ORARY)?\b",
        r"CREATE EXTENSION",
        r"LOCK TABLE",
    ):
        assert not re.search(word, text), word


def _python():
    return [item for item in files("cronwrap.fleet").iterdir() if item.name.endswith(".py")]


def test_a_host_may_call_what_is_granted_and_nothing_else_is_public():
    text = "\n".join(migrations.steps())
    for function in re.findall(r"CREATE FUNCTION cronwrap\.(\w+)\(", text):
        assert re.search(rf"REVOKE ALL ON FUNCTION cronwrap\.{function}\([^)]*\) FROM PUBLIC", text), function


@given(st.text(), st.text(min_size=1), st.text(min_size=1), st.text())
def test_names_in_grants_are_quoted(name, role, base, user):
    for line in (*grants.host(name, role, base, user), *grants.viewer(role, base, name)):
        assert "\n" not in line
        outside = re.sub(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'", "", line)
        if not line.startswith("--"):
            assert outside.count('"') == outside.count("'") == 0
            assert outside.count(";") == 1


# A lease ----------------------------------------------------------------------------------------


class Run:
    """As much of a run as a lease asks for."""

    settings = {"overlap": "wait", "overlap-wait": None, "unreachable": "run"}  # noqa: RUF012
    job, user, run_id = "j", "u", "r"

    def replace(self, **_values):
        return self


def test_a_lease_counts_from_when_the_database_was_asked_for_it(monkeypatch):
    # Not from when the wait for it began, which may be longer ago than it lasts; nor from the latest request.
    held = shared.Fleet(Run())
    now = time.clock_gettime(shared.CLOCK)
    monkeypatch.setattr(held, "_ask", lambda *_a, **_k: {"what": "leased", "fence": 1, "asked": now})
    sent, answers = [], []
    monkeypatch.setattr(held, "_send", lambda **request: sent.append(request))
    monkeypatch.setattr(held, "_arrived", lambda: [answers.pop()] if answers else [])
    held.lease(Run(), None)
    assert held.holds
    assert held.look() == ""
    assert held.holds
    answers.append({"what": "renewed", "wanted": False, "asked": now - shared.LIFE - 1})
    held.look()
    assert "the lease of this job was lost" in held.fault


def test_a_lease_that_cannot_be_renewed_for_want_of_a_process_disturbs_no_job(monkeypatch):
    held = shared.Fleet(Run())
    asked = time.clock_gettime(shared.CLOCK) - shared.RENEW - 1
    monkeypatch.setattr(held, "_ask", lambda *_a, **_k: {"what": "leased", "fence": 1, "asked": asked})
    held.lease(Run(), None)

    def none(**_request):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(held, "_send", none)
    assert held.look() == ""
    assert held.holds


# The watch --------------------------------------------------------------------------------------


def alarm(what):
    return Alarm(what=what, host="web2", user_name="root", job="j", schedule="0 4 * * *", due=0.0, seen=50.0)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("missed", "did not start when 0 4 * * * was due at"),
        ("silent", "has gone silent"),
        ("ran", "has started again"),
        ("heard", "is heard of again"),
    ],
)
def test_an_alarm_is_said_in_one_line(what, said):
    line = words(alarm(what), 110.0)
    assert said in line
    assert "\n" not in line


def test_below_an_alarm_stands_what_is_known_and_nothing_of_a_run():
    facts = tuple(watching._facts(alarm("missed"), 110.0))
    rows = dict(details.rows(SimpleNamespace(facts=facts), {}, same_output=None))
    assert list(rows) == ["job", "host", "user", "crontab says", "was due", "last heard of", "more"]
    assert rows["more"] == "cronwrap status --fleet --host web2"
    assert rows["last heard of"].endswith("1 min ago")


def test_a_fleet_knows_a_host_by_the_name_that_it_was_given():
    assert database.host_name(Fleet(host="x")) == "x"


# What others have sent --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        zlib.compress(bytes(2 * kept_output.KEEP_BYTES + 1)),
        zlib.compress(bytes(100 << 20), 9),
        zlib.compress(b"whole")[:-3],
        b"no zlib",
    ],
)
def test_an_output_of_another_host_takes_no_more_room_than_one_of_this(head):
    columns = {"tail": zlib.compress(b""), "left_out_bytes": 0, "left_out_lines": 0, "stretches": ""}
    assert kept_output.unpack({**columns, "head": zlib.compress(bytes(2 * kept_output.KEEP_BYTES))}).head
    with pytest.raises(StateError, match="damaged"):
        kept_output.unpack({**columns, "head": head})
