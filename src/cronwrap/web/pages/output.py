"""The output of a job as HTML, piece by piece as it comes: text and nothing else, in the job's colours.

A colour is a class (``f1``, ``g4``), since the page has no inline style; ``sheet`` gives the rules, from the
palette of the mails. What a terminal would obey, what turns the direction of text and what cannot be seen
stands there as a picture or a number.
"""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import escape

from cronwrap.model import STDERR
from cronwrap.report.ansi import NAMED, Pen, Style, complete
from cronwrap.report.palette import BEHIND, BLACK, DARK, LIGHT, WHITE, contrast, hexadecimal, readable, rgb
from cronwrap.text import as_overwritten, harmless, size

SHAPES = {
    "bold": "font-weight:700",
    "dim": "opacity:.75",
    "italic": "font-style:italic",
    "underline": "text-decoration:underline",
    "strike": "text-decoration:line-through",
}


class Paper:
    """Gives what comes of an output as HTML for within a ``pre``."""

    def __init__(self) -> None:
        self._pens: dict[int, Pen] = {}
        self._rest: tuple[int, bytes] = (0, b"")
        """What may be a part of a character or of a sequence, and its stream."""

    def take(self, stream: int, octets: bytes) -> str:
        """Give the HTML for what came."""
        before, rest = self._rest
        given = ""
        if before == stream:
            octets = rest + octets
        elif rest:
            given = self._written(before, rest)
        end = complete(octets)
        end -= 1 if octets[:end].endswith(b"\r") else 0  # a line feed may follow
        self._rest = stream, octets[end:]
        return given + self._written(stream, octets[:end])

    @property
    def held(self) -> int:
        """Give how many octets were held back: whoever goes on from here is to have them once more."""
        return len(self._rest[1])

    def gap(self, octets: int) -> str:
        """Give the HTML for octets that are not to be had."""
        return f'{self.end()}<span class="gap">\n[… {escape(size(octets))} left out …]\n</span>'

    def end(self) -> str:
        """Give the HTML for what was held back."""
        stream, rest = self._rest
        self._rest = 0, b""
        return self._written(stream, rest) if rest else ""

    def _written(self, stream: int, octets: bytes) -> str:
        pen = self._pens.setdefault(stream, Pen())
        text = as_overwritten(octets.decode("utf-8", "backslashreplace"))
        return "".join(
            _span(" ".join(_classes(stream, style)), harmless(part)) for part, style in pen.write(text)
        )


def _span(classes: str, text: str) -> str:
    return f'<span class="{classes}">{escape(text)}</span>' if classes else str(escape(text))


def _classes(stream: int, style: Style) -> Iterator[str]:
    if stream == STDERR:
        yield "err"
    front, behind = style.colour, style.background
    if style.inverse:
        front, behind = behind, 7 if front is None else front
    if behind is not None:
        yield f"g{_nearest(behind)}"
    elif front is not None:
        yield f"f{_nearest(front)}"
    yield from (name for name in SHAPES if getattr(style, name))


def _nearest(colour: int | tuple[int, int, int]) -> int:
    """Give which of the 16 colours is the nearest."""
    if isinstance(colour, int):
        return colour % NAMED
    return min(
        range(NAMED),
        key=lambda number: sum((a - b) ** 2 for a, b in zip(colour, rgb(BEHIND[number]), strict=True)),
    )


def sheet() -> str:
    """Give the rules (CSS) for all these classes, in light and in dark."""
    rules = [f".{name}{{{words}}}" for name, words in SHAPES.items()]
    for number, behind in enumerate(BEHIND):
        front = max(BLACK, WHITE, key=lambda pole: contrast(pole, rgb(behind)))  # called at once
        rules.append(f".g{number}{{background:{behind};color:{hexadecimal(front)}}}")
    for theme, around in ((LIGHT, "{}"), (DARK, "@media(prefers-color-scheme:dark){{{}}}")):
        themed = [f".err{{color:{theme.stderr};background:{theme.stderr_block}}}"]
        for number, colour in enumerate(theme.named):
            for block, inside in ((theme.block, ""), (theme.stderr_block, ".err")):
                seen = hexadecimal(readable(rgb(colour), rgb(block)))
                themed.append(f"{inside}.f{number}{{color:{seen}}}")
        rules.append(around.format("".join(themed)))
    return "\n".join(rules) + "\n"
