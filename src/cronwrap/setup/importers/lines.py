"""Lines of a file and words of a line, as the programs that read them see them."""

from __future__ import annotations

from collections.abc import Callable


def lines(text: bytes) -> list[tuple[int, str]]:
    """Give number and content of each line, line ends taken off, DOS ones too.

    Octets that are not UTF-8 stay as lone surrogates, so that whoever uses such a value can tell.
    """
    decoded = text.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    return [(number, line.removesuffix("\r")) for number, line in enumerate(decoded.split("\n"), 1)]


def split_words(
    text: str, is_blank: Callable[[str], bool], is_escaped: Callable[[str, str], bool]
) -> list[str]:
    """Split a line at blanks, quotes undone; an unclosed quote reaches to the end.

    ``is_escaped`` tells whether a backslash makes the next character an ordinary one, by the quote that it
    stands in (empty outside) and that character.
    """
    found: list[str] = []
    word: str | None = None
    at, quote = 0, ""
    while at < len(text):
        char, after = text[at], text[at + 1 : at + 2]
        if char == "\\" and after and is_escaped(quote, after):
            word, at = (word or "") + after, at + 1
        elif char == quote:
            quote = ""
        elif not quote and char in "\"'":
            word, quote = word or "", char
        elif not quote and is_blank(char):
            if word is not None:
                found.append(word)
            word = None
        else:
            word = (word or "") + char
        at += 1
    return found if word is None else [*found, word]
