"""The configuration files read, because one has changed, or since nobody can tell."""

from __future__ import annotations

import time

from cronwrap.beside import answered
from cronwrap.forked import compute
from cronwrap.settings import cache
from cronwrap.state import NO_ANSWER, silent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Signature = list[tuple[str, Any]]
    Values = dict[str, dict[str, Any]]

RACY = 0.1
"""Seconds, some ticks of the clock of file systems: a file changed so shortly ago may change again
without another time stamp, so it is not cached."""
PATIENCE = 30.0
"""Seconds for files that have changed to be read, by a process that a busy machine may keep waiting."""


class Anew:
    """Reads the files at some paths, the later over the earlier."""

    def __init__(self, paths: tuple[str, ...], directory: str, *, must_exist: bool, keep: bool) -> None:
        """``directory`` is the state's, where what they say is kept for the next run if ``keep``."""
        self._paths, self._directory = paths, directory
        self._must_exist, self._keep = must_exist, keep

    def read(self, signature: Signature) -> Values:
        """Give the checked values of each file there is, by path."""
        found = self._values()
        if self._to_be_kept(signature, found):
            cache.write(self._directory, cache.key(signature), found)
        return found

    def lean(self, signature: Signature) -> Values:
        """Give the same, read by a process of its own, which is waited for as long as a file system takes."""
        try:
            found = compute(self._values, PATIENCE)
        except TimeoutError as error:
            return self._unanswered(str(error.strerror))
        try:
            if self._to_be_kept(signature, found):
                answered(self._directory, lambda: cache.write(self._directory, cache.key(signature), found))
        except TimeoutError:
            pass  # whoever asks for the state next says so
        return found

    def hung(self, signature: Signature) -> Values:
        """Give the same where either the files or the state, which has the cache, did not answer."""
        if len(signature) == len(self._paths):
            return self.lean(signature)
        silent.discard(self._directory)
        return self._unanswered(NO_ANSWER)

    def _values(self) -> Values:
        found: Values = {}
        for path in self._paths:
            self._read(path, found)
        return found

    def _read(self, path: str, found: Values) -> None:
        # TOML's reader above all takes megabytes: where a process of its own reads, it alone has them.
        from cronwrap.errors import ConfigError  # noqa: PLC0415
        from cronwrap.settings import files  # noqa: PLC0415

        try:
            found[path] = files.values(files.File(path))
        except (OSError, ConfigError) as error:
            if isinstance(error, OSError):
                missing = isinstance(error, (FileNotFoundError, NotADirectoryError, PermissionError))
                if missing and not self._must_exist:
                    return
                error = ConfigError(f"{path}: {error.strerror}")
            found[path] = {**files.nothing(), "faults": [str(error)]}
            if isinstance(error, files.UntrustedError):
                found[path]["untrusted"] = True

    def _to_be_kept(self, signature: Signature, found: Values) -> bool:
        newest = max((state[1] for _, state in signature if state), default=0) / 1e9
        # Directories that others can write to may be closed without a change of the file.
        lasting = not any("untrusted" in tables for tables in found.values())
        return self._keep and lasting and abs(time.time() - newest) > RACY

    def _unanswered(self, why: str) -> Values:
        """Give what is in force where the files cannot be asked; nobody knows which of them is at fault."""
        from cronwrap.settings import files  # noqa: PLC0415  # rare

        words = f"{' or '.join(self._paths)} is not used: {why}"
        return {self._paths[-1]: {**files.nothing(), "faults": [words]}}
