"""The OpenAPI 3.1 document, made of the table of routes: it cannot say anything else than what is served."""

from __future__ import annotations

import re
from typing import Any

from cronwrap import __version__
from cronwrap.web.api.parameters import NAME, Parameter
from cronwrap.web.api.schemas import SCHEMAS
from cronwrap.web.api.table import PREFIX, ROUTES, Route, schema_of

PATH_PART = re.compile(r"\{(\w+)(?::path)?\}")
ABOUT = """\
What the page shows and does, for programs, by the same rights. Over the unix socket the kernel says who
asks: `curl --unix-socket PATH http://localhost/api/v1/jobs`. What changes something wants
`Content-Type: application/json`."""
REFUSALS = {
    "400": "What was asked is not understood",
    "401": "Nobody is known to be there",
    "403": "This may not be done by who asks, or from where",
    "404": "There is no such thing",
    "409": "It is not in a state in which that can be done",
    "422": "It cannot be done",
    "503": "The state cannot be used now",
}


def document() -> dict[str, Any]:
    """Give the document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        path = PATH_PART.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "cronwrap", "version": __version__, "description": ABOUT},
        "servers": [{"url": PREFIX}],
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }


def _operation(route: Route) -> dict[str, Any]:
    parameters = [
        _parameter(Parameter(name=name, kind=NAME, about=name, required=True), "path")
        for name in PATH_PART.findall(route.path)
    ]
    parameters += [_parameter(parameter, "query") for parameter in route.query]
    operation: dict[str, Any] = {
        "operationId": route.deed,
        "summary": route.about,
        "parameters": parameters + HEADERS.get(route.kind, []),
        "responses": {str(route.status): _answer(route), **_refusals(route)},
    }
    if route.method == "POST":
        operation["requestBody"] = _body(route)
    if route.kind == "new crontab":
        operation["requestBody"] = {
            "required": True,
            "description": "The crontab, to the octet",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    return operation


def _parameter(parameter: Parameter, where: str) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": where,
        "required": parameter.required,
        "description": parameter.about,
        "schema": _or_empty(parameter.kind.schema) if where == "query" else parameter.kind.schema,
        **({"allowEmptyValue": True} if where == "query" else {}),
    }


def _or_empty(schema: dict[str, Any]) -> dict[str, Any]:
    """Give the schema of what may be left empty."""
    return {"anyOf": [schema, {"type": "string", "maxLength": 0}]}


def _header(name: str, about: str, *, required: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": about,
        "schema": {"type": "string"},
    }


HEADERS = {
    "events": [_header("Last-Event-ID", "the id of the last event that was received")],
    "crontab": [_header("If-None-Match", "an ETag: the crontab is given only if it is another")],
    "new crontab": [_header("If-Match", "the ETag of what was read", required=True)],
}
EVENTS = """\
`data:` octets in base64, `id:` the offset behind them. `event: gap` tells of octets that are not to be had,
with their number; `event: lost` that the rest is not to be had by its offset; `event: end` that the run has
ended, with `{"status": …}`."""
ANSWERS: dict[str, tuple[str, str]] = {
    "output": ("text/plain", "The octets"),
    "events": (
        "text/event-stream",
        EVENTS,
    ),
    "crontab": ("text/plain", "The crontab"),
}


def _answer(route: Route) -> dict[str, Any]:
    if route.kind in ANSWERS:
        media, about = ANSWERS[route.kind]
        answer: dict[str, Any] = {"description": about, "content": {media: {"schema": {"type": "string"}}}}
    else:
        answer = {
            "description": SCHEMAS[route.answer].get("description", route.answer),
            "content": {"application/json": {"schema": schema_of(route)}},
        }
    if "crontab" in route.kind:
        answer["headers"] = {"ETag": {"description": "What it is now", "schema": {"type": "string"}}}
    return answer


def _refusals(route: Route) -> dict[str, Any]:
    words = dict(REFUSALS)
    if route.method != "GET":
        words |= {"413": "The body is too large", "415": "The body is of another type than it has to be"}
    if route.kind == "new crontab":
        words |= {"412": "The crontab has changed since it was read", "428": "`If-Match` is missing"}
    if route.kind == "crontab":
        words |= {"304": "It has not changed"}
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    found: dict[str, Any] = {}
    for status, about in sorted(words.items()):
        found[status] = {"description": about, **({} if status == "304" else {"content": content})}
    return found


def _body(route: Route) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            parameter.name: {**parameter.kind.schema, "description": parameter.about}
            for parameter in route.body
        },
    }
    required = [parameter.name for parameter in route.body if parameter.required]
    if required:
        schema["required"] = required
    return {"required": bool(required), "content": {"application/json": {"schema": schema}}}
