"""Labels and categories as JSON, and back."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.sql.elements import quoted_name

from sqlcache_nb.codec.values import index_of, index_spec, string_dtype, string_spec
from sqlcache_nb.errors import NotCacheable
from tests.codec.frames import PER_KIND, labels, of_objects
from tests.codec.round_trip import indexed
from tests.strict import differences


def comes_back(index: pd.Index[Any]) -> list[str]:
    again = index_of(json.loads(json.dumps(index_spec(index))))
    return differences(indexed(index), indexed(again))


@settings(max_examples=150, deadline=None)
@given(index=st.integers(0, 4).flatmap(labels))
def test_every_index_of_labels_comes_back(index: pd.Index[Any]) -> None:
    assert comes_back(index) == []


def cells(*values: Any, name: Any = None) -> pd.Index[Any]:
    made: pd.Index[Any] = pd.Index(of_objects(list(values)), dtype=object, name=name, tupleize_cols=False)
    return made


INDEXES: dict[str, pd.Index[Any]] = {
    "texts": pd.Index(["a", "A", "a"]),
    "objects of text": cells("a", "?column?", ""),
    "lone surrogates and NUL": cells("\ud800", "\udfff", "a\0", "\0"),
    "equal values of unlike types": cells(1, True, 1.0, np.int64(1), Decimal("1.0"), Decimal(1), "1", b"1"),
    "missing of every sort": cells(None, float("nan"), pd.NA, pd.NaT, np.float32("nan")),
    "tuples": cells(("a", 1), ("a", None), ()),
    "quoted names": cells(*(quoted_name("a", quote) for quote in (None, True, False)), "a"),
    "dates and times": cells(date(2024, 1, 1), pd.Timestamp(2024, 1, 1), pd.Timedelta(1)),
    "integers": pd.Index([2, 1]),
    "small integers": pd.Index([2, 1], dtype="uint8"),
    "large integers": pd.Index([2**64 - 1], dtype="uint64"),
    "floats": pd.Index([-0.0, np.nan, np.inf]),
    "small floats": pd.Index([1.1], dtype="float32"),
    "bool": pd.Index([True, False]),
    "range": pd.RangeIndex(5, 1, -2),
    "datetimes": pd.Index(np.array([2**62, "NaT"], "M8[s]")),
    "timedeltas": pd.Index(np.array([5, "NaT"], "m8[ms]")),
    "zoned datetimes": pd.DatetimeIndex(["2024", "NaT"], tz=ZoneInfo("Asia/Tokyo")).as_unit("s"),
    "nothing": cells(),
    "a name that is a tuple": cells("a", name=("n", 1)),
    "a name that is NaN": cells("a", name=float("nan")),
    "a name that is NA": pd.RangeIndex(1, name=pd.NA),
    **{f"texts of {dtype!r}": pd.Index(["a", None], dtype=dtype) for dtype in PER_KIND},
}


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_every_kind_of_index_comes_back(index: pd.Index[Any]) -> None:
    assert comes_back(index) == []
    if len(index) and not index.hasnans:
        assert comes_back(index[:0]) == []


REFUSED: dict[str, tuple[Any, str]] = {
    "several levels": (pd.MultiIndex.from_tuples([("a", "b")]), "MultiIndex"),
    "one level of several": (pd.MultiIndex.from_arrays([["a"]]), "MultiIndex"),
    "category": (pd.CategoricalIndex(["a"]), "Categorical"),
    "period": (pd.period_range("2024", periods=1), "[Pp]eriod"),
    "interval": (pd.interval_range(0, 1), "[Ii]nterval"),
    "masked": (pd.Index([1], dtype="Int64"), "Int64"),
    "Arrow": (pd.Index([1], dtype="int64[pyarrow]"), r"int64\[pyarrow\]"),
    "complex": (pd.Index([1j]), "complex128"),
    "freq": (pd.date_range("2024", periods=2), "datetime64"),
    "freq and zone": (pd.date_range("2024", periods=2, tz="UTC"), "datetime64"),
    "a label of a type that is not known": (cells("a", 1j), "complex"),
    "a name of a type that is not known": (cells("a", name=1j), "complex"),
}


@pytest.mark.parametrize(("index", "words"), REFUSED.values(), ids=REFUSED)
def test_others_are_refused_by_their_type(index: pd.Index[Any], words: str) -> None:
    with pytest.raises(NotCacheable, match=words):
        index_spec(index)


@pytest.mark.parametrize("dtype", PER_KIND, ids=repr)
def test_a_string_dtype_comes_back(dtype: Any) -> None:
    before: Any = pd.Series(["x"], dtype=dtype).dtype
    after = string_dtype(json.loads(json.dumps(string_spec(before))))
    assert (after.storage, repr(after.na_value)) == (before.storage, repr(before.na_value))


def test_string_dtypes_are_told_apart() -> None:
    dtypes: list[Any] = [pd.Series(["x"], dtype=dtype).dtype for dtype in PER_KIND]
    assert len({json.dumps(string_spec(dtype)) for dtype in dtypes}) == len(PER_KIND)
