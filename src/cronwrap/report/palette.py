"""Colours that can be read: a theme for light and one for dark, and a job's own colours fitted to both.

Contrast is that of WCAG 2.2 (1.4.3): every text has at least ``CONTRAST`` to what is behind it.
"""

from __future__ import annotations

from cronwrap.model import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.report.ansi import Colour, Style

    Rgb = tuple[int, int, int]

CONTRAST = 4.5
"""What AA asks of text in usual sizes."""
STEPS = 20
"""In so many steps a colour goes to black or white, until it can be read."""
DIMMED = 0.35
"""How far a dim colour goes towards what is behind it."""
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def rgb(colour: str) -> Rgb:
    """Give the parts of ``#rrggbb``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def hexadecimal(colour: Rgb) -> str:
    """Give ``#rrggbb``, or ``#rgb`` where that is the same."""
    text = "".join(f"{part:02x}" for part in colour)
    return f"#{text[::2]}" if text[::2] == text[1::2] else f"#{text}"


class Theme(Record):
    """The colours of a mail, by what they are for; ``named`` are a terminal's 16."""

    text: str
    page: str
    block: str
    grey: str
    red: str
    green: str
    amber: str
    rule: str
    bar: str
    stderr: str
    stderr_block: str
    named: tuple[str, ...]


LIGHT = Theme(
    text="#1f2328",
    page="#ffffff",
    block="#f4f5f7",
    grey="#59616b",
    red="#b3261e",
    green="#146c2e",
    amber="#8a5100",
    rule="#e3e6ea",
    bar="#868f99",
    stderr="#a1160d",
    stderr_block="#fbe9e7",
    named=(
        *("#24292f", "#c4202b", "#116329", "#795700", "#0a5dc7", "#8034c0", "#136d74", "#5c646d"),
        *("#57606a", "#d1242f", "#1a7f37", "#8a6100", "#1a6fd4", "#9145cf", "#1a7a85", "#656d76"),
    ),
)
DARK = Theme(
    text="#e4e7eb",
    page="#16181b",
    block="#212529",
    grey="#a3abb5",
    red="#ff8a80",
    green="#6fcf8e",
    amber="#e5ad58",
    rule="#2d3237",
    bar="#6b747e",
    stderr="#ffb4ab",
    stderr_block="#3b2423",
    named=(
        *("#8b949e", "#ff7b72", "#4ec062", "#d6a02f", "#6cb0ff", "#c49bff", "#45c8d2", "#c3cad2"),
        *("#a3abb5", "#ffa198", "#6fdd80", "#e8bd55", "#8ecaff", "#d8b6ff", "#6bdde5", "#ffffff"),
    ),
)
BEHIND = (
    *("#000000", "#c62828", "#2e7d32", "#f2c037", "#1565c0", "#7b1fa2", "#00838f", "#c9ced3"),
    *("#5f6770", "#ef5350", "#66bb6a", "#ffe566", "#64b5f6", "#ba68c8", "#4dd0e1", "#ffffff"),
)
"""A terminal's 16 colours as a background: the same in both themes, so that "white on red" stays that."""


def luminance(colour: Rgb) -> float:
    """Give the relative luminance, from 0 for black to 1 for white."""
    channels = [part / 255 for part in colour]
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Rgb, other: Rgb) -> float:
    """Give the contrast of two colours, from 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def readable(colour: Rgb, behind: Rgb) -> Rgb:
    """Give a colour, or the nearest one towards black or white, that can be read on what is behind it."""
    end = max(BLACK, WHITE, key=lambda pole: contrast(pole, behind))
    for step in range(STEPS + 1):
        mixed = _mixed(colour, end, step / STEPS)
        if contrast(mixed, behind) >= CONTRAST:
            return mixed
    return end


def _mixed(one: Rgb, other: Rgb, part: float) -> Rgb:
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(one, other, strict=True))
    return red, green, blue


def drawn(style: Style, theme: Theme, *, stderr: bool) -> str:
    """Give the declarations (CSS) that draw a job's style in a theme, on what its stream stands on."""
    block = rgb(theme.stderr_block if stderr else theme.block)
    usual = rgb(theme.stderr if stderr else theme.text)
    colour, background = style.colour, style.background
    behind = block if background is None else _rgb(background, BEHIND)
    named = theme.named if background is None else BEHIND
    front = usual if colour is None else _rgb(colour, named)
    if style.inverse:
        behind = usual if colour is None else _rgb(colour, BEHIND)
        front = block if background is None else _rgb(background, BEHIND)
    front = readable(front, behind)
    if style.dim:
        front = readable(_mixed(front, behind, DIMMED), behind)
    has_ground = stderr or style.inverse or background is not None
    words = [f"color:{hexadecimal(front)}"] if has_ground or style.dim or colour is not None else []
    words += [f"background:{hexadecimal(behind)}"] if has_ground else []
    return ";".join(words)


def shaped(style: Style) -> str:
    """Give the declarations (CSS) for what is the same in every theme."""
    words = ["font-weight:700"] if style.bold else []
    words += ["font-style:italic"] if style.italic else []
    lines = " ".join(["underline"] * style.underline + ["line-through"] * style.strike)
    return ";".join([*words, f"text-decoration:{lines}"] if lines else words)


def _rgb(colour: Colour, named: tuple[str, ...]) -> Rgb:
    return rgb(named[colour]) if isinstance(colour, int) else colour
