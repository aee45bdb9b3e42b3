"""The schema of the fleet's database: made and upgraded by numbered files of SQL, one transaction each."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from cronwrap.fleet.database import Database, RefusedError

CREATE = """
CREATE SCHEMA IF NOT EXISTS cronwrap;
CREATE TABLE IF NOT EXISTS cronwrap.schema_version (
    single boolean PRIMARY KEY DEFAULT true CHECK (single), version integer NOT NULL);
INSERT INTO cronwrap.schema_version (version) VALUES (0) ON CONFLICT DO NOTHING;
"""
LOCKED = "SELECT version FROM cronwrap.schema_version FOR UPDATE"


def steps() -> list[str]:
    """Give the files in order; the number of the last is the version that this cronwrap knows."""
    found = [
        item for item in files("cronwrap.fleet").joinpath("schema").iterdir() if item.name.endswith(".sql")
    ]
    return [item.read_text(encoding="utf-8") for item in sorted(found, key=lambda item: item.name)]


def upgrade(database: Database) -> tuple[int, int]:
    """Bring the schema to the present version; give the version before and after.

    Whoever else upgrades at the same time is waited for: the row of the version is locked.
    """
    known = steps()

    def work(cursor: Any) -> tuple[int, int]:
        for statement in CREATE.strip().split(";\n"):
            cursor.execute(statement)
        return _apply(cursor, known)

    before, after = database.transaction(work)
    database.call("SELECT cronwrap.prune()")
    return before, after


def _apply(cursor: Any, known: list[str]) -> tuple[int, int]:
    before = cursor.execute(LOCKED).fetchone()["version"]
    if before > len(known):
        raise RefusedError(
            f"the fleet's database has schema {before}, this cronwrap knows {len(known)}: upgrade it here"
        )
    for step in known[before:]:
        cursor.execute(step)
    cursor.execute("UPDATE cronwrap.schema_version SET version = %(new)s", {"new": len(known)})
    return before, len(known)
