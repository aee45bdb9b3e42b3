"""The HTML form of a report, for mail programs on phones and in dark rooms.

Mail programs drop scripts and outside images, and often style sheets: what a light page needs is inline,
a text's colour never without what is behind it, and a short sheet turns it dark where that is wanted and
understood. All text from outside is escaped.
"""

from __future__ import annotations

from cronwrap.model import STDERR, STDOUT
from cronwrap.report.details import STRIP_LENGTH, status
from cronwrap.report.palette import DARK, LIGHT, drawn, shaped
from cronwrap.spans import count, duration
from cronwrap.text import FAILED_SIGN, one_line, shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cronwrap.mail import Report
    from cronwrap.report.ansi import Style
    from cronwrap.report.body import View
    from cronwrap.report.details import Rows

AFTER_HEADLINE = "<!-- after the headline -->"
"""Where a line about a delay goes."""

CHART_HEIGHT = 48
"""Pixels of the longest run's bar."""
VALUE_LIMIT = 2000
"""Characters of one detail here; the plain part has it whole."""
PIECES_LIMIT = 2000
"""Changes of the stream or the style that are marked: above, the marks would outweigh the text, and mail
services cut a long HTML part short (Gmail after 102 KB)."""
RULES_LIMIT = 100
"""Looks that the sheet has: Gmail drops one of over 8,192 characters whole."""
OWN_LIMIT = 20
"""Looks that the page itself has at most, whatever colours a job has used before."""
WIDTH = 860
"""Pixels: on a wide screen longer lines are harder to read, and the labels stay beside their values."""

MONOSPACED = ("command", "run")
"""What somebody may want to copy into a shell."""

_FONT = "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_MONO = "ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace"
WRAP = "white-space:pre-wrap;overflow-wrap:anywhere;word-break:break-word"
_PRE = f"margin:0 0 20px;padding:12px 14px;border-radius:8px;font:13px/1.5 {_MONO};{WRAP}"
_TABLE = f"width:100%;font-size:14px;border-collapse:collapse;{WRAP}"


class Sheet:
    """The looks of a page: inline for a light one, and rules that turn it dark."""

    def __init__(self) -> None:
        self._rules: dict[str, str] = {}

    def look(self, fixed: str, light: str, dark: str, limit: int = RULES_LIMIT) -> str:
        """Give the attributes for declarations: those that hold always, and those of the themes.

        Where the sheet has no room for another rule, only the former.
        """
        inline = ";".join(filter(None, (fixed, light)))
        style = f' style="{inline}"' if inline else ""
        if not dark:
            return style
        if dark not in self._rules:
            if len(self._rules) >= limit:
                return f' style="{fixed}"' if fixed else ""
            self._rules[dark] = f"c{len(self._rules)}"
        return f' class="{self._rules[dark]}"{style}'

    def themed(self, fixed: str, **uses: str) -> str:
        """Give the attributes for properties that have a theme's colours: ``color="grey"``."""
        light, dark = (
            ";".join(f"{name.replace('_', '-')}:{getattr(theme, use)}" for name, use in uses.items())
            for theme in (LIGHT, DARK)
        )
        return self.look(fixed, light, dark, limit=RULES_LIMIT + OWN_LIMIT)

    def rules(self) -> str:
        """Give the sheet itself."""
        dark = "".join(
            f".{name}{{{words.replace(';', '!important;')}!important}}" for words, name in self._rules.items()
        )
        return f":root{{color-scheme:light dark}}@media (prefers-color-scheme:dark){{{dark}}}"


def escape(text: str) -> str:
    """Give text as it stands in an element or a quoted attribute."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("'", "&#39;")


def page(report: Report, views: Sequence[View], notes: Sequence[str], rows: Rows) -> str:
    """Give the whole document: verdict, notes, output, chart of durations, details."""
    headline = escape(one_line(report.verdict.headline, VALUE_LIMIT))
    sheet = Sheet()
    return document(
        sheet,
        headline,
        (
            _banner(sheet, report, headline),
            AFTER_HEADLINE,
            *(note(text) for text in notes),
            *_outputs(sheet, report, views),
            *_chart(sheet, report),
            table(sheet, rows),
        ),
    )


def document(sheet: Sheet, title: str, content: Sequence[str]) -> str:
    """Give a whole document with this content, which has its looks from the sheet."""
    body = sheet.themed("margin:0;padding:0", color="text", background="page")
    # Mail services make something else of the body, without its colours: hence the inner one.
    inner = sheet.themed(f"padding:16px 14px;{_FONT}", color="text", background="page")
    return "\n".join(
        (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<meta name="supported-color-schemes" content="light dark">',
            f"<style>{sheet.rules()}</style><title>{title}</title></head>",
            f'<body{body}><div{inner}><div style="max-width:{WIDTH}px;margin:0 auto">',
            *content,
            "</div></div></body></html>\n",
        )
    )


def note(text: str) -> str:
    """Give a sentence as a paragraph."""
    return f'<p style="margin:0 0 12px;{WRAP}">{escape(text)}</p>'


def _colour(report: Report) -> str:
    """Give which colour the verdict has."""
    if report.verdict.failed:
        return "red"
    return "amber" if report.verdict.result == "skipped" else "green"


def _banner(sheet: Sheet, report: Report, headline: str) -> str:
    """Give the verdict, large and in its colour, and below it whose it is."""
    whose = escape(one_line(f"{report.job} · {report.user}@{report.host}", VALUE_LIMIT))
    return banner(sheet, _colour(report), headline, whose)


def banner(sheet: Sheet, colour: str, headline: str, below: str) -> str:
    """Give a headline, large and in one of the theme's colours, and a line below it."""
    edge = sheet.themed(f"margin:0 0 16px;padding:1px 0 1px 12px;border-left:4px solid;{WRAP}", color=colour)
    return (
        f'<div{edge}><div style="font-size:20px;line-height:1.3;font-weight:600">{headline}</div>'
        f"<div{sheet.themed('font-size:14px', color='grey')}>{below}</div></div>"
    )


