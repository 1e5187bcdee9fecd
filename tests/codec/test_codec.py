"""Frames come back exactly or are refused; the file is one that every other tool reads."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from sqlcache_nb import codec
from sqlcache_nb.codec import Payload, encode
from sqlcache_nb.errors import CodecError, NotCacheable
from tests.codec.frames import KINDS, columns, frames
from tests.strict import differences

UTC = timezone.utc  # noqa: UP017  # the object is what is compared


def decode(payload: pa.Buffer) -> pd.DataFrame:
    return Payload(payload).frame


def round_trip(frame: pd.DataFrame) -> list[str]:
    return differences(frame, decode(encode(frame, "{}")))


def of(*cells: Any, dtype: Any = object) -> pd.DataFrame:
    return pd.DataFrame({"a": pd.Series(list(cells), dtype=dtype)})


# --- exactly ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_kind_of_column_comes_back(kind: str, data: st.DataObject) -> None:
    frame = pd.DataFrame({"a": data.draw(columns(kind, data.draw(st.integers(0, 4))))})
    assert round_trip(frame) == []


@settings(max_examples=300, deadline=None)
@given(frame=frames())
def test_every_frame_comes_back(frame: pd.DataFrame) -> None:
    before = frame.copy()
    assert round_trip(frame) == []
    assert differences(before, frame) == []


INDEXES: dict[str, Any] = {
    "default": pd.RangeIndex(2),
    "default with a name": pd.RangeIndex(2, name="n"),
    "range downwards": pd.RangeIndex(7, 3, -2),
    "integers": pd.Index([5, 3], name="n"),
    "small integers": pd.Index([5, 3], dtype="int8", name="n"),
    "floats and NaN": pd.Index([5.5, np.nan], name="n"),
    "bool": pd.Index([True, False], name="n"),
    "strings": pd.Index(["x", "x"], name="n"),
    "strings and missing": pd.Index(["x", None], dtype="string[python]", name="n"),
    "objects": pd.Index([date(2024, 1, 1), None], dtype=object, name="n"),
    "objects that look like integers": pd.Index([1, 2], dtype=object, name="n"),
    "masked": pd.Index([1, pd.NA], dtype="Int64", name="n"),
    "Arrow": pd.Index([1, None], dtype="int64[pyarrow]", name="n"),
    "times": pd.Index(np.array([1, 2], "datetime64[s]"), name="n"),
    "zoned times": pd.DatetimeIndex(["2024", "2025"], tz=ZoneInfo("Asia/Tokyo"), name="n"),
    "name of a column": pd.Index([1, 2], name="a"),
    "empty name": pd.Index([1, 2], name=""),
    "two levels": pd.MultiIndex.from_arrays([[1, 2], ["x", "y"]], names=["n", "m"]),
    "two levels of one name": pd.MultiIndex.from_arrays([[1, 2], ["x", "y"]], names=["a", "a"]),
    "a missing value in a level": pd.MultiIndex.from_arrays([[1.5, np.nan], [1, 2]], names=["n", "m"]),
    # `pd.read_sql` always names what it makes of index_col; these show that the codec does not rely on it.
    "no name": pd.Index([5, 3]),
    "no name on the second level": pd.MultiIndex.from_arrays([[1, 2], [3, 4]], names=["n", None]),
}


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_every_kind_of_index_comes_back(index: pd.Index[Any]) -> None:
    assert round_trip(pd.DataFrame({"a": ["p", "q"], "index_0": [1, 2]}, index=index)) == []


@pytest.mark.parametrize(
    "labels", [["a", "A"], [""], ["?column?"], ["a\0b", "a"], ["ü 🦆", "__index_level_0__"]]
)
@pytest.mark.parametrize("dtype", [None, object, "string[python]"])
def test_labels_come_back(labels: list[str], dtype: Any) -> None:
    assert round_trip(pd.DataFrame([range(len(labels))], columns=pd.Index(labels, dtype=dtype))) == []


@pytest.mark.parametrize(
    "frame",
    [
        of(Decimal("1.0"), Decimal("-0.5"), None),
        of(Decimal("0E-7")),
        of(Decimal("9" * 38)),
        of(Decimal("0." + "9" * 38)),
        of(date(1, 1, 1), date(9999, 12, 31)),
        of(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)),
        of(time(0), time(23, 59, 59, 999_999)),
        of(2**63 - 1, -(2**63)),
        of("a\0b", "", None),
        of(b"\0", b"", None),
        of(True, None),
        of(None, None),
    ],
    ids=lambda frame: repr(frame["a"].tolist())[:40],
)
def test_odd_objects_come_back(frame: pd.DataFrame) -> None:
    assert round_trip(frame) == []


def test_a_frame_of_many_cells_is_decoded_with_threads() -> None:
    rows = np.arange(codec._THREADS_FROM_CELLS // 2 + 1)
    frame = pd.DataFrame({"n": rows, "x": rows / 3, "s": pd.Series(rows % 7).astype(str)})
    assert round_trip(frame) == []


def test_several_row_groups_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_MAX_ROWS_A_GROUP", 2)
    frame = pd.DataFrame(
        {
            "n": range(5),
            "s": list("abcda"),
            "o": pd.Series([1, None, 3, 4, 5], dtype=object),
            "m": pd.array([1, None, 3, 4, 5], dtype="Int64"),
            "p": pd.array([1, None, 3, 4, 5], dtype="int64[pyarrow]"),
        }
    )
    payload = encode(frame, "{}")
    assert pq.ParquetFile(pa.BufferReader(payload)).metadata.num_row_groups == 3
    assert differences(frame, decode(payload)) == []


STATEMENT = """
    select 1 as n, 1.5 as x, 'word' as s, null as empty, cast('2024-01-02' as date) as d
    union all select null, null, null, null, null
