"""What is read and changed, by name.

To add a deed: a function in a module here, and its line in ``DEEDS``.
"""

from __future__ import annotations

from cronwrap.web.deeds import crontabs, fleet, hold, jobs, new_job, outbox, output, runs, settings, status
from cronwrap.web.deeds.base import Deed

DEEDS: dict[str, Deed] = {
    "jobs.list": Deed(function=jobs.listed),
    "jobs.one": Deed(function=jobs.one),
    "jobs.run": Deed(function=hold.run, changes=True),
    "jobs.pause": Deed(function=hold.pause, changes=True),
    "jobs.resume": Deed(function=hold.resume, changes=True),
    "jobs.mute": Deed(function=hold.mute, changes=True),
    "jobs.unmute": Deed(function=hold.unmute, changes=True),
    "runs.list": Deed(function=runs.listed),
    "runs.one": Deed(function=runs.one),
    "runs.output": Deed(function=output.output, streams=True),
    "runs.tail": Deed(function=output.tail, streams=True),
    "runs.stop": Deed(function=runs.stop, changes=True),
    "outbox.list": Deed(function=outbox.listed),
    "outbox.show": Deed(function=outbox.show),
    "outbox.retry": Deed(function=outbox.retry, changes=True),
    "outbox.drop": Deed(function=outbox.drop, changes=True),
    "settings.show": Deed(function=settings.show),
    "doctor.run": Deed(function=settings.doctor),
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
    "fleet.overview": Deed(function=fleet.overview),
    "fleet.jobs": Deed(function=fleet.jobs),
    "fleet.hosts": Deed(function=fleet.hosts),
    "fleet.runs": Deed(function=fleet.listed),
    "fleet.run": Deed(function=fleet.one),
    "fleet.output": Deed(function=fleet.output, streams=True),
    "status.counts": Deed(function=status.counts),
}
