"""Work that a thread does, since a call that hangs in a file server's stead cannot be interrupted.

What a job, or crond, waits for is waited for in time here. On the way of every run.
"""

from __future__ import annotations

import os
import time

from cronwrap.state import NO_ANSWER, silent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PATIENCE = 3.0
"""Seconds within which a call that waits for nobody, as flock(2) here, has to be answered at all."""
SLICES = 4
"""Waits that a patience is made of: who was stopped himself meanwhile finds an answer in the next one."""
STATE_PATIENCE = 10.0
"""Seconds within which the file system of the state has to answer where a job, or crond, waits for it: a disk
that has to spin up, or is frozen for a snapshot, may need some."""
THREADS, ONE_THREAD = "/proc/self/task", 3
"""A directory with one for each thread (proc(5)), and its links while there is one."""
THREAD_LOOKS, THREAD_PAUSE = 20, 0.0005
"""How often, and seconds apart, it is looked at: one that waits for a disk is not waited for."""


class Beside:
    """Work that a thread does, since a call that hangs in a file server's stead cannot be interrupted."""

    def __init__(self, work: Callable[[], Any], late: Callable[[Any], None] | None = None) -> None:
        """Begin; ``late`` is given the result when it comes after ``wait`` has given up."""
        import _thread  # noqa: PLC0415  # builtin

        self._work, self._late = work, late
        self.gave_up = False
        """Whether it was waited for in vain."""
        self._result: Any = None
        self._raised: BaseException | None = None
        self._over, self._decided = _thread.allocate_lock(), _thread.allocate_lock()
        self._over.acquire()
        try:
            _thread.start_new_thread(self._do, ())
        except RuntimeError:  # no thread is to be had: here, then
            self._do()

    def _do(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001  # it is raised where it was asked for
            self._raised = error
        if self._decided.acquire(blocking=False):
            self._over.release()
        elif self._late and not self._raised:
            self._late(self._result)

    def wait(self, seconds: float = PATIENCE) -> Any:
        """Give what the work gives, or raise what it raised; TimeoutError when it takes too long. Once."""
        if not any(self._over.acquire(timeout=seconds / SLICES) for _ in range(SLICES)):
            if self._decided.acquire(blocking=False):
                from errno import ETIMEDOUT  # noqa: PLC0415  # rare, and not loaded yet

                self.gave_up = True
                raise TimeoutError(ETIMEDOUT, NO_ANSWER)
            self._over.acquire()
        if self._raised:
            raise self._raised
        return self._result


def answered(state_dir: str, work: Callable[[], Any]) -> Any:
    """Give what work in a state directory gives; TimeoutError when its file system does not answer.

    From then on ``state`` refuses the directory, so that a hang is waited for once in a run.
    """
    if state_dir in silent:
        from cronwrap.state_setup import no_answer  # noqa: PLC0415

        raise no_answer(NO_ANSWER, state_dir)
    beside = Beside(work, lambda _result: silent.discard(state_dir))
    try:
        return beside.wait(STATE_PATIENCE)
    except TimeoutError:
        if beside.gave_up:
            silent.add(state_dir)
        raise


def fork_alone() -> int:
    """Fork, once threads that are done are gone: Python warns who forks beside one (3.12)."""
    try:
        for _ in range(THREAD_LOOKS):
            if os.stat(THREADS).st_nlink <= ONE_THREAD:
                break
            time.sleep(THREAD_PAUSE)
    except OSError:
        pass  # no Linux
    return os.fork()
