"""Mail servers that people run, each in a place of its own: Postfix with Dovecot, Exim, and a Node server.

They keep what they take as files, and can be told to limit the size, to greylist, and to take 7 bits only.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs, urlparse

from support import postfix
from support.debian import SEARCH_PATH, find
from support.ports import NotStartedError, listens, start_somewhere
from support.postfix import LOG_SHOWN, MAIL_UID, PASSWORD, USER, Postfix
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pki import Authority

CACHE = "/var/cache/cronwrap-tests"
"""Where programs lie that cannot be installed beside others (Exim), or come from no package of Debian's."""
START_LIMIT = 30.0
STOP_LIMIT = 20.0
"""Seconds after which a server is killed: it has had its time, and its port is wanted."""
TOKEN = "ya29.a-token"
SIZE = 60_000
PROGRAMS = {
    "postfix": (*postfix.NEEDS, "dovecot", "/usr/lib/dovecot/imap"),
    "exim": ("root", "unshare", "dpkg-deb"),
    "node": ("node", "npm"),
}
"""What each needs beyond python3, in the words of ``support.debian``."""
READERS = ("munpack", "perl", "/usr/share/perl5/MIME/Parser.pm")
EXIM = f"{CACHE}/exim/usr/sbin/exim4"
NODE_MODULES = f"{CACHE}/node/node_modules"
WANTED_MODULES = (f"{NODE_MODULES}/smtp-server", f"{NODE_MODULES}/mailparser")
SCRIPT = os.path.join(os.path.dirname(__file__), "smtp_server.js")


