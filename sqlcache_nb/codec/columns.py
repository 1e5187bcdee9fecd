"""One column: pandas array <-> Arrow array, exactly or not at all.

`to_arrow` accepts what is known to come back and refuses the rest. It says in a small spec of JSON's types how
the column is restored: by Arrow's own conversion to pandas where that is exact (`is_natural`), else by `from_arrow`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sqlcache_nb.codec import objects
from sqlcache_nb.codec.values import index_of, index_spec, string_dtype, string_spec
from sqlcache_nb.codec.zones import zone_of, zone_spec
from sqlcache_nb.errors import CodecError, NotCacheable

Spec = Mapping[str, Any]
"""How a column is restored: its "kind", and what that kind needs."""


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
            return _zoned_to_arrow(values, dtype)
        if isinstance(dtype, pd.StringDtype):
            return _strings_to_arrow(values, dtype)
        if isinstance(dtype, pd.ArrowDtype) and _is_kept(dtype.pyarrow_dtype, outermost=True):
            return _to_parquet(pa.array(values.array), dtype.pyarrow_dtype)
        if isinstance(dtype, pd.CategoricalDtype):
            return _categorical_to_arrow(values.array, dtype)
        if dtype.name in _MASKED:
            return _masked_to_arrow(values.array, dtype)
    except (pa.ArrowException, UnicodeError, OverflowError) as fault:
        raise NotCacheable(f"holds a value that Parquet does not keep ({type(fault).__name__})") from fault
    raise NotCacheable(f"is of dtype {dtype}")


def is_natural(spec: Spec, kind: pa.DataType, text: Any) -> bool:
    """Whether Arrow's own conversion to pandas gives the column, up to its unit of time.

    Args:
        spec: what `to_arrow` said.
        kind: the type of the column as read from Parquet.
        text: the dtype that the conversion gives texts.
    """
    match spec["kind"]:
        case "numpy":
            return "as" not in spec
        case "object":
            return objects.is_natural(spec, kind)
        case "string":
            return (
                "as" not in spec and isinstance(text, pd.StringDtype) and string_spec(text) == spec["string"]
            )
    return False


def from_arrow(column: pa.ChunkedArray, spec: Spec) -> Any:
    """The array of a column.

    Args:
        column: as read from Parquet.
        spec: what `to_arrow` said.

    Raises:
        CodecError: the spec is of an unknown kind.
    """
    match spec["kind"]:
        case "numpy":
            return _numpy_from_arrow(column, spec)
        case "object":
            return objects.from_arrow(column, spec)
        case "string":
            return _strings_from_arrow(column, spec)
        case "zoned":
            moments: Any = pd.Series(_moments(column, f"datetime64[{spec['unit']}]"))
            return moments.dt.tz_localize("UTC").dt.tz_convert(zone_of(spec["zone"])).array
        case "arrow":
            return pd.arrays.ArrowExtensionArray(_from_parquet(column, _type_of(spec["type"])))
        case "masked":
            return _masked_from_arrow(column, spec["dtype"])
        case "category":
            return _categorical_from_arrow(column, spec)
    raise CodecError(f"a column of the unknown kind {spec['kind']!r}")


def dtype_of(spec: Spec) -> str:
    """The dtype of a column, as pandas writes it.

    Args:
        spec: what `to_arrow` said.

    Raises:
        CodecError: the spec is of an unknown kind.
    """
    match spec["kind"]:
        case "numpy":
            return str(np.dtype(spec["dtype"]))
        case "object":
            return "object"
        case "string":
            return str(string_dtype(spec["string"]))
        case "zoned":
            return str(pd.DatetimeTZDtype(spec["unit"], zone_of(spec["zone"])))
        case "arrow":
            return str(pd.ArrowDtype(_type_of(spec["type"])))
        case "masked":
            return str(spec["dtype"])
        case "category":
            return "category"
        case "range":  # of an index
            return "int64"
    raise CodecError(f"a column of the unknown kind {spec['kind']!r}")


# --- numpy ------------------------------------------------------------------------------------------

_UNITS = ("s", "ms", "us", "ns")


def _numpy_to_arrow(values: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> tuple[pa.Array, Spec]:
    if dtype.kind == "O":
        array, spec = objects.to_arrow(values)
        return array, {"kind": "object", **spec}
    spec = {"kind": "numpy", "dtype": dtype.str}
    if dtype.kind in "biu" or dtype in (np.float16, np.float32, np.float64):
        if dtype.isnative:
            # NaN becomes null, which is what other readers of the file expect for a missing value.
            return pa.array(values, from_pandas=True), spec
    elif dtype.kind in "mM" and dtype.isnative:
        unit, step = np.datetime_data(dtype)
        if unit in _UNITS and step == 1:
            kind = pa.timestamp(unit) if dtype.kind == "M" else pa.duration(unit)
            array, how = _moments_to_arrow(values.view("int64"), kind)
            return array, {**spec, **how}
    raise NotCacheable(f"is of dtype {dtype}")


def _numpy_from_arrow(column: pa.ChunkedArray, spec: Spec) -> np.ndarray[Any, Any]:
    dtype = np.dtype(spec["dtype"])
    if dtype.kind in "mM":
        return _moments(column, dtype)
    return np.array(column.to_numpy(), dtype)  # null becomes NaN


def _moments_to_arrow(numbers: np.ndarray[Any, Any], kind: Any) -> tuple[pa.Array, dict[str, str]]:
    """Times by their integers, of which NumPy takes the least for none."""
    limits = np.iinfo("int64")
    missing = numbers == limits.min
    array = pa.array(numbers, pa.int64(), mask=missing)
    # Parquet knows no seconds: as milliseconds they reach less far.
    if kind.unit == "s" and (np.abs(numbers[~missing]) > limits.max // 1_000).any():
        return array, {"as": "int64"}
    return array.view(kind), {}


def _moments(column: pa.ChunkedArray, dtype: Any) -> np.ndarray[Any, Any]:
    """Datetimes or timedeltas of NumPy's, of a column of times or of their integers."""
    dtype = np.dtype(dtype)
    unit, _ = np.datetime_data(dtype)
    if column.type != pa.int64():
        column = column.cast(pa.timestamp(unit) if dtype.kind == "M" else pa.duration(unit)).cast(pa.int64())
    numbers = column.fill_null(np.iinfo("int64").min).to_numpy()
    return np.array(numbers).view(dtype)


