"""The HTML form of a report, for mail programs on phones and in dark rooms.

Mail programs drop scripts, outside images and often style sheets: everything is inline, in colours that
can be read on white and on black, and all text from outside is escaped.
"""

from __future__ import annotations

from cronwrap.model import STDERR, STDOUT
from cronwrap.report.details import STRIP_LENGTH, status
from cronwrap.spans import count, duration
from cronwrap.text import FAILED_SIGN, one_line, shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cronwrap.mail import Report
    from cronwrap.report.body import View
    from cronwrap.report.details import Rows

AFTER_HEADLINE = "<!-- after the headline -->"
"""Where a line about a delay goes."""

RED, GREEN, AMBER, GREY = "#d93025", "#1e8e3e", "#c26401", "#8a9097"
"""Each has a contrast of at least 3 to white and to black."""
SHADE = "rgba(128,128,128,.13)"
STDERR_STYLE = f"color:{RED};background:rgba(217,48,37,.09)"
CHART_HEIGHT = 48
"""Pixels of the longest run's bar."""
VALUE_LIMIT = 2000
"""Characters of one detail here; the plain part has it whole."""
PIECES_LIMIT = 2000
"""Changes of the stream that are marked: above, the marks would outweigh the text, and mail services cut
a long HTML part short."""

_BODY = "margin:0;padding:12px;font:16px/1.45 system-ui,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_WRAP = "white-space:pre-wrap;overflow-wrap:anywhere;word-break:break-word"
_PRE = (
    f"margin:0 0 16px;padding:10px;border-radius:6px;background:{SHADE};"
    f"font:13px/1.45 ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;{_WRAP}"
)
_TABLE = f"margin:0 -3px;font-size:14px;border-collapse:collapse;{_WRAP}"
_LABEL = f"padding-right:12px;white-space:nowrap;color:{GREY}"


def escape(text: str) -> str:
    """Give text as it stands in an element or a quoted attribute."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("'", "&#39;")


def page(report: Report, views: Sequence[View], notes: Sequence[str], rows: Rows) -> str:
    """Give the whole document: verdict, notes, output, chart of durations, details."""
    headline = escape(one_line(report.verdict.headline, VALUE_LIMIT))
    return "\n".join(
        (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<meta name="supported-color-schemes" content="light dark">',
            f"<style>:root{{color-scheme:light dark}}</style><title>{headline}</title></head>",
            f'<body style="{_BODY}">',
            _banner(report, headline),
            AFTER_HEADLINE,
            *(note(text) for text in notes),
            *_outputs(report, views),
            *_chart(report),
            _table(rows),
            "</body></html>\n",
        )
    )


def note(text: str) -> str:
    """Give a sentence as a paragraph."""
    return f'<p style="margin:0 0 12px;{_WRAP}">{escape(text)}</p>'


def _colour(report: Report) -> str:
    """Give the verdict's colour."""
    if report.verdict.failed:
        return RED
    return AMBER if report.verdict.result == "skipped" else GREEN


def _banner(report: Report, headline: str) -> str:
    """Give the verdict, large and in its colour, and below it whose it is."""
    colour = _colour(report)
    whose = escape(one_line(f"{report.job} · {report.user}@{report.host}", VALUE_LIMIT))
    return (
        f'<div style="margin:0 0 14px;padding:2px 0 2px 12px;border-left:6px solid {colour};{_WRAP}">'
        f'<div style="font-size:20px;font-weight:600;color:{colour}">{headline}</div>'
        f'<div style="font-size:14px;color:{GREY}">{whose}</div></div>'
    )


def _outputs(report: Report, views: Sequence[View]) -> list[str]:
    """Give each try's output, under a heading when there were several."""
    blocks = []
    for number, (outcome, view) in enumerate(zip(report.outcomes, views, strict=True), 1):
        if len(views) > 1:
            heading = escape(one_line(f"try {number} of {len(views)}: {status(outcome)}", VALUE_LIMIT))
            blocks.append(f'<div style="margin:0 0 6px;font-weight:600;{_WRAP}">{heading}</div>')
        if view.pieces:
            blocks.append(_output(view))
    if any(stream == STDERR for view in views for stream, _text in view.pieces):
        legend = f'<span style="{STDERR_STYLE}">standard error looks like this</span>'
        blocks.append(f'<div style="margin:-10px 0 16px;font-size:12px;color:{GREY}">{legend}</div>')
    return blocks


def _output(view: View) -> str:
    """Give one output, standard error and lines of our own marked."""
    marked = len(view.pieces) <= PIECES_LIMIT
    inside = []
    for stream, text in view.pieces:
        style = STDERR_STYLE if stream == STDERR else "" if stream == STDOUT else f"color:{GREY}"
        plain = not (marked and style)
        inside.append(escape(text) if plain else f'<span style="{style}">{escape(text)}</span>')
    # A line feed right after the tag is not part of the text (HTML, 13.1.2.5), so the text may begin with one
    return f'<pre style="{_PRE}">\n{"".join(inside)}</pre>'


def _chart(report: Report) -> list[str]:
    """Give a bar for the duration of each of the last good runs, and one in its colour for this run."""
    if not report.past.durations or not report.outcomes:
        return []
    before = report.past.durations[1 - STRIP_LENGTH :]
    longest = max(*before, report.duration) or 1.0
    bars = [_bar(seconds, longest, GREY) for seconds in before]
    bars.append(_bar(report.duration, longest, _colour(report)))
    caption = f"{count(len(before), 'good run')} before, and this one; the longest took {duration(longest)}"
    return [
        '<table role="presentation" cellpadding="0" cellspacing="0" style="margin:0 0 4px"><tr>',
        *bars,
        "</tr></table>",
        f'<div style="margin:0 0 16px;font-size:12px;color:{GREY}">{escape(caption)}</div>',
    ]


def _bar(seconds: float, longest: float, colour: str) -> str:
    """Give one column of the chart; the shortest run still shows."""
    height = max(2, round(CHART_HEIGHT * seconds / longest))
    bar = f'<div title="{duration(seconds)}" style="width:10px;height:{height}px;background:{colour}"></div>'
    return f'<td style="padding:0 3px 0 0;vertical-align:bottom">{bar}</td>'


def _table(rows: Rows) -> str:
    """Give the details as a table of two columns."""
    lines = [f'<table cellpadding="3" cellspacing="0" style="{_TABLE}">']
    for label, value in rows:
        shown = escape(shorten(value, VALUE_LIMIT))
        if label == "last runs":
            shown = _coloured(shown)
        lines.append(f'<tr valign="top"><td style="{_LABEL}">{label}</td><td>{shown}</td></tr>')
    return "\n".join([*lines, "</table>"])


def _coloured(signs: str) -> str:
    """Give the strip of results with its failures in red."""
    return signs.replace(FAILED_SIGN, f'<span style="color:{RED}">{FAILED_SIGN}</span>')
