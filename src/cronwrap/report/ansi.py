"""Colours and styles that a job writes for a terminal (SGR of ECMA-48, 8.3.117): text and style told apart.

Nothing else that a terminal obeys is understood here: it stays in the text, for ``text.pictured`` to show.
"""

from __future__ import annotations

from cronwrap.model import Record
from cronwrap.text import as_overwritten, pictured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Colour = int | tuple[int, int, int]
    """One of a terminal's 16 colours by its number, or red, green and blue up to 255."""

ESC = "\x1b"
LONGEST = 256
"""Characters of one sequence's parameters; real ones have some twenty."""
NAMED = 16
CUBE, GREYS = 16, 232
"""Where in the table of 256 colours the cube of 216 begins, and where the 24 greys do (xterm)."""
CUBE_STEPS = (0, 95, 135, 175, 215, 255)
INDEXED, DIRECT = 5, 2
"""How a colour is given: a number in the table of 256, or red, green and blue."""
FOREGROUND, BACKGROUND, UNDERLINE_COLOUR = 38, 48, 58
BRIGHT = 8
"""What is added to a colour's number for its bright form."""

ERASES = ("[K", "[0K")
"""What grep and gcc write right behind each colour lest its background shows in the rest of the line."""
SHIFT_IN = "\x0f"
"""What tput's reset for some terminals ends with: back to the normal character set."""
ASCII_SET = f"{ESC}(B"
"""The normal character set once more: tput's reset for most terminals begins with it."""

SKIP_LIMIT = 64 * 1024
"""Characters: whatever sets a style that still matters stands nearer than that, as a rule."""

BEGUN_MAX = 64
"""Octets at the end of what came that may be the beginning of a terminal sequence or a character."""

_PARAMETERS = frozenset("0123456789;:")


class Style(Record):
    """How a stretch of text looks; the colours None where they are the terminal's own."""

    colour: Colour | None = None
    background: Colour | None = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False
    inverse: bool = False


PLAIN = Style()

# Blinking, hidden text and fonts are left out: nobody is to miss a word for them.
_SWITCHES: dict[int, dict[str, bool]] = {
    1: {"bold": True},
    2: {"dim": True},
    3: {"italic": True},
    4: {"underline": True},
    7: {"inverse": True},
    9: {"strike": True},
    21: {"underline": True},
    22: {"bold": False, "dim": False},
    23: {"italic": False},
    24: {"underline": False},
    27: {"inverse": False},
    29: {"strike": False},
}


class Pen:
    """The style in which a terminal would write what comes next."""

    def __init__(self) -> None:
        self.style = PLAIN

    def write(self, text: str) -> Iterator[tuple[str, Style]]:
        """Give the stretches of a text with their styles, without the sequences that set these."""
        if ESC not in text:
            if text:
                yield text, self.style
            return
        pending, *rest = text.replace(ASCII_SET, "").split(ESC)
        behind_style = False
        for piece in rest:
            end = _end_of_sgr(piece)
            if end >= 0:
                if pending:
                    yield pending, self.style
                self.style = changed(self.style, piece[1:end])
                pending = piece[end + 1 :].removeprefix(SHIFT_IN)
                behind_style = not pending
            elif behind_style and piece.startswith(ERASES):
                pending = piece.partition("K")[2]
                behind_style = not pending
            else:
                pending += ESC + piece
                behind_style = False
        if pending:
            yield pending, self.style

    def skip(self, text: str) -> None:
        """Take the style that a text which is not shown would have left; of a long one its end decides."""
        for _stretch in self.write(text[-SKIP_LIMIT:]):
            continue


def plain(octets: bytes) -> str:
    """Give octets as text for a screen: without colours, and with a picture for all else that acts."""
    text = as_overwritten(octets.decode("utf-8", "backslashreplace"))
    return "".join(pictured(part) for part, _style in Pen().write(text))


def complete(octets: bytes) -> int:
    """Give up to where octets have no sequence or character that has only begun."""
    end = len(octets)
    escape = octets.rfind(b"\x1b", max(0, end - BEGUN_MAX))
    if escape >= 0 and not any(0x40 <= octet <= 0x7E and octet != ord("[") for octet in octets[escape + 1 :]):
        end = escape
    for back in range(1, min(4, end) + 1):
        octet = octets[end - back]
        if octet >= 0xC0:  # the first of a character in UTF-8
            length = 2 if octet < 0xE0 else 3 if octet < 0xF0 else 4
            return end - back if back < length else end
        if octet < 0x80:
            break
    return end


def _end_of_sgr(piece: str) -> int:
    """Give where the ``m`` of a sequence is whose ESC stood before the piece; -1 when it is none."""
    if not piece.startswith("["):
        return -1
    end = piece.find("m", 1, LONGEST)
    return end if end > 0 and _PARAMETERS.issuperset(piece[1:end]) else -1


def changed(style: Style, parameters: str) -> Style:
    """Give a style as one sequence changes it; what is unknown or malformed in it changes nothing."""
    codes = parameters.split(";")
    changes: dict[str, Colour | bool | None] = {}
    while codes:
        code, *details = codes.pop(0).split(":")
        number = int(code or 0)
        if number == 0:
            style, changes = PLAIN, {}
        elif number in (FOREGROUND, BACKGROUND, UNDERLINE_COLOUR):
            found = _colour(details) if details else _colour(codes, taken=True)
            if found is not None and number != UNDERLINE_COLOUR:
                changes["colour" if number == FOREGROUND else "background"] = found
        elif number == 4 and details:  # a curly line and its like; 4:0 is none
            changes["underline"] = details[0] != "0"
        elif number in _SWITCHES:
            changes |= _SWITCHES[number]
        else:
            changes |= _named(number)
    return style.replace(**changes) if changes else style


def _named(number: int) -> dict[str, Colour | bool | None]:
    """Give what a number changes that stands for one of the 16 colours, or for none."""
    for key, normal, bright in (("colour", 30, 90), ("background", 40, 100)):
        if normal <= number < normal + BRIGHT:
            return {key: number - normal}
        if bright <= number < bright + BRIGHT:
            return {key: number - bright + BRIGHT}
        if number == normal + 9:
            return {key: None}
    return {}


def _colour(words: list[str], *, taken: bool = False) -> Colour | None:
    """Give the colour that the words after 38 or 48 name; ``taken`` takes them off the list.

    With colons red, green and blue may stand behind the number of a colour space (ITU-T T.416).
    """
    kind = int(words[0]) if words and words[0].isdecimal() else 0
    length = {INDEXED: 2, DIRECT: 4}.get(kind, 1)
    if not taken and kind == DIRECT and len(words) > length:
        words = [words[0], *words[2:]]
    values = words[1:length]
    if taken:
        del words[:length]
    if len(values) < length - 1 or length == 1 or any(":" in value for value in values):
        return None
    numbers = [int(value or 0) for value in values]
    if max(numbers) > 255:
        return None
    return _of_table(numbers[0]) if kind == INDEXED else (numbers[0], numbers[1], numbers[2])


def _of_table(number: int) -> Colour:
    """Give a colour of the table of 256."""
    if number < NAMED:
        return number
    if number >= GREYS:
        grey = 8 + 10 * (number - GREYS)
        return grey, grey, grey
    red, rest = divmod(number - CUBE, 36)
    return CUBE_STEPS[red], CUBE_STEPS[rest // 6], CUBE_STEPS[rest % 6]
