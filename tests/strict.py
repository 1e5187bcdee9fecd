"""Compares two frames exactly; pandas' `assert_frame_equal` passes different frames and fails identical ones."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from datetime import datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa


def differences(left: pd.DataFrame, right: pd.DataFrame) -> list[str]:
    """Everything in which the second frame is unlike the first; nothing where they are identical.

    Types, dtypes (the time zone's object, the string storage and missing value included), labels, index,
    attrs, flags, and the type and exact value of every cell are compared.

    Example:
        >>> differences(pd.DataFrame({"n": [1]}), pd.DataFrame({"n": [1.0]}))[0]
        "column 'n': dtype int64 (NumpyEADtype) became float64 (NumpyEADtype)"
    """
    if type(left) is not type(right):
        return [f"type {type(left).__qualname__} became {type(right).__qualname__}"]
    if left.shape != right.shape:
        return [f"shape {left.shape} became {right.shape}"]
    found = list(_index("labels", left.columns, right.columns))
    found += _index("index", left.index, right.index)
    for (label, before), (_, after) in zip(left.items(), right.items(), strict=True):
        found += _values(f"column {label!r}", before, after)
    if _cell(left.attrs) != _cell(right.attrs):
        found.append(f"attrs {left.attrs} became {right.attrs}")
    if left.flags.allows_duplicate_labels != right.flags.allows_duplicate_labels:
        found.append("flags: allows_duplicate_labels changed")
    return found


def _index(where: str, left: pd.Index[Any], right: pd.Index[Any]) -> Iterator[str]:
    if type(left) is not type(right):
        yield f"{where}: type {type(left).__qualname__} became {type(right).__qualname__}"
        return
    if _cell(list(left.names)) != _cell(list(right.names)):
        yield f"{where}: names {list(left.names)!r} became {list(right.names)!r}"
    if getattr(left, "freq", None) != getattr(right, "freq", None):
        yield f"{where}: freq changed"
    if isinstance(left, pd.MultiIndex) and isinstance(right, pd.MultiIndex):
        if left.nlevels != right.nlevels:
            yield f"{where}: {left.nlevels} levels became {right.nlevels}"
            return
        for position in range(left.nlevels):
            yield from _index(f"{where} level {position}", left.levels[position], right.levels[position])
            if list(left.codes[position]) != list(right.codes[position]):
                yield f"{where} level {position}: codes changed"
        return
    if isinstance(left, pd.RangeIndex) and isinstance(right, pd.RangeIndex):
        if (left.start, left.stop, left.step) != (right.start, right.stop, right.step):
            yield f"{where}: {left!r} became {right!r}"
        return
    yield from _values(where, left, right)


def _values(where: str, left: Any, right: Any) -> Iterator[str]:
    before, after = _dtype(left), _dtype(right)
    if before != after:
        yield f"{where}: dtype {left.dtype} ({before[0]}) became {right.dtype} ({after[0]})" + (
            f": {before[1:]} became {after[1:]}" if str(left.dtype) == str(right.dtype) else ""
        )
        return
    if len(left) != len(right):
        yield f"{where}: {len(left)} values became {len(right)}"
        return
    pairs = zip(_cells(left), _cells(right), strict=True)
    for position, (old, new) in enumerate(pairs):
        if _cell(old) != _cell(new):
            yield (
                f"{where}, row {position}: {old!r} ({type(old).__name__}) became {new!r} ({type(new).__name__})"
            )


def _dtype(values: Any) -> tuple[Any, ...]:
    """What tells dtypes apart whose text, or whose `==`, does not."""
    dtype = values.array.dtype
    kind = type(dtype).__qualname__
    if isinstance(dtype, pd.StringDtype):
        na_value = getattr(dtype, "na_value", pd.NA)
        return kind, dtype.storage, _cell(na_value), type(values.array).__qualname__
    if isinstance(dtype, pd.DatetimeTZDtype):
        return kind, dtype.unit, type(dtype.tz).__qualname__, repr(dtype.tz)
    if isinstance(dtype, pd.ArrowDtype):
        # Their == leaves out the names of a list's items, their text the members of an extension type.
        return kind, dtype.pyarrow_dtype, str(dtype.pyarrow_dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        return (
            kind,
            dtype.ordered,
            _dtype(dtype.categories),
            [_cell(each) for each in _cells(dtype.categories)],
        )
    numpy_dtype = getattr(dtype, "numpy_dtype", dtype)
    return kind, getattr(numpy_dtype, "str", str(dtype))


def _cells(values: Any) -> Iterator[Any]:
    """The cells as they are held: bits of floats and times, and whether a masked one is missing."""
    array = values.array
    dtype = array.dtype
    if isinstance(dtype, pd.ArrowDtype) or (isinstance(dtype, pd.StringDtype) and dtype.storage != "python"):
        for chunk in pa.chunked_array(array.__arrow_array__()).chunks:
            yield from _arrow_cells(chunk)
    elif hasattr(array, "_mask"):
        for missing, value in zip(array._mask, array._data, strict=True):
            yield pd.NA if missing else value
    elif dtype.kind in "mM" and not isinstance(dtype, pd.PeriodDtype):
        yield from np.asarray(array.view("i8")).tolist()
    else:
        yield from array


def _arrow_cells(array: Any) -> list[Any]:
    """Arrow's cells in Python's types; times as the integers that they are: Python's own reach less far."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return _arrow_cells(array.storage)
    if pa.types.is_dictionary(kind):
        return _arrow_cells(array.dictionary_decode())
    if pa.types.is_struct(kind):
        members = [_arrow_cells(array.field(position)) for position in range(kind.num_fields)]
        return [
            tuple(column[row] for column in members) if valid else None
            for row, valid in enumerate(array.is_valid().to_pylist())
        ]
    if pa.types.is_nested(kind) and not pa.types.is_union(kind):  # lists of every sort, and maps
        return [_arrow_cells(scalar.values) if scalar.is_valid else None for scalar in array]
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        array = array.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):  # ADBC gives texts that are not UTF-8
        array = array.cast(pa.large_binary())
    cells: list[Any] = array.to_pylist()
    return cells


