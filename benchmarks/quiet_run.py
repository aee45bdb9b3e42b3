"""A quiet, successful run as a whole, against chronic (Debian's moreutils)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.bench import Installation, Row, alternate, main, ms, need, own_place, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 50


def measure(installation: Installation) -> Iterator[Row]:
    """Give the row: from start to end of ``cronwrap -- true`` with a configuration file."""
    chronic = need("chronic", "moreutils")
    with own_place() as (_directory, env):
        medians = alternate(
            {
                "cronwrap": lambda: whole([installation.cronwrap, "--", "true"], env),
                "chronic": lambda: whole([chronic, "true"], env),
                "python": lambda: whole([installation.python, "-I", "-c", "pass"], env),
            },
            ROUNDS,
        )
    yield Row(
        what="quiet run, whole",
        ours=ms(medians["cronwrap"]),
        theirs=f"chronic {ms(medians['chronic'])}",
        ratio=medians["cronwrap"] / medians["chronic"],
        must=1.0,
        aim=0.6,
        note=f"python -I -c pass: {ms(medians['python'])}",
    )


if __name__ == "__main__":
    main(measure)
