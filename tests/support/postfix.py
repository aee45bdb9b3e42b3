"""Debian's Postfix as a relay: own configuration, queue and port, smtps, a login through Cyrus SASL.

It runs beside a Postfix of the machine, if there is one, and touches nothing of it.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING, Self

import psutil

from support.debian import SEARCH_PATH, find
from support.ports import NotStartedError, listens, start_somewhere
from support.waiting import wait_until

if TYPE_CHECKING:
    from email.message import EmailMessage

    from support.pki import Authority

NEEDS = ("root", "postfix", "saslpasswd2", "/usr/lib/*/sasl2/libplain.so")
"""Its master must be started by root."""
DOMAIN = "example.test"
USER, PASSWORD = f"cron@{DOMAIN}", "correct horse battery"
MAIL_UID = 65534
"""Nobody's; Postfix delivers as no user below virtual_minimum_uid."""
START_LIMIT = 20.0
RELOADED = "reload -- version"
LOG_SHOWN = 1500
"""Characters of the log in a failure: the last start."""

MAIN_CF = """
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/log/maillog
maillog_file_prefixes = {root}/log
myhostname = relay.{domain}
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
smtpd_tls_cert_file = {root}/cert.pem
smtpd_tls_key_file = {root}/key.pem
smtpd_tls_wrappermode = yes
smtpd_tls_security_level = encrypt
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = {domain}
cyrus_sasl_config_path = {root}/etc/sasl
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_client_connection_rate_limit = 0
smtpd_error_sleep_time = 0
disable_dns_lookups = yes
smtp_host_lookup = native
"""
SERVICES = """
{port}    inet  n - n -    -  smtpd
pickup    unix  n - n 60   1  pickup
cleanup   unix  n - n -    0  cleanup
qmgr      unix  n - n 300  1  qmgr
tlsmgr    unix  - - n 1000 1  tlsmgr
rewrite   unix  - - n -    -  trivial-rewrite
bounce    unix  - - n -    0  bounce
defer     unix  - - n -    0  bounce
trace     unix  - - n -    0  bounce
verify    unix  - - n -    1  verify
proxymap  unix  - - n -    -  proxymap
smtp      unix  - - n -    -  smtp
error     unix  - - n -    -  error
retry     unix  - - n -    -  error
virtual   unix  - n n -    -  virtual
anvil     unix  - - n -    1  anvil
postlog   unix-dgram n - n - 1 postlogd
"""
# Debian's Postfix looks for smtpd.conf in the directory sasl beside main.cf, whatever main.cf says.
SASL_CONF = """pwcheck_method: auxprop
auxprop_plugin: sasldb
mech_list: PLAIN LOGIN
sasldb_path: {root}/etc/sasl/sasldb2
"""


