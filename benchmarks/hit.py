"""A hit and a miss against pandas alone, on the flights database of the quickstart."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from sqlalchemy import Engine, create_engine, text

from benchmarks.paired import Comparison, command_line, paired, print_table
from sqlcache_nb import QueryCache

QUESTIONS = {
    "336,776 x 19": "SELECT * FROM flights",
    "27,004 x 19": "SELECT * FROM flights WHERE month = 1",
    "105 x 3": "SELECT dest, count(*) AS flights, avg(arr_delay) AS late FROM flights GROUP BY dest",
}


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
    parser = command_line(__doc__)
    parser.add_argument("database", type=Path)
    arguments = parser.parse_args()
    engine = create_engine(f"sqlite:///{arguments.database}")
    with tempfile.TemporaryDirectory() as directory, QueryCache(directory) as cache:
        print_table(
            (frame, comparison)
            for frame, sql in QUESTIONS.items()
            for comparison in comparisons(cache, engine, sql, arguments.runs)
        )
    engine.dispose()


if __name__ == "__main__":
    main()