def _cell(value: Any) -> tuple[Any, ...]:
    """A value with its type, so that == is as strict as it should be."""
    kind = type(value).__module__ + "." + type(value).__qualname__
    if isinstance(value, np.generic) and type(value).__module__ == "numpy":
        kind = (
            value.dtype.str
        )  # C has two names for one width, ulong and ulonglong, and NumPy a class for each
    if value is None or value is pd.NA or value is pd.NaT:
        return (kind,)
    for types, told in _TOLD:
        if isinstance(value, types):
            return kind, told(value), _parts(value)
    return kind, repr(value), value, _parts(value)


def _number(value: Any) -> Any:
    if isinstance(value, float | np.floating) and math.isnan(value):  # whose bits nobody sees
        return "nan"
    return (value.dtype.str, value.tobytes()) if isinstance(value, np.generic) else struct.pack(">d", value)


def _array(value: Any) -> Any:
    if value.dtype.kind != "O":
        return value.dtype.str, value.shape, value.tobytes()
    return value.shape, [_cell(item) for item in value.ravel()]


def _moment(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):  # whose text ends in the year 9999
        moment = value.to_datetime64()
        return moment.dtype.str, moment.tobytes(), value.fold, repr(value.tzinfo), type(value.tzinfo)
    return value.isoformat(), value.fold, repr(value.tzinfo), type(value.tzinfo)


_TOLD: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((float, np.generic), _number),
    ((list, tuple), lambda value: [_cell(item) for item in value]),
    # in their order, which a person sees
    (dict, lambda value: [(_cell(key), _cell(item)) for key, item in value.items()]),
    ((set, frozenset), lambda value: sorted(map(repr, map(_cell, value)))),
    (Decimal, Decimal.as_tuple),
    (memoryview, lambda value: (value.format, value.shape, value.readonly, value.tobytes())),
    (np.ndarray, _array),
    ((datetime, time), _moment),
    (pd.Timedelta, lambda value: (value.unit, value.to_timedelta64().tobytes())),
    (Enum, lambda value: value.name),
)
"""What tells values of some types apart, where their text and their == do not."""

_PLAIN = ("builtins", "datetime", "decimal", "enum", "ipaddress", "numpy")
"""Modules whose values are told in full without looking into them."""


def _parts(value: Any) -> list[Any]:
    """What an object of a driver's holds: its own == may take 1 for 1.0, and its text may leave out types."""
    if type(value).__module__ in _PLAIN or isinstance(value, Enum | pd.Timestamp | pd.Timedelta):
        return []
    names = [name for base in type(value).__mro__ for name in _slots(base)]
    held = {name: getattr(value, name) for name in names if hasattr(value, name)}
    held |= getattr(value, "__dict__", {})
    # Not what a generic class notes of how it was made, nor the methods that SQLAlchemy's quoted_name makes when asked.
    notes = {name for name in held if name == "__orig_class__" or callable(held[name])}
    return [(name, _cell(held[name])) for name in sorted(held.keys() - notes)]


def _slots(kind: type) -> list[str]:
    slots = kind.__dict__.get("__slots__", ())
    return [name for name in ((slots,) if isinstance(slots, str) else slots) if not name.startswith("__")]
