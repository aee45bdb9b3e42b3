"""What is shown for characters that act on a terminal or a mail program, or cannot be seen; for ``text``."""

from __future__ import annotations

# The control pictures of Unicode stand for the C0 controls and DEL. The C1 controls have none; some
# terminals obey them as they obey ESC, so they are shown as the octet that names them. The two line
# separators would break a line of ours where no reader expects it.
PICTURES: dict[int, int | str] = {code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)}
PICTURES |= {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)} | {0x7F: 0x2421}
PICTURES |= {0x2028: "\\u2028", 0x2029: "\\u2029"}
# What turns the direction of text, or cannot be seen, lets a reader see other words than there are
# ("evil\u202etxt.exe"): shown as the number that names it (Unicode TR 36, 3.1 and 3.2).
PICTURES |= {
    code: f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    for first, last in (
        *((0xAD, 0xAD), (0x61C, 0x61C), (0x180E, 0x180E), (0x200B, 0x200B), (0x200E, 0x200F)),
        *((0x202A, 0x202E), (0x2060, 0x206F), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB)),
        *((0x1D173, 0x1D17A), (0xE0000, 0xE007F)),
    )
    for code in range(first, last + 1)
}
ONE_LINE = PICTURES | dict.fromkeys((0x09, 0x0A, 0x0D, 0x85, 0x2028, 0x2029), " ")
"""The same for text that is to stand on one line."""
