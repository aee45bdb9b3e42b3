"""``cronwrap sendmail``: the command line of sendmail(8), and a message that another program hands in."""
