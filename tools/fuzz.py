# noqa: INP001  # a program beside others, no package
"""Fuzzes what reads from outside, for so many seconds: ``make fuzz SECONDS=600 TARGET=crontab``.

An input that something fails on is kept in the corpus of its target, as ``found-DIGEST``: mend the fault,
and leave the file there.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import sys
import time
import traceback

from support.fuzzing import ALLOWED, CORPUS, TARGETS, mutated, seeds

SLOW = 5.0
"""Seconds that no input may take: it is a fault as well."""


def main() -> int:
    """Fuzz; exit 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="in all, shared by the targets")
    parser.add_argument("--target", choices=TARGETS, help="one alone")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="to do it again")
    given = parser.parse_args()
    names = [given.target] if given.target else list(TARGETS)
    print(f"seed {given.seed}")
    found = 0
    for name in names:
        count, failures = fuzz(name, given.seconds / len(names), random.Random(given.seed))  # noqa: S311
        print(f"{name}: {count} inputs, {failures} found", flush=True)
        found += failures
    return 1 if found else 0


def fuzz(name: str, seconds: float, dice: random.Random) -> tuple[int, int]:
    """Give how many inputs a target was tried with, and how many faults were found."""
    corpus = [octets for _base, octets in seeds(name)]
    end, count, known = time.monotonic() + seconds, 0, set()
    while time.monotonic() < end:
        octets = mutated(dice.choice(corpus), corpus, dice)
        count += 1
        began = time.monotonic()
        try:
            TARGETS[name](octets)
            where = "slow" if time.monotonic() - began > SLOW else ""
        except ALLOWED:
            continue
        except Exception as error:  # noqa: BLE001  # that is what it is for
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {last.filename}:{last.lineno}"
        if where and where not in known:
            known.add(where)
            path = os.path.join(CORPUS, name, f"found-{hashlib.sha256(octets).hexdigest()[:12]}")
            with open(path, "wb") as file:
                file.write(octets)
            print(f"{name}: {where}: {path}", flush=True)
    return count, len(known)


if __name__ == "__main__":
    sys.exit(main())
