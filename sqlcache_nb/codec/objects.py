"""Object columns <-> Arrow: by the exact type of every cell.

In this order: cells of one type as Arrow's own type for it; cells of one type whose `str` tells all, as plain
text; any mixture of known types as JSON, each cell by itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from itertools import accumulate, chain
from typing import Any

import numpy as np
import pyarrow as pa

from sqlcache_nb.codec import cells
from sqlcache_nb.codec.zones import zone_of, zone_spec
from sqlcache_nb.errors import CodecError, NotCacheable

Objects = np.ndarray[Any, Any]
"""A NumPy array of dtype object."""

Spec = Mapping[str, Any]
"""How the cells are restored: "of" names their type, "as" how they are told where it is not Arrow's way."""


class _NotNatural(Exception):
    """The cells are not ones that Arrow's type for them keeps."""


def to_arrow(values: Objects) -> tuple[pa.Array, Spec]:
    """Cells as an Arrow array, and how they are restored from it.

    Args:
        values: the cells; None is null.

    Raises:
        NotCacheable: a cell is of a type that is not known to come back.
    """
    try:
        return _natural(values)
    except (_NotNatural, pa.ArrowException, ValueError, OverflowError, TypeError, RecursionError):
        pass  # out of the type's range, of several types, or within itself
    kinds = set(map(type, values)) - {type(None)}
    if len(kinds) == 1:
        (kind,) = kinds
        if cells.TEXTS.get(kind.__name__) is kind:
            texts = [None if cell is None else str(cell) for cell in values]
            return pa.array(texts, pa.string()), {"of": kind.__name__, "as": "text"}
    try:
        texts = [None if cell is None else cells.dumps(cell) for cell in values]
        return pa.array(texts, pa.string()), {"as": "json"}
    except NotCacheable as refusal:
        raise NotCacheable(f"{refusal}: cast it in the SQL to have the result kept") from refusal


def from_arrow(column: pa.ChunkedArray, spec: Spec) -> Objects:
    """The cells that `to_arrow` told: new objects each time.

    Args:
        column: as read from Parquet.
        spec: what `to_arrow` said.

    Raises:
        CodecError: they are of an unknown type.
        ImportError: they are a driver's, which is not installed.
    """
    match spec:
        case {"of": "str" | "bool", **how} if "as" not in how:
            return np.asarray(column.to_numpy(), dtype=object)
        case {"of": "datetime", **how} if "zone" not in how:
            return np.array(column.to_pandas(timestamp_as_object=True), dtype=object)
    make, given = _maker(spec), column.to_pylist()
    made = given if make is None else (None if cell is None else make(cell) for cell in given)
    return _array(made, len(column))


def is_natural(spec: Spec, kind: pa.DataType) -> bool:
    """Whether Arrow's own conversion to pandas gives just these cells.

    Args:
        spec: what `to_arrow` said.
        kind: the type of the column as read from Parquet.
    """
    if "as" in spec:
        return False
    return spec["of"] in _SAME_IN_PANDAS or (spec["of"] == "None" and pa.types.is_null(kind))


def _maker(spec: Spec) -> Callable[[Any], Any] | None:
    """What makes a cell of what Arrow gives, None where that is the cell."""
    match spec:
        case {"as": "json"}:
            return cells.loads
        case {"as": "text", "of": name} if name in cells.TEXTS:
            return cells.TEXTS[name]
        case {"of": "datetime", "zone": plain}:
            zone = zone_of(plain)
            return lambda cell: cell.astimezone(zone)
        case {"of": "memoryview", "format": form}:
            return lambda data: cells.memoryview_of(data, form)
        case {"of": "ndarray", "dtype": dtype}:
            return lambda items: _array_of(items, dtype)
        case {"of": name} if name in _PYTHON or name in {"list", "None"}:
            return None
        case {"of": name} if name in _MADE_OF:
            return _MADE_OF[name]
    raise CodecError(f"cells of the unknown kind {spec!r}")


def _array(items: Iterable[Any], length: int) -> Objects:
    """Cells as an array of objects: NumPy itself would look into lists."""
    return np.fromiter(items, object, length)


