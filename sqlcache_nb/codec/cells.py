"""One cell of an object column: any value of a closed list of types <-> JSON.

What JSON has is itself: `{"a": [1, null]}` stays readable for everybody. Any other value is an object of one
member whose name is its tag: `{"$Decimal": "1.50"}`. Types are matched exactly, a subclass is another type;
no class is imported by a name that comes from a file.
"""

from __future__ import annotations

import json
import math
import sys
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sqlalchemy.sql.elements import quoted_name

from sqlcache_nb.codec import drivers
from sqlcache_nb.codec.zones import zone_of, zone_spec
from sqlcache_nb.errors import CodecError, NotCacheable


class Form(NamedTuple):
    """How values of one type are told in JSON.

    Args:
        tag: the name of the type in the file.
        write: value -> JSON.
        read: JSON -> value.
    """

    tag: str
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


TEXTS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(Decimal, IPv4Address, IPv4Interface, IPv4Network),
        *(IPv6Address, IPv6Interface, IPv6Network),
    )
}
"""Types whose `str` tells a value in full, and which read it back, by their names."""


def dumps(cell: object) -> str:
    """A cell as JSON.

    Raises:
        NotCacheable: its type, or that of something in it, is not one that is known to come back.

    Example:
        >>> dumps({"price": Decimal("1.50")})
        '{"price": {"$Decimal": "1.50"}}'
    """
    try:
        plain = to_plain(cell)
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
    except (RecursionError, ValueError, OverflowError) as fault:  # a list within itself; thousands of digits
        raise NotCacheable(f"holds a {name_of(type(cell))} too large or too deep for a text") from fault
    # Who reads it may stand deeper in the stack than who writes it.
    if text.count("[") + text.count("{") > _MAX_DEPTH and _depth(plain) > _MAX_DEPTH:
        raise NotCacheable(f"holds a {name_of(type(cell))} too deep for a text")
    return text


def loads(text: str) -> Any:
    """The cell that `dumps` told: new objects each time.

    Raises:
        CodecError: the text holds an unknown tag.
        ImportError: the cell is a driver's, which is not installed.

    Example:
        >>> loads('{"price": {"$Decimal": "1.50"}}')
        {'price': Decimal('1.50')}
    """
    return from_plain(json.loads(text))


def to_plain(cell: Any) -> Any:
    """A cell in JSON's own types.

    Args:
        cell: any value.

    Raises:
        NotCacheable: its type, or that of something in it, is not one that is known to come back.
    """
    kind = type(cell)
    if cell is None or kind is bool or (kind is int and cell.bit_length() <= _MAX_BITS):
        return cell
    if kind is str and _is_unicode(cell):
        return cell
    if kind is float and math.isfinite(cell):
        return cell
    if kind is list:
        return [to_plain(item) for item in cell]
    if kind is dict and all(type(key) is str and _is_unicode(key) and key[:1] != "$" for key in cell):
        return {key: to_plain(item) for key, item in cell.items()}
    hashable: Any = kind  # as every class is, whatever its instances' __hash__ says
    form = _form_of(hashable)
    if form is None:
        raise NotCacheable(f"holds objects of type {name_of(kind)}")
    return {f"${form.tag}": form.write(cell)}


def from_plain(plain: Any) -> Any:
    """The cell that `to_plain` told.

    Args:
        plain: a value in JSON's own types.

    Raises:
        CodecError: it holds an unknown tag.
        ImportError: the cell is a driver's, which is not installed.
    """
    if type(plain) is list:
        return [from_plain(item) for item in plain]
    if type(plain) is not dict:
        return plain
    tag = next(iter(plain), "")
    if not tag.startswith("$"):
        return {key: from_plain(item) for key, item in plain.items()}
    form = _FORM_OF_TAG.get(tag[1:])
    if form is None:
        raise CodecError(f"a value of the unknown kind {tag!r}")
    return form.read(plain[tag])


