"""Random interleavings of writes and cached reads, each read held against what a connection of its own gives.

`python -m tests.interleavings [DATABASE ...]` prints how often each validator fetched needlessly; `SQLCACHE_NB_SCALE`
says how many interleavings (1: a thousand of each database). `test_interleavings.py` holds the counts to what they must be.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack

from sqlcache_nb import QueryCache
from tests.interleavings.run import FEWER, INTERLEAVINGS, SERVERS, WORLDS, Counts, Run, world_of
from tests.scale import scaled


def main() -> int:
    """Prints the table; 1 where an answer was stale."""
    parser = argparse.ArgumentParser(prog="python -m tests.interleavings", description=__doc__)
    parser.add_argument(
        "databases", nargs="*", metavar="DATABASE", help=f"of {', '.join(WORLDS)}; by default, all"
    )
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    asked = parser.parse_args()
    stale = 0
    sys.stdout.write(
        f"seed {asked.seed}\n{'database':26}{'interleavings':>14}{'reads':>8}{'hits':>8}{'stale':>7}"
    )
    sys.stdout.write(f"{'unchanged':>11}{'needless':>10}{'share':>8}\n")
    for name in asked.databases or WORLDS:
        with ExitStack() as stack:
            url = stack.enter_context(SERVERS[name]()) if name in SERVERS else None
            world = stack.enter_context(world_of(name, asked.seed, url))
            cache = stack.enter_context(QueryCache(world.folder / "cache"))
            counts = Run(world, cache).interleave(scaled(INTERLEAVINGS // FEWER.get(name, 1)))
            sys.stdout.write(line(world.name, counts) + "\n")
            sys.stdout.writelines(f"  STALE: {each}\n" for each in counts.stale[:5])
            sys.stdout.flush()
            stale += len(counts.stale)
    return int(stale > 0)


def line(name: str, counts: Counts) -> str:
    """One row of the table."""
    share = counts.needless / max(1, counts.unchanged)
    return (
        f"{name:26}{counts.interleavings:>14}{counts.reads:>8}{counts.hits:>8}{len(counts.stale):>7}"
        f"{counts.unchanged:>11}{counts.needless:>10}{share:>8.0%}"
    )


if __name__ == "__main__":
    sys.exit(main())
