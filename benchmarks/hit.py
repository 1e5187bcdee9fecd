"""A hit and a miss against pandas alone, as ratios measured in one run.

Every comparison is made of pairs: one after the other in turn, so that whatever else the machine is
doing meets both, and the median of the pairs' ratios is what is printed.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from sqlalchemy import Engine, create_engine, text

from sqlcache_nb import QueryCache

QUESTIONS = {
    "336,776 x 19": "SELECT * FROM flights",
    "27,004 x 19": "SELECT * FROM flights WHERE month = 1",
    "105 x 3": "SELECT dest, count(*) AS flights, avg(arr_delay) AS late FROM flights GROUP BY dest",
}


@dataclass(frozen=True)
class Comparison:
    """Two ways to the same frame.

    Args:
        name: what is compared with what.
        ours: one way, in seconds, one run each.
        other: the other way, in seconds, one run each.
    """

    name: str
    ours: list[float]
    other: list[float]

    @property
    def ratio(self) -> float:
        """Median over the pairs of ours divided by the other: under 1 is faster."""
        return statistics.median(a / b for a, b in zip(self.ours, self.other, strict=True))


def seconds(do: Callable[[], object]) -> float:
    """How long one call takes, the collector's work for earlier ones left out."""
    gc.collect()
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def paired(name: str, ours: Callable[[], object], other: Callable[[], object], runs: int) -> Comparison:
    """Run both in turn, once unmeasured and then `runs` times."""
    ours(), other()
    pairs = [(seconds(ours), seconds(other)) for _ in range(runs)]
    return Comparison(name, [a for a, _ in pairs], [b for _, b in pairs])


def comparisons(cache: QueryCache, engine: Engine, sql: str, runs: int) -> Iterator[Comparison]:
    """The three comparisons for one question."""
    question = text(sql)
    path = cache.read(question, engine).path
    if path is None or cache.read(question, engine).outcome != "hit":
        raise SystemExit(f"this question is not answered from the cache: {sql}")

    def hit() -> object:
        return cache.read_sql(question, engine)

    def miss() -> object:
        return cache.read_sql(question, engine, refresh=True)

    def pandas() -> object:
        return pd.read_sql(question, engine)

    def parquet() -> object:
        return pq.ParquetFile(path).read().to_pandas()

    yield paired("hit / pandas.read_sql", hit, pandas, runs)
    yield paired("hit / plain Parquet read", hit, parquet, 3 * runs)
    yield paired("miss / pandas.read_sql", miss, pandas, runs)


def main() -> None:
    """Print the table for the flights database that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", type=Path)
    parser.add_argument("--runs", type=int, default=5, help="measured pairs (default: 5)")
    arguments = parser.parse_args()
    engine = create_engine(f"sqlite:///{arguments.database}")
    print(f"{'frame':14}{'comparison':26}{'ours':>10}{'other':>10}{'ratio':>9}")
    with tempfile.TemporaryDirectory() as directory, QueryCache(directory) as cache:
        for frame, sql in QUESTIONS.items():
            for comparison in comparisons(cache, engine, sql, arguments.runs):
                ours, other = (
                    f"{1000 * statistics.median(times):.1f} ms"
                    for times in (comparison.ours, comparison.other)
                )
                print(
                    f"{frame:14}{comparison.name:26}{ours:>10}{other:>10}{comparison.ratio:>9.3f}",
                    flush=True,
                )
    engine.dispose()


if __name__ == "__main__":
    main()
