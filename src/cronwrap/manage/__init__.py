"""What is asked and done about jobs, runs and reports, without a word printed.

The subcommands and the web page are two surfaces over it: neither computes what the other cannot show.
Times are Unix seconds, and objects for programs are plain (``status --json``, ``history --json``, ``outbox
--json``).
"""
