"""What is read and changed, by name.

To add a deed: a function in a module here, and its line in ``DEEDS``.
"""

from __future__ import annotations

from cronwrap.web.deeds import jobs, output, status
from cronwrap.web.deeds.base import Deed

DEEDS: dict[str, Deed] = {
    "jobs.list": Deed(function=jobs.listed),
    "jobs.one": Deed(function=jobs.one),
    "runs.output": Deed(function=output.output, streams=True),
    "runs.tail": Deed(function=output.tail, streams=True),
    "status.counts": Deed(function=status.counts),
    "status.waiting": Deed(function=status.waiting),
}
