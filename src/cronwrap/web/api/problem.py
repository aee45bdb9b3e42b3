"""Errors as problem details (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from cronwrap.web.deeds.base import Refused

MEDIA_TYPE = "application/problem+json"


def problem(refused: Refused, headers: dict[str, str] | None = None) -> Response:
    """Give the answer that a refusal is."""
    members: dict[str, Any] = {**refused.more, "status": refused.status, "title": refused.title}
    if refused.detail:
        members["detail"] = refused.detail
    return Response(json.dumps(members), refused.status, headers, MEDIA_TYPE)


def of_status(status: int, detail: str = "", headers: dict[str, str] | None = None) -> Response:
    """Give a problem that has no more to say than what HTTP calls its status."""
    return problem(Refused(status, HTTPStatus(status).phrase, detail), headers)
