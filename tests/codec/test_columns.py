"""One column: what it is in the file, and what restores it."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlcache_nb.codec.columns import from_arrow, string_dtype, string_spec, to_arrow
from sqlcache_nb.errors import CodecError, NotCacheable
from tests.codec.frames import KINDS, PER_KIND, columns

UTC = timezone.utc  # noqa: UP017  # the object is what is compared


def series(values: Any, dtype: Any = None) -> pd.Series[Any]:
    made: pd.Series[Any] = pd.Series(values, dtype=dtype)
    return made


NATIVE: list[tuple[Any, Any, str]] = [
    (series([1], "int8"), pa.int8(), "numpy"),
    (series([1], "uint64"), pa.uint64(), "numpy"),
    (series([1.5, np.nan]), pa.float64(), "numpy"),
    (series([True]), pa.bool_(), "numpy"),
    (series(np.array([1], "datetime64[us]")), pa.timestamp("us"), "numpy"),
    (series(np.array([1], "timedelta64[ns]")), pa.duration("ns"), "numpy"),
    (series(["x", None], object), pa.string(), "object"),
    (series([b"x", None], object), pa.binary(), "object"),
    (series([True, None], object), pa.bool_(), "object"),
    (series([1, None], object), pa.int64(), "object"),
    (series([date(2024, 1, 1)], object), pa.date32(), "object"),
    (series([time(1)], object), pa.time64("us"), "object"),
    (series([datetime(2024, 1, 1)], object), pa.timestamp("us"), "object"),
    (series([Decimal("1.50"), Decimal("-0.25")], object), pa.decimal128(3, 2), "object"),
    (series([None, None], object), pa.null(), "object"),
    (series([], object), pa.null(), "object"),
    (series([1, None], "Int64"), pa.int64(), "masked"),
    (series([True, None], "boolean"), pa.bool_(), "masked"),
    (series([1, None], "int64[pyarrow]"), pa.int64(), "arrow"),
]


@pytest.mark.parametrize(("values", "native", "kind"), NATIVE, ids=[f"{n[0].dtype} {n[1]}" for n in NATIVE])
def test_types_in_the_file_are_native(values: Any, native: Any, kind: str) -> None:
    array, spec = to_arrow(values)
    assert (array.type, spec["kind"]) == (native, kind)


@pytest.mark.parametrize("dtype", PER_KIND, ids=repr)
def test_strings_are_strings_in_the_file(dtype: Any) -> None:
    array, spec = to_arrow(series(["x", None], dtype))
    assert pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
    assert (spec["kind"], array.null_count) == ("string", 1)


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Europe/Berlin"), timezone(timedelta(hours=2))], ids=str)
def test_zoned_times_are_moments_in_the_file(zone: Any) -> None:
    moment = pd.Timestamp("2024-07-01T12:00", tz=zone)
    array, _ = to_arrow(series([moment]))
    assert array.cast(pa.timestamp("us", "UTC")).to_pylist() == [moment.tz_convert(UTC).to_pydatetime()]


@pytest.mark.parametrize(
    "values",
    [
        series([np.nan, 1.0]),
        series([pd.NaT, pd.Timestamp(2024, 1, 1)]),
        series([None, "x"], object),
        series([pd.NA, 1], "Int64"),
        series([pd.NA, "x"], "string[python]"),
        series([None, 1], "int64[pyarrow]"),
        series([pd.NaT, pd.Timestamp(2024, 1, 1, tz=UTC)]),
    ],
    ids=lambda values: str(values.dtype),
)
def test_what_is_missing_is_null_for_every_other_reader(values: Any) -> None:
    array, _ = to_arrow(values)
    assert array.is_null().to_pylist() == [True, False]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_instructions_are_json(kind: str, data: st.DataObject) -> None:
    _, spec = to_arrow(data.draw(columns(kind, 3)))
    assert json.loads(json.dumps(spec)) == spec


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (series([1], "float16"), "is of dtype float16"),
        (series(["x"], "category"), "is of dtype category"),
        (series([1, "x"], object), "holds objects of type int and str"),
        (series([1.5], object), "holds objects of type float"),
        (series([[1]], object), "holds objects of type list"),
        (series([2**64], object), "Parquet does not keep"),
        (series(["\ud800"], object), "Parquet does not keep"),
        (series([Decimal("1.0"), Decimal("1.00")], object), "several scales"),
        (series([datetime(2024, 1, 1, tzinfo=UTC)], object), "zone"),
    ],
)
def test_a_refusal_says_why(values: Any, words: str) -> None:
    with pytest.raises(NotCacheable, match=words):
        to_arrow(values)


def test_subclasses_are_not_what_they_inherit_from() -> None:
    class Text(str):
        __slots__ = ()

    with pytest.raises(NotCacheable, match="Text"):
        to_arrow(series([Text("x")], object))


def test_an_unknown_kind_is_a_codec_error() -> None:
    with pytest.raises(CodecError, match="'magic'"):
        from_arrow(pa.chunked_array([[1]]), {"kind": "magic"}, series([1]))


@pytest.mark.parametrize("dtype", PER_KIND, ids=repr)
def test_a_string_dtype_comes_back(dtype: Any) -> None:
    before = series(["x"], dtype).dtype
    assert isinstance(before, pd.StringDtype)
    after = string_dtype(string_spec(before))
    assert (after.storage, repr(after.na_value)) == (before.storage, repr(before.na_value))


def test_string_dtypes_are_told_apart() -> None:
    specs = [json.dumps(string_spec(series(["x"], dtype).dtype)) for dtype in PER_KIND]  # type: ignore[arg-type]
    assert len(set(specs)) == len(PER_KIND)
