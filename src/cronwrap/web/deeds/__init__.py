"""What is read and changed, by name.

To add a deed: a function in a module here, and its line in ``DEEDS``.
"""

from __future__ import annotations

from cronwrap.web.deeds import hold, jobs, outbox, output, runs, settings, status
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
    "status.counts": Deed(function=status.counts),
}
