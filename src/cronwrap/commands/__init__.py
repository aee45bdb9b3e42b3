"""The subcommands, one thin file each; ``cli`` is their click surface, ``views`` what they print with."""

from cronwrap.settings.subcommands import SUBCOMMANDS

__all__ = ["SUBCOMMANDS"]
