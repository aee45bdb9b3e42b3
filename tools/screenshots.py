"""Pictures of every page of the demonstration, at three widths, light and dark, into docs/images.

Those that the documents show are committed; the others are for whoever changes a page, to look at.
"""

# ruff: noqa: INP001 -- a script beside the package

from __future__ import annotations

import os
import struct
import sys
import zlib
from collections import Counter

from support.browser import ROOT, SCHEMES, WIDTHS, Visit, chromium, demonstration

RGBA, PAETH = 6, 4
"""A kind of colours, and of filters (PNG 1.2)."""
COMMITTED = ("jobs-1440-light.png", "live-1440-dark.png", "jobs-320-light.png")
"""Those that the documents show; they are made small, which takes seconds each."""
IMAGES = os.path.join(ROOT, "docs", "images")


def smaller(png: bytes) -> bytes:
    """Give a PNG of Chromium's (8 bits a colour) with a palette of its most frequent colours.

    A page has few colours; those between two of them, at the edges of letters, become the nearest that is
    kept.
    """
    head, rest, packed = png[:8], png[8:], b""
    while rest:
        length, kind = struct.unpack("!I4s", rest[:8])
        if kind == b"IHDR":
            width, height, _depth, colours = struct.unpack("!IIBB", rest[8:18])
        packed += rest[8 : 8 + length] if kind == b"IDAT" else b""
        rest = rest[12 + length :]
    octets = 4 if colours == RGBA else 3
    pixels = _unfiltered(zlib.decompress(packed), width * octets, octets)
    count = Counter(pixels[at : at + 3] for at in range(0, len(pixels), octets))
    kept = [colour for colour, _number in count.most_common(256)]
    number = {colour: index for index, colour in enumerate(kept)}
    for colour in count:
        if colour not in number:
            number[colour] = min(range(len(kept)), key=lambda index: _apart(kept[index], colour))
    lines = bytes(number[pixels[at : at + 3]] for at in range(0, len(pixels), octets))
    rows = b"".join(b"\0" + lines[at : at + width] for at in range(0, len(lines), width))
    parts = (
        (b"IHDR", struct.pack("!IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", b"".join(kept)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    return head + b"".join(
        struct.pack("!I", len(content)) + kind + content + struct.pack("!I", zlib.crc32(kind + content))
        for kind, content in parts
    )


def _apart(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _unfiltered(data: bytes, width: int, step: int) -> bytes:
    """Give the pixels of a PNG's lines (PNG 1.2, 6)."""
    before, found = bytes(width), []
    for at in range(0, len(data), width + 1):
        kind, line = data[at], bytearray(data[at + 1 : at + 1 + width])
        if kind:
            for index in range(width):
                left = line[index - step] if index >= step else 0
                corner = before[index - step] if index >= step else 0
                line[index] = (line[index] + _predicted(kind, left, before[index], corner)) & 0xFF
        before = bytes(line)
        found.append(before)
    return b"".join(found)


def _predicted(kind: int, left: int, above: int, corner: int) -> int:
    if kind < PAETH:
        return (0, left, above, (left + above) // 2)[kind]
    guess = left + above - corner
    return min((left, above, corner), key=lambda value: abs(guess - value))


def main() -> int:
    """Take them all; arguments: the pages to take, all unless some are named."""
    os.makedirs(IMAGES, exist_ok=True)
    with demonstration() as address, chromium() as browser:
        visit = Visit(browser, address)
        for name, show in visit.every():
            if name not in (sys.argv[1:] or [name]):
                continue
            for width in WIDTHS:
                for scheme in SCHEMES:
                    with visit.window(width, scheme) as page:
                        show(page)
                        page.wait_for_timeout(200)
                        file_name, png = f"{name}-{width}-{scheme}.png", page.screenshot()
                        with open(os.path.join(IMAGES, file_name), "wb") as file:
                            file.write(smaller(png) if file_name in COMMITTED else png)
        for complaint in visit.complaints:
            print(complaint)
    return bool(visit.complaints)


if __name__ == "__main__":
    sys.exit(main())
