"""The HTML form of a report in a browser: it fits a phone and a desk, and runs nothing."""

from __future__ import annotations

import html
import json
import re
import subprocess
from itertools import product

import pytest

from cronwrap.model import STDERR, STDOUT, Mark, Output
from cronwrap.past import Past
from cronwrap.report import compose
from support import debian
from support.reports import FAILED, STARTED, outcome, parsed, report, text_of

WIDTHS = (320, 600, 1200)
"""CSS pixels: the smallest phone, the pane beside a list of mails, a window on a desk."""
LIMIT = 60.0
"""Seconds for the browser to start and render; it takes two."""
LONG = "x" * 3000
EVIL = "</pre><script>parent.ran = true</script><img src=x onerror='parent.ran = true'><b onclick=\"x\">"

# Frames made from text have the page's own origin, so that it may measure them; a file's would not.
PAGE = """<!DOCTYPE html><meta charset="utf-8"><body><script>
const mail = MAIL, measured = {};
const parts = colour => colour.match(/[\\d.]+/g).map(Number);
const luminance = colour => parts(colour).slice(0, 3).map(part => part / 255).map(
  part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
).reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
const ground = element => {
  const own = getComputedStyle(element).backgroundColor, [,,, alpha = 1] = parts(own);
  return alpha === 1 || !element.parentElement ? own : ground(element.parentElement);
};
const contrast = element => {
  const both = [getComputedStyle(element).color, ground(element)].map(luminance).sort((a, b) => a - b);
  return (both[1] + 0.05) / (both[0] + 0.05);
};
const says = element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
let left = WIDTHS.length;
for (const width of WIDTHS) {
  const frame = document.createElement("iframe");
  frame.style = `border:0;width:${width}px;height:4000px`;
  frame.onload = () => {
    const page = frame.contentDocument, elements = [...page.body.querySelectorAll("*")];
    measured[width] = {
      wide: Math.max(page.documentElement.scrollWidth, page.body.scrollWidth),
      right: Math.max(...elements.map(element => element.getBoundingClientRect().right)),
      bars: elements.filter(element => element.title).map(element => element.getBoundingClientRect().height),
      pre: page.querySelector("pre").textContent,
      red: elements.filter(element => element.tagName == "SPAN").map(element => element.textContent),
      text: page.body.innerText,
      contrast: Math.min(...elements.filter(says).map(contrast)),
      ground: luminance(ground(page.body)),
      outside: page.querySelectorAll("script,img,link,iframe,object,[src],[href],[onclick]").length,
    };
    if (!--left) {
      measured.ran = window.ran === true;
      const said = document.createElement("output");
      said.textContent = JSON.stringify(measured);
      document.body.replaceChildren(said);
    }
  };
  frame.srcdoc = mail;
  document.body.append(frame);
}
</script>"""


@pytest.fixture
def rendered(needs, tmp_path):
    """Measure a page in headless Chromium at each width: ``rendered(page)[320]["wide"]``."""
    needs("chromium")

    def render(page, *, dark=False):
        widths = json.dumps(WIDTHS)
        mail = json.dumps(page).replace("<", "\\u003c")
        file = tmp_path / "page.html"
        file.write_text(PAGE.replace("MAIL", mail, 1).replace("WIDTHS", widths), encoding="utf-8")
        done = subprocess.run(
            [
                debian.find("chromium"),
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                *(f"--user-data-dir={tmp_path / 'profile'}", "--hide-scrollbars", "--window-size=1300,4100"),
                f"--blink-settings=preferredColorScheme={0 if dark else 1}",
                *("--virtual-time-budget=10000", "--dump-dom", file.as_uri()),
            ],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=True,
        )
        found = re.search(r"<output>(.*)</output>", done.stdout, re.DOTALL)
        assert found, done.stderr
        measured = json.loads(html.unescape(found[1]))
        return {int(key) if key.isdigit() else key: value for key, value in measured.items()}

    return render


def page_of(**more):
    """Give the HTML of a report whose every part is as wide and as hostile as it gets."""
    kept = f"{LONG}\n{EVIL}\n".encode()
    shown = Output(
        head=kept + b"disk full\n",
        stdout_bytes=len(kept),
        stderr_bytes=10,
        marks=(
            Mark(offset=0, stream=STDOUT, elapsed=0.0),
            Mark(offset=len(kept), stream=STDERR, elapsed=1.0),
        ),
    )
    wide = {
        "outcomes": (outcome(shown, holders=(f"1 {LONG}",)), outcome(shown, error=f"{EVIL}{LONG}")),
        "past": Past(results=("ok",) * 20, durations=tuple(range(1, 31)), last_success=STARTED),
        "verdict": FAILED.replace(headline=f"{EVIL} {LONG}", notes=(LONG, EVIL)),
        **dict.fromkeys(("job", "command", "user", "host", "run_id"), EVIL + LONG),
        "faults": (LONG,),
    }
    return text_of(parsed(compose.compose(report(**(wide | more))).content), "html")


def test_a_report_fits_a_phone_and_a_desk_and_runs_nothing(rendered):
    measured = rendered(page_of())
    assert measured["ran"] is False
    for width in WIDTHS:
        assert measured[width]["wide"] <= width
        assert measured[width]["right"] <= width
        assert measured[width]["outside"] == 0
        assert measured[width]["pre"] == f"{LONG}\n{EVIL}\ndisk full\n"
        assert "disk full\n" in measured[width]["red"]
        assert measured[width]["text"].startswith(EVIL)


def test_the_chart_s_bars_are_as_high_as_the_runs_were_long(rendered):
    measured = rendered(page_of(duration=60.0))
    for width in WIDTHS:
        *before, this = measured[width]["bars"]
        assert this == 48
        assert before == sorted(before)
        assert before[-1] == 24
        assert len(before) == 19


LINE = "\x1b[{};{};{}m word \x1b[0m\x1b[38;5;{}m x \x1b[48;5;{}m y \x1b[7m z \x1b[0m\n"
LOOKS = product((0, 1, 2), (30, 31, 33, 37, 39, 90, 97), (49, 40, 43, 47, 101))
COLOURFUL = "".join(LINE.format(*look, number, 255 - number) for number, look in enumerate(LOOKS)).encode()


@pytest.mark.parametrize("dark", [False, True])
def test_every_word_can_be_read_on_light_and_on_dark(rendered, dark):
    kept = COLOURFUL[:6000]
    marks = (
        Mark(offset=0, stream=STDOUT, elapsed=0.0),
        Mark(offset=len(kept), stream=STDERR, elapsed=1.0),
    )
    shown = Output(head=kept * 2, stdout_bytes=len(kept), stderr_bytes=len(kept), marks=marks)
    past = Past(results=("ok", "failed"), durations=(1.0, 2.0), last_success=STARTED)
    page = text_of(parsed(compose.compose(report(outcomes=(outcome(shown),), past=past)).content), "html")
    measured = rendered(page, dark=dark)
    for width in WIDTHS:
        assert measured[width]["contrast"] >= 4.5
        assert (measured[width]["ground"] < 0.05) == dark
        assert measured[width]["wide"] <= width