def _array_of(items: list[Any], dtype: str) -> np.ndarray[Any, Any]:
    return _array(items, len(items)) if dtype == "|O" else np.array(items, dtype)


# --- one type -------------------------------------------------------------------------------------------


def _natural(values: Objects, depth: int = 0) -> tuple[pa.Array, Spec]:
    """Cells of one type as Arrow's own type for it.

    Args:
        values: the cells.
        depth: how many lists they are in.

    Raises:
        _NotNatural: they are of several types, or of none that Arrow has.
        pa.ArrowException: one is out of that type's range.
    """
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.nulls(len(values)), {"of": "None"}
    if len(kinds) > 1:
        raise _NotNatural
    (kind,) = kinds
    if kind in _NESTED and depth < _MAX_DEPTH:
        return _NESTED[kind](values, depth)
    if kind in _NATURAL:
        return _NATURAL[kind](values)
    raise _NotNatural


def _of(name: str, arrow_type: pa.DataType) -> Callable[[Objects], tuple[pa.Array, Spec]]:
    # from_pandas=False: only None is missing, nothing else is taken for it
    return lambda values: (pa.array(values, arrow_type, from_pandas=False), {"of": name})


def _integers(values: Objects) -> tuple[pa.Array, Spec]:
    try:
        return pa.array(values, pa.int64(), from_pandas=False), {"of": "int"}
    except (pa.ArrowException, OverflowError):  # as numbers that other readers of the file know, too
        return pa.array(values, pa.decimal128(38, 0), from_pandas=False), {"of": "large int"}


def _decimals(values: Objects) -> tuple[pa.Array, Spec]:
    numbers = [value.as_tuple() for value in values if value is not None]
    exponent = numbers[0].exponent
    if not isinstance(exponent, int) or not -38 <= exponent <= 0:  # NaN, infinity, 1E+3
        raise _NotNatural
    if any(number.exponent != exponent or (number.sign and not any(number.digits)) for number in numbers):
        raise _NotNatural  # of several scales, or minus zero
    digits = max(max(len(number.digits), -exponent) for number in numbers)
    # Two widths only, so that chunks of one result are alike.
    return pa.array(values, pa.decimal128(18 if digits <= 18 else 38, -exponent)), {"of": "Decimal"}


def _times(values: Objects) -> tuple[pa.Array, Spec]:
    if any(value is not None and (value.tzinfo is not None or value.fold) for value in values):
        raise _NotNatural
    return pa.array(values, pa.time64("us"), from_pandas=False), {"of": "time"}


def _datetimes(values: Objects) -> tuple[pa.Array, Spec]:
    known = [value for value in values if value is not None]
    if known[0].tzinfo is not None:
        return _zoned(values, known[0].tzinfo)
    if any(value.tzinfo is not None or value.fold for value in known):
        raise _NotNatural
    return pa.array(values, pa.timestamp("us"), from_pandas=False), {"of": "datetime"}


def _zoned(values: Objects, zone: tzinfo) -> tuple[pa.Array, Spec]:
    """Times of one zone, as the moments that they are."""
    try:
        spec = zone_spec(zone)
    except NotCacheable as refusal:
        raise _NotNatural from refusal
    zone = zone_of(spec)
    moments = [None if value is None else _moment(value, zone) for value in values]
    return pa.array(moments, pa.timestamp("us", "UTC")), {"of": "datetime", "zone": spec}


def _moment(value: datetime, zone: tzinfo) -> datetime:
    """The moment of a local time, in UTC."""
    offset = value.utcoffset()
    if offset is None:
        raise _NotNatural
    # By hand: `astimezone` gives the same object back where the zone is the same, its fold included.
    moment = (value.replace(tzinfo=None, fold=0) - offset).replace(tzinfo=UTC)
    if not cells.is_same_time(value, moment.astimezone(zone)):
        raise _NotNatural  # of another zone, or a local time that there is not
    return moment


