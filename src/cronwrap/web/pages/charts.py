"""Strips and charts as SVG, made here and complete without a script. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape

from cronwrap.spans import count, duration
from cronwrap.web.pages.words import brief, of_result

STEP, WIDE, HIGH = 6, 4, 22
LOWEST, UNKNOWN = 3.0, 8.0
"""How high a bar is at least, and one whose run took nobody knows how long."""
LEVEL_WIDE = 96
CHART_WIDE, CHART_HIGH, CHART_FOOT, CHART_SIDE = 720, 120, 14, 64
"""The side has the scale, and the foot of each line its number."""
Bars = Sequence[tuple[str, float | None]]


def strip(bars: Bars, room: int = 20) -> Markup:
    """Give the last runs as bars, as high as each was long; a failure has a mark above it besides."""
    if not bars:
        return Markup('<span class="quiet">no runs yet</span>')
    bars = bars[-room:]
    longest = max((seconds for _result, seconds in bars if seconds), default=0.0)
    paths: dict[str, str] = {}
    for number, (result, seconds) in enumerate(bars):
        kind = of_result(result)[0]
        at = (room - len(bars) + number) * STEP + WIDE // 2
        high = 4.0 if kind == "pause" else _high(seconds, longest)
        mark = f"M{at} 0v3" if kind == "bad" else ""
        paths[kind] = f"{paths.get(kind, '')}{mark}M{at} {HIGH}v-{high:.3g}"
    drawn = "".join(f'<path class="{kind}" d="{path}"/>' for kind, path in paths.items())
    wide = room * STEP
    return Markup(  # noqa: S704  # nothing in it comes from elsewhere
        f'<svg class="strip" viewBox="0 0 {wide} {HIGH}" width="{wide}" height="{HIGH}" role="img"'
        f' aria-label="{_told(bars)}">{drawn}</svg>'
    )


def _high(seconds: float | None, longest: float) -> float:
    if seconds is None or not longest:
        return UNKNOWN
    return LOWEST + (HIGH - 5 - LOWEST) * math.sqrt(seconds / longest)


def _told(bars: Bars) -> str:
    bad = sum(of_result(result)[0] == "bad" for result, _seconds in bars)
    return f"the last {count(len(bars), 'run')}, {bad or 'none'} failed"


def level(seconds: float | None, longest: float, kind: str) -> Markup:
    """Give a bar as long as a run took, beside the longest of several; nothing where nobody knows."""
    if seconds is None or not longest:
        return Markup()
    wide = max(2.0, LEVEL_WIDE * seconds / longest)
    return Markup(  # noqa: S704  # nothing in it comes from elsewhere
        f'<svg class="level" viewBox="0 0 {LEVEL_WIDE} 6" width="{LEVEL_WIDE}" height="6" aria-hidden="true">'
        f'<rect class="{kind}" width="{wide:.1f}" height="6"/></svg>'
    )


def chart(runs: Sequence[dict[str, Any]]) -> Markup:
    """Give the durations of runs, oldest first, each bar leading to its run; empty without any.

    By the keyboard these are passed over: the table beside leads to the same runs.
    """
    timed = [run for run in runs if run["duration"] is not None]
    if len(timed) < 2:
        return Markup()
    longest = max(run["duration"] for run in timed) or 1.0
    step = (CHART_WIDE - CHART_SIDE) / max(len(timed), 30)
    high = CHART_HIGH - CHART_FOOT
    drawn = [
        f'<path class="grid" d="M{CHART_SIDE} {CHART_FOOT + high * part:.1f}H{CHART_WIDE}"/>'
        for part in (0.0, 0.5, 1.0)
    ]
    drawn += [
        f'<text x="0" y="{CHART_FOOT + 4}">{escape(brief(longest))}</text> ',
        f'<text x="0" y="{CHART_FOOT + high / 2 + 4:.0f}">{escape(brief(longest / 2))}</text>',
    ]
    for number, run in enumerate(timed):
        kind, _sign = of_result(run["result"])
        tall = max(2.0, high * run["duration"] / longest)
        x = CHART_SIDE + number * step + step * 0.15
        place = f'x="{x:.1f}" y="{CHART_HIGH - tall:.1f}" width="{step * 0.7:.1f}" height="{tall:.1f}"'
        title = f"<title>{escape(_named(run))}</title>"
        bar = f'<rect class="{kind}" {place}/>'
        drawn.append(f'<a tabindex="-1" href="/runs/{escape(run["run"])}">{title}{bar}</a>')
    words = (
        f"how long the last {len(timed)} runs took, {duration(longest)} at most; the table has the numbers"
    )
    return Markup(  # noqa: S704  # what comes from elsewhere is escaped above
        f'<svg class="chart" viewBox="0 0 {CHART_WIDE} {CHART_HIGH}" role="group"'
        f' aria-label="{escape(words)}">{"".join(drawn)}</svg>'
    )


def _named(run: dict[str, Any]) -> str:
    return f"{run['started'][:16].replace('T', ' ')}: {run['result_words']} after {duration(run['duration'])}"
