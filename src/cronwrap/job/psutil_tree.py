"""What ``procfs`` tells of processes, on systems other than Linux, by psutil."""

from __future__ import annotations

import psutil


def started(pid: int) -> int | None:
    """Give the start time of a process in milliseconds of Unix time, or None when it is gone."""
    try:
        return int(psutil.Process(pid).create_time() * 1000)
    except psutil.Error:
        return None


def children(pid: int) -> list[int]:
    """Give the children of a process."""
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


def resident(pid: int) -> int:
    """Give the resident memory of a process in octets; 0 when it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def command(pid: int) -> bytes:
    """Give what a process calls itself; empty when it may not be looked at, or is gone."""
    try:
        return " ".join(psutil.Process(pid).cmdline()).encode(errors="surrogateescape")
    except psutil.Error:
        return b""
