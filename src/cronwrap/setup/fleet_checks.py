"""The database of the fleet, asked as a run would ask it: for ``doctor``."""

from __future__ import annotations

import time
from collections.abc import Iterator

from cronwrap.errors import ConfigError, CronwrapError
from cronwrap.fleet.database import connected, host_name
from cronwrap.fleet.ship import PEERS_CALL
from cronwrap.history.shipping import shipping
from cronwrap.settings.files import fleet_in_force
from cronwrap.settings.load import Settings
from cronwrap.setup.check import Check
from cronwrap.spans import count

NAME = "fleet"
PATIENCE = 10.0
"""Seconds for the database's answer."""


def checks(settings: Settings) -> Iterator[Check]:
    """Give whether the database lets this host in, and how far it is behind."""
    fleet = fleet_in_force(settings.paths)
    if fleet is None:
        return
    name = host_name(fleet)
    began = time.monotonic()
    try:
        with connected(fleet.replace(timeout=min(fleet.timeout, PATIENCE))) as database:
            hosts = len(database.call(PEERS_CALL, {"host": name}))
    except (CronwrapError, OSError) as error:
        advice = "correct [fleet] in the configuration: man cronwrap-config"
        if not isinstance(error, ConfigError):
            advice = "see to the database; nothing is lost meanwhile: what is to be sent waits here"
        yield Check(
            name=NAME,
            ok=False,
            text=f"{fleet.display}: {error}",
            advice=advice,
            seconds=time.monotonic() - began,
        )
    else:
        text = f"{fleet.display} knows this host as {name}, and {count(hosts, 'host')} of the last day"
        yield Check(name=NAME, ok=True, text=text, seconds=time.monotonic() - began)
    if words := shipping(settings.state_dir).words(time.time()):
        yield Check(name=NAME, ok=True, text=words, advice="send it now with: cronwrap fleet ship")
