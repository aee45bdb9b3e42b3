"""HTTP to the host that was named, and to no other: whoever answers there cannot send us elsewhere."""

from __future__ import annotations

from http.client import HTTPMessage
from typing import IO
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from cronwrap.domain import to_ascii


class SameHost(HTTPRedirectHandler):
    """Follows a redirect on the same host, never from https to http; any other is the end."""

    def redirect_request(  # the signature is urllib's
        self,
        req: Request,
        fp: IO[bytes],  # noqa: ARG002
        code: int,  # noqa: ARG002
        msg: str,  # noqa: ARG002
        headers: HTTPMessage,  # noqa: ARG002
        newurl: str,
    ) -> Request | None:
        """Give the same request to the new address; None, which makes it an error, to any other host."""
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        safe = after.scheme == "https" or before.scheme == "http"
        if (before.hostname, safe) != (after.hostname, True):
            return None
        again = dict(req.header_items())
        return Request(newurl, data=req.data, headers=again, method=req.get_method())  # noqa: S310  # http(s), see above


opener = build_opener(SameHost)


def ascii_address(url: str) -> str:
    """Give a URL with its host as IDNA 2008 has it; ValueError when there is no such host."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host.isascii():
        return url
    return parts._replace(netloc=parts.netloc.replace(_written(parts.netloc), to_ascii(host))).geturl()


def _written(netloc: str) -> str:
    """Give the host as it was written, in its own capitals."""
    return netloc.rpartition("@")[2].partition(":")[0]
