"""What the API answers, as JSON Schema (2020-12); a member that is not here may come all the same."""

from __future__ import annotations

from typing import Any

from cronwrap.text import iso

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


JOB = {
    **dict.fromkeys(("user", "job"), STRING),
    **{name: optional(STRING) for name in ("command", "schedule", "schedule_words", "crontab")},
    "line": optional(WHOLE),
    "next": optional(TIME),
    **{name: optional(STRING) for name in ("last_result", "last_run")},
    **{name: optional(TIME) for name in ("last_started", "last_ended")},
    **{name: optional(NUMBER) for name in ("last_duration", "usual_duration")},
    "failures": WHOLE,
    **{name: optional(TIME) for name in ("failing_since", "last_success")},
    "running": optional(STRING),
    "running_since": optional(TIME),
    "paused": FLAG,
    "paused_until": optional(TIME),
    "muted": FLAG,
    "muted_until": optional(TIME),
    "muted_until_ok": FLAG,
    "wrapped": optional(FLAG),
    "missed": WHOLE,
    "strip": STRING,
    "states": listed(STRING),
}
RUN = {
    **dict.fromkeys(("run", "job", "command", "host", "user"), STRING),
    "started": TIME,
    "ended": optional(TIME),
    "duration": optional(NUMBER),
    "result": STRING,
    "exit_code": optional(WHOLE),
    "signal": optional(WHOLE),
    "tries": WHOLE,
    "reasons": listed(STRING),
    "output_bytes": WHOLE,
    "cpu_seconds": optional(NUMBER),
    "max_rss_bytes": optional(WHOLE),
    "mailed": FLAG,
}
"""As ``history --json``."""
WHOLE_RUN = {
    **RUN,
    **dict.fromkeys(("stdout_bytes", "stderr_bytes"), WHOLE),
    "quiet_reason": STRING,
    "by_hand": FLAG,
    "usual_duration": optional(NUMBER),
    "uses": optional({"type": "object"}),
}
"""As ``show --json``, but for the output, which has an address of its own."""
ITEM = {
    "id": STRING,
    "user": STRING,
    "job": STRING,
    "to": listed(STRING),
    "subject": STRING,
    "queued": optional(TIME),
    "attempts": WHOLE,
    "next_attempt": optional(TIME),
    "last_error": optional(STRING),
    "state": STRING,
}
"""As ``outbox --json``, and whose it is."""
FLEET_JOB = {
    **dict.fromkeys(("host", "job", "user"), STRING),
    **{name: optional(STRING) for name in ("run", "result")},
    **{name: optional(WHOLE) for name in ("exit_code", "signal")},
    **{name: optional(TIME) for name in ("started", "ended")},
    **{name: optional(NUMBER) for name in ("duration", "usual_duration")},
    "failures_in_a_row": WHOLE,
    **{name: optional(TIME) for name in ("failing_since", "last_success")},
    "running": optional(STRING),
    "running_since": optional(TIME),
    "paused": FLAG,
    "paused_until": optional(TIME),
    "muted": FLAG,
    "schedule": optional(STRING),
    "next": optional(TIME),
    "late": FLAG,
}
"""As ``status --fleet --json``."""
FLEET_HOST = {
    **dict.fromkeys(("host", "role", "version", "ship"), STRING),
    **{name: optional(TIME) for name in ("seen", "oldest", "next")},
    "skew": optional(NUMBER),
    **dict.fromkeys(("waiting", "jobs", "failing", "running"), WHOLE),
    **dict.fromkeys(("quiet", "silent"), FLAG),
}
"""As ``fleet status --json``."""
FLEET_RUN = {name: schema for name, schema in WHOLE_RUN.items() if name not in ("usual_duration", "uses")}
COUNTS = ("jobs", "failing", "running", "paused", "muted", "late", "queued", "failed")

SCHEMAS: dict[str, dict[str, Any]] = {
    "Problem": {
        "type": "object",
        "description": "RFC 9457",
        "required": ["status", "title"],
        "properties": {"status": WHOLE, "title": STRING, "detail": STRING},
    },
    "Job": members("A job", **JOB),
    "Run": members("A run, as `cronwrap history --json` gives it", **RUN),
    "WholeRun": members("A run, as `cronwrap show --json` gives it", **WHOLE_RUN),
    "Started": members("The run that was started; null where it is not on record yet", run=optional(STRING)),
    "Hold": members(
        "What holds the job back now",
        job=STRING,
        since=optional(TIME),
        until=optional(TIME),
        until_ok=FLAG,
        by=STRING,
        said=STRING,
    ),
    "Ended": members("What was held back", job=STRING, said=STRING),
    "Stopped": members("The run that was told to end", run=STRING, job=STRING, said=STRING),
    "Item": members("A message that waits, or was given up", **ITEM),
    "Done": members("What became of it", id=STRING, said=STRING),
    "Crontab": members("A crontab", id=STRING, user=STRING, path=STRING, system=FLAG, fault=STRING),
    "Saved": members("The crontab as it is now", id=STRING, etag=STRING, same=FLAG),
    "FleetJob": members("A job of a host, as `cronwrap status --fleet --json` gives it", **FLEET_JOB),
    "FleetHost": members("A host, as `cronwrap fleet status --json` gives it", **FLEET_HOST),
    "FleetRun": members("A run, as `cronwrap show --fleet --json` gives it", **FLEET_RUN),
    "Status": members("How many", **dict.fromkeys(COUNTS, WHOLE)),
}


def shaped(name: str, found: Any) -> Any:
    """Give what a deed has found as the schema says it: its members alone, and times in ISO 8601."""
    if not isinstance(found, dict):
        return found
    properties = SCHEMAS[name].get("properties", {})
    return {member: _value(schema, found[member]) for member, schema in properties.items() if member in found}


def _value(schema: dict[str, Any], value: Any) -> Any:
    is_time = schema.get("format") == "date-time" and isinstance(value, (int, float))
    return iso(value) if is_time else value
