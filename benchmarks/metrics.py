"""A quiet run with `[metrics] textfile` against one without: whole, and in instructions."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from benchmarks.bench import Installation, Left, Row, alternate, main, ms, need, own_place, whole
from benchmarks.instructions import WARM_UP, millions

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 60
MUST = 0.002
"""Seconds that metrics may take."""


def measure(installation: Installation) -> Iterator[Row]:
    """Give what metrics cost a quiet run."""
    quiet = [installation.cronwrap, "--", "true"]
    with own_place() as (directory, env):
        place = os.path.join(directory, "prom")
        os.mkdir(place, 0o755)
        wanted = {**env, "CRONWRAP_METRICS_TEXTFILE": place, "CRONWRAP_STATE_DIR": f"{directory}/with"}
        # The same but for what it says: a variable of one's own costs something, too.
        unwanted = {**env, "CRONWRAP_HISTORY_KEEP": "90d", "CRONWRAP_STATE_DIR": f"{directory}/without"}
        for _ in range(WARM_UP):
            for one in (wanted, unwanted):
                subprocess.run(quiet, env=one, check=True)
        medians = alternate(
            {"with": lambda: whole(quiet, wanted), "without": lambda: whole(quiet, unwanted)}, ROUNDS
        )
        yield Row(
            what="quiet run with metrics",
            ours=ms(medians["with"]),
            theirs=f"without {ms(medians['without'])}",
            ratio=medians["with"] / medians["without"],
            must=(medians["without"] + MUST) / medians["without"],
        )
        try:
            valgrind = need("valgrind", "valgrind")
        except Left:
            return
        ours, theirs = millions(valgrind, quiet, wanted), millions(valgrind, quiet, unwanted)
    yield Row(
        what="", ours=f"{ours:.1f} million instructions", theirs=f"without {theirs:.1f}", ratio=ours / theirs
    )


if __name__ == "__main__":
    main(measure)
