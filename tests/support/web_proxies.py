"""Reverse proxies as people have them from Debian, before a unix socket: nginx, haproxy, Apache.

Each runs in the foreground as nobody, on a port of its own, and says who the visitor is in a header, as one
does that has done a single sign-on.
"""

from __future__ import annotations

import contextlib
import os
import pwd

from support.debian import find
from support.ports import start_somewhere
from support.servers import ended, started

USER = "nobody"

NGINX = """\
daemon off; pid {place}/pid; error_log stderr; worker_processes 1;
events {{}}
http {{
  access_log off;
  client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c;
  uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://unix:{socket}:;
      proxy_set_header Host $http_host;
      proxy_set_header X-Remote-User {visitor};
    }}
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
  http-request set-header X-Remote-User {visitor}
  default_backend back
backend back
  server web unix@{socket}
"""
APACHE = """\
ServerRoot {place}
PidFile {place}/pid
DefaultRuntimeDir {place}
ErrorLog {place}/error
ServerName localhost
Listen 127.0.0.1:{port}
{modules}
RequestHeader set X-Remote-User {visitor}
ProxyPreserveHost On
AllowEncodedSlashes NoDecode
ProxyPass / "unix:{socket}|http://localhost/" nocanon flushpackets=on
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
        conf = _written(place, NGINX.format(**values))
        return [find("nginx"), "-e", "stderr", "-p", place, "-c", conf]
    if kind == "haproxy":
        return [find("haproxy"), "-db", "-f", _written(place, HAPROXY.format(**values))]
    modules = "\n".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in APACHE_MODULES
    )
    return [find("apache2"), "-X", "-f", _written(place, APACHE.format(modules=modules, **values))]


def _written(place: str, text: str) -> str:
    path = f"{place}/conf"
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path
