"""Telling a monitor of a run's start and end, by the protocol of Healthchecks (its "Pinging API").

``URL/start`` at the start; at the end ``URL`` for success, ``URL/STATUS`` or ``URL/fail`` for a failure;
``rid`` ties the two together. Each request is made by a process of its own, so that a monitor that is
slow, or gone, neither delays nor fails the job.
"""

from __future__ import annotations

import os
import select

from cronwrap.background import detach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

TIMEOUT = 10.0
"""Seconds for one attempt; a monitor answers in milliseconds."""
ATTEMPTS = 3
PATIENCE = TIMEOUT * ATTEMPTS + 5
"""Seconds the end waits for the start to be out: the other way round the job would seem to hang."""


class Ping:
    """One run as its monitor sees it."""

    def __init__(self, url: str) -> None:
        """Tell the monitor of the start."""
        self._url = url.rstrip("/")
        octets = os.urandom(16).hex()
        self._rid = "-".join(
            (octets[:8], octets[8:12], "4" + octets[13:16], "a" + octets[17:20], octets[20:])
        )
        self._started, theirs = os.pipe()
        if not _fork():
            self._send("/start", "")
        os.close(theirs)  # the other copy closes with the process that sends

    def end(self, *, failed: bool, status: int, text: str) -> None:
        """Tell the monitor of the end; ``text`` is shown there."""
        if not _fork():
            select.select([self._started], [], [], PATIENCE)
            self._send((f"/{status}" if status else "/fail") if failed else "", text)
        os.close(self._started)

    def _send(self, path: str, text: str) -> NoReturn:
        """Make the request, then be gone."""
        try:
            from urllib.request import Request, urlopen  # noqa: PLC0415  # heavy, and in a process of its own

            address = f"{self._url}{path}?rid={self._rid}"
            for _ in range(ATTEMPTS):
                try:
                    request = Request(address, data=text.encode(errors="replace"), method="POST")  # noqa: S310
                    with urlopen(request, timeout=TIMEOUT):  # noqa: S310  # http(s) alone, see options
                        break
                except OSError:
                    continue
        except BaseException:  # noqa: BLE001, S110  # nobody is there to be told
            pass
        finally:
            os._exit(0)


def _fork() -> int:
    """Give 0 in a new process that is nobody's child, and something else in this one."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return pid
    if os.fork():
        os._exit(0)
    detach()
    return 0
