"""How often redaction takes something out of text that holds no secret: alarms in each megabyte of files.

    .venv/bin/python tools/redaction_alarms.py /var/log /usr/share/doc
    .venv/bin/python tools/redaction_alarms.py --show 20 /var/log

Whoever measures two versions runs it with the ``src`` of each in PYTHONPATH, over the same files.
"""

# ruff: noqa: INP001 -- a script beside the package, not a package

from __future__ import annotations

import argparse
import gzip
import os
import time
from collections.abc import Iterator

from cronwrap.redact.redactor import REPLACEMENT, Redactor

PIECE = 1 << 20
"""Octets looked at together: what a run keeps of an output."""
FILE_MAX = 64 << 20


def pieces(path: str) -> Iterator[bytes]:
    """Give a file's text, unpacked, in pieces; nothing for what cannot be read or is no text."""
    try:
        with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
            for _ in range(FILE_MAX // PIECE):
                content = file.read(PIECE)
                if not content or b"\0" in content[:4096]:
                    return
                yield content
    except OSError:
        return


def files(root: str) -> Iterator[str]:
    """Give the regular files below a directory, or the file itself."""
    if os.path.isfile(root):
        yield root
    for place, _, names in os.walk(root):
        for name in sorted(names):
            path = os.path.join(place, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


def main() -> None:
    """Print a line for each root."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("roots", nargs="+")
    parser.add_argument("--show", type=int, default=0, help="lines that changed, so many for each root")
    given = parser.parse_args()
    redactor = Redactor()
    print(f"{'MB':>9} {'alarms':>8} {'a MB':>9} {'erased':>9} {'MB/s':>7}  root")
    for root in given.roots:
        octets = alarms = erased = 0
        shown: list[str] = []
        begun = time.process_time()
        for path in files(root):
            for content in pieces(path):
                found = redactor.bytes(content)
                octets += len(content)
                count = found.count(REPLACEMENT) - content.count(REPLACEMENT)
                alarms += count
                erased += len(content) - len(found) + count * len(REPLACEMENT)
                if count and len(shown) < given.show:
                    lines = [line for line in found.split(b"\n") if REPLACEMENT in line]
                    shown += [f"    {path}: {line[:200].decode(errors='replace')}" for line in lines[:3]]
        size = octets / 1e6
        speed = size / max(1e-9, time.process_time() - begun)
        print(f"{size:9.1f} {alarms:8} {alarms / max(size, 1e-9):9.3f} {erased:9} {speed:7.1f}  {root}")
        print("\n".join(shown[: given.show]), end="\n" if shown else "")


if __name__ == "__main__":
    main()
