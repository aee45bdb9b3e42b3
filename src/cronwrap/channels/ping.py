"""Telling a monitor of a run's start and end, by the protocol of Healthchecks (its "Pinging API").

``URL/start`` at the start; at the end ``URL`` for success, ``URL/STATUS`` or ``URL/fail`` for a failure,
with what is to be read there; ``rid`` ties the two together. Each request is made by a process of its
own, so that a monitor that is slow, or gone, neither delays nor fails the job.
"""

from __future__ import annotations

import os
import select
import time

from cronwrap import __version__
from cronwrap.forked import detach

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
else:
    import _signal

TIMEOUT = 10.0
"""Seconds for one step of an attempt; a monitor answers in milliseconds."""
ATTEMPTS = 3
PAUSE = 0.5
"""Seconds between two attempts; a monitor that restarts is there again soon."""
BODY_LIMIT = 10_000
"""Octets of the end's text: what Healthchecks keeps as a rule, and a longer one would lose its end."""
AGENT = f"cronwrap/{__version__}"
LIFETIME = 20.0
"""Seconds for all attempts, whatever the monitor or the name service does: one that drips its answer keeps
every step within its time."""
PATIENCE = LIFETIME + 5
"""Seconds the end waits for the start to be out: the other way round the job would seem to hang."""


class Ping:
    """One run as its monitor sees it."""

    def __init__(self, url: str) -> None:
        """Tell the monitor of the start."""
        base, mark, self._query = url.partition("?")
        self._base = base.rstrip("/")
        self._query += "&" if mark else ""
        octets = os.urandom(16).hex()
        self._rid = "-".join(
            (octets[:8], octets[8:12], "4" + octets[13:16], "a" + octets[17:20], octets[20:])
        )
        self._started: list[int] = []
        """The pipe that closes with the process that tells of the start."""
        try:
            ours, theirs = os.pipe()
        except OSError:
            return  # no descriptor left: the job may need none
        self._started.append(ours)
        try:
            _in_background(lambda: self._send("/start", ""))
        except OSError:
            return  # no process to be had
        finally:
            os.close(theirs)

    def end(self, *, failed: bool, status: int, text: str) -> None:
        """Tell the monitor of the end; the ``text`` is shown there, cut to ``BODY_LIMIT``."""

        def tell() -> None:
            _end_after(PATIENCE + LIFETIME)
            select.select(self._started, [], [], PATIENCE if self._started else 0)
            self._send((f"/{status}" if status else "/fail") if failed else "", text)

        try:
            _in_background(tell, wait=os.getpid() == 1)  # with process 1 all others are killed
        except OSError:
            return  # no process to be had
        finally:
            for descriptor in self._started:
                os.close(descriptor)

    def _send(self, path: str, text: str) -> None:
        from urllib.error import HTTPError  # noqa: PLC0415  # heavy, and in a process of its own
        from urllib.request import Request  # noqa: PLC0415

        from cronwrap.channels.same_host import ascii_address, opener  # noqa: PLC0415

        address = ascii_address(f"{self._base}{path}?{self._query}rid={self._rid}")
        headers = {"User-Agent": AGENT, "Content-Type": "text/plain; charset=utf-8"}
        body = text.encode(errors="replace")[:BODY_LIMIT]
        _end_after(LIFETIME)
        end = time.monotonic() + LIFETIME
        for attempt in range(ATTEMPTS):
            if time.monotonic() > end - PAUSE:
                return
            try:
                if attempt:
                    select.select([], [], [], PAUSE)
                request = Request(address, data=body, headers=headers, method="POST")  # noqa: S310
                with opener.open(request, timeout=TIMEOUT):  # http(s) alone, see options
                    return
            except HTTPError as error:
                error.close()
            except OSError:
                continue
            except ValueError:
                return  # no address that can be asked


def _end_after(seconds: float) -> None:
    """Have the kernel end this process, whatever it waits for."""
    _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGALRM,))
    _signal.setitimer(_signal.ITIMER_REAL, seconds)


def _in_background(work: Callable[[], None], *, wait: bool = False) -> None:
    """Do something in a new process that is nobody's child; OSError when there is none to be had."""
    pid = os.fork()
    if not pid:
        try:  # whatever happens in here, it must not come back as a second cronwrap
            if wait or not os.fork():
                detach()
                work()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
