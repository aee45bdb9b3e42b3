"""Ways to tell somebody other than mail: a monitor that is pinged.

Use ``ping.Ping``.
"""
