"""What is answered in JSON, in ASCII, and in characters that every reader of JSON knows."""

from __future__ import annotations

import json
from typing import Any

from cronwrap.history.totals import text

HALF = "\\ud"
"""How the half of a character is written, which stands for an octet that is no UTF-8; and a whole one beyond
the 65,536th."""


def dumped(value: Any) -> str:
    r"""Give JSON; octets that are no UTF-8, of a file's name say, come as ``\xff`` (RFC 8259, 8.2)."""
    found = json.dumps(value)
    return json.dumps(_sound(value)) if HALF in found else found


def _sound(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {_sound(key): _sound(one) for key, one in value.items()}
    return [_sound(one) for one in value] if isinstance(value, list) else value
