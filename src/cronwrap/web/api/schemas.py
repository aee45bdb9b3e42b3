"""What the API answers, as JSON Schema (2020-12); a member that is not here may come all the same."""

from __future__ import annotations

from typing import Any

STRING: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "number"}
WHOLE: dict[str, Any] = {"type": "integer"}
FLAG: dict[str, Any] = {"type": "boolean"}
TIME: dict[str, Any] = {"type": "string", "format": "date-time"}


def optional(schema: dict[str, Any]) -> dict[str, Any]:
    """Give a schema of what may be null as well."""
    return {**schema, "type": [schema["type"], "null"]}


def listed(schema: dict[str, Any]) -> dict[str, Any]:
    """Give the schema of an array."""
    return {"type": "array", "items": schema}


def members(about: str, /, **properties: dict[str, Any]) -> dict[str, Any]:
    """Give the schema of an object that has all these."""
    return {
        "type": "object",
        "description": about,
        "required": sorted(properties),
        "properties": properties,
    }


RUN = {
    **dict.fromkeys(("run", "job", "command", "host", "user"), STRING),
    "started": TIME,
    "ended": optional(TIME),
    "duration": optional(NUMBER),
    "result": STRING,
    "exit_code": optional(WHOLE),
    "signal": optional(WHOLE),
    "tries": optional(WHOLE),
    "reasons": listed(STRING),
    "output_bytes": optional(WHOLE),
    "cpu_seconds": optional(NUMBER),
    "max_rss_bytes": optional(WHOLE),
    "mailed": optional(FLAG),
}
"""As ``history --json``."""
COUNTS = ("jobs", "failing", "running", "paused", "muted", "late", "queued", "failed")

SCHEMAS: dict[str, dict[str, Any]] = {
    "Problem": {
        "type": "object",
        "description": "RFC 9457",
        "required": ["status", "title"],
        "properties": {"status": WHOLE, "title": STRING, "detail": STRING},
    },
    "Done": {"type": "object", "description": "What was done"},
    "Run": members("A run, as `cronwrap history --json` gives it", **RUN),
    "Status": members("How many", **dict.fromkeys(COUNTS, WHOLE)),
}
