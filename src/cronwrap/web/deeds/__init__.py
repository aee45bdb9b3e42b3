"""What is read and changed, by name.

To add a deed: a function in a module here, and its line in ``DEEDS``.
"""

from __future__ import annotations

from cronwrap.web.deeds import crontabs, jobs, new_job, status
from cronwrap.web.deeds.base import Deed

DEEDS: dict[str, Deed] = {
    "jobs.list": Deed(function=jobs.listed),
    "crontabs.list": Deed(function=crontabs.listed),
    "crontabs.read": Deed(function=crontabs.read),
    "crontabs.view": Deed(function=crontabs.view),
    "crontabs.lint": Deed(function=crontabs.lint),
    "crontabs.merge": Deed(function=crontabs.merge),
    "crontabs.diff": Deed(function=crontabs.difference),
    "crontabs.save": Deed(function=crontabs.save, changes=True),
    "crontabs.wrap": Deed(function=crontabs.wrapped),
    "crontabs.unwrap": Deed(function=crontabs.unwrapped),
    "crontabs.states": Deed(function=crontabs.earlier),
    "crontabs.state": Deed(function=crontabs.state),
    "crontabs.restore": Deed(function=crontabs.restore, changes=True),
    "crontabs.describe": Deed(function=new_job.described),
    "crontabs.line": Deed(function=new_job.made),
    "crontabs.try": Deed(function=new_job.tried, changes=True),
    "status.counts": Deed(function=status.counts),
}
