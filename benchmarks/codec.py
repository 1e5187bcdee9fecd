"""The codec alone, in memory, against pyarrow's own way from a frame to Parquet and back.

The frame is 1,000,000 rows x 10 columns of orders, made from rows of Python's values as `pd.read_sql`
makes it. On pandas 3: two int64 (a number that counts up, one of 50,000 customers), three float64 (one
with NaN, one of integers of which some are missing), two str (of 50 values; all unlike, and some missing),
a datetime64[us], a bool, and an object column of dates ("mixed"). Then the same with the dates as
datetime64[us] of which some are missing, so that no column is of objects, and that frame as the other values of
`dtype_backend` give it.

pyarrow's way is `Table.from_pandas`, `write_table` and `ParquetFile.read().to_pandas()`, with our
compression and else its defaults; it reads the file that it wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.paired import Comparison, command_line, paired, print_table
from sqlcache_nb.codec import Payload, encode

ROWS = 1_000_000


def orders() -> dict[str, list[Any]]:
    """The columns as a driver gives them."""
    random = np.random.default_rng(7)

    def some(values: list[Any]) -> list[Any]:
        return [
            None if gone else value for value, gone in zip(values, random.random(ROWS) < 0.1, strict=True)
        ]

    days = np.datetime64("2020-01-01") + random.integers(0, 2_000, ROWS)
    times = days.astype("M8[us]") + random.integers(0, 86_400_000_000, ROWS)
    return {
        "id": list(range(ROWS)),
        "customer": random.integers(0, 50_000, ROWS).tolist(),
        "amount": random.lognormal(4, 1, ROWS).tolist(),
        "discount": some(random.random(ROWS).tolist()),
        "quantity": some(random.integers(1, 100, ROWS).tolist()),
        "state": [f"state {number}" for number in random.integers(0, 50, ROWS)],
        "note": some([f"{number:x} and words" for number in random.integers(0, 2**60, ROWS)]),
        "ordered_at": times.tolist(),
        "paid": (random.random(ROWS) < 0.7).tolist(),
        "due": some(days.tolist()),
    }


def frames() -> Iterator[tuple[str, pd.DataFrame]]:
    """The four frames with their names."""
    columns = orders()
    yield "mixed", frame_of(columns)
    midnights = [day and datetime(day.year, day.month, day.day) for day in columns["due"]]  # noqa: DTZ001
    frame = frame_of(columns | {"due": midnights})
    yield "no objects", frame
    yield "numpy_nullable", frame.convert_dtypes(dtype_backend="numpy_nullable")
    yield "pyarrow", frame.convert_dtypes(dtype_backend="pyarrow")


def frame_of(columns: dict[str, list[Any]]) -> pd.DataFrame:
    """What pandas makes of the rows that a driver gives."""
    rows = list(zip(*columns.values(), strict=True))
    return pd.DataFrame.from_records(rows, columns=list(columns), coerce_float=True)


def comparisons(frame: pd.DataFrame, runs: int) -> Iterator[Comparison]:
    """Both directions for one frame."""

    def plain_encode() -> pa.Buffer:
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pandas(frame), sink, compression="lz4")
        return sink.getvalue()

    ours, plain = encode(frame, "{}"), plain_encode()
    yield paired("encode / plain Parquet", lambda: encode(frame, "{}"), plain_encode, runs)
    yield paired(
        "decode / plain Parquet",
        lambda: Payload(ours).frame,
        lambda: pq.ParquetFile(pa.BufferReader(plain)).read().to_pandas(),
        3 * runs,
    )


def main() -> None:
    """Print the table."""
    arguments = command_line(__doc__).parse_args()
    print_table(
        (name, comparison) for name, frame in frames() for comparison in comparisons(frame, arguments.runs)
    )


if __name__ == "__main__":
    main()