# --- pandas' own dtypes -----------------------------------------------------------------------------


def _zoned_to_arrow(values: Any, dtype: pd.DatetimeTZDtype) -> tuple[pa.Array, Spec]:
    zone = zone_spec(dtype.tz)
    if repr(zone_of(zone)) != repr(dtype.tz):
        raise NotCacheable(f"has a time zone of type {type(dtype.tz).__qualname__}")
    # What others read is the moment in a zone of that name, where it has one that everybody knows.
    name = zone.get("zoneinfo") or zone.get("pytz") or "UTC"
    numbers = np.asarray(values.array.asi8)
    array, how = _moments_to_arrow(numbers, pa.timestamp(dtype.unit, name))
    return array, {"kind": "zoned", "unit": dtype.unit, "zone": zone} | how


def _strings_to_arrow(values: Any, dtype: pd.StringDtype) -> tuple[pa.Array | pa.ChunkedArray, Spec]:
    spec = {"kind": "string", "string": string_spec(dtype)}
    try:
        return pa.array(values), spec
    except UnicodeError:  # lone surrogates
        cells = np.asarray(values.array, dtype=object).copy()  # which may be the array's own memory
        cells[np.asarray(values.isna())] = None
        array, how = objects.to_arrow(cells)
        return array, {**spec, **how}


def _strings_from_arrow(column: pa.ChunkedArray, spec: Spec) -> Any:
    dtype: Any = string_dtype(spec["string"])
    if "as" in spec:
        return pd.array(objects.from_arrow(column, spec), dtype=dtype)
    return dtype.__from_arrow__(column)


def _categorical_to_arrow(array: Any, dtype: pd.CategoricalDtype) -> tuple[pa.Array, Spec]:
    values, spec = to_arrow(dtype.categories)
    # pandas 2.2 takes texts that begin with NUL for empty ones.
    if not np.array_equal(dtype.categories.get_indexer(dtype.categories), np.arange(len(dtype.categories))):
        raise NotCacheable("has categories that pandas does not tell apart")
    codes = np.asarray(array.codes)
    return values.take(pa.array(codes, mask=codes < 0)), {
        "kind": "category",
        "categories": index_spec(dtype.categories),
        "ordered": bool(dtype.ordered),
        "values": spec,
    }


def _categorical_from_arrow(column: pa.ChunkedArray, spec: Spec) -> pd.Categorical:
    categories = index_of(spec["categories"])
    missing, present = present_from_arrow(column, spec["values"])
    codes = np.full(len(column), -1)
    codes[~missing] = categories.get_indexer(present)
    return pd.Categorical.from_codes(codes, categories=categories, ordered=spec["ordered"])


def present_from_arrow(column: pa.ChunkedArray, spec: Spec) -> tuple[np.ndarray[Any, Any], pd.Index[Any]]:
    """Where a column has no value, and the values that it has: of a dtype that may know no missing one.

    Args:
        column: as read from Parquet.
        spec: what `to_arrow` said of the values.
    """
    missing = np.asarray(column.is_null().to_numpy())
    values = from_arrow(column.drop_null() if missing.any() else column, spec)
    return missing, pd.Index(values, dtype=values.dtype, tupleize_cols=False)


