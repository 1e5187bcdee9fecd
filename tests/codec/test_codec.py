"""The codec as a whole: what pandas reads comes back, and the file is one that every other tool reads."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, create_engine

from sqlcache_nb import codec
from sqlcache_nb.codec import encode
from tests.codec.frames import of_arrow, of_masked, of_objects
from tests.codec.round_trip import round_trip, round_trip_of_chunks


def test_the_names_of_the_codec() -> None:
    assert codec.__all__ == [
        "FORMAT",
        "ChunkWriter",
        "Payload",
        "content_of",
        "decode",
        "encode",
        "outline_of",
    ]
    assert codec.FORMAT == 2


# --- what pandas reads --------------------------------------------------------------------------------------

STATEMENT = """
    select 1 as n, 1.5 as x, 'word' as s, null as empty, cast('2024-01-02' as date) as d, 1 as "?column?"
    union all select 2, null, null, null, null, null
"""


@pytest.fixture(params=["sqlite://", "duckdb:///:memory:"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made = create_engine(request.param)
    yield made
    made.dispose()


@pytest.mark.parametrize("backend", [None, "numpy_nullable", "pyarrow"])
@pytest.mark.parametrize("index_col", [None, "n", ["s", "n"]])
def test_what_pandas_reads_comes_back(engine: Engine, backend: Any, index_col: Any) -> None:
    options: dict[str, Any] = {} if backend is None else {"dtype_backend": backend}
    frame = pd.read_sql(STATEMENT, engine, index_col=index_col, **options)
    assert round_trip(frame) == []
    chunks = list(pd.read_sql(STATEMENT, engine, index_col=index_col, chunksize=1, **options))
    assert round_trip_of_chunks(chunks) == [[], []]


@pytest.mark.parametrize("dtype", ["category", object, "string[python]", "string[pyarrow]"])
def test_what_pandas_makes_of_dtype_comes_back(engine: Engine, dtype: Any) -> None:
    assert round_trip(pd.read_sql(STATEMENT, engine, dtype={"s": dtype, "empty": dtype})) == []
    assert round_trip(pd.read_sql(STATEMENT, engine, dtype={"s": dtype}).set_index(["s", "n"])) == []


# --- other readers ------------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")


def cells(*values: Any) -> pd.Series[Any]:
    made: pd.Series[Any] = pd.Series(of_objects([*values, None]), dtype=object)
    return made


NATURAL = pd.DataFrame(
    {
        "whole": [1, 2],
        "masked": pd.array([1, None], dtype="Int64"),
        "flag": cells(True),
        "real": [1.5, None],
        "masked real": of_masked("float64")([1.5, pd.NA]),
        "word": ["ü", None],
        "object": cells("ü"),
        "pandas' string": pd.array(["ü", None], dtype="string[pyarrow]"),
        "category": pd.Categorical(["b", None], categories=["c", "b"]),
        "raw": cells(b"\0x"),
        "view": cells(memoryview(b"x")),
        "at": pd.Series(["2024-01-02T03:04:05", None], dtype="datetime64[us]"),
        "seconds": pd.Series(["2024-01-02T03:04:05", None], dtype="datetime64[s]"),
        "Python's": cells(datetime(1, 2, 3)),
        "zoned": pd.Series(["2024-07-01T12:00", None], dtype=pd.DatetimeTZDtype("us", BERLIN)),
        "Python's zoned": cells(datetime(2024, 7, 1, 12, tzinfo=BERLIN)),
        "day": cells(date(1, 1, 1)),
        "time": cells(time(1, 2, 3)),
        "price": cells(Decimal("-1.50")),
        "large": cells(2**70),
        "id": cells(uuid.UUID(int=7)),
        "data": cells({"a": [1, None]}),
        "mixed": pd.Series(of_objects([1, "a"]), dtype=object),
        "exact": cells(Decimal("1E+2")),
        "words": cells(["a", None]),
        "numbers": cells([[1], []]),
        "array": cells(np.array([1.5])),
        "Arrow's list": of_arrow(pa.list_(pa.int64()))([[1], None]),
        "Arrow's struct": of_arrow(pa.struct([("a", pa.int64())]))([{"a": 1}, None]),
        "level": ["p", "q"],
        "other": [1.5, None],
    }
).set_index(["level", "other"])

AS_READ: dict[str, Any] = {
    "whole": 1,
    "masked": 1,
    "flag": True,
    "real": 1.5,
    "masked real": 1.5,
    "word": "ü",
    "object": "ü",
    "pandas' string": "ü",
    "category": "b",
    "raw": b"\0x",
    "view": b"x",
    "at": datetime(2024, 1, 2, 3, 4, 5),
    "seconds": datetime(2024, 1, 2, 3, 4, 5),
    "Python's": datetime(1, 2, 3),
    **{name: datetime(2024, 7, 1, 10, tzinfo=UTC) for name in ("zoned", "Python's zoned")},
    "day": date(1, 1, 1),
    "time": time(1, 2, 3),
    "price": Decimal("-1.50"),
    "large": 2**70,
    "id": uuid.UUID(int=7),
    "data": '{"a": [1, null]}',
    "mixed": "1",
    "exact": "1E+2",
    "words": ["a", None],
    "numbers": [[1], []],
    "array": [1.5],
    "Arrow's list": [1],
    "Arrow's struct": {"a": 1},
    "level": "p",
    "other": 1.5,
}
"""The first row as any reader of the file finds it."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("codec") / "answer.parquet"
    path.write_bytes(bytes(encode(NATURAL, '{"sql": "select 1"}')))
    return path


