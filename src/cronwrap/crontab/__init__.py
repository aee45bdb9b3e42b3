"""Crontabs: their lines, their schedules, and what is wrong with them.

Use ``lines.parse`` for a crontab without the loss of an octet, ``wrap``, ``lint``, ``audit`` and
``schedule`` for what their names say, ``store`` to read and write one.
"""