def name_of(kind: type) -> str:
    """A type's name as a person knows it: with its module, unless that is Python's own."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


_MAX_BITS = 14_000
"""Larger integers Python does not make of a text: it stops at 4,300 digits (sys.int_info)."""


_MAX_DEPTH = 200
"""Lists in lists, and so on, in one cell."""


def _depth(plain: Any) -> int:
    deepest, waiting = 0, [(plain, 1)]
    while waiting:
        value, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(value, list | dict):
            items = value.values() if isinstance(value, dict) else value
            waiting.extend((item, depth + 1) for item in items)
    return deepest


def _is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8: lone surrogates cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(maxsize=256)
def _form_of(kind: type) -> Form | None:
    if issubclass(kind, np.generic) and kind.__module__ == "numpy":
        return _FORM_OF_TAG["numpy"]
    if kind in _FORM_OF_TYPE:
        return _FORM_OF_TYPE[kind]
    # A driver that gave a value is loaded. Its class must be the one of that name, and no look-alike.
    is_itself = getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is kind
    return _FORM_OF_TAG.get(f"{kind.__module__}.{kind.__qualname__}") if is_itself else None


# --- bytes and numbers --------------------------------------------------------------------------------


def _base64(data: Any) -> str:
    return b64encode(data).decode()


def memoryview_of(data: bytes, form: str) -> Any:
    """A view of bytes, of format "B" (numbers) or "c" (bytes of one character)."""
    view: Any = memoryview(data)
    return view.cast(form)


def check_memoryview(view: memoryview) -> str:
    """The format of a view of plain bytes, as drivers give it.

    Raises:
        NotCacheable: it can be written to, or is of several dimensions, or not of bytes.
    """
    if not view.readonly or view.format not in ("B", "c") or view.ndim != 1:
        raise NotCacheable(f"holds a memoryview of format {view.format!r}, or one that can be written to")
    return view.format


def _write_uuid(value: uuid.UUID) -> str:
    if value.is_safe is not uuid.SafeUUID.unknown:
        raise NotCacheable("holds a uuid.UUID that knows how it was made")
    return str(value)


def _write_scalar(value: np.generic) -> list[str]:
    _check_bits(value.dtype)
    plain = [value.dtype.str, _base64(value.tobytes())]
    if value.dtype.kind in "US" and _read_scalar(plain).dtype != value.dtype:
        raise NotCacheable("holds a text of NumPy's that ends with NUL")
    return plain


def _read_scalar(plain: list[str]) -> Any:
    return _read_bits(*plain)[0]


def _write_array(array: np.ndarray[Any, Any]) -> list[Any]:
    if array.dtype.kind == "O":
        return ["O", list(array.shape), [to_plain(item) for item in array.ravel()]]
    _check_bits(array.dtype)
    return [array.dtype.str, list(array.shape), _base64(array.tobytes())]


def _read_array(plain: list[Any]) -> np.ndarray[Any, Any]:
    kind, shape, items = plain
    if kind != "O":
        return _read_bits(kind, items).reshape(shape).copy()  # a view of bytes cannot be written to
    array = np.empty(len(items), dtype=object)
    for position, item in enumerate(items):  # `array[:] = items` would look into lists
        array[position] = from_plain(item)
    return array.reshape(shape)


def _check_bits(dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "biufcmMUS" or dtype.itemsize == 0 or not dtype.isnative or dtype.char in "gG":
        raise NotCacheable(f"holds values of NumPy's dtype {dtype}")


def _read_bits(dtype: str, text: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(b64decode(text), dtype)


# --- times --------------------------------------------------------------------------------------------


def _write_datetime(value: datetime) -> list[Any]:
    if value.tzinfo is None:
        return [value.isoformat(), value.fold]
    zone = zone_spec(value.tzinfo)
    if repr(zone_of(zone)) == repr(value.tzinfo):
        return [value.replace(tzinfo=None).isoformat(), value.fold, zone]
    # pytz has one object for each offset that a zone ever had, and the moment tells which.
    plain = [value.astimezone(UTC).replace(tzinfo=None).isoformat(), value.fold, zone, "UTC"]
    if not is_same_time(value, _read_datetime(plain)):
        raise NotCacheable("holds a datetime whose offset is not one of its time zone")
    return plain


def _read_datetime(plain: list[Any]) -> datetime:
    value = datetime.fromisoformat(plain[0])
    match plain[2:]:
        case [zone]:
            value = value.replace(tzinfo=zone_of(zone))
        case [zone, "UTC"]:
            value = value.replace(tzinfo=UTC).astimezone(zone_of(zone))
    return value.replace(fold=plain[1])


def is_same_time(left: datetime, right: datetime) -> bool:
    """Whether two datetimes are alike in all that they say, their time zones' types included."""
    return (left.isoformat(), left.fold, repr(left.tzinfo)) == (
        right.isoformat(),
        right.fold,
        repr(right.tzinfo),
    )


def _write_time(value: time) -> list[Any]:
    zone = None if value.tzinfo is None else zone_spec(value.tzinfo)
    if value.tzinfo is not None and zone is not None and repr(zone_of(zone)) != repr(value.tzinfo):
        raise NotCacheable("holds a time whose offset is not one of its time zone")
    return [value.replace(tzinfo=None).isoformat(), value.fold, zone]