"""


@pytest.mark.parametrize("backend", [None, "numpy_nullable", "pyarrow"])
@pytest.mark.parametrize("url", ["sqlite://", "duckdb:///:memory:"])
def test_what_pandas_reads_comes_back(url: str, backend: Any) -> None:
    engine = create_engine(url)
    options: dict[str, Any] = {} if backend is None else {"dtype_backend": backend}
    try:
        for index_col in (None, "n", ["s", "n"]):
            frame = pd.read_sql(STATEMENT, engine, index_col=index_col, **options)
            try:
                payload = encode(frame, "{}")
            except NotCacheable as refusal:  # allowed, as long as it says of what
                assert "empty" in str(refusal) or "level" in str(refusal)  # noqa: PT017  # either is right
            else:
                assert differences(frame, decode(payload)) == []
    finally:
        engine.dispose()


# --- or not at all --------------------------------------------------------------------------------------


def with_attrs() -> pd.DataFrame:
    frame = of(1)
    frame.attrs["source"] = "x"
    return frame


REFUSED: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    "attrs": (with_attrs, "attrs or flags"),
    "flags": (lambda: of(1).set_flags(allows_duplicate_labels=False), "attrs or flags"),
    "no columns": (lambda: pd.DataFrame(index=range(3)), "no columns"),
    "duplicate labels": (lambda: pd.DataFrame([[1, 2]], columns=["?column?"] * 2), r"two.*'\?column\?'"),
    "labels of two levels": (
        lambda: pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])),
        "several levels",
    ),
    "labels with a name": (lambda: of(1).rename_axis("x", axis=1), "labels"),
    "integer label": (lambda: pd.DataFrame([[1]]), "label 0 is of type int"),
    "tuple label": (
        lambda: pd.DataFrame([[1]], columns=pd.Index([("a", 1)], tupleize_cols=False)),
        r"label \('a', 1\) is of type tuple",
    ),
    "lone surrogate in a label": (
        lambda: pd.DataFrame([[1]], columns=pd.Index(["\ud800"], dtype=object)),
        "label|column|Parquet",
    ),
    "index name": (lambda: of(1).rename_axis(7), "index name 7 is of type int"),
    "index level": (
        lambda: pd.DataFrame({"a": [1]}, index=pd.CategoricalIndex(["x"], name="n")),
        "index level 0 .*category",
    ),
    "float16": (lambda: of(1, dtype="float16"), "column a .*float16"),
    "complex": (lambda: of(1, dtype="complex128"), "column a .*complex128"),
    "foreign byte order": (lambda: of(1, dtype=">i4"), "column a .*>i4"),
    "category": (lambda: of("x", dtype="category"), "column a .*category"),
    "period": (lambda: of("2024", dtype="period[D]"), r"column a .*period\[D\]"),
    "interval": (lambda: pd.DataFrame({"a": pd.interval_range(0, 1)}), "column a .*interval"),
    "sparse": (lambda: of(1, dtype="Sparse[int64]"), "column a .*Sparse"),
    "Arrow list": (lambda: of([1], dtype=pd.ArrowDtype(pa.list_(pa.int64()))), "column a .*list"),
    "Arrow dictionary": (
        lambda: of("x", dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))),
        "column a .*dictionary",
    ),
    "Arrow seconds": (lambda: of(1, dtype=pd.ArrowDtype(pa.timestamp("s"))), r"column a .*timestamp\[s\]"),
    "Arrow decimal of a negative scale": (
        lambda: of(Decimal("1E+2"), dtype=pd.ArrowDtype(pa.decimal128(5, -2))),
        "column a",
    ),
    "Arrow date after the year 9999": (
        lambda: of_integer(10**7, pa.int32(), pa.date32()),
        "column a",
    ),
    "Arrow time of nanoseconds": (lambda: of_integer(1, pa.int64(), pa.time64("ns")), "column a"),
    "masked NaN": (
        lambda: pd.DataFrame({"a": pd.arrays.FloatingArray(np.array([np.nan]), np.array([False]))}),
        "column a .*NaN",
    ),
    "seconds that milliseconds do not reach": (
        lambda: pd.DataFrame({"a": np.array([2**62], "int64").view("datetime64[s]")}),
        "column a",
    ),
    "zone of seconds": (
        lambda: of("2024", dtype=pd.DatetimeTZDtype("ns", timezone(timedelta(seconds=61)))),
        "column a",
    ),
    "zone with a name": (
        lambda: of("2024", dtype=pd.DatetimeTZDtype("ns", timezone(timedelta(0), "Z"))),
        "column a .*time zone",
    ),
    "zone of pytz": (lambda: of("2024", dtype=pd.DatetimeTZDtype("ns", pytz_zone())), "column a .*time zone"),
    "mixed objects": (lambda: of(1, "x"), "column a .*int and str"),
    "bool beside int": (lambda: of(True, 1), "column a .*bool and int"),
    "None beside NaN": (lambda: of("x", float("nan")), "column a .*float and str"),
    "NA": (lambda: of("x", pd.NA), "column a .*NAType"),
    "NaT": (lambda: of(pd.NaT), "column a .*NaTType"),
    "object of float": (lambda: of(1.5), "column a .*float"),
    "numpy scalars": (lambda: of(np.int64(1)), "column a .*int64"),
    "numpy str": (lambda: of(np.str_("x")), "column a .*str_"),
    "Timestamp": (lambda: of(pd.Timestamp(2024, 1, 1)), "column a .*Timestamp"),
    "memoryview": (lambda: of(memoryview(b"x")), "column a .*memoryview"),
    "list": (lambda: of([1, 2]), "column a .*list"),
    "dict": (lambda: of({"a": 1}), "column a .*dict"),
    "timedelta": (lambda: of(timedelta(1)), "column a .*timedelta"),
    "datetime with a zone": (lambda: of(datetime(2024, 1, 1, tzinfo=UTC)), "column a .*zone"),
    "time with a zone": (lambda: of(time(1, tzinfo=UTC)), "column a .*zone"),
    "fold": (lambda: of(datetime(2024, 1, 1, fold=1)), "column a"),
    "Decimals of two scales": (lambda: of(Decimal("1.0"), Decimal("1.00")), "column a .*scales"),
    "Decimal NaN": (lambda: of(Decimal("NaN")), "column a .*Decimal"),
    "Decimal Infinity": (lambda: of(Decimal(1), Decimal("Infinity")), "column a .*Decimal"),
    "Decimal minus zero": (lambda: of(Decimal("-0.0")), "column a .*minus zero"),
    "Decimal of a positive exponent": (lambda: of(Decimal("1E+2")), "column a .*Decimal"),
    "Decimal of 39 digits": (lambda: of(Decimal("1" * 39)), "column a .*38 digits"),
    "int over int64": (lambda: of(2**63), "column a"),
    "lone surrogate": (lambda: of("\ud800"), "column a"),
    "lone surrogate in a string dtype": (lambda: of("\ud800", dtype="string[python]"), "column a"),
    "freq": (
        lambda: pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2024", periods=2, name="n")),
        "freq",
    ),
}


def of_integer(value: int, plain: Any, kind: Any) -> pd.DataFrame:
    array: Any = pa.array([value], plain).view(kind)
    return pd.DataFrame({"a": pd.arrays.ArrowExtensionArray(array)})  # type: ignore[attr-defined,unused-ignore]


def pytz_zone() -> Any:
    return pytest.importorskip("pytz").timezone("Europe/Berlin")


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_names_what_it_refuses(make: Callable[[], pd.DataFrame], words: str) -> None:
    with pytest.raises(NotCacheable, match=words):
        encode(make(), "{}")


# --- the decoded frame ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_a_decoded_frame_is_writable_and_nobody_elses(kind: str, data: st.DataObject) -> None:
    rows = 4
    original = pd.DataFrame({"a": data.draw(columns(kind, rows)), "n": range(rows)})
    payload = encode(original, "{}")
    bytes_before = payload.to_pybytes()
    ours: Any = decode(payload)
    theirs = decode(payload)

    ours.iloc[0, 0] = ours.iloc[3, 0]
    ours.loc[ours["n"] > 1, "n"] = -1
    ours["new"] = 1
    ours.index = pd.Index([9, 8, 7, 6])

    assert ours["n"].tolist() == [0, 1, -1, -1]
    assert differences(original, theirs) == []
    assert payload.to_pybytes() == bytes_before


def test_the_original_may_be_changed_after_encoding() -> None:
    frame = pd.DataFrame({"n": [1, 2]})
    payload = encode(frame, "{}")
    frame.loc[0, "n"] = 9
    assert decode(payload)["n"].tolist() == [1, 2]


def test_a_payload_is_decoded_once() -> None:
    payload = Payload(encode(of("x"), "{}"))
    assert payload.frame is payload.frame


# --- the file ------------------------------------------------------------------------------------------------

NATURAL = pd.DataFrame(
    {
        "n": [1, 2, 3],
        "x": [1.5, np.nan, 2.5],
        "s": ["a", None, "ü"],
        "at": pd.Series(["2024-01-02T03:04:05", None, "2024-01-03"], dtype="datetime64[us]"),
        "price": pd.Series([Decimal("1.50"), None, Decimal("-2.25")], dtype=object),
        "day": pd.Series([date(2024, 1, 2), None, date(1, 1, 1)], dtype=object),
    }
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "answer.parquet"
    path.write_bytes(encode(NATURAL.set_index("n"), '{"sql": "select 1"}').to_pybytes())
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


@pytest.mark.parametrize("reader", [with_pandas, with_pyarrow, with_duckdb, with_polars])
def test_other_tools_read_names_and_values(
    file: Path, reader: Callable[[Path], list[dict[str, Any]]]
) -> None:
    first, second, third = reader(file)
    assert list(first) == ["x", "s", "at", "price", "day", "n"]
    assert (first["n"], first["x"], first["s"]) == (1, 1.5, "a")
    assert (first["at"], first["price"]) == (datetime(2024, 1, 2, 3, 4, 5), Decimal("1.50"))
    assert first["day"] == date(2024, 1, 2)
    assert [second[name] for name in ("x", "s", "at", "price", "day")] == [None] * 5
    assert (third["s"], third["day"], third["price"]) == ("ü", date(1, 1, 1), Decimal("-2.25"))


def test_types_in_the_file_are_native(file: Path) -> None:
    schema = pq.read_schema(file)
    decimal = schema.field("price").type
    assert (decimal.scale, pa.types.is_decimal(decimal)) == (2, True)
    assert schema.field("day").type == pa.date32()
    assert pa.types.is_timestamp(schema.field("at").type)
    assert [schema.field(name).type for name in ("n", "x")] == [pa.int64(), pa.float64()]


def test_the_file_explains_itself(file: Path) -> None:
    metadata = pq.read_schema(file).metadata
    assert json.loads(metadata[b"sqlcache_nb.provenance"]) == {"sql": "select 1"}
    assert json.loads(metadata[b"sqlcache_nb"])["format"] == codec.FORMAT


def test_only_strings_that_come_again_have_a_dictionary() -> None:
    rows = 1000
    frame = pd.DataFrame(
        {
            "few strings": ["red", "green"] * (rows // 2),
            "many strings": [str(number) for number in range(rows)],
            "few integers": [1] * rows,
            "few floats": [1.5] * rows,
            "few times": pd.to_datetime(["2024-01-01"] * rows),
            "few bytes": pd.Series([b"x"] * rows, dtype=object),
        }
    )
    group = pq.ParquetFile(pa.BufferReader(encode(frame, "{}"))).metadata.row_group(0)
    facts = {group.column(position).path_in_schema: group.column(position) for position in range(6)}
    assert {name for name, column in facts.items() if column.has_dictionary_page} == {"few strings"}
    assert {column.compression for column in facts.values()} == {"LZ4"}
    assert not any(column.is_stats_set for column in facts.values())


# --- damage ----------------------------------------------------------------------------------------------------


def rewritten(change: Callable[[dict[str, Any]], Any], frame: pd.DataFrame | None = None) -> bytes:
    """A payload whose instructions were changed in place, or replaced by what `change` returns."""
    table = pq.read_table(pa.BufferReader(encode(NATURAL if frame is None else frame, "{}")))
    spec = json.loads(table.schema.metadata[b"sqlcache_nb"])
    made = change(spec)
    text = made if isinstance(made, bytes) else json.dumps(spec if made is None else made).encode()
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({b"sqlcache_nb": text}), sink)
    return bytes(sink.getvalue().to_pybytes())


def set_column(**facts: Any) -> Callable[[dict[str, Any]], None]:
    return lambda spec: spec["columns"].__setitem__(0, facts)


INSTRUCTIONS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "not JSON": lambda spec: b"{",
    "not text": lambda spec: b"\xff",
    "a list": lambda spec: [1],
    "a number": lambda spec: 1,
    "null": lambda spec: b"null",
    "newer format": lambda spec: spec.update(format=codec.FORMAT + 1),
    "older format": lambda spec: spec.update(format=0),
    "no format": lambda spec: {"columns": []},
    "format alone": lambda spec: {"format": codec.FORMAT},
    "no labels": lambda spec: spec.pop("labels") and None,
    "labels of another shape": lambda spec: spec.update(labels=["n"]),
    "fewer labels than columns": lambda spec: spec["labels"].update(values=["n"]),
    "more columns than the file": lambda spec: spec["columns"].append({"kind": "arrow"}),
    "columns are no list": lambda spec: spec.update(columns=None),
    "column is no object": lambda spec: spec["columns"].__setitem__(0, 1),
    "index name without index": lambda spec: spec["index"].append({"kind": "numpy", "dtype": "<i8"}),
    "unknown kind": set_column(kind="magic"),
    "kind without its facts": set_column(kind="numpy"),
    "unknown dtype": set_column(kind="numpy", dtype="<q9"),
    "unknown masked dtype": set_column(kind="masked", dtype="Int7"),
    "zone on integers": set_column(kind="zoned", unit="ns", zone={"zoneinfo": "UTC"}),
    "string storage unknown": set_column(kind="string", storage="paper", na="NA"),
}


@pytest.mark.parametrize("change", INSTRUCTIONS.values(), ids=INSTRUCTIONS)
def test_instructions_that_cannot_be_followed_are_a_codec_error(
    change: Callable[[dict[str, Any]], Any],
) -> None:
    data = rewritten(change)
    with pytest.raises(CodecError):
        Payload(data).frame  # noqa: B018  # decoding is what raises


@pytest.mark.parametrize("zone", [{"zoneinfo": "Mars/Olympus"}, {"zoneinfo": "../UTC"}, {"offset": 1e20}, {}])
def test_a_zone_that_is_not_known_here_is_a_codec_error(zone: dict[str, Any]) -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2024-01-01"], utc=True)})
    data = rewritten(lambda spec: spec["columns"][0].update(zone=zone), frame)
    with pytest.raises(CodecError):
        Payload(data).frame  # noqa: B018  # decoding is what raises


def test_instructions_that_are_left_alone_are_followed() -> None:
    assert differences(NATURAL, Payload(rewritten(lambda spec: None)).frame) == []


def test_a_foreign_parquet_file_is_a_codec_error() -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"n": [1]}), sink)
    with pytest.raises(CodecError, match="not a payload"):
        Payload(sink.getvalue())


def test_another_format_says_which() -> None:
    with pytest.raises(CodecError, match="format 7"):
        Payload(rewritten(lambda spec: spec.update(format=7)))


@given(data=st.binary(max_size=200))
def test_other_bytes_are_a_codec_error(data: bytes) -> None:
    with pytest.raises(CodecError):
        Payload(data)


def truncations() -> Iterator[bytes]:
    whole = encode(NATURAL, "{}").to_pybytes()
    for length in range(0, len(whole), len(whole) // 40):
        yield whole[:length]


def test_a_truncated_payload_is_a_codec_error() -> None:
    for data in truncations():
        with pytest.raises(CodecError):
            Payload(data)


def test_a_sqlite_database_is_not_a_payload(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("create table t (n)")
    with pytest.raises(CodecError):
        Payload(path.read_bytes())
