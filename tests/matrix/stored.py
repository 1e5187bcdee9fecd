"""How values rest in the file: examples, for docs/types.md."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sqlcache_nb.codec import encode


class Example(NamedTuple):
    """A column, and what a person calls it."""

    name: str
    column: Any


def _cells(*values: Any) -> Any:
    array = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):
        array[position] = value
    return pd.Series(array, dtype=object)


def _arrow(values: list[Any], kind: Any) -> Any:
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, kind)))


EXAMPLES: tuple[Example, ...] = (
    Example("integers of NumPy's, and of pandas' `Int64`", pd.Series([1, None], dtype="Int64")),
    Example("floats; NaN is null, but a NaN of `Float64` beside NA", pd.Series([1.5, None])),
    Example("booleans", pd.Series([True, False])),
    Example("datetimes; seconds as milliseconds", pd.Series([0], dtype="datetime64[us]")),
    Example("datetimes with a zone", pd.Series([0], dtype="datetime64[us, Europe/Berlin]")),
    Example("timedeltas", pd.Series([0], dtype="timedelta64[us]")),
    Example("texts of any dtype", pd.Series(["x", None], dtype="string")),
    Example("texts with lone surrogates", pd.Series(["\ud83d", "x"], dtype="string[python]")),
    Example("categories: their values", pd.Series(["x", None], dtype="category")),
    Example("any ArrowDtype that Parquet has", _arrow([[1, None]], pa.list_(pa.int32()))),
    Example("intervals of Arrow's", _arrow([(1, 2, 3)], pa.month_day_nano_interval())),
    Example("objects: `str`", _cells("x", None)),
    Example("objects: `bytes`, `bytearray`, `memoryview`", _cells(b"x", None)),
    Example("objects: `bool` and None", _cells(True, None)),
    Example("objects: `int`", _cells(1, None)),
    Example("objects: `int` beyond 64 bits", _cells(2**64, None)),
    Example("objects: `float` and None", _cells(1.5, None)),
    Example("objects: `Decimal` of one scale", _cells(Decimal("1.50"), None)),
    Example("objects: `Decimal` of several, NaN, infinity", _cells(Decimal("1.50"), Decimal(1))),
    Example("objects: `date`", _cells(date(1, 1, 1), None)),
    Example("objects: `time`", _cells(time(12, 30), None)),
    Example("objects: `time` with a zone", _cells(time(12, 30, tzinfo=UTC), None)),
    Example("objects: `datetime`", _cells(datetime(9999, 1, 1), None)),
    Example("objects: `datetime` of one zone", _cells(datetime(9999, 1, 1, tzinfo=UTC), None)),
    Example("objects: `timedelta`", _cells(timedelta(1), None)),
    Example("objects: `uuid.UUID`", _cells(uuid.UUID(int=0), None)),
    Example("objects: addresses and networks", _cells(IPv4Address("10.0.0.1"), None)),
    Example("objects: `list` or NumPy array of one such type", _cells([1, None], [], None)),
    Example("objects: JSON, `tuple`, `set`, ranges, mixtures", _cells({"a": [1.5]}, "x", (1, 2), None)),
)


def stored() -> Iterator[tuple[str, str]]:
    """What each example is called, and the type that its column has in the file."""
    for example in EXAMPLES:
        data = encode(pd.DataFrame({"a": example.column}), "{}")
        kind = str(pq.ParquetFile(pa.BufferReader(data)).schema_arrow.field(0).type)
        yield example.name, kind.replace("large_", "")  # which pandas 3 has where pandas 2 has the other
