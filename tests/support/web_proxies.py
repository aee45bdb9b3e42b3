"""Reverse proxies as people have them from Debian, before a unix socket: nginx, haproxy, Apache.

Each runs in the foreground as nobody, on a port of its own, and says who the visitor is in a header, as one
does that has done a single sign-on.
"""

from __future__ import annotations

import contextlib
import os
import pwd

from support.debian import find
from support.documents import PROJECT
from support.ports import start_somewhere
from support.servers import ended, started

USER = "nobody"

EXAMPLES = os.path.join(PROJECT, "examples/web")
SOCKET = "/run/cronwrap/web.sock"
"""What the examples call it."""
NGINX = """\
daemon off; pid {place}/pid; error_log stderr; worker_processes 1;
events {{}}
http {{
  access_log off;
  client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c;
  uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
  server {{
    listen 127.0.0.1:{port};
    {example}
  }}
}}
"""
HAPROXY = """\
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:{port}
  http-request set-var(txn.user) str({visitor})
  default_backend cronwrap
{example}
"""
APACHE = """\
ServerRoot {place}
PidFile {place}/pid
DefaultRuntimeDir {place}
ErrorLog {place}/error
ServerName localhost
Listen 127.0.0.1:{port}
{modules}
{example}
"""
APACHE_MODULES = ("mpm_event", "authz_core", "headers", "proxy", "proxy_http")
PROXIES = ("nginx", "haproxy", "apache2")


@contextlib.contextmanager
def proxy(kind: str, place: str, web: str, visitor: str):
    """Run a proxy before a web socket, which is given to it; give its port."""
    os.makedirs(place)
    who = pwd.getpwnam(USER)
    for path in (place, web):
        os.chown(path, who.pw_uid, -1)
    drop = [find("setpriv"), f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups"]

    def start(port: int):
        values = {"place": place, "port": port, "socket": web, "visitor": visitor}
        return port, started([*drop, *_words(kind, place, values)], port, f"{place}/log")

    port, process = start_somewhere(start)
    try:
        yield port
    finally:
        ended(process)


def _words(kind: str, place: str, values: dict) -> list[str]:
    if kind == "nginx":
        conf = _written(place, NGINX.format(example=_example("nginx.conf", values), **values))
        return [find("nginx"), "-e", "stderr", "-p", place, "-c", conf]
    if kind == "haproxy":
        conf = _written(place, HAPROXY.format(example=_example("haproxy.cfg", values), **values))
        return [find("haproxy"), "-db", "-f", conf]
    modules = "\n".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in APACHE_MODULES
    )
    example = _example("apache.conf", values)
    conf = _written(place, APACHE.format(modules=modules, example=example, **values))
    return [find("apache2"), "-X", "-f", conf]


def _example(name: str, values: dict) -> str:
    """Give an example as people get it, with the socket and the visitor of the test."""
    with open(os.path.join(EXAMPLES, name), encoding="ascii") as file:
        text = file.read()
    assert SOCKET in text
    text = text.replace(SOCKET, values["socket"])
    for login in ("$remote_user", "expr=%{REMOTE_USER}"):  # who has logged in; here nobody has to
        text = text.replace(login, values["visitor"])
    return text


def _written(place: str, text: str) -> str:
    path = f"{place}/conf"
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path
