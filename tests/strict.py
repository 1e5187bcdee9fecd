"""Compares two frames exactly; pandas' `assert_frame_equal` passes different frames and fails identical ones."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd


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
    for position, label in enumerate(left.columns):
        found += _values(f"column {label!r}", left.iloc[:, position], right.iloc[:, position])
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
            yield from _values(f"{where} level {position}", left.levels[position], right.levels[position])
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
        return kind, dtype.pyarrow_dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return kind, dtype.ordered, _dtype(dtype.categories), _cell(list(dtype.categories))
    numpy_dtype = getattr(dtype, "numpy_dtype", dtype)
    return kind, getattr(numpy_dtype, "str", str(dtype))


def _cells(values: Any) -> Iterator[Any]:
    """The cells as they are held: bits of floats and times, and whether a masked one is missing."""
    array = values.array
    dtype = array.dtype
    if isinstance(dtype, pd.ArrowDtype):
        yield from array.__arrow_array__().to_pylist() if not _is_time(dtype) else _storage_of(array)
    elif hasattr(array, "_mask"):
        for missing, value in zip(array._mask, array._data, strict=True):
            yield pd.NA if missing else value
    elif dtype.kind in "mM" and not isinstance(dtype, pd.PeriodDtype):
        yield from np.asarray(array.view("i8")).tolist()
    else:
        yield from array


def _is_time(dtype: pd.ArrowDtype) -> bool:
    return str(dtype.pyarrow_dtype).startswith(("timestamp", "duration", "time", "date"))


def _storage_of(array: Any) -> list[int | None]:
    """Arrow's times as the integers that they are: Python's own times reach less far, and less deep."""
    import pyarrow as pa

    column = pa.chunked_array(array.__arrow_array__())
    plain = pa.int32() if column.type.bit_width == 32 else pa.int64()
    chunks = [chunk.view(plain) for chunk in column.chunks]
    integers: list[int | None] = pa.chunked_array(chunks, plain).to_pylist()
    return integers


def _cell(value: Any) -> tuple[Any, ...]:
    """A value with its type, so that == is as strict as it should be."""
    kind = type(value).__module__ + "." + type(value).__qualname__
    if value is None or value is pd.NA or value is pd.NaT:
        return (kind,)
    if isinstance(value, float | np.number):
        return _number(kind, value)
    if isinstance(value, list | tuple):
        return kind, [_cell(item) for item in value]
    if isinstance(value, dict):  # in their order, which a person sees
        return kind, [(_cell(key), _cell(item)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return kind, sorted(map(repr, map(_cell, value)))
    if isinstance(value, Decimal):
        return kind, value.as_tuple()
    if isinstance(value, memoryview):
        return kind, value.format, value.shape, value.tobytes()
    if isinstance(value, np.ndarray):
        return kind, value.dtype.str, value.shape, [_cell(item) for item in value.ravel()]
    if hasattr(value, "tzinfo"):
        return (
            kind,
            value.isoformat(),
            value.fold,
            repr(value.tzinfo),
            type(value.tzinfo),
            getattr(value, "unit", ""),
        )
    return kind, repr(value), value


def _number(kind: str, value: Any) -> tuple[Any, ...]:
    if isinstance(value, np.integer):  # C has two names for one width: ulong, ulonglong
        return value.dtype.str, int(value)
    if isinstance(value, np.complexfloating):
        return kind, repr(value)
    return kind, "nan" if math.isnan(value) else struct.pack(">d", float(value))
