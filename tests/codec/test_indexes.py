"""Every index of a frame comes back, its levels and codes included; its levels are columns of the file."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlcache_nb.codec import encode
from sqlcache_nb.errors import NotCacheable
from tests.codec.frames import indexes, of_masked, of_objects
from tests.codec.round_trip import indexed, round_trip, table_of


@settings(max_examples=150, deadline=None)
@given(index=st.integers(0, 5).flatmap(indexes))
def test_every_index_comes_back(index: pd.Index[Any]) -> None:
    assert round_trip(indexed(index)) == []


def cells(*values: Any) -> pd.Index[Any]:
    made: pd.Index[Any] = pd.Index(of_objects(list(values)), dtype=object, tupleize_cols=False)
    return made


FLAT: dict[str, Any] = {
    "default": pd.RangeIndex(2),
    "default with a name": pd.RangeIndex(2, name="n"),
    "default with a name that is NA": pd.RangeIndex(2, name=pd.NA),
    "a range downwards": pd.RangeIndex(7, 3, -2),
    "an empty range that stops elsewhere": pd.RangeIndex(0, -5, 1),
    "an empty range that starts elsewhere": pd.RangeIndex(3, 3),
    "a range of large integers": pd.RangeIndex(2**62, 2**62 + 2),
    "integers": pd.Index([5, 3], name="n"),
    "small integers": pd.Index([5, 3], dtype="int8", name="n"),
    "floats and NaN": pd.Index([5.5, np.nan], name="n"),
    "bool": pd.Index([True, False], name="n"),
    "texts": pd.Index(["x", "x"], name="n"),
    "texts and missing": pd.Index(["x", None], dtype="string[python]", name="n"),
    "objects": cells(date(2024, 1, 1), None),
    "objects that look like integers": cells(1, 2),
    "objects that look like texts": cells("x", None),
    "objects that look like datetimes": cells(pd.Timestamp(2024, 1, 1), pd.NaT),
    "tuples": cells(("a", 1), ("b", 2)),
    "lists": cells([1], None),
    "equal values of unlike types": cells(1, True, 1.0, Decimal(1)),
    "UUIDs": cells(uuid.UUID(int=1), None),
    "masked": pd.Index([1, pd.NA], dtype="Int64", name="n"),
    "masked NaN": pd.Index(of_masked("float64")([float("nan"), pd.NA])),
    "Arrow": pd.Index([1, None], dtype="int64[pyarrow]", name="n"),
    "datetimes": pd.Index(np.array([1, 2], "datetime64[s]"), name="n"),
    "zoned datetimes": pd.DatetimeIndex(["2024", None], tz=ZoneInfo("Asia/Tokyo"), name="n"),
    "timedeltas": pd.TimedeltaIndex([2, 1], name="n"),
    "categories": pd.CategoricalIndex(["b", None, "a"], categories=["c", "b", "a"], ordered=True, name="n"),
    "name of a column": pd.Index([1, 2], name="v"),
    "empty name": pd.Index([1, 2], name=""),
    "a name that is a tuple": pd.Index([1, 2], name=("n", None)),
    "a name that is NaN": pd.Index([1, 2], name=float("nan")),
    "a name that is False": pd.Index([1, 2], name=False),
}


@pytest.mark.parametrize("index", FLAT.values(), ids=FLAT)
def test_every_kind_of_index_comes_back(index: pd.Index[Any]) -> None:
    assert round_trip(indexed(index)) == []
    assert round_trip(indexed(index[:0])) == []


def levels(*arrays: Any, names: Any = None) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([*arrays, np.arange(len(arrays[0]))], names=names)


MULTI: dict[str, pd.MultiIndex] = {
    "two levels": levels([1, 2], ["x", "y"]),
    "names": levels([1, 2], names=["n", ("t", 1)]),
    "names that are missing": levels([1, 2], names=[None, float("nan")]),
    "twice the name of a column": levels([1, 2], names=["v", "v"]),
    "one level": pd.MultiIndex.from_arrays([[2, 1, 2]]),
    "missing": levels([1.5, np.nan, 1.5]),
    "nothing but missing": levels([None, None], [np.nan, np.nan]),
    "missing of every sort": levels(of_objects([None, float("nan"), pd.NaT, pd.NA, "a"])),
    "minus zero": levels([-0.0, 0.0, 1.0]),
    "a mixture": levels(of_objects([1, "a", b"x", None, date(2024, 1, 1)])),
    "equal values of unlike types": levels(of_objects([True, 1, 1.0, Decimal(1), "1"])),
    "tuples": levels(of_objects([("a", 1), None, ("b", 2)])),
    "dates": levels(of_objects([date(2024, 1, 1), None, date(1, 1, 1)])),
    "Python's datetimes": levels(of_objects([datetime(2024, 1, 1), None])),
    "UUIDs": levels(of_objects([uuid.UUID(int=2), None, uuid.UUID(int=1)])),
    "integers over int64": levels(of_objects([2**70, 1])),
    "categories": levels(pd.CategoricalIndex(["b", "a", None], categories=["b", "c", "a"])),
    "ordered categories": levels(pd.CategoricalIndex(["b", None], categories=["c", "b"], ordered=True)),
    "zoned datetimes": levels(pd.DatetimeIndex(["2024", None, "2023"], tz=ZoneInfo("Asia/Tokyo"))),
    "masked": levels(pd.array([3, None, 1], dtype="Int64")),
    "masked NaN": levels(of_masked("float64")([float("nan"), pd.NA, 1.0])),
    "texts with NA": levels(pd.array(["b", None, "a"], dtype="string[python]")),
    "Arrow": levels(pd.array(["b", None, "a"], dtype="string[pyarrow]")),
    "no rows": pd.MultiIndex.from_arrays([[], []], names=["n", "m"]),
    "no rows of two dtypes": levels(pd.DatetimeIndex([], tz="UTC")),
}


@pytest.mark.parametrize("index", MULTI.values(), ids=MULTI)
def test_every_kind_of_level_comes_back(index: pd.MultiIndex) -> None:
    assert round_trip(indexed(index)) == []


REFUSED: dict[str, tuple[pd.Index[Any], str]] = {
    "times in steps": (pd.date_range("2024", periods=2, name="n"), "freq"),
    "timedeltas in steps": (pd.timedelta_range(1, periods=2), "freq"),
    "period": (pd.period_range("2024", periods=2), "freq|period"),
    "interval": (pd.interval_range(0, 2, name="n"), "index 'n' is of dtype interval"),
    "complex": (pd.Index([1j, 2], name="n"), "index 'n' is of dtype complex128"),
    "cells of a type that is not known": (pd.Index([1j, "a"], dtype=object), "index None holds .* complex"),
    "a name of a type that is not known": (pd.Index([1, 2], name=1j), "complex"),
    "a level of intervals": (levels(pd.interval_range(0, 2), names=["n", "m"]), "index level 'n' .*interval"),
    "a level of times in steps": (
        levels(pd.date_range("2024", periods=2), names=["n", "m"]),
        "index level 'n'",
    ),
    "values that no row has": (levels([1, 2, 3], names=["n", "m"])[:2], "index level 'n'"),
    "values in an order of their own": (
        pd.MultiIndex(levels=[[2, 1]], codes=[[0, 1]], names=["n"]),
        "index level 'n'",
    ),
    "a value that is missing": (
        pd.MultiIndex(levels=[[1.0, np.nan]], codes=[[0, 1]], names=["n"]),
        "index level 'n'",
    ),
}


@pytest.mark.parametrize(("index", "words"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_names_the_level(index: pd.Index[Any], words: str) -> None:
    with pytest.raises(NotCacheable, match=words):
        round_trip(indexed(index))


def test_levels_of_another_dtype_than_pandas_makes_are_refused_or_kept() -> None:
    objects = [
        cells(datetime(2024, 1, 1), datetime(2025, 1, 1)),
        cells(np.int64(1), np.int64(2)),
        cells(1, 2),
    ]
    for level in objects:
        levels: list[Any] = [level]
        frame = indexed(pd.MultiIndex(levels=levels, codes=[[0, 1]], names=["n"]))
        try:
            assert round_trip(frame) == []
        except NotCacheable as refusal:
            assert "index level 'n'" in str(refusal)  # noqa: PT017  # either is right


def test_a_level_that_is_a_range_is_refused_or_kept() -> None:
    frame = indexed(pd.MultiIndex.from_arrays([pd.RangeIndex(3), list("abc")], names=["n", "m"]))
    try:
        assert round_trip(frame) == []
    except NotCacheable as refusal:
        assert "index level 'n'" in str(refusal)  # noqa: PT017  # either is right


def test_levels_are_columns_of_the_file_under_their_names() -> None:
    frame = pd.DataFrame({"v": [1, 2, 3], "a": ["x", None, "x"], "b": [1.5, None, 2.5]}).set_index(["a", "b"])
    assert table_of(encode(frame, "{}")).to_pydict() == {
        "v": [1, 2, 3],
        "a": ["x", None, "x"],
        "b": [1.5, None, 2.5],
    }


def test_the_index_of_a_fresh_frame_is_no_column_and_a_range_is_one() -> None:
    assert table_of(encode(indexed(pd.RangeIndex(2)), "{}")).column_names == ["v"]
    assert table_of(encode(indexed(pd.RangeIndex(5, 1, -2)), "{}")).to_pydict() == {
        "v": [0, 1],
        "index": [5, 3],
    }
    assert table_of(encode(indexed(pd.RangeIndex(2, name="n")), "{}")).column_names == ["v", "n"]


def test_what_pandas_makes_of_index_col_comes_back() -> None:
    frame = pd.DataFrame({"a": of_objects(["\0", "b", None]), "b": [1.0, np.nan, 1.0], "v": [1, 2, 3]})
    for keys in (["a"], ["b"], ["a", "b"], ["b", "a"]):
        assert round_trip(frame.set_index(keys)) == []
        assert round_trip(frame.iloc[:0].set_index(keys)) == []
