"""What is in force for a user and where it comes from, and what doctor says."""

from __future__ import annotations

import os
from typing import Any

from cronwrap.manage.settings import every
from cronwrap.settings import view
from cronwrap.web.deeds.base import Arguments, Surroundings


def show(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give every setting with its source, secrets hidden: ``items``, ``faults``, ``paths``."""
    del arguments
    found = [{**view.public(one), "text": one.text} for one in every(around.settings)]
    return {"items": found, "faults": list(around.settings.faults), "paths": list(around.settings.paths)}


def doctor(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Check the way of a mail, step by step; it asks resolver and relays, and takes seconds."""
    del arguments
    from cronwrap.setup.check import public  # noqa: PLC0415  # all of SMTP, for those who ask for it
    from cronwrap.setup.doctor import steps  # noqa: PLC0415

    return {"items": [public(check) for check in steps(around.settings, os.environ, of_others=False)]}
