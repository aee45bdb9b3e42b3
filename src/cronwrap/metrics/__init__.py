"""What Prometheus is told of the jobs: a file for the node exporter, written after each run, and as text.

Use ``textfile.update`` after a run, ``textfile.whole`` for the text as of now. What is known of the past
comes from ``history.totals``; ``upcoming`` asks the crontab, hardly ever.
"""
