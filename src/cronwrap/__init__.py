"""cronwrap: run a cron job, and mail what crond would have mailed, itself, over SMTPS.

Here are the version and, since nothing can be loaded sooner, ``load_bundle``: the modules of a quiet run
loaded as one, from a file that an earlier run has written. What Python's ``__pycache__`` does for one
module, done for the set: to find, check and read each of some thirty modules costs more than all that a
quiet run does. The file lies in that same folder. It counts only if it was written for this very Python,
by somebody who might have written the modules themselves, and from just the sources that are there now.
Otherwise the modules are imported as ever, and a run that may do so writes the file anew
(``bundle_writer``): docs/decisions/0007-modules-as-one.md. What only some runs need has files of its own
(``load_also``).
"""

from __future__ import annotations

import _frozen_importlib as bootstrap  # what `importlib` is made of: both are there before any module of ours
import _frozen_importlib_external as machinery
import _imp
import marshal
import os
import sys

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

    SourceState = tuple[int, int, int, int]
    Part = tuple[list[tuple[str, str]], list["Member"]]
    """The extension modules of Python that its modules need, by name and by path below ``LIBRARY``; these
    modules, in the order in which they need each other."""
    Member = tuple[str, str, str, CodeType]
    """Name; source and byte code, both below the package's folder; the code."""

QUIET_RUN = "quiet-run"
"""What the first of the files holds; it is the end of the file's name."""
HEADER = b"cronwrap modules 3 " + machinery.MAGIC_NUMBER
"""Format, and Python's own number for its kind of byte code (PEP 3147)."""
SIZE_LENGTH = 8
"""Octets of the length of each part in the header: a file that was cut short is none."""
PARTS = 3
START_LENGTH = len(HEADER) + PARTS * SIZE_LENGTH
SIZE_LIMIT = 4 << 20
"""Octets; ten times what there is."""
S_IFMT, S_IFREG = 0o170000, 0o100000
WRITABLE_BY_OTHERS = 0o022
UNUSABLE = (OSError, ValueError, EOFError, TypeError)
"""What a file ends in that is not there, or not what was written."""

ModuleType = type(sys)
DIRECTORY = os.path.dirname(__file__)
LIBRARY = os.path.dirname(os.__file__)
bundles_due: dict[str, str] = {}
"""What a run is to write, since there is none that counts, and where; empty when it need not or must not."""
_asked_for: list[str] = []
_for_later: list[tuple[int, int, int]] = []
"""Of each part of a file that is for ``load_rest``: its length and its begin, and the file's descriptor."""


def load_also(what: str) -> None:
    """Load what only some runs need, before it is imported; nothing where no such file is made use of."""
    if _asked_for and what not in _asked_for:
        try:
            load_bundle(what)
        except Exception:  # noqa: BLE001  # whoever needs what cannot be loaded imports it, and is told why
            return


def load_bundle(what: str = QUIET_RUN) -> None:
    """Load the modules of a quiet run, say, as one; quietly nothing where they cannot be had so."""
    if not _asked_for:
        open_standard_streams()  # before there is a descriptor that stays
    _asked_for.append(what)
    path = bundle_path(what)
    if not path:
        return
    part: Part | None
    try:
        part = _read(path)
    except UNUSABLE:
        part = None
    if part:
        _load(part)
    elif _may_write(path):
        bundles_due[what] = path


def rest_is_at_hand() -> bool:
    """Tell whether ``load_rest`` has something to load: what it loads need not be imported before."""
    return bool(_for_later)


def load_rest() -> None:
    """Load the next part of the file: what a run needs once its job has been started, then once that speaks.

    The file was opened, and the sources seen, before: all is of one version. Nothing where there is no more.
    """
    if not _for_later:
        return
    length, begin, handle = _for_later.pop(0)
    try:
        content = os.pread(handle, length, begin)
        if not _for_later:
            os.close(handle)
        _load(marshal.loads(content))  # noqa: S302  # as the first part of the file
    except Exception:  # noqa: BLE001  # the job runs; whoever needs what cannot be loaded imports it
        return


