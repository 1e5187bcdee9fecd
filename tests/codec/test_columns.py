"""One column: what it is in the file, and what restores it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from dateutil import tz
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlcache_nb.codec import Payload, encode
from sqlcache_nb.codec.columns import from_arrow, to_arrow
from sqlcache_nb.errors import CodecError, NotCacheable
from tests.codec.frames import (
    KINDS,
    PER_KIND,
    UTC,
    columns,
    of_arrow,
    of_arrow_array,
    of_extension,
    of_masked,
    of_objects,
    of_zone,
)
from tests.codec.round_trip import column, round_trip


def series(values: Any, dtype: Any = None) -> pd.Series[Any]:
    made: pd.Series[Any] = pd.Series(values, dtype=dtype)
    return made


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_every_kind_of_column_comes_back(kind: str, data: st.DataObject) -> None:
    frame = pd.DataFrame({"a": data.draw(columns(kind, data.draw(st.integers(0, 4))))})
    assert round_trip(frame) == []
    _, spec = to_arrow(frame["a"])
    assert json.loads(json.dumps(spec)) == spec


# --- in the file ------------------------------------------------------------------------------------------

LIST, STRUCT = pa.list_(pa.int64()), pa.struct([("a", pa.int64())])
NATIVE: list[tuple[Any, Any, str]] = [
    (series([1], "int8"), pa.int8(), "numpy"),
    (series([1], "uint64"), pa.uint64(), "numpy"),
    (series([1.5], "float16"), pa.float16(), "numpy"),
    (series([1.5, np.nan]), pa.float64(), "numpy"),
    (series([True]), pa.bool_(), "numpy"),
    (series(np.array([1], "datetime64[s]")), pa.timestamp("s"), "numpy"),
    (series(np.array([1], "datetime64[us]")), pa.timestamp("us"), "numpy"),
    (series(np.array([1], "timedelta64[ns]")), pa.duration("ns"), "numpy"),
    (series([date(2024, 1, 1)], object), pa.date32(), "object"),
    (series([{"a": 1}, None], object), pa.string(), "object"),
    (series([1, None], "Int64"), pa.int64(), "masked"),
    (series([1.5, None], "Float32"), pa.float32(), "masked"),
    (series([True, None], "boolean"), pa.bool_(), "masked"),
    (series([1, None], "int64[pyarrow]"), pa.int64(), "arrow"),
    (series(of_arrow(LIST)([[1], None])), LIST, "arrow"),
    (series(of_arrow(STRUCT)([{"a": 1}, None])), STRUCT, "arrow"),
    (series(of_arrow(pa.month_day_nano_interval())([(1, 2, 3), None])), pa.binary(16), "arrow"),
    (series(pd.Categorical([2, None, 1])), pa.int64(), "category"),
    (
        series(pd.Categorical.from_codes([0], categories=pd.Index([b"x"], dtype=object))),
        pa.binary(),
        "category",
    ),
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


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        (UTC, "UTC"),
        (ZoneInfo("Europe/Berlin"), "Europe/Berlin"),
        (timezone(timedelta(hours=2)), "UTC"),
        (tz.tzutc(), "UTC"),
        (tz.tzoffset("x", 3600), "UTC"),
    ],
    ids=repr,
)
def test_zoned_times_are_moments_in_the_file(zone: Any, name: str) -> None:
    moment = pd.Timestamp("2024-07-01T12:00", tz=zone)
    array, _ = to_arrow(series([moment]))
    assert array.type.tz == name
    assert array.cast(pa.timestamp("us", "UTC")).to_pylist() == [moment.tz_convert(UTC).to_pydatetime()]


def test_zones_of_pytz_come_back_as_such() -> None:
    pytz = pytest.importorskip("pytz")
    for zone in (pytz.utc, pytz.timezone("Europe/Berlin"), pytz.FixedOffset(90)):
        moments: Any = pd.Series(pd.DatetimeIndex(["2024-01-01", None])).dt.tz_localize(zone)
        assert round_trip(pd.DataFrame({"a": moments})) == []
        assert to_arrow(moments)[0].type.tz == (str(zone) if zone is pytz.utc or zone.zone else "UTC")


MISSING = {
    "numpy": series([np.nan, 1.0]),
    "datetime64": series([pd.NaT, pd.Timestamp(2024, 1, 1)]),
    "timedelta64": series([pd.NaT, pd.Timedelta(1)]),
    "object": series([None, "x"], object),
    "JSON": series([None, {"a": 1}], object),
    "masked": series([pd.NA, 1], "Int64"),
    "string": series([pd.NA, "x"], "string[python]"),
    "Arrow": series([None, 1], "int64[pyarrow]"),
    "zoned": series([pd.NaT, pd.Timestamp(2024, 1, 1, tz=UTC)]),
    "category": series(pd.Categorical([None, "x"])),
    "interval": series(of_arrow(pa.month_day_nano_interval())([None, (1, 2, 3)])),
}


@pytest.mark.parametrize("values", MISSING.values(), ids=MISSING)
def test_what_is_missing_is_null_for_every_other_reader(values: Any) -> None:
    array, _ = to_arrow(values)
    assert array.is_null().to_pylist() == [True, False]


def test_nan_in_a_masked_column_is_a_value() -> None:
    array, _ = to_arrow(series(of_masked("float64")([float("nan"), pd.NA, 1.5])))
    assert array.is_null().to_pylist() == [False, True, False]


def test_lone_surrogates_are_json_and_the_rest_is_not() -> None:
    array, spec = to_arrow(series(["\ud800", "a"], "string[python]"))
    assert (spec["kind"], spec["as"], array.to_pylist()[1]) == ("string", "json", '"a"')
    assert "as" not in to_arrow(series(["a"], "string[python]"))[1]


@pytest.mark.parametrize("unit", ["datetime64[s]", "timedelta64[s]"])
def test_seconds_that_milliseconds_do_not_reach_are_integers(unit: str) -> None:
    far, near = np.array([2**62], "int64").view(unit), np.array([1], "int64").view(unit)
    assert to_arrow(series(far))[0].type == pa.int64()
    assert to_arrow(series(near))[0].type != pa.int64()
    assert round_trip(pd.DataFrame({"a": np.concatenate([far, near, np.array(["NaT"], unit)])})) == []


# --- exactly ----------------------------------------------------------------------------------------------

EXACT: dict[str, Any] = {
    "extremes of int64": series([-(2**63), 2**63 - 1]),
    "extremes of uint64": series([0, 2**64 - 1], "uint64"),
    "minus zero and NaN": series([-0.0, np.nan, np.inf, 5e-324]),
    "float16": series([65504, np.nan, -0.0], "float16"),
    "masked extremes": series([2**64 - 1, pd.NA], "UInt64"),
    "masked NaN beside NA": series(of_masked("float32")([float("nan"), pd.NA, -0.0])),
    "Arrow NaN beside null": series(of_arrow(pa.float64())([float("nan"), None])),
    "names of a list's items": series(of_arrow(pa.list_(pa.field("of its own", pa.int64())))([[1], None])),
    "items that may not be null": series(
        of_arrow(pa.list_(pa.field("item", pa.int64(), nullable=False)))([[1], None])
    ),
    "members that may not be null": series(
        of_arrow(pa.struct([pa.field("a", pa.int64(), nullable=False)]))([{"a": 1}])
    ),
    "null struct beside struct of null": series(of_arrow(STRUCT)([None, {"a": None}])),
    "struct of one name twice": series(
        of_arrow_array(pa.StructArray.from_arrays([pa.array([1]), pa.array(["a"])], ["a", "a"]))
    ),
    "map": series(of_arrow(pa.map_(pa.string(), pa.int64()))([[("a", 1), ("a", None)], [], None])),
    "map of sorted keys": series(of_arrow(pa.map_(pa.string(), pa.int64(), keys_sorted=True))([[("a", 1)]])),
    "several chunks": series(pd.arrays.ArrowExtensionArray(pa.chunked_array([[1], [None, 3], []]))),
    "a slice": series(of_arrow(LIST)([[1], None, [2, 3]])).iloc[1:],
    "a slice of intervals": series(
        of_arrow(pa.month_day_nano_interval())([(1, 2, 3), None, (-1, 0, 5)])
    ).iloc[1:],
    "Arrow seconds": series(of_arrow(pa.timestamp("s"))([-(2**40), None, 2**40])),
    "Arrow null": series(of_arrow(pa.null())([None, None])),
    "Arrow decimal of 76 digits": series(of_arrow(pa.decimal256(76, 10))([Decimal("1." + "1" * 10), None])),
    "empty opaque": series(of_extension(pa.opaque(pa.string(), "a", "b"))([])),
    "zone that Arrow does not know": series(of_arrow(pa.timestamp("us", "Mars/Olympus"))([1, None])),
    "every other element": series(range(10)).iloc[::2].reset_index(drop=True),
    "categories in an order of their own": series(
        pd.Categorical(["b", None, "a"], categories=["c", "b", "a"])
    ),
    "ordered categories": series(pd.Categorical([1, 3], categories=[3, 1, 2], ordered=True)),
    "categories that look alike": series(
        pd.Categorical.from_codes([0, 1, 2, -1], pd.Index(of_objects([1, "1", b"1"]), dtype=object))
    ),
    "a category that is minus zero": series(pd.Categorical.from_codes([0], pd.Index([-0.0]))),
    "categories with a name": series(pd.Categorical.from_codes([0], pd.Index(["a"], name=("n", 1)))),
    "categories that are a range": series(pd.Categorical.from_codes([1, 0], pd.RangeIndex(5, 1, -2))),
    "categories of every sort of text": series(
        pd.Categorical.from_codes([1, -1, 0], pd.Index(of_objects(["\ud800", "a"]), dtype=object))
    ),
    "zoned categories": series(
        pd.Categorical(pd.DatetimeIndex(["2024", None, "2025"], tz=ZoneInfo("Asia/Tokyo")))
    ),
    "no categories": series(pd.Categorical.from_codes([-1, -1], pd.Index([], dtype=object))),
    "more categories than a byte tells": series(pd.Categorical.from_codes([299, -1], pd.Index(range(300)))),
}


@pytest.mark.parametrize("values", EXACT.values(), ids=EXACT)
def test_odd_values_come_back(values: Any) -> None:
    frame = pd.DataFrame({"a": values}).reset_index(drop=True)
    assert round_trip(frame) == []
    assert round_trip(frame.iloc[:0]) == []


def test_the_parts_of_arrows_types_come_back() -> None:
    """Their == leaves out names, nullability and metadata of what is nested."""
    kinds = [
        pa.list_(pa.field("item", pa.int64(), nullable=False, metadata={"a": "b"})),
        pa.struct([pa.field("a", pa.int64(), metadata={"a": "b"})]),
        pa.large_list(pa.field("x", pa.list_(pa.field("y", pa.string())))),
        pa.map_(pa.string(), pa.list_(pa.field("z", pa.int32()))),
    ]
    for kind in kinds:
        array, spec = to_arrow(series(of_arrow(kind)([None])))
        again = from_arrow(pa.chunked_array([array]), json.loads(json.dumps(spec)))
        assert again.dtype.pyarrow_dtype.equals(kind, check_metadata=True)


@pytest.mark.parametrize(
    "categories",
    [pd.RangeIndex(5, 1, -2), pd.Index(["a"], name=("n", 1)), pd.Index(range(300)), pd.Index([True, False])],
    ids=["range", "name", "many", "bool"],
)
def test_categories_are_an_index_of_the_same_type_and_name(categories: pd.Index[Any]) -> None:
    before = pd.Series(pd.Categorical.from_codes([0, -1], categories))
    again = Payload(encode(pd.DataFrame({"a": before}), "{}")).frame["a"]
    for left, right in ((before.cat.categories, again.cat.categories),):
        assert (type(left), left.name, left.tolist()) == (type(right), right.name, right.tolist())
    assert before.cat.codes.dtype == again.cat.codes.dtype


# --- or not at all ----------------------------------------------------------------------------------------


def integers_of(kind: Any, value: int) -> Any:
    return of_arrow_array(pa.array([value], pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "complex": (lambda: [1j], "is of dtype complex128"),
    "foreign byte order": (lambda: series([1], ">i4"), "is of dtype >i4"),
    "long double": (lambda: np.array([1], "longdouble"), "is of dtype"),
    "period": (lambda: series(["2024"], "period[D]"), r"is of dtype period\[D\]"),
    "interval": (lambda: pd.interval_range(0, 1), "is of dtype interval"),
    "sparse": (lambda: series([1], "Sparse[int64]"), "is of dtype Sparse"),
    "zone of a class of one's own": (
        lambda: of_zone("ns", tz.gettz("Europe/Berlin"))([0]),
        "has a time zone of type .*tzfile",
    ),
    "Arrow dictionary": (lambda: of_arrow(pa.dictionary(pa.int32(), pa.string()))(["x"]), "is of dtype dict"),
    "Arrow date of milliseconds": (lambda: of_arrow(pa.date64())([date(2024, 1, 1)]), "is of dtype date64"),
    "Arrow view of text": (lambda: of_arrow(pa.string_view())(["x"]), "is of dtype string_view"),
    "Arrow struct of nothing": (lambda: of_arrow(pa.struct([]))([{}]), "is of dtype struct"),
    "Arrow list of a fixed length": (lambda: of_arrow(pa.list_(pa.int64(), 1))([[1]]), "is of dtype fixed"),
    "Arrow list of intervals": (
        lambda: of_arrow(pa.list_(pa.month_day_nano_interval()))([[(1, 2, 3)]]),
        "is of dtype list",
    ),
    "Arrow decimal of a negative scale": (
        lambda: of_arrow(pa.decimal128(5, -2))([Decimal("1E+2")]),
        "is of dtype decimal128",
    ),
    "Arrow bytes of no length": (lambda: of_arrow(pa.binary(0))([b""]), "is of dtype fixed_size_binary"),
    "Arrow seconds that milliseconds do not reach": (
        lambda: integers_of(pa.timestamp("s"), 2**62),
        "times|timestamp",
    ),
    "Arrow time in seconds": (lambda: integers_of(pa.time32("s"), 2**31 - 1), r"is of dtype time32\[s\]"),
    "categories of an extension dtype": (
        lambda: series(pd.Categorical.from_codes([0], pd.Index([1], dtype="Int64"))),
        "categories of dtype Int64",
    ),
    "categories of times in steps": (
        lambda: series(pd.Categorical.from_codes([0], pd.date_range("2024", periods=2))),
        "categories .*freq",
    ),
    "categories of a type that is not known": (
        lambda: series(pd.Categorical.from_codes([0], pd.Index(of_objects([1j]), dtype=object))),
        "complex",
    ),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_says_why(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(NotCacheable, match=f"^column 'a' .*{words}"):
        round_trip(column(make()))


def test_texts_that_pandas_takes_for_one_another_are_no_categories() -> None:
    """As pandas 2.2 does with texts that begin with NUL."""
    frame = column(pd.Categorical.from_codes([0, 1], pd.Index(["\0", ""], dtype=object)))
    try:
        assert round_trip(frame) == []
    except NotCacheable as refusal:
        assert "categories that pandas does not tell apart" in str(refusal)  # noqa: PT017  # either is right


def test_an_unknown_kind_is_a_codec_error() -> None:
    with pytest.raises(CodecError, match="'magic'"):
        from_arrow(pa.chunked_array([[1]]), {"kind": "magic"})