def _read_time(plain: list[Any]) -> time:
    text, fold, zone = plain
    return time.fromisoformat(text).replace(tzinfo=None if zone is None else zone_of(zone), fold=fold)


def _write_timestamp(value: pd.Timestamp) -> list[Any]:
    moment = value.to_datetime64()
    zone = None if value.tzinfo is None else zone_spec(value.tzinfo)
    plain = [int(moment.astype("int64")), value.unit, value.fold, zone]
    again = _read_timestamp(plain)
    if again.unit != value.unit or not is_same_time(value, again):
        raise NotCacheable("holds a Timestamp whose offset is not one of its time zone")
    return plain


def _read_timestamp(plain: list[Any]) -> Any:
    number, unit, fold, zone = plain
    value: Any = pd.Timestamp(np.datetime64(number, unit))
    if zone is not None:
        value = value.tz_localize("UTC").tz_convert(zone_of(zone))
    return value if value.fold == fold else value.replace(fold=fold)


def _write_offset(value: Any) -> list[Any]:
    if not all(type(number) is int for number in (value.n, *value.kwds.values())):
        raise NotCacheable("holds a DateOffset that is not one of whole numbers")
    return [value.n, value.normalize, value.kwds]


def _date_offset(n: int, normalize: bool, parts: dict[str, int]) -> Any:
    make: Any = pd.DateOffset  # whose stub knows keywords only
    return make(n, normalize, **parts)


# --- the list ---------------------------------------------------------------------------------------


def _items(cell: Any) -> list[Any]:
    return [to_plain(item) for item in cell]


def _driver_form(driver: drivers.DriverType) -> Form:
    return Form(
        f"{driver.module}.{driver.name}",
        lambda value: _items(driver.parts(value)),
        lambda plain: driver.make(*map(from_plain, plain)),
    )


_FORM_OF_TYPE: dict[type, Form] = {
    str: Form(
        "str",
        lambda text: _base64(text.encode("utf-8", "surrogatepass")),
        lambda text: b64decode(text).decode("utf-8", "surrogatepass"),
    ),
    float: Form("float", str, float),
    bytes: Form("bytes", _base64, b64decode),
    bytearray: Form("bytearray", _base64, lambda text: bytearray(b64decode(text))),
    memoryview: Form(
        "memoryview",
        lambda view: [_base64(view.tobytes()), check_memoryview(view)],
        lambda plain: memoryview_of(b64decode(plain[0]), plain[1]),
    ),
    tuple: Form("tuple", _items, lambda plain: tuple(map(from_plain, plain))),
    set: Form("set", _items, lambda plain: set(map(from_plain, plain))),
    frozenset: Form("frozenset", _items, lambda plain: frozenset(map(from_plain, plain))),
    dict: Form(
        "dict",
        lambda cell: [_items(pair) for pair in cell.items()],
        lambda plain: dict(map(from_plain, plain)),
    ),
    **{kind: Form(name, str, kind) for name, kind in TEXTS.items()},
    uuid.UUID: Form("UUID", _write_uuid, uuid.UUID),
    date: Form("date", date.isoformat, date.fromisoformat),
    time: Form("time", _write_time, _read_time),
    datetime: Form("datetime", _write_datetime, _read_datetime),
    timedelta: Form(
        "timedelta",
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda plain: timedelta(*plain),
    ),
    np.ndarray: Form("ndarray", _write_array, _read_array),
    pd.Timestamp: Form("Timestamp", _write_timestamp, _read_timestamp),
    pd.Timedelta: Form(
        "Timedelta",
        lambda value: [int(value.to_timedelta64().astype("int64")), value.unit],
        lambda plain: pd.Timedelta(np.timedelta64(*plain)),
    ),
    pd.DateOffset: Form(
        "DateOffset",
        _write_offset,
        lambda plain: _date_offset(*plain),
    ),
    type(pd.NaT): Form("NaT", lambda _: None, lambda _: pd.NaT),
    type(pd.NA): Form("NA", lambda _: None, lambda _: pd.NA),
    quoted_name: Form(
        "quoted_name",
        lambda label: [to_plain(str(label)), label.quote],
        lambda plain: quoted_name(from_plain(plain[0]), plain[1]),
    ),
}

_FORM_OF_TAG: dict[str, Form] = {
    **{form.tag: form for form in _FORM_OF_TYPE.values()},
    "numpy": Form("numpy", _write_scalar, _read_scalar),
    **{f"{driver.module}.{driver.name}": _driver_form(driver) for driver in drivers.TYPES},
}
