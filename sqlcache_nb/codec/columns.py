"""One column: pandas array <-> Arrow array, exactly or not at all.

`to_arrow` accepts what Parquet is known to keep and refuses the rest; what Arrow's own conversion
would give back otherwise is named in a small JSON-able spec that `from_arrow` follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sqlcache_nb.errors import CodecError, NotCacheable

_LAST_DAY = (date.max - date(1970, 1, 1)).days

Spec = Mapping[str, Any]
"""How a column is restored: its "kind", and what that kind needs."""

_PLAIN_ARROW: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_float32,
    pa.types.is_float64,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_date32,
    lambda kind: pa.types.is_time64(kind) and kind.unit == "us",
    lambda kind: pa.types.is_decimal128(kind) and kind.scale >= 0,
    lambda kind: (pa.types.is_timestamp(kind) or pa.types.is_duration(kind)) and kind.unit != "s",
)


def to_arrow(values: pd.Series[Any] | pd.Index[Any]) -> tuple[pa.Array | pa.ChunkedArray, Spec]:
    """The Arrow array of a column, and how the column is restored from it.

    Args:
        values: the column, or a level of the index.

    Raises:
        NotCacheable: its dtype, or a value in it, is not one that is known to come back as it was.
    """
    dtype: Any = values.dtype
    try:
        if isinstance(dtype, np.dtype):
            return _numpy_to_arrow(values.to_numpy(), dtype)
        if isinstance(dtype, pd.DatetimeTZDtype):
            return pa.array(values), {"kind": "zoned", "unit": dtype.unit, "zone": _zone_spec(dtype.tz)}
        if isinstance(dtype, pd.StringDtype):
            return pa.array(values), {"kind": "string"} | string_spec(dtype)
        if isinstance(dtype, pd.ArrowDtype) and any(
            is_plain(dtype.pyarrow_dtype) for is_plain in _PLAIN_ARROW
        ):
            array = pa.array(values.array)
            if pa.types.is_date32(array.type) and (pc.max(array.cast("int32")).as_py() or 0) > _LAST_DAY:
                raise NotCacheable("holds dates after the year 9999")
            return array, {"kind": "arrow"}
        if dtype.name in _MASKED:
            return _masked_to_arrow(values, dtype)
    except (pa.ArrowException, UnicodeError, OverflowError) as fault:
        raise NotCacheable(f"holds a value that Parquet does not keep ({type(fault).__name__})") from fault
    raise NotCacheable(f"is of dtype {dtype}")


def is_as_it_was(spec: Spec, dtype: Any) -> bool:
    """Whether Arrow's own conversion, which gave this dtype, is right for the column.

    Args:
        spec: what `to_arrow` said.
        dtype: the dtype that Arrow's own conversion gave.
    """
    match spec["kind"]:
        case "numpy":
            return bool(dtype == spec["dtype"])
        case "object":  # int and datetime it turns into pandas' own
            return bool(dtype == np.dtype(object))
        case "string":
            return isinstance(dtype, pd.StringDtype) and string_spec(dtype).items() <= spec.items()
    return False


def from_arrow(column: pa.ChunkedArray, spec: Spec, natural: Any) -> Any:
    """The array of a column.

    Args:
        column: as read from Parquet.
        spec: what `to_arrow` said.
        natural: what Arrow's own conversion gave.

    Raises:
        CodecError: the spec is of an unknown kind.
    """
    kind = spec["kind"]
    if is_as_it_was(spec, natural.dtype):
        return natural
    if kind == "numpy":
        return natural.astype(spec["dtype"])
    if kind == "object":
        return _objects(column, spec["of"])
    if kind == "zoned":
        return natural.dt.as_unit(spec["unit"]).dt.tz_convert(_zone(spec["zone"])).array
    if kind == "string":
        dtype: Any = string_dtype(spec)
        return dtype.__from_arrow__(column)
    if kind == "arrow":
        return pd.arrays.ArrowExtensionArray(column)
    if kind == "masked":
        return _MASKED[spec["dtype"]].__from_arrow__(column)
    raise CodecError(f"a column of the unknown kind {kind!r}")


# --- numpy ------------------------------------------------------------------------------------------


def _numpy_to_arrow(values: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> tuple[pa.Array, Spec]:
    if dtype.kind == "O":
        return _objects_to_arrow(values)
    is_plain = dtype.kind in "biu" or dtype in (np.float32, np.float64)
    is_time = dtype.kind in "mM" and np.datetime_data(dtype) in (("s", 1), ("ms", 1), ("us", 1), ("ns", 1))
    if not (is_plain or is_time) or not dtype.isnative:
        raise NotCacheable(f"is of dtype {dtype}")
    if is_time and np.datetime_data(dtype)[0] == "s":
        _check_milliseconds(values)
    # NaN becomes null, which is what other readers of the file expect for a missing value.
    return pa.array(values, from_pandas=True), {"kind": "numpy", "dtype": dtype.str}


def _check_milliseconds(values: np.ndarray[Any, Any]) -> None:
    """Seconds are kept as milliseconds, whose range is smaller."""
    seconds = values.view("int64")[~np.isnat(values)]
    if len(seconds) and np.abs(seconds).max() > np.iinfo("int64").max // 1_000:
        raise NotCacheable("holds times that Parquet does not reach")


# --- objects ----------------------------------------------------------------------------------------


def _objects_to_arrow(values: np.ndarray[Any, Any]) -> tuple[pa.Array, Spec]:
    """Cells of one exact type, and None: the type decides, not what Arrow would infer."""
    types = set(map(type, values)) - {type(None)}
    if not types:
        return pa.nulls(len(values)), {"kind": "object", "of": "None"}
    if len(types) > 1 or types.isdisjoint(_OBJECT_TYPES):
        names = " and ".join(sorted(kind.__qualname__ for kind in types))
        raise NotCacheable(f"holds objects of type {names}: cast it in the SQL to have the result kept")
    (kind,) = types
    return _OBJECT_TYPES[kind](values), {"kind": "object", "of": kind.__name__}


def _decimals(values: np.ndarray[Any, Any]) -> pa.Array:
    numbers = [value.as_tuple() for value in values if value is not None]
    exponents = {number.exponent for number in numbers}
    exponent = next(iter(exponents))
    if len(exponents) > 1 or not isinstance(exponent, int) or not -38 <= exponent <= 0:
        raise NotCacheable("holds Decimals of several scales, or none at all")
    if any(number.sign and not any(number.digits) for number in numbers):
        raise NotCacheable("holds a Decimal that is minus zero")
    digits = max(max(len(number.digits), -exponent) for number in numbers)
    if digits > 38:
        raise NotCacheable("holds a Decimal of more than 38 digits")
    return pa.array(values, pa.decimal128(digits, -exponent))


def _naive(kind: pa.DataType) -> Callable[[np.ndarray[Any, Any]], pa.Array]:
    def convert(values: np.ndarray[Any, Any]) -> pa.Array:
        if any(value is not None and (value.tzinfo is not None or value.fold) for value in values):
            raise NotCacheable("holds times with a zone")
        return pa.array(values, kind)

    return convert


def _of(kind: pa.DataType) -> Callable[[np.ndarray[Any, Any]], pa.Array]:
    # from_pandas=False: only None is missing, nothing else is taken for it
    return lambda values: pa.array(values, kind, from_pandas=False)


_OBJECT_TYPES: dict[type, Callable[[np.ndarray[Any, Any]], pa.Array]] = {
    str: _of(pa.string()),
    bytes: _of(pa.binary()),
    bool: _of(pa.bool_()),
    int: _of(pa.int64()),
    date: _of(pa.date32()),
    time: _naive(pa.time64("us")),
    datetime: _naive(pa.timestamp("us")),
    Decimal: _decimals,
}


def _objects(column: pa.ChunkedArray, of: str) -> np.ndarray[Any, Any]:
    if of in {"str", "bytes"}:
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=object)
    cells = np.empty(len(column), dtype=object)
    cells[:] = column.to_pylist()
    return cells


# --- pandas' own dtypes -----------------------------------------------------------------------------

_MASKED: dict[str, Any] = {
    dtype.name: dtype
    for dtype in (
        *(pd.Int8Dtype(), pd.Int16Dtype(), pd.Int32Dtype(), pd.Int64Dtype()),
        *(pd.UInt8Dtype(), pd.UInt16Dtype(), pd.UInt32Dtype(), pd.UInt64Dtype()),
        *(pd.Float32Dtype(), pd.Float64Dtype(), pd.BooleanDtype()),
    )
}


def _masked_to_arrow(values: Any, dtype: Any) -> tuple[pa.Array, Spec]:
    array = values.array
    mask = np.asarray(array._mask)  # noqa: SLF001  # in no public place, unlike a copy
    data = np.asarray(array._data)  # noqa: SLF001  # as above
    if data.dtype.kind == "f" and np.isnan(data[~mask]).any():
        raise NotCacheable(f"is of dtype {dtype} and holds NaN beside NA")
    return pa.array(data, mask=mask, from_pandas=False), {"kind": "masked", "dtype": dtype.name}


def string_spec(dtype: pd.StringDtype) -> dict[str, str]:
    """What tells a StringDtype apart: its text is the same for several of them."""
    na_value = getattr(dtype, "na_value", pd.NA)
    return {"storage": dtype.storage, "na": "NA" if na_value is pd.NA else "nan"}


def string_dtype(spec: Mapping[str, Any]) -> pd.StringDtype:
    """The StringDtype that `string_spec` told apart."""
    if spec["na"] == "NA" or spec["storage"] == "pyarrow_numpy":  # the latter is pandas 2.2's word
        return pd.StringDtype(spec["storage"])
    return pd.StringDtype(spec["storage"], na_value=np.nan)


def _zone_spec(zone: tzinfo) -> dict[str, Any]:
    if isinstance(zone, ZoneInfo) and zone.key:
        return {"zoneinfo": zone.key}
    if type(zone) is timezone and repr(zone) == repr(timezone(zone.utcoffset(None))):  # none with a name
        return {"offset": zone.utcoffset(None).total_seconds()}
    raise NotCacheable(f"has a time zone of type {type(zone).__qualname__}")


def _zone(spec: Mapping[str, Any]) -> tzinfo:
    if "zoneinfo" in spec:
        return ZoneInfo(spec["zoneinfo"])
    return timezone(timedelta(seconds=spec["offset"]))
