"""What becomes of output that nobody waits for any more: read and dropped, so that its writer may go on."""

from __future__ import annotations

import os
import select

from cronwrap.forked import detach

AT_A_TIME = 1 << 16
"""Octets: what a pipe holds."""
DESCRIPTORS = 4096
"""How many are closed one by one where they cannot be listed."""


def read_on(pipes: list[int]) -> None:
    """Leave a process that reads the pipes until their writers have closed them, and drops what comes.

    Without it a daemon that the job has started would die of SIGPIPE at its next word, where crond's pipe
    stays open. It holds nothing of the run but the pipes. Where no process is to be had, they are closed.
    """
    try:
        pid = os.fork()
    except OSError:
        return
    if pid:
        return
    try:
        detach()
        for descriptor in open_descriptors():
            if descriptor > 2 and descriptor not in pipes:
                close_descriptor(descriptor)
        _drop(pipes)
    finally:
        os._exit(0)


def _drop(pipes: list[int]) -> None:
    poll = select.poll()
    for pipe in pipes:
        poll.register(pipe, select.POLLIN)
    left = set(pipes)
    while left:
        for pipe, _ in poll.poll():
            try:
                ended = not os.read(pipe, AT_A_TIME)
            except BlockingIOError:
                continue
            except OSError:
                ended = True
            if ended:
                poll.unregister(pipe)
                left.discard(pipe)


def open_descriptors() -> list[int]:
    """Give the descriptors that are open, or might be."""
    for listing in ("/proc/self/fd", "/dev/fd"):
        try:
            return [int(name) for name in os.listdir(listing)]
        except (OSError, ValueError):
            continue
    return list(range(DESCRIPTORS))


def close_descriptor(descriptor: int) -> None:
    """Close a descriptor, if it is open."""
    try:
        os.close(descriptor)
    except OSError:
        return  # that of the listing itself
