"""``cronwrap sendmail``: the command line of sendmail(8), and a message that another program hands in.

Use ``command_line`` to read the first and ``submission`` to take in the second.
"""