def with_pandas(path: Path) -> list[dict[str, Any]]:
    rows: Any = pd.read_parquet(path).astype(object)
    return list(rows.where(rows.notna(), None).to_dict("records"))


def with_pyarrow(path: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(path).to_pylist())


def with_duckdb(path: Path) -> list[dict[str, Any]]:
    duckdb = pytest.importorskip("duckdb")
    with closing(duckdb.connect()) as con:
        cursor = con.execute("from read_parquet(?)", [str(path)])
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def with_polars(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pytest.importorskip("polars").read_parquet(path).to_dicts()
    return rows


def alike(value: Any) -> Any:
    """What readers give in ways of their own: moments, UUIDs as bytes, arrays for lists."""
    if isinstance(value, datetime):  # also pandas' own
        return value.astimezone(UTC) if value.tzinfo else datetime.fromisoformat(value.isoformat())
    if isinstance(value, time):  # as adjusted to UTC, which old versions of Arrow say of every time
        return value.replace(tzinfo=None)
    if isinstance(value, bytes) and len(value) == 16:
        return uuid.UUID(bytes=value)
    if isinstance(value, np.ndarray):
        return [alike(item) for item in value]
    return value


@pytest.mark.parametrize("reader", [with_pandas, with_pyarrow, with_duckdb, with_polars])
def test_other_tools_read_names_and_values(
    file: Path, reader: Callable[[Path], list[dict[str, Any]]]
) -> None:
    first, second = reader(file)
    assert list(first) == list(AS_READ)
    assert {name: alike(value) for name, value in first.items()} == AS_READ
    known = {"whole": 2, "mixed": '"a"', "level": "q"}
    assert second == dict.fromkeys(AS_READ) | known


@pytest.mark.parametrize("name", ["whole", "flag", "word", "day", "price", "id", "words", "numbers", "level"])
def test_types_in_the_file_are_native(file: Path, name: str) -> None:
    kinds = {
        "whole": pa.int64(),
        "flag": pa.bool_(),
        "word": pa.string(),
        "day": pa.date32(),
        "price": pa.decimal128(18, 2),
        "id": pa.uuid(),
        "level": pa.string(),
        "words": pa.list_(pa.string()),
        "numbers": pa.list_(pa.list_(pa.int64())),
    }
    kind = pq.ParquetFile(file).schema_arrow.field(name).type
    assert kind == kinds[name] or (kind, kinds[name]) == (pa.large_string(), pa.string())


def test_durations_are_durations_to_arrow_and_integers_to_others(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "spans.parquet"
    frame = pd.DataFrame({"span": cells(timedelta(1, 2)), "n": np.array([1, 2]).astype("timedelta64[s]")})
    path.write_bytes(bytes(encode(frame, "{}")))
    assert with_pyarrow(path)[0] == {"span": timedelta(1, 2), "n": timedelta(seconds=1)}
    assert with_duckdb(path)[0]["span"] == 86_402_000_000


def test_the_frame_that_others_read_comes_back() -> None:
    assert round_trip(NATURAL) == []
