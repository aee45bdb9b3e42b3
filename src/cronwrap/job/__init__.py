"""A job under way: started, watched, captured, ended.

Use ``supervise.Supervisor`` to run a command, ``overlap.Guard`` to keep two runs of a job apart, and
``procfs`` for what its processes are and use; ``use`` tells people what those of a run under way use.
"""
