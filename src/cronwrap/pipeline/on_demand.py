"""What few runs need, and no run may fail for: called by name, and loaded where it is called."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def on_demand(what: str, *about: Any) -> Any:
    """Give what a function of ``under_way`` gives, or None: a module that has gone costs no more."""
    try:
        from cronwrap.pipeline import under_way  # noqa: PLC0415  # rare

        return getattr(under_way, what)(*about)
    except Exception:  # noqa: BLE001  # it is what people look on with, and end runs: the job does without
        return None