class Postfix:
    """A Postfix that runs while it is entered as a context; ``start`` and ``stop`` in between."""

    more = ""
    """Lines for main.cf."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        # Postfix' own users must get through to the queue, which pytest's directories do not allow.
        self.root = tempfile.mkdtemp(prefix="cronwrap-postfix-", dir="/tmp")
        os.chmod(self.root, 0o755)
        self.port = 0
        self.maildir = os.path.join(self.root, "mail", "box", "new")

    @property
    def url(self) -> str:
        """The server as ``[[relay]] url``."""
        return f"smtps://localhost:{self.port}"

    @property
    def table(self) -> str:
        """Give the ``[[relay]]`` table of a configuration file."""
        return (
            f'[[relay]]\nurl = "{self.url}"\nuser = "{USER}"\npassword = "{PASSWORD}"\n'
            f'ca-file = "{self.authority.ca_file}"\n'
        )

    def __enter__(self) -> Self:
        try:
            self._configure()
            start_somewhere(self._start_at)
        except BaseException:
            shutil.rmtree(self.root)
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()
        shutil.rmtree(self.root)

    def start(self) -> None:
        """Start again at the port that it had, and wait until it greets."""
        start_somewhere(self._start_at, again_at=self.port)

    def stop(self) -> None:
        """Stop, and wait until nothing listens; harmless when it does not run."""
        self.control("stop", check=False)
        wait_until(lambda: not listens(self.port), START_LIMIT, "the end of Postfix")

    def setting(self, line: str) -> None:
        """Set one parameter (``smtpd_client_restrictions=defer``) and take it into use."""
        self._run("postconf", "-c", self._etc, "-e", line)
        if not listens(self.port):
            return
        reloads, before = self.log().count(RELOADED), self._smtpds()
        self.control("reload")
        # Its master is only told to, and a server that it has running takes another client as it was.
        wait_until(lambda: self.log().count(RELOADED) > reloads, START_LIMIT, "Postfix' reload")
        wait_until(lambda: not before & self._smtpds(), START_LIMIT, "the end of Postfix' older servers")

    def _smtpds(self) -> set[int]:
        """Give the numbers of the processes that talk to clients."""
        with open(os.path.join(self.root, "queue", "pid", "master.pid"), encoding="ascii") as file:
            master = psutil.Process(int(file.read()))
        found = set()
        for child in master.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.name() == "smtpd":
                    found.add(child.pid)
        return found

    def _start_at(self, port: int) -> None:
        self.port = port
        self._write("etc/master.cf", SERVICES.format(port=f"127.0.0.1:{port}"))
        try:
            # It gives up when its master is not ready after ten seconds, which happens on a busy machine.
            self.control("start")
            wait_until(lambda: listens(port), START_LIMIT, "Postfix' port")
        except AssertionError as fault:
            self.control("abort", check=False)
            raise NotStartedError(f"{fault}\n{self.log()[-LOG_SHOWN:]}") from None

    def control(self, verb: str, check: bool = True) -> None:
        """Run ``postfix VERB``."""
        self._run("postfix", "-c", self._etc, verb, check=check)

    def mails(self) -> list[EmailMessage]:
        """Give the delivered messages."""
        found = []
        for name in sorted(os.listdir(self.maildir)) if os.path.isdir(self.maildir) else []:
            with open(os.path.join(self.maildir, name), "rb") as file:
                found.append(email.message_from_binary_file(file, policy=email.policy.default))
        return found

    def log(self) -> str:
        """Give what Postfix has logged, for a test's failure."""
        try:
            with open(os.path.join(self.root, "log", "maillog"), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return "It has logged nothing."

    @property
    def _etc(self) -> str:
        return os.path.join(self.root, "etc")

    def _configure(self) -> None:
        for name in ("etc", "etc/sasl", "queue", "data", "mail", "log"):
            os.mkdir(os.path.join(self.root, name), 0o755)
        shutil.chown(os.path.join(self.root, "data"), "postfix")
        os.chown(os.path.join(self.root, "mail"), MAIL_UID, MAIL_UID)
        self.authority.certificate().write(self.root)
        values = {"root": self.root, "domain": DOMAIN, "uid": MAIL_UID}
        self._write("etc/main.cf", (MAIN_CF + self.more).format_map(values))
        self._write("etc/sasl/smtpd.conf", SASL_CONF.format_map(values))
        database = os.path.join(self._etc, "sasl", "sasldb2")
        local = USER.partition("@")[0]
        self._run("saslpasswd2", "-p", "-c", "-f", database, "-u", DOMAIN, local, stdin=PASSWORD)
        shutil.chown(database, "postfix")

    def _run(self, program: str, *words: str, stdin: str = "", check: bool = True) -> None:
        done = subprocess.run(
            [find(program) or program, *words],
            input=stdin,
            env={"PATH": SEARCH_PATH, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{program} {words}: {done.stderr.strip()}")

    def _write(self, name: str, text: str) -> None:
        with open(os.path.join(self.root, name), "w", encoding="ascii") as file:
            file.write(text)
