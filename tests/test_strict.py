"""The comparer that the round-trip tests rely on sees every kind of difference."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy.sql.elements import quoted_name

from tests.strict import differences

UTC = timezone.utc  # noqa: UP017  # its repr is what is compared
NAN_STRING: Any = "str" if pd.__version__ >= "3" else "string[pyarrow_numpy]"


def column(values: Any, dtype: Any = None) -> pd.DataFrame:
    return pd.DataFrame({"a": pd.Series(values, dtype=dtype)})


def cells(*values: Any) -> pd.DataFrame:
    return column(list(values), object)


def leveled(level: Any) -> pd.DataFrame:
    return indexed(pd.MultiIndex([level], [[0, 1]]))


def indexed(index: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2]}, index=index)


def zoned(zone: Any, unit: Any = "ns") -> pd.DataFrame:
    return column(["2024-07-01"], pd.DatetimeTZDtype(unit, zone))


def with_attrs(**attrs: Any) -> pd.DataFrame:
    frame = cells(1)
    frame.attrs.update(attrs)
    return frame


def masked(data: list[float], mask: list[bool]) -> pd.DataFrame:
    return column(pd.arrays.FloatingArray(np.array(data), np.array(mask)))


def far_off(day: int, *, nested: bool = False) -> pd.DataFrame:
    days: Any = pa.array([day], pa.int32()).view(pa.date32())
    values: Any = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), days) if nested else days
    return column(pd.arrays.ArrowExtensionArray(values))


def not_utf8(data: bytes) -> pd.DataFrame:
    texts: Any = pa.Array.from_buffers(pa.string(), 1, pa.array([data]).buffers())
    return column(pd.arrays.ArrowExtensionArray(texts))


class Range:
    """As pg8000's: 1 is 1.0 for its ==, and its text leaves the zone out."""

    def __init__(self, lower: Any, upper: Any = None) -> None:
        self.lower, self.upper = lower, upper

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Range) and (self.lower, self.upper) == (other.lower, other.upper)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "<Range>"


class List(list[Any]):
    """As SQLAlchemy's multiranges."""


class Frame(pd.DataFrame):
    @property
    def _constructor(self) -> type[Frame]:
        return Frame


