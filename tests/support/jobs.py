"""What a rehearsed run (``--dry-run``) tells of its job, and helpers for jobs that leave traces."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from support.cli import Cli, Result


@dataclass(frozen=True)
class Told:
    """The mail that a rehearsed run has printed, taken apart."""

    status: int
    subject: str
    result: str
    """``X-Cronwrap-Result``."""
    headline: str
    output: str
    details: dict[str, str]
    """Below the output: labels and values; further lines of a value follow on lines of their own."""
    text: str


def rehearse(cli: Cli, *words: str, **options) -> Told:
    """Run ``cronwrap --dry-run --on always WORDS``, ``--`` and the command among them."""
    return told(cli("--dry-run", "--on", "always", *words, **options))


def told(result: Result) -> Told:
    """Take the printed mail apart."""
    head, _, body = result.stdout.partition("\n\n")
    headers = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
    above, _, below = body.rpartition("\n-- \n")
    headline, _, output = above.partition("\n")
    details: dict[str, str] = {}
    label = ""
    for line in below.splitlines():
        name, value = line[:15].strip(), line[15:]
        if name:
            label = name
            details[label] = value
        elif label:
            details[label] += "\n" + value
    return Told(
        result.status,
        headers.get("Subject", ""),
        headers.get("X-Cronwrap-Result", ""),
        headline,
        output.strip("\n") + "\n" if output.strip("\n") else "",
        details,
        result.stdout,
    )


def number(path: str) -> int:
    """Give the number that a job has written to a file, or 0 as long as it has not."""
    try:
        with open(path, encoding="ascii") as file:
            text = file.read()
    except FileNotFoundError:
        return 0
    return int(text) if text.endswith("\n") else 0


def lives(pid: int) -> bool:
    """Tell whether a process is there and more than a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def catches(pid: int, number: int) -> bool:
    """Tell whether a process has a handler for a signal."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        caught = next(line for line in file if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) & 1 << (number - 1))
