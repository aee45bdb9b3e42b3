"""The subcommands: what the command line knows, and what lint must know to tell them from a job."""

SUBCOMMANDS = {
    "init": "set up a relay and send a test message",
    "doctor": "check the way of a mail, step by step",
    "status": "a line a job, and the outbox",
    "history": "the runs, newest first",
    "show": "one run whole, with its output",
    "tail": "the output of a run as it comes",
    "stop": "end a run, as --timeout would",
    "run": "a job of the crontab, now, as cron would run it",
    "pause": "skip the runs of a job for a while",
    "resume": "end a pause",
    "mute": "let a job run, and mail nothing for a while",
    "unmute": "end a mute",
    "outbox": "the reports that wait to be sent",
    "crontab": "wrap, unwrap, lint or audit a crontab",
    "config": "show, check or import settings",
    "fleet": "one history over many hosts",
    "web": "the page: jobs, runs, crontabs and outbox in a browser",
    "metrics": "what Prometheus is told of the jobs",
    "sendmail": "take a message on standard input and send it",
}
"""Each, with what it does; it is the module of that name in ``commands``."""