UNLIKE: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {
    "type of the frame": (cells(1), Frame(cells(1))),
    "rows": (cells(1), cells(1, 2)),
    "columns": (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1], "b": [1]})),
    "numpy dtype": (column([1], "int64"), column([1], "int32")),
    "byte order": (column([1], "<i4"), column([1], ">i4")),
    "masked or not": (column([1], "int64"), column([1], "Int64")),
    "masked or Arrow": (column([1], "Int64"), column([1], "int64[pyarrow]")),
    "unit": (column(["2024"], "datetime64[ms]"), column(["2024"], "datetime64[us]")),
    "unit of zoned": (zoned(UTC, "ms"), zoned(UTC, "us")),
    "object of the zone": (zoned(UTC), zoned(ZoneInfo("UTC"))),
    "name of the zone": (zoned(ZoneInfo("Europe/Berlin")), zoned(ZoneInfo("Europe/Paris"))),
    "zone of one offset": (zoned(timezone(timedelta(0))), zoned(timezone(timedelta(0), "Z"))),
    "string storage": (column(["x"], "string[python]"), column(["x"], "string[pyarrow]")),
    "string missing value": (column(["x"], "string[pyarrow]"), column(["x"], NAN_STRING)),
    "string or object": (column(["x"], "string[python]"), column(["x"], object)),
    "string or Arrow string": (column(["x"], "string[pyarrow]"), column(["x"], pd.ArrowDtype(pa.string()))),
    "Arrow type": (
        column(["x"], pd.ArrowDtype(pa.string())),
        column(["x"], pd.ArrowDtype(pa.large_string())),
    ),
    "categories": (column(["x"], pd.CategoricalDtype(["x"])), column(["x"], pd.CategoricalDtype(["x", "y"]))),
    "order of categories": (
        column(["x"], pd.CategoricalDtype(["x"], ordered=False)),
        column(["x"], pd.CategoricalDtype(["x"], ordered=True)),
    ),
    "value": (column([1, 2]), column([1, 3])),
    "sign of zero": (column([0.0]), column([-0.0])),
    "position of NaN": (column([np.nan, 1.0]), column([1.0, np.nan])),
    "masked NaN or NA": (masked([np.nan], [False]), masked([np.nan], [True])),
    "Arrow NaN or null": (
        column(pd.arrays.ArrowExtensionArray(pa.array([float("nan")]))),
        column(pd.arrays.ArrowExtensionArray(pa.array([None], pa.float64()))),
    ),
    "name of an Arrow list's items": (
        column([[1]], pd.ArrowDtype(pa.list_(pa.field("item", pa.int64())))),
        column([[1]], pd.ArrowDtype(pa.list_(pa.field("element", pa.int64())))),
    ),
    "inside an Arrow list": (
        column([[1, None]], pd.ArrowDtype(pa.list_(pa.int64()))),
        column([[1, 0]], pd.ArrowDtype(pa.list_(pa.int64()))),
    ),
    "inside an Arrow struct": (
        column([{"a": [1]}], pd.ArrowDtype(pa.struct({"a": pa.list_(pa.int64())}))),
        column([{"a": None}], pd.ArrowDtype(pa.struct({"a": pa.list_(pa.int64())}))),
    ),
    "Arrow struct or its members missing": (
        column([{"a": None}], pd.ArrowDtype(pa.struct({"a": pa.int64()}))),
        column([None], pd.ArrowDtype(pa.struct({"a": pa.int64()}))),
    ),
    "Arrow times that Python has not": (far_off(10**7), far_off(10**7 + 1)),
    "Arrow times in a list that Python has not": (
        far_off(10**7, nested=True),
        far_off(10**7 + 1, nested=True),
    ),
    "Arrow intervals": (
        column([(1, 2, 3)], pd.ArrowDtype(pa.month_day_nano_interval())),
        column([(1, 2, 4)], pd.ArrowDtype(pa.month_day_nano_interval())),
    ),
    "Arrow texts that are none": (not_utf8(b"\xff"), not_utf8(b"\xfe")),
    "Arrow nanoseconds": (
        column(pd.arrays.ArrowExtensionArray(pa.array([1], pa.int64()).view(pa.time64("ns")))),
        column(pd.arrays.ArrowExtensionArray(pa.array([2], pa.int64()).view(pa.time64("ns")))),
    ),
    "nanoseconds": (
        column(np.array([1], "datetime64[ns]")),
        column(np.array([2], "datetime64[ns]")),
    ),
    "None or NaN": (cells(None), cells(float("nan"))),
    "None or NA": (cells(None), cells(pd.NA)),
    "NA or NaT": (cells(pd.NA), cells(pd.NaT)),
    "NaT or NaN": (cells(pd.NaT), cells(float("nan"))),
    "bool or int": (cells(True), cells(1)),
    "int or float": (cells(1), cells(1.0)),
    "int or numpy int": (cells(1), cells(np.int64(1))),
    "two numpy ints": (cells(np.int32(1)), cells(np.int64(1))),
    "float or Decimal": (cells(1.0), cells(Decimal("1.0"))),
    "scale of Decimal": (cells(Decimal("1.0")), cells(Decimal("1.00"))),
    "str or bytes": (cells("a"), cells(b"a")),
    "bytes or memoryview": (cells(b"a"), cells(memoryview(b"a"))),
    "str or numpy str": (cells("a"), cells(np.str_("a"))),
    "date or datetime": (cells(date(2024, 1, 1)), cells(datetime(2024, 1, 1))),
    "datetime or Timestamp": (cells(datetime(2024, 1, 1)), cells(pd.Timestamp(2024, 1, 1))),
    "zone of a cell": (
        cells(datetime(2024, 1, 1, tzinfo=UTC)),
        cells(datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC"))),
    ),
    "fold of a cell": (cells(time(1)), cells(time(1, fold=1))),
    "list or tuple": (cells([1]), cells((1,))),
    "list or ndarray": (cells([1]), cells(np.array([1]))),
    "dtype of an ndarray": (cells(np.array([1], "i4")), cells(np.array([1], "i8"))),
    "inside a list": (cells([1, None]), cells([1.0, None])),
    "inside a dict": (cells({"a": 1}), cells({"a": 1, "b": None})),
    "order of a dict": (cells({"a": 1, "b": 2}), cells({"b": 2, "a": 1})),
    "inside a list of lists": (cells([[1], [True]]), cells([[1], [1]])),
    "set": (cells({1, 2}), cells({1, 3})),
    "dtype of a scalar": (cells(np.datetime64(1, "s")), cells(np.datetime64(1, "ms"))),
    "value of an ndarray": (
        cells(np.array(["NaT", "2024"], "M8[us]")),
        cells(np.array(["NaT", "2025"], "M8[us]")),
    ),
    "form of a memoryview": (cells(memoryview(b"a")), cells(memoryview(b"a").cast("c"))),
    "memoryview that can be written to": (cells(memoryview(b"a")), cells(memoryview(bytearray(b"a")))),
    "unit of a Timedelta": (
        cells(pd.Timedelta(1, "s").as_unit("s")),
        cells(pd.Timedelta(1, "s").as_unit("ns")),
    ),
    "unit of a Timestamp": (cells(pd.Timestamp(0).as_unit("s")), cells(pd.Timestamp(0).as_unit("ns"))),
    "zone of a Timestamp": (cells(pd.Timestamp(0, tz=UTC)), cells(pd.Timestamp(0, tz=ZoneInfo("UTC")))),
    "what a UUID knows": (cells(uuid.UUID(int=1)), cells(uuid.UUID(int=1, is_safe=uuid.SafeUUID.safe))),
    "bound of a range that is like its text": (cells(Range(1, 2)), cells(Range(1.0, 2))),
    "zone of a bound": (
        cells(Range(datetime(2024, 1, 1, tzinfo=UTC))),
        cells(Range(datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC")))),
    ),
    "class that is a list": (cells([1]), cells(List([1]))),
    "quotes of a label": (
        pd.DataFrame([[1]], columns=pd.Index([quoted_name("a", None)], dtype=object)),
        pd.DataFrame([[1]], columns=pd.Index([quoted_name("a", True)], dtype=object)),
    ),
    "label": (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
    "label's type": (
        pd.DataFrame([[1]], columns=pd.Index([1], dtype=object)),
        pd.DataFrame([[1]], columns=pd.Index(["1"], dtype=object)),
    ),
    "labels' dtype": (
        pd.DataFrame([[1]], columns=pd.Index(["a"], dtype=object)),
        pd.DataFrame([[1]], columns=pd.Index(["a"], dtype="string[python]")),
    ),
    "labels' name": (cells(1), cells(1).rename_axis("x", axis=1)),
    "index type": (indexed(pd.RangeIndex(2)), indexed(pd.Index([0, 1]))),
    "index step": (indexed(pd.RangeIndex(2)), indexed(pd.RangeIndex(0, 4, 2))),
    "index stop": (indexed(pd.RangeIndex(0, 3, 2)), indexed(pd.RangeIndex(0, 4, 2))),
    "index name": (indexed(pd.RangeIndex(2)), indexed(pd.RangeIndex(2, name="x"))),
    "index name's type": (indexed(pd.Index([3, 4], name=1)), indexed(pd.Index([3, 4], name="1"))),
    "index dtype": (indexed(pd.Index([3, 4])), indexed(pd.Index([3, 4], dtype=object))),
    "index value": (indexed(pd.Index([3, 4])), indexed(pd.Index([3, 5]))),
    "index freq": (
        indexed(pd.DatetimeIndex(["2024-01-01", "2024-01-02"])),
        indexed(pd.DatetimeIndex(["2024-01-01", "2024-01-02"], freq="D")),
    ),
    "number of levels": (
        indexed(pd.MultiIndex.from_arrays([[1, 2]])),
        indexed(pd.MultiIndex.from_arrays([[1, 2], [3, 4]])),
    ),
    "dtype of a level": (
        indexed(pd.MultiIndex.from_arrays([[1, 2]])),
        indexed(pd.MultiIndex.from_arrays([[1.0, 2.0]])),
    ),
    "codes of a level": (
        indexed(pd.MultiIndex.from_arrays([[1, 2]])),
        indexed(pd.MultiIndex.from_arrays([[2, 1]])),
    ),
    "type of a level": (
        leveled(pd.RangeIndex(2)),
        leveled(pd.Index([0, 1])),
    ),
    "name of a level": (
        indexed(pd.MultiIndex.from_arrays([[1, 2]], names=["a"])),
        indexed(pd.MultiIndex.from_arrays([[1, 2]], names=["b"])),
    ),
    "attrs": (with_attrs(a=1), with_attrs(a=True)),
    "flags": (cells(1), cells(1).set_flags(allows_duplicate_labels=False)),
}


@pytest.mark.parametrize(("left", "right"), UNLIKE.values(), ids=UNLIKE)
def test_a_difference_is_seen_both_ways(left: pd.DataFrame, right: pd.DataFrame) -> None:
    assert differences(left, right)
    assert differences(right, left)


@pytest.mark.parametrize("frame", [frame for pair in UNLIKE.values() for frame in pair])
def test_a_frame_is_like_its_copy(frame: pd.DataFrame) -> None:
    assert differences(frame, frame.copy()) == []


MISSING: list[Callable[[], Any]] = [lambda: None, lambda: float("nan"), lambda: pd.NA, lambda: pd.NaT]


@pytest.mark.parametrize("make", MISSING)
def test_missing_values_are_like_themselves(make: Callable[[], Any]) -> None:
    assert differences(cells(make(), 1), cells(make(), 1)) == []


def test_a_difference_is_named() -> None:
    assert differences(cells(1, None), cells(1, float("nan"))) == [
        "column 'a', row 1: None (NoneType) became nan (float)"
    ]
    assert "UTC" in differences(zoned(UTC), zoned(ZoneInfo("UTC")))[0]


def test_every_difference_is_listed() -> None:
    left = pd.DataFrame({"a": [1], "b": [1]})
    right = pd.DataFrame({"a": [1.0], "c": [2]}, index=pd.Index([7]))
    assert len(differences(left, right)) == 4
