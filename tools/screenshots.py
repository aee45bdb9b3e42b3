"""Pictures of every page of the demonstration, at three widths, light and dark, into docs/images.

Those that the documents show are committed; the others are for whoever changes a page, to look at.
"""

# ruff: noqa: INP001 -- a script beside the package

from __future__ import annotations

import os
import sys

from support.browser import ROOT, SCHEMES, WIDTHS, Visit, chromium, demonstration

IMAGES = os.path.join(ROOT, "docs", "images")


def main() -> int:
    """Take them all; arguments: the pages to take, all unless some are named."""
    os.makedirs(IMAGES, exist_ok=True)
    with demonstration() as address, chromium() as browser:
        visit = Visit(browser, address)
        pages = visit.pages()
        for name in sys.argv[1:] or pages:
            for width in WIDTHS:
                for scheme in SCHEMES:
                    with visit.window(width, scheme) as page:
                        page.goto(visit.base + pages[name])
                        page.wait_for_timeout(200)
                        page.screenshot(path=os.path.join(IMAGES, f"{name}-{width}-{scheme}.png"))
        for complaint in visit.complaints:
            print(complaint)
    return bool(visit.complaints)


if __name__ == "__main__":
    sys.exit(main())
