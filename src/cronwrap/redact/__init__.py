"""Secrets taken out of what is stored, shown or sent.

Use ``redactor.Redactor``.
"""
