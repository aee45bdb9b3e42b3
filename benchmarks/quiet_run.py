"""A quiet, successful run as a whole, against chronic (Debian's moreutils)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.bench import Installation, Row, alternate, main, ms, need, own_place, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 50

RUN = """
import gc
gc.disable()
from cronwrap.__main__ import leave, main
leave(main(["--", "true"]))
"""
WITHOUT_RECORD = """
from cronwrap.pipeline import housekeeping, tries
tries.on_record = lambda run, faults: None
housekeeping.do_for_others = lambda *words, **more: None
"""


def measure(installation: Installation) -> Iterator[Row]:
    """Give ``cronwrap -- true`` against others, and what of it is for the record."""
    chronic = need("chronic", "moreutils")
    with own_place() as (_directory, env):
        medians = alternate(
            {
                "cronwrap": lambda: whole([installation.cronwrap, "--", "true"], env),
                "chronic": lambda: whole([chronic, "true"], env),
                "recorded": lambda: whole([installation.python, "-c", RUN], env),
                "unrecorded": lambda: whole([installation.python, "-c", WITHOUT_RECORD + RUN], env),
                "python": lambda: whole([installation.python, "-I", "-c", "pass"], env),
            },
            ROUNDS,
        )
    yield Row(
        what="quiet run, whole",
        ours=ms(medians["cronwrap"]),
        theirs=f"chronic {ms(medians['chronic'])}",
        ratio=medians["cronwrap"] / medians["chronic"],
        must=0.6,
    )
    yield Row(
        what="",
        ours=ms(medians["cronwrap"]),
        theirs=f"python -I -c pass {ms(medians['python'])}",
        ratio=medians["cronwrap"] / medians["python"],
        must=1.4,
    )
    yield Row(
        what="quiet run with its record",
        ours=ms(medians["recorded"]),
        theirs=f"without {ms(medians['unrecorded'])}",
        ratio=medians["recorded"] / medians["unrecorded"],
    )


if __name__ == "__main__":
    main(measure)