class Oauth(BaseHTTPRequestHandler):
    """What Dovecot asks about a token."""

    def do_GET(self) -> None:
        right = parse_qs(urlparse(self.path).query).get("token") == [TOKEN]
        body = json.dumps({"email": USER} if right else {"error": "invalid_token"}).encode()
        self.send_response(200 if right else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


DOVECOT = """
base_dir = {root}/dovecot
log_path = {root}/log/dovecot
protocols = imap
ssl = required
ssl_cert = <{root}/cert.pem
ssl_key = <{root}/key.pem
mail_location = maildir:{root}/mail/box
first_valid_uid = {uid}
first_valid_gid = {uid}
auth_failure_delay = 0
auth_mechanisms = plain login cram-md5 xoauth2 oauthbearer
passdb {{
  driver = passwd-file
  mechanisms = plain login cram-md5
  args = scheme=PLAIN {root}/users
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {root}/oauth2
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home={root}/mail
}}
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {imaps}
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener {root}/sasl {{
    mode = 0666
  }}
}}
"""


class PostfixWithDovecot(Postfix):
    """Postfix that asks Dovecot about logins; Dovecot shows by IMAP what was delivered."""

    name = "postfix"
    mechanisms = ("plain", "login", "cram-md5", "xoauth2", "oauthbearer")
    more = "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = {root}/sasl\n"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            oauth = stack.enter_context(HTTPServer(("127.0.0.1", 0), Oauth))
            threading.Thread(target=oauth.serve_forever, daemon=True).start()
            stack.callback(oauth.shutdown)
            super().__enter__()
            stack.callback(super().__exit__)
            self._write("users", f"{USER}:{{PLAIN}}{PASSWORD}\n")
            place = f"http://127.0.0.1:{oauth.server_port}/?token="
            self._write("oauth2", f"tokeninfo_url = {place}\nusername_attribute = email\n")
            stack.callback(ended, start_somewhere(self._start_dovecot))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def limit(self, octets: int) -> None:
        """Take messages up to a size; 0: any."""
        self.setting(f"message_size_limit={octets or 50_000_000}")

    def greylist(self, on: bool) -> None:
        """Put every recipient off."""
        rule = "check_recipient_access static:{450 4.2.0 Greylisted}"
        self.setting(f"smtpd_recipient_restrictions={rule if on else ''}")

    def seven_bit(self, on: bool) -> None:
        """Offer no 8BITMIME."""
        self.setting(f"smtpd_discard_ehlo_keywords={'8bitmime, smtputf8' if on else ''}")

    def raw(self) -> list[bytes]:
        """Give the delivered messages, as they lie there."""
        return read_all(f"{self.root}/mail/box/*/[0-9]*")

    def _start_dovecot(self, port: int) -> subprocess.Popen[bytes]:
        """Start Dovecot, with IMAP at a port; gives its process."""
        self.imaps = port
        self._write("dovecot.conf", DOVECOT.format(root=self.root, uid=MAIL_UID, imaps=port))
        command = [find("dovecot") or "dovecot", "-F", "-c", f"{self.root}/dovecot.conf"]
        ready = f"{self.root}/sasl"
        return started(command, port, f"{self.root}/log/dovecot", lambda: os.path.exists(ready))


class Program:
    """A server that is one process, started anew when it is to behave otherwise."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.root = tempfile.mkdtemp(prefix=f"cronwrap-{self.name}-", dir="/tmp")
        os.chmod(self.root, 0o777)
        self.port = 0
        self._size, self._seven_bit = 0, False

    name = ""
    url = Postfix.url
    table = Postfix.table

    def __enter__(self) -> Self:
        for name in ("mail", "spool", "log"):
            os.mkdir(os.path.join(self.root, name))
            os.chmod(os.path.join(self.root, name), 0o777)
        self.authority.certificate().write(self.root)
        os.chmod(f"{self.root}/key.pem", 0o644)
        try:
            start_somewhere(self._start_at)
        except BaseException:
            shutil.rmtree(self.root)
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop()
        shutil.rmtree(self.root)

    def limit(self, octets: int) -> None:
        """Take messages up to a size; 0: any."""
        self._size = octets
        self._again()

    def seven_bit(self, on: bool) -> None:
        """Offer no 8BITMIME."""
        self._seven_bit = on
        self._again()

    def greylist(self, on: bool) -> None:
        """Put every recipient off."""
        mark = f"{self.root}/greylist"
        if on:
            with open(mark, "w", encoding="ascii"):
                return
        os.unlink(mark)

    def raw(self) -> list[bytes]:
        """Give the delivered messages, as they lie there."""
        return read_all(f"{self.root}/mail/new/*")

    def command(self) -> list[str]:
        """Give what starts the server in the foreground."""
        raise NotImplementedError

    def _again(self) -> None:
        self._stop()
        start_somewhere(self._start_at, again_at=self.port)

    def _start_at(self, port: int) -> None:
        self.port = port
        self._process = started(self.command(), port, f"{self.root}/log/output")

    def _stop(self) -> None:
        ended(self._process)
        wait_until(lambda: not listens(self.port), START_LIMIT, f"the end of {self.name}")


def started(
    command: list[str], port: int, log: str, ready: Callable[[], bool] = lambda: True
) -> subprocess.Popen[bytes]:
    """Start a server, and give its process once it listens at a port; ``ready``: what else it is to do.

    Raises NotStartedError when it ends or takes too long.
    """
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until(lambda: process.poll() is not None or (listens(port) and ready()), START_LIMIT, command[0])
        if process.poll() is None:
            return process
        fault = f"{command[0]} ended with status {process.returncode}"
    except AssertionError as late:
        fault = str(late)
    ended(process)
    with open(log, encoding="utf-8", errors="replace") as output:
        raise NotStartedError(f"{fault}\n{output.read()[-LOG_SHOWN:]}")


def ended(process: subprocess.Popen[bytes]) -> None:
    """End a server, and what it leaves behind: Exim's children make its directories anew to log in."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_LIMIT)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


EXIM_CONF = """
exim_user = nobody
exim_group = nogroup
never_users =
exim_path = {exim}
primary_hostname = relay.example.test
spool_directory = {root}/spool
log_file_path = {root}/log/%slog
pid_file_path = {root}/pid
daemon_smtp_ports = {port}
daemon_startup_retries = 0
local_interfaces = 127.0.0.1
tls_on_connect_ports = {port}
tls_certificate = {root}/cert.pem
tls_privatekey = {root}/key.pem
tls_advertise_hosts = *
message_size_limit = {size}
accept_8bitmime = {eight_bit}
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
begin acl
rcpt:
  defer message = 4.2.0 Greylisted
        condition = ${{if exists{{{root}/greylist}}}}
  accept authenticated = *
  deny message = 5.7.1 Relay access denied
begin routers
all:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  maildir_format
  directory = {root}/mail
  user = nobody
  group = nogroup
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{{user}}}{{{password}}}fail}}
  server_set_id = $auth1
"""
EXIM_STAGE = """set -e
mount --make-rprivate /
{ cat /etc/passwd; echo 'Debian-exim:x:65533:65533::/nonexistent:/bin/false'; } >$1/passwd
{ cat /etc/group; echo 'Debian-exim:x:65533:'; } >$1/group
mount --bind $1/passwd /etc/passwd
mount --bind $1/group /etc/group
exec $2 -C $1/exim.conf -bdf
"""
"""Exim ends at once without the user that it was built for, whatever its configuration says."""


class Exim(Program):
    """Debian's Exim, out of its package: two mail servers cannot be installed at a time."""

    name = "exim"
    mechanisms = ("plain", "login", "cram-md5")

    def command(self) -> list[str]:
        values = {"root": self.root, "port": self.port, "user": USER, "password": PASSWORD, "exim": EXIM}
        values |= {"size": self._size or 50_000_000, "eight_bit": str(not self._seven_bit).lower()}
        with open(f"{self.root}/exim.conf", "w", encoding="ascii") as file:
            file.write(EXIM_CONF.format(**values))
        return ["unshare", "--mount", "sh", "-c", EXIM_STAGE, "sh", self.root, EXIM]


class NodeServer(Program):
    """The server of nodemailer's makers, as applications of Node have it."""

    name = "node"
    mechanisms = ("plain", "login", "cram-md5", "xoauth2")

    def command(self) -> list[str]:
        how = {"root": self.root, "port": self.port, "user": USER, "password": PASSWORD, "token": TOKEN}
        how |= {"size": self._size, "hide8BITMIME": self._seven_bit, "modules": NODE_MODULES}
        os.makedirs(f"{self.root}/mail/new", exist_ok=True)
        return [find("node") or "node", SCRIPT, json.dumps(how)]


def lacking(kind: type, *, install: bool) -> str:
    """Give the reason why a server cannot be started here; empty when it can. ``install``: fetch it."""
    if os.geteuid() != 0:
        return "mail servers must be started by root"
    there, fetch = {
        "exim": (os.path.exists(EXIM), fetch_exim),
        "node": (all(map(os.path.isdir, WANTED_MODULES)), fetch_node_modules),
    }.get(kind.name, (True, str))
    if there:
        return ""
    return fetch() if install else f"{kind.name} is not here: make test-system fetches it"


def fetch_exim() -> str:
    """Have Exim taken out of its package; give the reason when that cannot be done."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        os.chmod(place, 0o777)
        return _run(["apt-get", "-qq", "download", "exim4-daemon-light"], place) or _run(
            ["sh", "-c", f"dpkg-deb -x {place}/*.deb {CACHE}/exim"], place
        )


def fetch_node_modules() -> str:
    """Have the modules of Node installed; give the reason when that cannot be done."""
    if find("npm") is None:
        return "npm is not installed"
    os.makedirs(f"{CACHE}/node", exist_ok=True)
    return _run(["npm", "install", "--no-audit", "--no-fund", "smtp-server", "mailparser"], f"{CACHE}/node")


def _run(words: list[str], place: str) -> str:
    os.makedirs(CACHE, exist_ok=True)
    environment = {**os.environ, "PATH": SEARCH_PATH, "HOME": place}
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"{words[0]}: {(done.stderr or done.stdout).strip()[-200:]}"


def read_all(pattern: str) -> list[bytes]:
    """Give the content of the files that a pattern names, the oldest first."""
    found = []
    for path in sorted(glob.glob(pattern), key=os.path.getmtime):
        with open(path, "rb") as file:
            found.append(file.read())
    return found
