"""Object columns: Arrow's own types where they keep the cells, plain text, and JSON for any mixture."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_interface
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlcache_nb.codec.objects import from_arrow, is_natural, to_arrow
from sqlcache_nb.errors import CodecError, NotCacheable
from tests.codec.frames import ANYTHING, of_objects, optional
from tests.codec.round_trip import objects, round_trip
from tests.strict import differences

BERLIN = ZoneInfo("Europe/Berlin")


def native(*cells: Any) -> pa.DataType:
    return to_arrow(of_objects(list(cells)))[0].type


@settings(max_examples=200, deadline=None)
@given(cells=st.lists(optional(ANYTHING), max_size=4))
def test_any_mixture_comes_back_without_a_file(cells: list[Any]) -> None:
    array, spec = to_arrow(of_objects(cells))
    again = from_arrow(pa.chunked_array([array]), json.loads(json.dumps(spec)))
    assert differences(objects(*cells), objects(*again)) == []


NATIVE: dict[str, tuple[list[Any], pa.DataType]] = {
    "str": (["a\0", "", "\U0001f986"], pa.string()),
    "bytes": ([b"\0", b""], pa.binary()),
    "bytearray": ([bytearray(b"a")], pa.binary()),
    "memoryview": ([memoryview(b"a"), memoryview(b"")], pa.binary()),
    "memoryview of characters": ([memoryview(b"a").cast("c")], pa.binary()),
    "bool": ([True, False], pa.bool_()),
    "int": ([2**63 - 1, -(2**63)], pa.int64()),
    "int over int64": ([2**63, -(10**37)], pa.decimal128(38, 0)),
    "float": ([1.5, -0.0, float("nan"), float("inf")], pa.float64()),
    "date": ([date(1, 1, 1), date(9999, 12, 31)], pa.date32()),
    "time": ([time(0), time(23, 59, 59, 999_999)], pa.time64("us")),
    "datetime": ([datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)], pa.timestamp("us")),
    "datetime in UTC": ([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
    "datetime in a zone": (
        [datetime(2024, 7, 1, tzinfo=BERLIN), datetime(2020, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)],
        pa.timestamp("us", "UTC"),
    ),
    "timedelta": ([timedelta(1, 2, 3), timedelta(-1)], pa.duration("us")),
    "Decimal": ([Decimal("1.50"), Decimal("-0.25"), Decimal("0.00")], pa.decimal128(18, 2)),
    "Decimal without places": ([Decimal(0), Decimal(7)], pa.decimal128(18, 0)),
    "small Decimal": ([Decimal("0E-7")], pa.decimal128(18, 7)),
    "Decimal of 38 digits": ([Decimal("9" * 38)], pa.decimal128(38, 0)),
    "Decimal of 38 places": ([Decimal("0." + "9" * 38)], pa.decimal128(38, 38)),
    "UUID": ([uuid.UUID(int=7)], pa.uuid()),
    "None": ([], pa.null()),
    "list of int": ([[1, None], [], [2**63 - 1]], pa.list_(pa.int64())),
    "list of str": ([["a\0"], []], pa.list_(pa.string())),
    "list of lists": ([[["a"], None], [[]]], pa.list_(pa.list_(pa.string()))),
    "list of float": ([[float("nan"), None, -0.0]], pa.list_(pa.float64())),
    "list of Decimal": ([[Decimal("1.5"), None]], pa.list_(pa.decimal128(18, 1))),
    "list of datetime": ([[datetime(2024, 1, 1)]], pa.list_(pa.timestamp("us"))),
    "list of timedelta": ([[timedelta(1), None]], pa.list_(pa.duration("us"))),
    "list of time": ([[time(1)]], pa.list_(pa.time64("us"))),
    "list of date": ([[date(1, 1, 1)]], pa.list_(pa.date32())),
    "list of bytes": ([[b"a", None]], pa.list_(pa.binary())),
    "list of None": ([[None, None], [None]], pa.list_(pa.null())),
    "empty lists": ([[], []], pa.list_(pa.null())),
    "array of int64": ([np.array([1, 2]), np.array([], "i8")], pa.list_(pa.int64())),
    "array of float16": ([np.array([1.5, np.nan], "f2")], pa.list_(pa.float16())),
    "array of bool": ([np.array([True])], pa.list_(pa.bool_())),
    "array of str": ([of_objects(["a", None])], pa.list_(pa.string())),
    "array of lists": ([of_objects([[1], None])], pa.list_(pa.list_(pa.int64()))),
}


@pytest.mark.parametrize(("cells", "kind"), NATIVE.values(), ids=NATIVE)
def test_cells_of_one_type_have_arrows_own(cells: list[Any], kind: pa.DataType) -> None:
    array, spec = to_arrow(of_objects([*cells, None]))
    assert array.type == kind
    assert array.is_null().to_pylist() == [*(False for _ in cells), True]
    assert "as" not in spec
    assert round_trip(objects(*cells, None)) == []
    assert round_trip(objects(*cells)) == []


TEXTS: dict[str, list[Any]] = {
    "Decimal of two scales": [Decimal("1.0"), Decimal("1.00")],
    "Decimal NaN": [Decimal("NaN"), Decimal("-sNaN7")],
    "Decimal Infinity": [Decimal(1), Decimal("-Infinity")],
    "Decimal minus zero": [Decimal("-0.0")],
    "Decimal of a positive exponent": [Decimal("1E+2")],
    "Decimal of 39 digits": [Decimal("1" * 39)],
    "Decimal beyond every type": [Decimal("1E+999999"), Decimal("1E-999999")],
    "IPv4Address": [ip_address("10.0.0.1")],
    "IPv6Interface": [ip_interface("fe80::1%eth0/64")],
}


@pytest.mark.parametrize("cells", TEXTS.values(), ids=TEXTS)
def test_what_a_text_tells_in_full_is_plain_text(cells: list[Any]) -> None:
    array, spec = to_arrow(of_objects([*cells, None]))
    assert array.to_pylist() == [*map(str, cells), None]
    assert (spec["as"], spec["of"]) == ("text", type(cells[0]).__name__)
    assert round_trip(objects(*cells, None)) == []


MIXED: dict[str, list[Any]] = {
    "several types": [1, "a", b"x", 1.5, None],
    "bool beside int": [True, 1, np.bool_(True), np.int8(1), 1.0],
    "None beside NaN, NA and NaT": [None, float("nan"), pd.NA, pd.NaT],
    "dicts": [{"a": 1}, {"b": [1, None]}, {}],
    "lone surrogates": ["\ud800", "a"],
    "lists of several types": [[1, "a"], [None], [1.5]],
    "lists of UUID": [[uuid.UUID(int=1)], [None]],
    "lists of zoned datetimes": [[datetime(2024, 1, 1, tzinfo=UTC)]],
    "lists of large int": [[2**70]],
    "lists beside tuples": [[1], (1,)],
    "arrays of two dtypes": [np.array([1]), np.array([1.0])],
    "arrays of two dimensions": [np.zeros((2, 2))],
    "arrays of times": [np.array([1], "M8[D]")],
    "memoryviews of two formats": [memoryview(b"a"), memoryview(b"a").cast("c")],
    "int over 38 digits": [10**40, 1],
    "timedelta over int64": [timedelta.max, timedelta.min],
    "datetimes with and without zone": [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1)],
    "datetimes of two zones": [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=BERLIN)],
    "UTC in two ways": [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC"))],
    "a local time that there is not": [datetime(2020, 3, 29, 2, 30, tzinfo=BERLIN)],
    "a zoned datetime before the year 1": [datetime.min.replace(tzinfo=timezone(timedelta(hours=5)))],
    "fold": [datetime(2024, 1, 1, fold=1)],
    "fold of a time": [time(1, fold=1)],
    "time with a zone": [time(1, tzinfo=UTC)],
    "Timestamps of several units": [
        pd.Timestamp(2024, 1, 1).as_unit(unit) for unit in ("s", "ms", "us", "ns")
    ],
    "Timestamps": [pd.Timestamp(2024, 1, 1), pd.Timestamp(2024, 1, 2)],
    "scalars of NumPy": [np.int64(1), np.int64(2)],
    "sets": [{1, "a"}, set()],
    "deep lists": [[[[[[[[[[[[[1]]]]]]]]]]]]],
}


@pytest.mark.parametrize("cells", MIXED.values(), ids=MIXED)
def test_every_other_mixture_is_json(cells: list[Any]) -> None:
    array, spec = to_arrow(of_objects(cells))
    assert (array.type, spec) == (pa.string(), {"as": "json"})
    for cell, text in zip(cells, array.to_pylist(), strict=True):
        assert (text is None) == (cell is None)
        json.loads(text or "null")
    assert round_trip(objects(*cells)) == []


def odd_moments() -> list[Any]:
    offset = timezone(timedelta(microseconds=1))
    return [
        datetime(2024, 1, 1, fold=1, tzinfo=UTC),
        datetime(2024, 1, 1, fold=1, tzinfo=timezone(timedelta(hours=1))),
        datetime(2024, 7, 1, fold=1, tzinfo=BERLIN),
        datetime(2024, 1, 1, tzinfo=offset),
        datetime(1800, 1, 1, tzinfo=BERLIN),  # at an offset of seconds
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))),
    ]


@pytest.mark.parametrize("moment", odd_moments(), ids=str)
def test_odd_moments_come_back_whatever_stands_beside_them(moment: datetime) -> None:
    alone = [moment, None]
    beside = [datetime(2024, 1, 1, tzinfo=moment.tzinfo), moment, datetime(2024, 1, 1, tzinfo=UTC)]
    for cells in (alone, beside[:2], beside[1:], [[moment]], beside):
        assert round_trip(objects(*cells)) == []


def test_json_is_stored_as_anybody_writes_it() -> None:
    array, _ = to_arrow(of_objects([{"name": "Ü", "tags": [1, None]}, [1.5, "a"], None, True]))
    assert array.to_pylist() == ['{"name": "Ü", "tags": [1, null]}', '[1.5, "a"]', None, "true"]


def test_chunks_of_one_result_have_one_type_of_decimals() -> None:
    assert native(Decimal("1.50")) == native(Decimal("123456.50")) == native(Decimal("0.00"))


def test_arrays_keep_their_byte_order() -> None:
    assert round_trip(objects(np.array([1, 2], ">i4"), np.array([], ">i4"))) == []
    with pytest.raises(NotCacheable, match=">i4"):
        to_arrow(of_objects([np.array([[1]], ">i4")]))


@pytest.mark.parametrize("cell", [1j, object(), range(3), {1: object()}, [[object()]]], ids=range(5))
def test_a_refusal_says_what_to_do(cell: Any) -> None:
    with pytest.raises(NotCacheable, match=r"holds objects of type \w+: cast it in the SQL"):
        to_arrow(of_objects([None, cell]))


def test_what_pandas_converts_alike_is_left_to_arrow() -> None:
    for cells, natural in (
        ([b"a"], True),
        ([date(2024, 1, 1)], True),
        ([Decimal("1.5")], True),
        ([1], False),
    ):
        array, spec = to_arrow(of_objects(cells))
        assert is_natural(spec, array.type) is natural


@pytest.mark.parametrize(
    "spec", [{"of": "magic"}, {"as": "magic"}, {"of": "magic", "as": "text"}, {}], ids=str
)
def test_an_unknown_spec_is_no_value(spec: dict[str, Any]) -> None:
    with pytest.raises((CodecError, KeyError)):
        from_arrow(pa.chunked_array([["a"]]), spec)


def test_each_reading_makes_new_objects() -> None:
    mutable: list[list[Any]] = [
        [[1], [2]],
        [{"a": 1}],
        [bytearray(b"a")],
        [np.array([1])],
        [{1}],
        [[{"a": []}]],
    ]
    for cells in mutable:
        array, spec = to_arrow(of_objects(cells))
        one, other = (from_arrow(pa.chunked_array([array]), spec) for _ in range(2))
        assert all(left is not right for left, right in zip(one, other, strict=True))
        assert one.flags.writeable
