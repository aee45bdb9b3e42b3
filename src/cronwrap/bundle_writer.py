"""Writes the files from which ``cronwrap.load_bundle`` loads the modules of a quiet run, and of others.

A run does so once its job has ended, when it had to import the modules one by one; it never fails for that.
"""

from __future__ import annotations

import ast
import marshal
import os
import time
from errno import ENOSPC
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source, find_spec

import cronwrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap import Member, Part, SourceState

MODULES = (
    "exit_status",
    "settings",
    "settings.defaults",
    "model",
    "settings.command_line",
    "__main__",
    "state",
    "beside",
    "job",
    "job.signals",
    "job.spawn",
    "job.terminal",
    "paths",
    "redact",
    "pipeline",
    "pipeline.context",
    "pipeline.on_demand",
    "settings.cache",
    "settings.job_name",
    "settings.load",
    "run",
)
"""What a quiet run loads before its job is started, each after what it imports."""
AFTER = (
    "lock",
    "job.overlap",
    "job.deadlines",
    "job.supervise",
    "report",
    "spans",
    "report.verdict",
    "pipeline.tries",
    "pipeline.conclusion",
    "history",
    "history.journal",
    "pipeline.run_entry",
    "pipeline.housekeeping",
)
"""What it loads then, from the same file; a test keeps the two lists to just that."""
SPOKEN = ("job.capture", "job.reader", "job.start_report")
"""What it loads, from the same file, if its job says something or is not to be had."""
OPTIONS = ("settings.values", "settings.options", "settings.variables")
"""What a run needs that was given an option, or a variable of ours."""
HISTORY = (
    "errors",
    "history.damaged",
    "history.records",
    "history.totals",
    "history.database",
    "history.kept_output",
    "past",
    "history.tally",
    "history.arrivals",
    "history.run",
    "history.past",
    "history.folding",
)
"""What a look into the history takes: of a run that fails, say, or is the 64th."""
REPORT = (
    "errors",
    "history.damaged",
    "history.records",
    "history.stopping",
    "log",
    "pipeline.under_way",
    "pipeline.telling",
    "past",
    "history.tally",
    "text",
    "address",
    "mail",
    "outbox",
    "forked",
    "outbox.backoff",
    "outbox.message_file",
    "outbox.sent",
    "outbox.store",
    "outbox.sender",
    "outbox.dispatch",
    "outbox.lanes",
    "job.holds",
    "pipeline.held_back",
    "pipeline.redacted",
    "redact.known_secrets",
    "redact.redactor",
    "report.mime",
    "report.ansi",
    "report.charset",
    "report.body",
    "report.details",
    "report.palette",
    "report.html",
    "report.compose",
    "pipeline.addressing",
    "pipeline.reporting",
    "outbox.order",
    "outbox.tend",
)
"""What a run needs to tell of itself; the first few whether it has looked into the history or not."""
BUNDLES = {
    cronwrap.QUIET_RUN: MODULES,
    "options": OPTIONS,
    "history": HISTORY,
    "report": REPORT,
}
LATER = {cronwrap.QUIET_RUN: (AFTER, SPOKEN)}
EXTENSIONS = {cronwrap.QUIET_RUN: (("_ctypes", "_posixsubprocess"), ("fcntl", "select", "resource"), ())}
"""What is loaded with them from the library: many a Python has these as files of their own, and to find one
takes as long as to load it."""
SETTLED = 1.1
"""Seconds. A source that changed less long ago may change again without another time stamp: some file systems
know whole seconds only."""
READABLE = 0o644
"""The most that the file is open to others; as far as the sources are."""


def write(path: str, what: str = cronwrap.QUIET_RUN) -> None:
    """Write the file; what cannot be written now is tried by the next run."""
    temporary = f"{path}.{os.getpid()}"
    try:
        at_once = [_member(name) for name in BUNDLES[what]]
        later = [[_member(name) for name in names] for names in LATER.get(what, ((), ()))]
        states = [state for part in (at_once, *later) for state, _ in part]
        first, *rest = EXTENSIONS.get(what, ((), (), ()))
        parts = [marshal.dumps((_part(first, at_once), states))]
        parts += [
            marshal.dumps(_part(names, part)) if part else b""
            for names, part in zip(rest, later, strict=True)
        ]
        content = cronwrap.bundle_head(*map(len, parts)) + b"".join(parts)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except Exception:  # noqa: BLE001  # a source that is just being replaced: anything may be in it
        return
    try:
        try:
            if os.write(handle, content) != len(content):
                raise OSError(ENOSPC, "short write")  # a full disk says it this way, too
            os.fsync(handle)  # after a power cut it is whole or not there: no checksum has to tell
            os.fchmod(handle, os.stat(cronwrap.__file__).st_mode & READABLE)
        finally:
            os.close(handle)
        os.rename(temporary, path)
    except OSError:
        _discard(temporary)


def _discard(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return


def _without_annotations(tree: ast.Module) -> ast.Module:
    """Give a module whose functions do not say of what types they are; a class keeps what its fields are.

    As with docstrings nobody asks a quiet run for these, and they are a tenth of the file.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
    return tree


def _part(names: tuple[str, ...], found: list[tuple[tuple[str, SourceState], Member]]) -> Part:
    """Give a part of the file: the extension modules of these names, where they are files; the modules."""
    extensions = []
    for name in names:
        spec = find_spec(name)
        path = os.path.relpath(spec.origin or "", cronwrap.LIBRARY) if spec and spec.has_location else ".."
        if not path.startswith(".."):
            extensions.append((name, path))
    return extensions, [member for _, member in found]


def _member(name: str) -> tuple[tuple[str, SourceState], Member]:
    """Give a module's source and its state, and the module as the file has it.

    OSError when the source is too young, or changes meanwhile.
    """
    source = name.replace(".", "/")
    source += "/__init__.py" if os.path.isdir(f"{cronwrap.DIRECTORY}/{source}") else ".py"
    path = f"{cronwrap.DIRECTORY}/{source}"
    state = cronwrap.source_state(path)
    if time.time() - max(state[:2]) / 1e9 < SETTLED:
        raise OSError("changed just now")
    full = f"cronwrap.{name}"
    loader = SourceFileLoader(full, path)
    tree = _without_annotations(ast.parse(loader.get_data(path), path))
    code = compile(tree, path, "exec", dont_inherit=True, optimize=2)  # without docstrings
    if cronwrap.source_state(path) != state:
        raise OSError("changed meanwhile")
    cached = os.path.relpath(cache_from_source(path), cronwrap.DIRECTORY)
    return (source, state), (full, source, cached, code)
