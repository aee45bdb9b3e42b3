"""One attempt to send what has been run to the fleet, and what this host then has to tell of others.

The process that the shipper starts each time (``fleet.shipper``).
"""

from __future__ import annotations

import os
import sys
from functools import partial

from cronwrap.errors import ConfigError, CronwrapError
from cronwrap.fleet.ship import ship
from cronwrap.fleet.shipper import ALL_THERE, NO_USE, TRY_AGAIN
from cronwrap.log import log
from cronwrap.outbox.dispatch import leave_waiter
from cronwrap.pipeline.watching import tell
from cronwrap.settings.files import fleet_in_force
from cronwrap.settings.load import load


def main() -> int:
    """Send all there is; give the word for the shipper. What is wrong is logged."""
    settings = load({}, os.environ)
    fleet = fleet_in_force(settings.paths)
    if fleet is None:
        return NO_USE
    try:
        ship(settings, fleet, partial(tell, settings))
    except (CronwrapError, OSError) as error:
        log(f"the fleet is not told: {error}")
        return NO_USE if isinstance(error, ConfigError) else TRY_AGAIN
    finally:
        leave_waiter(settings)  # a mail may wait to be sent
    return ALL_THERE


if __name__ == "__main__":
    sys.exit(main())
