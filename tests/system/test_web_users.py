"""Root's page: each user's things are read and changed by a process that has become that user."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from support.two_users import SETUP

TESTS = os.path.dirname(os.path.dirname(__file__))


def test_neither_of_two_users_sees_or_changes_the_others_and_a_child_cannot_act_as_another(needs, place):
    needs("root", "unshare", "crontab")
    script = os.path.join(TESTS, "support", "two_users.py")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", SETUP, "sh", place, sys.executable, script],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": TESTS, "LANG": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"/jobs/alice/of-alice", "/jobs/bob/of-bob"} <= set(found["root sees"])
    assert found["alice sees"] == ["/jobs/alice/of-alice"]
    assert found["bob sees"] == ["/jobs/bob/of-bob"]
    assert set(found["alice of bob"]) <= {403, 404}
    assert (found["root pauses"], found["root stops none"]) == (303, 303)
    assert found["audit"] == ["root", "bob", "jobs.pause"]
    assert found["owners"] == [6002]
    assert found["child"] == [["6001"] * 4, "", ""]
    assert set(found["as alice for bob"]) <= {403, 404}
