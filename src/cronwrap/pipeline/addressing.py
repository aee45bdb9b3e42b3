"""Who a report goes to and who it is from, by the settings of a run."""

from __future__ import annotations

from cronwrap.address import at_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.mail import Message
    from cronwrap.pipeline.context import RunContext
    from cronwrap.settings.load import Settings

GIVEN = ("the command line", "MAILTO", "MAILFROM", "CRONWRAP_MAILTO", "CRONWRAP_MAILFROM")
"""Sources of addresses that stand in a crontab or beside it, and are kept whatever the settings say later."""


def recipients(run: RunContext) -> tuple[str, ...]:
    """Give whom to write to: as configured, else the user at this host; nobody for an empty ``MAILTO``.

    Local names in ``MAILTO`` and flags mean whom the configuration names.
    """
    settings, mailto = run.settings, run.settings["mailto"]
    if mailto is None:
        return (f"{run.user}@{run.host}",)
    if not mailto.strip(" ,\t"):
        return ()
    if not settings.house.strip(" ,\t") or mailto == settings.house:
        return (mailto,)
    return (at_home(mailto, run.host, settings.house),)


def addressed(settings: Settings, message: Message) -> Message:
    """Give a message that remembers which of its addresses come from settings, for a later retry."""
    mailto = settings["mailto"]
    own = mailto is None or mailto == settings.house
    return message.replace(
        sender_from_settings=settings.sources.get("mailfrom") not in GIVEN,
        recipients_from_settings=own and settings.sources.get("mailto") not in GIVEN,
        recipients_written="" if own else mailto,
    )


def sender(run: RunContext) -> str:
    """Give the sender: as configured, else the relay's login if it is an address, else the user here.

    Many relays refuse any other sender than the login.
    """
    settings = run.settings
    login = settings.login if "@" in settings.login else ""
    return str(settings["mailfrom"] or login or f"{run.user}@{run.host}")
