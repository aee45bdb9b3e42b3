"""What holds where neither files nor variables nor flags say otherwise.

It stands apart from the table of options since that is all a run without any needs of it, and the table would
cost each run a million instructions.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULTS: dict[str, Any] = {
    "name": None,
    "chdir": None,
    "on": ("failure", "output"),
    "ok-codes": (0,),
    "fail-match": (),
    "ignore-match": (),
    "min-duration": None,
    "max-duration": None,
    "after": 1,
    "remind": None,
    "mailto": None,
    "mailfrom": None,
    "format": "report",
    "max-output": 1 << 20,
    "timestamps": False,
    "live": None,
    "timeout": None,
    "idle-timeout": None,
    "kill-after": 10.0,
    "drain": 5.0,
    "overlap": "allow",
    "stuck-after": 3,
    "once": False,
    "scope": "host",
    "unreachable": "run",
    "still-running": None,
    "overlap-wait": None,
    "retries": 0,
    "retry-delay": 10.0,
    "jitter": None,
    "nice": None,
    "max-memory": None,
    "ping": None,
    "ping-after": 1,
    "dry-run": False,
    "config": None,
    "delivery.inline": 30.0,
    "delivery.lifetime": 5 * 86400.0,
    "delivery.background": True,
    "history.keep": 90 * 86400.0,
    "metrics.textfile": "",
    "web.proxy-user": "",
    "web.proxy-header": "X-Remote-User",
    "web.proxy-root": False,
    "web.hosts": (),
    "redact.patterns": (),
}
"""By the keys of ``options.OPTIONS`` and ``options.SECTIONS``; None: no limit, nobody, or as is fit."""

CONFIG_VARIABLE = "CRONWRAP_CONFIG"
OTHER_VARIABLES = (
    "CRONWRAP_RUN_ID",
    "CRONWRAP_FENCE",
    "CRONWRAP_BY_HAND",
    "CRONWRAP_NOTIFY_ID",
    "CRONWRAP_STATE_DIR",
    "CRONWRAP_RELAY",
    "CRONWRAP_RELAY_USER",
    "CRONWRAP_RELAY_PASSWORD",
    "CRONWRAP_RELAY_PASSWORD_FILE",
    "CRONWRAP_RELAY_CA_FILE",
    "CRONWRAP_RELAY_FINGERPRINT",
)
"""The variables that stand for no option."""
