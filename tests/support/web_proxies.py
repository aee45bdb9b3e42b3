"""Reverse proxies as people have them from Debian, before a unix socket: nginx, haproxy, Apache.

Each runs in the foreground as nobody, on a port of its own, and says who the visitor is in a header, as one
does that has done a single sign-on.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess

from support.postfix import _free_port as free_port
from support.servers import listens
from support.waiting import wait_until

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
      proxy_set_header Remote-User {visitor};
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
  http-request set-header Remote-User {visitor}
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
RequestHeader set Remote-User {visitor}
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
    port = free_port()
    values = {"place": place, "port": port, "socket": web, "visitor": visitor}
    if kind == "nginx":
        words = ["nginx", "-e", "stderr", "-p", place, "-c", _written(place, NGINX.format(**values))]
    elif kind == "haproxy":
        words = ["haproxy", "-db", "-f", _written(place, HAPROXY.format(**values))]
    else:
        modules = "\n".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in APACHE_MODULES
        )
        words = ["apache2", "-X", "-f", _written(place, APACHE.format(modules=modules, **values))]
    with open(f"{place}/log", "wb") as log:
        process = subprocess.Popen(
            words, stdout=log, stderr=log, user=who.pw_uid, group=who.pw_gid, extra_groups=[]
        )
    try:
        wait_until(lambda: process.poll() is not None or listens(port), timeout=20)
        with open(f"{place}/log", encoding="utf-8", errors="replace") as log:
            assert process.poll() is None, log.read()
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _written(place: str, text: str) -> str:
    path = f"{place}/conf"
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path
