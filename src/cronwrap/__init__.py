"""cronwrap: run a cron job, and mail what crond would have mailed, itself, over SMTPS."""

__version__ = "0.1.0"