def _outputs(sheet: Sheet, report: Report, views: Sequence[View]) -> list[str]:
    """Give each try's output, under a heading when there were several."""
    blocks = []
    for number, (outcome, view) in enumerate(zip(report.outcomes, views, strict=True), 1):
        if len(views) > 1:
            heading = escape(one_line(f"try {number} of {len(views)}: {status(outcome)}", VALUE_LIMIT))
            blocks.append(f'<div style="margin:0 0 6px;font-weight:600;{WRAP}">{heading}</div>')
        if view.pieces:
            blocks.append(_output(sheet, view))
    streams = {stream for view in views for stream, _text, _style in view.pieces}
    if {STDERR, STDOUT} <= streams:
        key = sheet.themed("padding:1px 5px;border-radius:3px", color="stderr", background="stderr_block")
        legend = f"<span{key}>standard error looks like this</span>"
        blocks.append(f'<div style="margin:-12px 0 20px;font-size:12px">{legend}</div>')
    return blocks


def _output(sheet: Sheet, view: View) -> str:
    """Give one output, standard error, lines of our own and the job's colours marked."""
    marked = len(view.pieces) <= PIECES_LIMIT
    looks: dict[tuple[int, Style], str] = {}
    inside = []
    for stream, text, style in view.pieces:
        if (stream, style) not in looks:
            looks[stream, style] = _look(sheet, stream, style) if marked else ""
        look = looks[stream, style]
        inside.append(f"<span{look}>{escape(text)}</span>" if look else escape(text))
    block = sheet.themed(_PRE, color="text", background="block")
    # A line feed right after the tag is not part of the text (HTML, 13.1.2.5), so the text may begin with one
    return f"<pre{block}>\n{''.join(inside)}</pre>"


def _look(sheet: Sheet, stream: int, style: Style) -> str:
    """Give the attributes of a piece of output; empty where it needs none."""
    if stream not in (STDERR, STDOUT):
        return sheet.themed("", color="grey")
    light, dark = (drawn(style, theme, stderr=stream == STDERR) for theme in (LIGHT, DARK))
    return sheet.look(shaped(style), light, dark)


def _chart(sheet: Sheet, report: Report) -> list[str]:
    """Give a bar for the duration of each of the last good runs, and one in its colour for this run."""
    if not report.past.durations or not report.outcomes:
        return []
    before = report.past.durations[1 - STRIP_LENGTH :]
    longest = max(*before, report.duration) or 1.0
    bars = [_bar(sheet, seconds, longest, "bar") for seconds in before]
    bars.append(_bar(sheet, report.duration, longest, _colour(report)))
    caption = f"{count(len(before), 'good run')} before, and this one; the longest took {duration(longest)}"
    return [
        '<table role="presentation" cellpadding="0" cellspacing="0" style="margin:0 0 4px"><tr>',
        *bars,
        "</tr></table>",
        f"<div{sheet.themed('margin:0 0 20px;font-size:12px', color='grey')}>{escape(caption)}</div>",
    ]


def _bar(sheet: Sheet, seconds: float, longest: float, colour: str) -> str:
    """Give one column of the chart; the shortest run still shows."""
    height = max(2, round(CHART_HEIGHT * seconds / longest))
    look = sheet.themed(f"width:9px;height:{height}px;border-radius:2px 2px 0 0", background=colour)
    bar = f'<div title="{duration(seconds)}"{look}></div>'
    return f'<td style="padding:0 3px 0 0;vertical-align:bottom">{bar}</td>'


def table(sheet: Sheet, rows: Rows) -> str:
    """Give the details as a table of two columns."""
    line = sheet.themed("border-top:1px solid", border_color="rule")
    grey, red = sheet.themed("", color="grey"), sheet.themed("", color="red")
    lines = [f'<table cellpadding="5" cellspacing="0" style="{_TABLE}">']
    for label, value in rows:
        shown = escape(shorten(value, VALUE_LIMIT))
        if label == "last runs":
            shown = shown.replace(FAILED_SIGN, f"<span{red}>{FAILED_SIGN}</span>")
        elif label in MONOSPACED:
            shown = f'<span style="font:13px {_MONO}">{shown}</span>'
        lines.append(f'<tr valign="top"{line}><td nowrap width="1%"{grey}>{label}</td><td>{shown}</td></tr>')
    return "\n".join([*lines, "</table>"])
