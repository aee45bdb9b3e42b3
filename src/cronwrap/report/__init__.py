"""A report: judged, composed and shown, without input or output.

Use ``verdict.judge`` for what a run amounts to and ``compose.compose`` for the message about it.
"""
