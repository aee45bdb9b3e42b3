"""Hosts of a fleet in tests: what they run and send, and what one might say of itself."""

from __future__ import annotations

import json
import time


def quoted(text):
    """Give a text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def literal(value):
    """Give JSON as SQL has it."""
    return quoted(json.dumps(value))


def run(program, name, *words, status=0):
    done = program("--quiet", "-n", name, *words)
    assert done.status == status, done.stderr


def ship(program):
    done = program("fleet", "ship")
    assert done.status == 0, done.stderr
    return int(done.stdout.split()[0])


def say(database, host, *, user="postgres", runs=(), jobs=(), **about):
    """Send something as a host would; ``user`` is the role."""
    known = {
        "user_name": "root",
        "version": "0",
        "ship": "runs",
        "quiet": False,
        "waiting": 0,
        "oldest": None,
        "failed_since": None,
        "now": time.time(),
        "epoch": "e",
        "acknowledged": 0,
        "number": 1,
        "jobs": 1,
        "failing": 0,
        "running": 0,
        "next": None,
        "grace": 75.0,
        **about,
    }
    words = ", ".join(map(literal, (known, list(runs), [], [], list(jobs))))
    return database.sql(f"SELECT * FROM cronwrap.ship({quoted(host)}, {words})", user=user)


def a_run(name, ended, **more):
    return {
        "run": name,
        "user_name": "root",
        "job": "j",
        "command": "true",
        "started": ended - 1,
        "ended": ended,
        "duration": 1.0,
        "result": "ok",
        "tries": 1,
        "reasons": "",
        "output_bytes": 0,
        "mailed": False,
        "quiet_reason": "",
        "by_hand": False,
        **more,
    }


def a_job(**more):
    return {
        "user_name": "root",
        "job": "j",
        "run": "r",
        "result": "ok",
        "results": "",
        "failures": 0,
        "running": "",
        "paused": False,
        "muted": False,
        "schedule": "",
        "grace": 75.0,
        "every": 60,
        **more,
    }
