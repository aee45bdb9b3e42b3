"""A page taken apart: whatever of it is more than text, and should not be."""

from __future__ import annotations

import unicodedata
from html.parser import HTMLParser

from support.web_state import MARK

FIELDS = ("textarea",)
"""Whose text has to come back as it was, and so is as it is."""
ADDRESSES = ("href", "src", "action", "formaction", "poster", "data")
ACTS = ("Cc", "Cf", "Zl", "Zp")


class Document(HTMLParser):
    """Takes a page apart, and notes what of it is more than text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.faults, self._open, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        if tag in ("iframe", "object", "embed", "base", "style", "img", "math", "template"):
            self.faults.append(f"<{tag}>")
        if tag == "script" and not (named.get("src") or "").startswith("/static/"):
            self.faults.append(f"<script {named}>")
        if not tag.isalnum():
            self.faults.append(f"<{tag}>")
        for name, value in attributes:
            if name.startswith("on") or name in ("style", "srcdoc") or MARK in name:
                self.faults.append(f"<{tag} {name}={value}>")
            if name in ADDRESSES and not (value or "").startswith(("/", "#", "?")):
                self.faults.append(f"<{tag} {name}={value}>")
            if name not in ("value", "data-text") and acting(value or ""):
                self.faults.append(f"<{tag} {name}={value!r}>")
        if tag not in ("meta", "link", "input", "br", "hr", "wbr", "path", "rect", "circle", "line", "use"):
            self._open.append(tag)

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag):
        if not self._open or self._open[-1] != tag:
            optional = ("p", "li", "td", "tr", "dd", "dt", "option", "th", "tbody", "thead", "rect", "line")
            while self._open and self._open[-1] != tag and self._open[-1] in optional:
                self._open.pop()
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_data(self, data):
        self.text += data
        if self._open and self._open[-1] == "script" and data.strip():
            self.faults.append(f"script {data[:60]!r}")
        if not (self._open and self._open[-1] in FIELDS) and (found := acting(data)):
            self.faults.append(f"{found!r} in {data[:60]!r}")

    def handle_comment(self, data):
        if data.strip():
            self.faults.append(f"<!--{data}-->")

    def handle_pi(self, data):
        self.faults.append(f"<?{data}>")

    def unknown_decl(self, data):
        self.faults.append(f"<![{data}")


def acting(text):
    """Give the characters that act, or are not seen."""
    return {char for char in text if unicodedata.category(char) in ACTS and char not in "\t\n"}
