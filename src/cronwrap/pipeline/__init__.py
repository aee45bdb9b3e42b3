"""What is around a job in a run: its context, its place on record, its report, and what it does for others.

``cronwrap.run`` is the way through; nothing else but the commands uses these.
"""
