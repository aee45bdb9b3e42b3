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
    text: str, is_blank: Callable[[str], bool], is_escaped: Callable[[str, str], bool], quotes: str = "\"'"
) -> list[str]:
    """Split a line at blanks, ``quotes`` undone; an unclosed quote reaches to the end.

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
        elif not quote and char in quotes:
            word, quote = word or "", char
        elif not quote and is_blank(char):
            if word is not None:
                found.append(word)
            word = None
        else:
            word = (word or "") + char
        at += 1
    return found if word is None else [*found, word]


def ranges(numbers: list[int]) -> str:
    """Give ascending line numbers as ``lines 3, 5-9``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number <= runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown_runs = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
    return f"{'line' if len(numbers) == 1 else 'lines'} {shown_runs}"
