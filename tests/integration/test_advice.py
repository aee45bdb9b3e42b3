"""Every fault says what to do about it: all that the code can make, and all that servers can do."""

from __future__ import annotations

import ast
import contextlib
import pathlib
import socket
import ssl
import threading
import warnings

import pytest

import cronwrap
from cronwrap.relay import conversation
from cronwrap.relay.probe import probe
from cronwrap.settings import relays as endpoint
from support.misbehaving import CELLS, FAULTS
from support.relay import PASSWORD, USER

SOURCE = pathlib.Path(cronwrap.__file__).parent
TIMEOUT = 0.5
FAULT_AT = {"RelayFault": 2, "Check": None, "Step": None, "Result": None}
"""What makes a fault, and which of its arguments in order is the advice."""
CELLS_OF_DOCTOR = [(stage, fault) for stage, fault in CELLS if stage not in ("data", "dot", "quit")]


def makers():
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FAULT_AT:
                yield f"{path.relative_to(SOURCE)}:{node.lineno}", node


def is_fault(node):
    if node.func.id == "RelayFault":
        return True
    ok = next((word.value for word in node.keywords if word.arg == "ok"), None)
    return isinstance(ok, ast.Constant) and ok.value is False


def advice_of(node):
    named = next((word.value for word in node.keywords if word.arg == "advice"), None)
    at = FAULT_AT[node.func.id]
    starred = any(isinstance(argument, ast.Starred) for argument in node.args)
    if named is None and at is not None and len(node.args) > at:
        named = node.args[at]
    return None if named is None and not starred else named or True


def test_no_fault_is_made_without_an_advice():
    found = [(place, node) for place, node in makers() if is_fault(node)]
    assert len(found) > 30
    without = []
    for place, node in found:
        advice = advice_of(node)
        if advice is None or (isinstance(advice, ast.Constant) and not advice.value):
            without.append(place)
    assert without == []


def test_no_fault_is_made_where_its_advice_would_not_be_looked_for():
    """A fault is made by its name; as a mapping it would escape the test above."""
    mappings = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in (SOURCE / "setup").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Dict)
        and any(isinstance(key, ast.Constant) and key.value == "ok" for key in node.keys)
    ]
    assert [place for place in mappings if not place.startswith("setup/check.py:")] == []


@pytest.fixture(autouse=True)
def short_limits(monkeypatch):
    monkeypatch.setattr(conversation, "FAREWELL_LIMIT", TIMEOUT)


def faults(relay):
    steps = list(probe(relay, USER, ("ops@example.test",)))
    return [step for step in steps if not step.ok]


@pytest.mark.parametrize(
    ("stage", "fault", "mode"),
    [(stage, fault, "implicit") for stage, fault in CELLS_OF_DOCTOR]
    + [(stage, fault, "starttls") for stage in ("banner", "starttls", "tls") for fault in FAULTS],
)
def test_whatever_a_server_does_wrong_doctor_says_what_to_do(make_misbehaving, stage, fault, mode):
    server = make_misbehaving(stage, fault, mode=mode, drip_interval=0.05)
    relay = endpoint.from_environment(server.environment).replace(timeout=TIMEOUT)
    found = faults(relay)
    assert found
    for step in found:
        assert step.advice, step
        assert step.advice not in step.text


@pytest.fixture
def antique(authority):
    """The port of a server whose newest TLS is 1.1."""
    context = authority.certificate().context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _address = listener.accept()
        with connection, contextlib.suppress(ssl.SSLError):
            context.wrap_socket(connection, server_side=True)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    thread.join(10)
    listener.close()


def test_a_server_without_tls_1_2_is_told_to_be_brought_up_to_date(antique, authority):
    table = {"url": f"smtps://localhost:{antique}", "user": USER, "password": PASSWORD}
    (step,) = faults(endpoint.parse(table | {"ca-file": authority.ca_file}, "test"))
    assert "no TLS newer than 1.1" in step.text
    assert "TLS 1.2 is the least" in step.advice


@pytest.mark.parametrize(
    "keys",
    [
        {"password": None, "password-file": "/nonexistent"},
        {"password": None, "password-env": "NOT_SET_AT_ALL"},
        {"password": None, "password-command": "exit 3"},
        {"password": None, "token-command": "echo t"},
        {"ca-file": "/nonexistent"},
        {"ca-file": None},
        {"fingerprint": "ab" * 32},
        {"password": "wrong"},
        {"auth": "cram-md5"},
        {"url": "smtps://nowhere.invalid", "timeout": "5s"},
        {"url": "smtps://localhost:1"},
        {"user": None, "password": None},
    ],
)
def test_whatever_is_wrong_in_a_relays_table_doctor_says_what_to_do(relay, authority, keys):
    table = {"url": relay.url, "user": USER, "password": PASSWORD, "ca-file": authority.ca_file} | keys
    found = faults(endpoint.parse({key: value for key, value in table.items() if value is not None}, "test"))
    assert found
    assert all(step.advice for step in found), found


@pytest.mark.parametrize("why", ["it is open to other users: chmod 600 /x", "anything else"])
def test_a_relay_that_is_not_used_says_what_to_do(relay, why):
    (step,) = faults(endpoint.parse({"url": relay.url}, "test").replace(fault=why))
    assert step.advice in ("chmod 600 /x", "correct it; cronwrap config check tells when it is right")