def _uuids(values: Objects) -> tuple[pa.Array, Spec]:
    if any(value is not None and value.is_safe is not uuid.SafeUUID.unknown for value in values):
        raise _NotNatural
    data = [None if value is None else value.bytes for value in values]
    return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(data, pa.binary(16))), {"of": "UUID"}


def _views(values: Objects) -> tuple[pa.Array, Spec]:
    forms = {cells.check_memoryview(value) for value in values if value is not None}
    if len(forms) > 1:
        raise _NotNatural
    data = [None if value is None else value.tobytes() for value in values]
    return pa.array(data, pa.binary()), {"of": "memoryview", "format": forms.pop()}


def _lists(values: Objects, depth: int) -> tuple[pa.Array, Spec]:
    array, spec = _items(values, depth)
    if not _is_python(spec):
        raise _NotNatural
    return array, {"of": "list"}


def _arrays(values: Objects, depth: int) -> tuple[pa.Array, Spec]:
    """Arrays of one dimension and one dtype, as ADBC gives them."""
    known = [value for value in values if value is not None]
    dtypes = {value.dtype.str for value in known}
    if len(dtypes) > 1 or any(value.ndim != 1 for value in known):
        raise _NotNatural
    (dtype,) = dtypes
    if known[0].dtype.kind not in "biufO" or known[0].dtype.itemsize > 8:
        raise _NotNatural
    if dtype != "|O":
        kind = pa.from_numpy_dtype(known[0].dtype)
        flat = np.concatenate(known)
        return _listed(values, pa.array(flat, kind, from_pandas=False)), {"of": "ndarray", "dtype": dtype}
    array, spec = _items(values, depth)
    if not _is_python(spec):
        raise _NotNatural
    return array, {"of": "ndarray", "dtype": dtype}


def _items(values: Objects, depth: int) -> tuple[pa.Array, Spec]:
    """What is in lists: of one type, too, or lists again."""
    flat = list(chain.from_iterable(value for value in values if value is not None))
    items, spec = _natural(_array(flat, len(flat)), depth + 1)
    return _listed(values, items), spec


def _listed(values: Objects, items: pa.Array) -> pa.Array:
    ends = accumulate(0 if value is None else len(value) for value in values)
    missing = pa.array([value is None for value in values], pa.bool_())
    return pa.ListArray.from_arrays(pa.array([0, *ends], pa.int32()), items, mask=missing)


def _is_python(spec: Spec) -> bool:
    """Whether `to_pylist` gives just these items."""
    return spec.keys() == {"of"} and spec["of"] in {*_PYTHON, "list", "None"}


_NATURAL: dict[type, Callable[[Objects], tuple[pa.Array, Spec]]] = {
    str: _of("str", pa.string()),
    bytes: _of("bytes", pa.binary()),
    bool: _of("bool", pa.bool_()),
    int: _integers,
    float: _of("float", pa.float64()),
    date: _of("date", pa.date32()),
    time: _times,
    datetime: _datetimes,
    timedelta: _of("timedelta", pa.duration("us")),
    Decimal: _decimals,
    uuid.UUID: _uuids,
    bytearray: _of("bytearray", pa.binary()),
    memoryview: _views,
}
_NESTED: dict[type, Callable[[Objects, int], tuple[pa.Array, Spec]]] = {list: _lists, np.ndarray: _arrays}
_MAX_DEPTH = 6
"""As many dimensions as an array of PostgreSQL has at most; a list may be within itself."""

_PYTHON = {"str", "bytes", "bool", "int", "float", "date", "time", "datetime", "timedelta", "Decimal"}
"""Types of which Arrow gives Python's own objects."""

_SAME_IN_PANDAS = {"bytes", "date", "time", "Decimal"}
"""Types of which Arrow's conversion to pandas gives the same objects, and not values of NumPy's or pandas'."""

_MADE_OF: dict[str, Callable[[Any], Any]] = {
    "large int": int,
    "UUID": lambda value: value if isinstance(value, uuid.UUID) else uuid.UUID(bytes=value),
    "bytearray": bytearray,
}
"""Types that are made of what Arrow gives, and how."""