_MASKED: dict[str, tuple[Any, Any]] = {
    **{
        dtype.name: (pd.arrays.IntegerArray, dtype)
        for dtype in (
            *(pd.Int8Dtype(), pd.Int16Dtype(), pd.Int32Dtype(), pd.Int64Dtype()),
            *(pd.UInt8Dtype(), pd.UInt16Dtype(), pd.UInt32Dtype(), pd.UInt64Dtype()),
        )
    },
    "Float32": (pd.arrays.FloatingArray, pd.Float32Dtype()),
    "Float64": (pd.arrays.FloatingArray, pd.Float64Dtype()),
    "boolean": (pd.arrays.BooleanArray, pd.BooleanDtype()),
}


def _masked_to_arrow(array: Any, dtype: Any) -> tuple[pa.Array, Spec]:
    mask = np.asarray(array._mask)  # noqa: SLF001  # in no public place, unlike a copy
    data = np.asarray(array._data)  # noqa: SLF001  # as above
    return pa.array(data, mask=mask, from_pandas=False), {"kind": "masked", "dtype": dtype.name}


def _masked_from_arrow(column: pa.ChunkedArray, name: str) -> Any:
    # Not by the dtype's own __from_arrow__, which takes NaN for missing.
    make, dtype = _MASKED[name]
    if column.null_count:
        mask = np.require(column.is_null().to_numpy(), bool, "W")
        column = column.fill_null(False if name == "boolean" else 0)
    else:
        mask = np.zeros(len(column), bool)
    return make(np.require(column.to_numpy(), getattr(dtype, "numpy_dtype", bool), "W"), mask)


# --- Arrow's own types ------------------------------------------------------------------------------

_is = pa.types
_LEAVES = (
    *(
        _is.is_null,
        _is.is_boolean,
        _is.is_integer,
        _is.is_floating,
        _is.is_decimal,
        _is.is_date32,
        _is.is_time,
    ),
    *(
        _is.is_timestamp,
        _is.is_duration,
        _is.is_string,
        _is.is_large_string,
        _is.is_binary,
        _is.is_large_binary,
    ),
    _is.is_fixed_size_binary,
)


_INTERVAL = pa.month_day_nano_interval()
"""What Parquet has no type for: its 16 bytes are stored."""


def _to_parquet(values: pa.Array | pa.ChunkedArray, kind: Any) -> tuple[pa.Array | pa.ChunkedArray, Spec]:
    spec = {"kind": "arrow", "type": _type_spec(kind)}
    if _is.is_timestamp(kind) and kind.unit == "s":
        limit = np.iinfo("int64").max // 1_000
        numbers = pc.min_max(values.cast(pa.int64())).as_py()
        if any(number is not None and abs(number) > limit for number in numbers.values()):
            raise NotCacheable("holds times that Parquet does not reach")
    if kind != _INTERVAL:
        return values, spec
    return pa.concat_arrays(pa.chunked_array(values).chunks or [pa.array([], kind)]).view(pa.binary(16)), spec


def _from_parquet(column: pa.ChunkedArray, kind: Any) -> pa.ChunkedArray:
    if kind == _INTERVAL and pa.types.is_fixed_size_binary(column.type):
        return pa.chunked_array([chunk.view(kind) for chunk in column.chunks], kind)
    if pa.types.is_null(kind):  # in a column of the file where other chunks have values
        return pa.chunked_array([pa.nulls(len(column))])
    # The names of a list's items are part of how the dtype shows itself.
    return column if column.type.equals(kind, check_metadata=True) else column.cast(kind)


def _is_kept(kind: Any, *, outermost: bool = False) -> bool:
    """Whether values of an Arrow type come back from Parquet as they were, their type by a cast."""
    if kind == _INTERVAL:
        return outermost
    if isinstance(kind, pa.BaseExtensionType):
        return type(kind).__module__ == "pyarrow.lib" and _is_kept(kind.storage_type)
    if _is.is_list(kind) or _is.is_large_list(kind):
        return _is_kept(kind.value_type)
    if _is.is_struct(kind):
        return kind.num_fields > 0 and all(_is_kept(field.type) for field in kind)
    if _is.is_map(kind):
        # pyarrow's own cast breaks a map of nulls.
        return _is_kept(kind.key_type) and _is_kept(kind.item_type) and not _is.is_null(kind.item_type)
    if _is.is_timestamp(kind) and kind.unit == "s":
        return outermost  # where its values can be looked at: Parquet has milliseconds, which reach less far
    if (_is.is_decimal(kind) and kind.scale < 0) or kind in (pa.time32("s"), pa.binary(0)):
        return False
    return any(is_leaf(kind) for is_leaf in _LEAVES)


def _type_spec(kind: pa.DataType) -> str:
    """An Arrow type as Arrow itself writes it (its IPC format), in base64."""
    return b64encode(pa.schema([pa.field("", kind)]).serialize()).decode()


@lru_cache(maxsize=256)
def _type_of(spec: str) -> pa.DataType:
    return pa.ipc.read_schema(pa.py_buffer(b64decode(spec))).field(0).type
