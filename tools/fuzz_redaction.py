"""The property tests of redaction with as many inputs as wanted: ``python tools/fuzz_redaction.py 20000``.

What is found goes, made small, into tests/data/redact, which ``make test`` replays.
"""

# ruff: noqa: INP001 -- a script beside the package, not a package

from __future__ import annotations

import importlib
import os
import sys
import time

from hypothesis import HealthCheck, is_hypothesis_test, settings

UNIT = os.path.join(os.path.dirname(__file__), "..", "tests", "unit")
MODULES = ("test_redact", "test_redact_forms", "test_matching")


def main() -> None:
    """Run each, and say how many inputs it had."""
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    sys.path[:0] = [UNIT, os.path.join(UNIT, "..")]
    checks = list(HealthCheck)
    settings.register_profile(
        "long", max_examples=examples, deadline=None, database=None, suppress_health_check=checks
    )
    settings.load_profile("long")  # before the tests are made
    for name in MODULES:
        module = importlib.import_module(name)
        for test in [value for value in vars(module).values() if is_hypothesis_test(value)]:
            begun = time.monotonic()
            test()
            print(f"{examples:8} inputs, {time.monotonic() - begun:6.1f} s: {test.__name__}", flush=True)


if __name__ == "__main__":
    main()
