"""Importers beside the programs whose files they read, as far as these print what they make of a file."""

from __future__ import annotations

import os
import shutil
import subprocess
from urllib.parse import urlsplit

import pytest

from cronwrap.setup import importers
from support.mailer_files import CASES, CORPUS, main_file

ODD_MSMTP = (
    'host\th.example\n\tport  587\t\ntls\nauth on\nuser "u v"\npassword a\tb\nfrom "a@b.example"\ntimeout 5\n'
)
MAIL_RC = [
    "set password='x\ty' user=x\\#y",
    'set password="x\\"y" user=\'p"q\\r\'',
    "set v15-compat=1\nset password=$'x\\ty' user=\"p\\$q\"",
    "wysh set password=b\\ c user='#d'",
    'set password=b"c d"e \\\n  user=#f',
]


def printed(*command, **environment):
    known = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **environment}
    done = subprocess.run(
        command, capture_output=True, text=True, env=known, stdin=subprocess.DEVNULL, check=False, timeout=30
    )
    return done.stdout


def text_of(case):
    with open(os.path.join(CORPUS, case, main_file(case)), encoding="utf-8") as file:
        return file.read()


def settings_of_msmtp(tmp_path, text):
    path = tmp_path / "msmtprc"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    lines = printed("msmtp", "-C", str(path), "-P").splitlines()
    return dict(line.split(" = ", 1) for line in lines if " = " in line)


@pytest.mark.parametrize("text", [ODD_MSMTP, text_of("msmtp-accounts"), text_of("msmtp-tab")])
def test_msmtp_takes_the_same_server_user_and_sender(needs, tmp_path, text):
    needs("msmtp")
    theirs = settings_of_msmtp(tmp_path, text)
    ours = importers.load(text.encode(), "msmtprc", "msmtprc", lambda _name: None)
    relay = ours.config["relay"][0]
    url = urlsplit(relay["url"])
    assert (url.hostname, str(url.port)) == (theirs["host"], theirs["port"])
    assert relay.get("user", "(not set)") == theirs["user"]
    assert ours.config.get("mailfrom", "(not set)") == theirs["from"]


@pytest.mark.parametrize("value", ["h # c", "h\t# c"])
def test_msmtp_itself_takes_a_comment_for_a_part_of_the_value(needs, tmp_path, value):
    needs("msmtp")
    assert settings_of_msmtp(tmp_path, f"host {value}\n")["host"] == value


@pytest.mark.parametrize("text", MAIL_RC)
def test_s_nail_reads_the_same_values(needs, tmp_path, text):
    needs("s-nail")
    path = tmp_path / "mail.rc"
    path.write_text(text + "\n", encoding="utf-8")
    wanted = [
        printed("s-nail", "-:u", "-X", f"echo ${{{name}}}", "-X", "xit", MAILRC=str(path)).rstrip("\n")
        for name in ("user", "password")
    ]
    draft = importers.mailrc.Interpreter(importers.mailrc.Draft("mail.rc"))
    draft.run(list(importers.mailrc.logical_lines(path.read_bytes())))
    assert [draft.variables[name][0] for name in ("user", "password")] == wanted


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("postfix-")])
def test_postfix_expands_the_same_and_finds_the_same_login(needs, tmp_path, case):
    needs("postfix")
    if main_file(case) != "main.cf":
        return
    shutil.copytree(os.path.join(CORPUS, case), tmp_path, dirs_exist_ok=True)
    (tmp_path / "master.cf").write_text("")
    parameters = importers.postfix._Parameters((tmp_path / "main.cf").read_bytes())
    for name in ("relayhost", "myorigin", "myhostname", "smtp_tls_security_level", "smtp_tls_wrappermode"):
        if name in parameters.values:
            assert printed("postconf", "-c", str(tmp_path), "-xh", name).strip() == parameters.get(name)
    if case == "postfix-relayhost":
        table = f"texthash:{tmp_path / 'sasl_passwd'}"
        found = printed("postmap", "-c", str(tmp_path), "-q", parameters.get("relayhost"), table)
        ours = importers.load(
            (tmp_path / "main.cf").read_bytes(),
            "main.cf",
            "main.cf",
            lambda name: (tmp_path / name).read_bytes() if name == "sasl_passwd" else None,
        )
        assert found == f"{ours.config['relay'][0]['user']}:{ours.secrets['password']}"
