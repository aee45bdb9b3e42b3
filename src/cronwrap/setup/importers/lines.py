"""Lines of a file as the programs that read them see them."""

from __future__ import annotations


def lines(text: bytes) -> list[tuple[int, str]]:
    """Give number and content of each line, line ends taken off, DOS ones too.

    Octets that are not UTF-8 stay as lone surrogates, so that whoever uses such a value can tell.
    """
    decoded = text.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    return [(number, line.removesuffix("\r")) for number, line in enumerate(decoded.split("\n"), 1)]
