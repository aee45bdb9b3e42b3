"""Every setting in force, relays and targets too, with where each comes from."""

from __future__ import annotations

from collections.abc import Iterator

from cronwrap.errors import ConfigError
from cronwrap.settings import view
from cronwrap.settings.files import relays_in_force, targets_in_force
from cronwrap.settings.load import Settings
from cronwrap.settings.view import Shown


def every(settings: Settings) -> Iterator[Shown]:
    """Give the settings, then the relays, then who else is told; secrets are hidden."""
    yield from view.settings(settings)
    try:
        found = relays_in_force(settings.paths)
    except ConfigError:
        found = ()  # told among the faults
    for number, relay in enumerate(found, 1):
        yield from view.relay(number, relay)
    for number, target in enumerate(targets_in_force(settings.paths), 1):
        yield from view.target(number, target)
