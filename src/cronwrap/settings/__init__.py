"""Settings: the table of options, the command line, files and environment, merged into one ``Settings``.

Use ``load.load`` for what is in force, ``options.OPTIONS`` for what there is, ``values`` to read a duration,
a size or a list, and ``relays.Endpoint`` for a relay as it is configured.
"""