def open_standard_streams() -> None:
    """Open what was closed among the first three descriptors, so that nothing of ours becomes one."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def bundle_path(what: str = QUIET_RUN) -> str:
    """Give where the file belongs; empty where there is to be none: in an archive, with a cache elsewhere."""
    loader, cached = __spec__.loader, __spec__.cached
    if type(loader) is not machinery.SourceFileLoader or sys.pycache_prefix is not None or not cached:
        return ""
    return f"{cached.removesuffix('.pyc')}.{what}"


def source_state(path: str) -> SourceState:
    """Give what tells one state of a source from another; OSError when there is none."""
    found = os.stat(path)
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def bundle_head(*lengths: int) -> bytes:
    """Give what stands before the ``PARTS`` of the file, which have so many octets."""
    return HEADER + b"".join([length.to_bytes(SIZE_LENGTH, "little") for length in lengths])


def _may_write(path: str) -> bool:
    """Tell whether a run is to write the file: it may change the package, and byte code is kept there.

    A Python that is told to write no byte code leaves a folder without any as it is; where an installation
    has put its own, one file more is what the administrator would have.
    """
    kept = not sys.dont_write_bytecode or os.path.exists(__spec__.cached or "")
    return kept and os.geteuid() in _owners() and os.access(os.path.dirname(path), os.W_OK)


def _owners() -> tuple[int, int]:
    """Give the users whose files count: those who may change the package itself."""
    return 0, os.stat(DIRECTORY).st_uid


def _read(path: str) -> Part | None:
    """Give the first part of a file; None where one of the modules in it has changed.

    Those that are for later stay in the file, which is kept open.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    later: list[tuple[int, int, int]] = []
    try:
        state = os.fstat(handle)
        trusted = state.st_uid in _owners() and not state.st_mode & WRITABLE_BY_OTHERS
        if not trusted or state.st_mode & S_IFMT != S_IFREG or state.st_size > SIZE_LIMIT:
            return None
        head = os.read(handle, START_LENGTH)
        starts = range(len(HEADER), START_LENGTH, SIZE_LENGTH)
        first, *rest = [int.from_bytes(head[at : at + SIZE_LENGTH], "little") for at in starts]
        if head != bundle_head(first, *rest) or START_LENGTH + first + sum(rest) != state.st_size:
            return None
        part: Part
        part, sources = marshal.loads(os.read(handle, first))  # noqa: S302  # whole, by somebody trusted
        if any(source_state(f"{DIRECTORY}/{source}") != state for source, state in sources):
            return None
        begins = [START_LENGTH + first + sum(rest[:at]) for at in range(len(rest))]
        later = [(length, begin, handle) for length, begin in zip(rest, begins, strict=True) if length]
    finally:
        if not later:
            os.close(handle)
    _for_later.extend(later)
    return part


def _load(part: Part) -> None:
    """Load what a part of a file names and holds."""
    extensions, members = part
    for name, path in extensions:
        if name not in sys.modules:
            loader = machinery.ExtensionFileLoader(name, f"{LIBRARY}/{path}")
            try:
                # What `import` does with what it has found.
                bootstrap._load(bootstrap.ModuleSpec(name, loader, origin=loader.path))  # type: ignore[attr-defined]  # noqa: SLF001
            except ImportError:
                continue  # it is elsewhere; whoever needs it has it looked for
    for member in members:
        _execute(*member)


def _execute(name: str, source: str, cached: str, code: CodeType) -> None:
    """Do what ``import`` does for a module once its code is known, unless it has been imported."""
    if name in sys.modules:
        return
    path = f"{DIRECTORY}/{source}"
    if code.co_filename != path:
        _imp._fix_co_filename(code, path)  # type: ignore[attr-defined]  # noqa: SLF001  # as Python's own loader does
    loader = machinery.SourceFileLoader(name, path)
    spec = bootstrap.ModuleSpec(name, loader, origin=path)
    spec.has_location = True
    byte_code = spec.cached = f"{DIRECTORY}/{cached}"
    module = ModuleType(name)
    # `module_from_spec` would give the same, for more than it costs to find a module.
    names: dict[str, object] = {
        "__spec__": spec,
        "__loader__": loader,
        "__file__": path,
        "__cached__": byte_code,
    }
    parent, _, child = name.rpartition(".")
    names["__package__"] = parent
    if source.endswith("/__init__.py"):
        names["__package__"] = name
        names["__path__"] = spec.submodule_search_locations = [os.path.dirname(path)]
    module.__dict__.update(names)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)  # noqa: S102
    except BaseException:
        del sys.modules[name]
        raise
    setattr(sys.modules[parent], child, module)
