"""Unambiguous canonical bytes, and the sha256 over them.

Every value is written as its type's tag, the length of what follows, and what follows, so that no two
values share their bytes: 1, True, 1.0 and Decimal("1.0") are four. Types come from a closed list; a
value of any other type makes the question not cacheable, because nothing proves that its text, its
hash or its address means the same tomorrow.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlcache_nb.constant import ConstantDict, ConstantList
from sqlcache_nb.errors import NotCacheable

FORMAT = "sqlcache_nb key 1"
"""Hashed first; a change of the encoding changes it, so that old keys are never met by accident."""


@dataclass(frozen=True, slots=True)
class Key:
    """The name of one question to one database.

    Args:
        digest: full sha256, in hex.
        encoded: canonical bytes of each named part.
    """

    digest: str
    encoded: Mapping[str, bytes] = field(repr=False)

    @property
    def parts(self) -> dict[str, str]:
        """The first 16 hex digits of each named part's own sha256, so that two keys can be compared."""
        return {name: sha256(encoded).hexdigest()[:16] for name, encoded in self.encoded.items()}

    @classmethod
    def of(cls, parts: Mapping[str, object]) -> Key:
        """The key over named parts.

        Raises:
            NotCacheable: a part holds a value of a type that has no canonical bytes.

        Example:
            >>> Key.of({"text": "select 1"}).digest == Key.of({"text": "select 2"}).digest
            False
        """
        pieces = [_FORMAT]
        encoded = {}
        for name in sorted(parts):
            try:
                part = encode(parts[name])
            except NotCacheable as refusal:
                raise NotCacheable(f"{name}: {refusal}") from None
            pieces += (_name(name), part)
            encoded[name] = part
        return cls(sha256(b"".join(pieces)).hexdigest(), encoded)


def encode(value: object) -> bytes:
    """The canonical bytes of a value.

    Raises:
        NotCacheable: the type is not on the list.

    Example:
        >>> encode(1) == encode(True)
        False
    """
    return _ENCODERS.get(type(value), _encode_other)(value)


def _encode_other(value: Any) -> bytes:
    """The canonical bytes of a value whose type alone does not tell how they are made."""
    kind = type(value)
    if isinstance(value, Enum):
        # The value, too: a member may be given another one between two runs of a cell.
        return _tagged("Enum", encode([kind.__module__, kind.__qualname__, value.name, value.value]))
    root = kind.__module__.partition(".")[0]
    if root == "numpy":
        return _encode_numpy(value)
    if root == "pandas":
        return _encode_pandas(value)
    raise NotCacheable(f"a value of type {kind.__module__}.{kind.__qualname__} has no canonical form")


def _tagged(tag: str, body: bytes) -> bytes:
    return b"%s:%d:%s" % (tag.encode(), len(body), body)


def _text(value: object) -> bytes:
    # Lone surrogates are legal in Python strings and come back from SQLite.
    return str(value).encode("utf-8", "surrogatepass")


def _moment(value: Any) -> bytes:
    return _text(f"{value.isoformat()} fold={value.fold} ") + _zone(value.tzinfo)


def _zone(zone: tzinfo | None) -> bytes:
    if zone is None:
        return b"naive"
    if isinstance(zone, ZoneInfo) and zone.key:
        return _text(f"zoneinfo {zone.key}")
    if isinstance(zone, timezone):
        return _text(f"offset {zone.utcoffset(None)}")
    raise NotCacheable(f"a time zone of type {type(zone).__qualname__} has no canonical form")


def _class(value: Any) -> bytes:
    if value.__module__.partition(".")[0] not in {"builtins", "datetime", "decimal", "numpy", "pandas"}:
        raise NotCacheable(f"class {value.__qualname__} has no canonical form")
    return _text(f"{value.__module__}.{value.__qualname__}")


_BODIES: dict[type, Callable[[Any], bytes]] = {
    int: lambda value: str(value).encode(),
    float: lambda value: struct.pack(">d", value),
    complex: lambda value: struct.pack(">dd", value.real, value.imag),
    bytes: bytes,
    bytearray: bytes,
    memoryview: bytes,
    range: _text,
    set: lambda value: b"".join(sorted(map(encode, value))),
    frozenset: lambda value: b"".join(sorted(map(encode, value))),
    Decimal: lambda value: _text(value.as_tuple()),
    Fraction: _text,
    UUID: _text,
    datetime: _moment,
    time: _moment,
    date: lambda value: _text(value.isoformat()),
    timedelta: lambda value: _text((value.days, value.seconds, value.microseconds)),
    type: _class,
    IPv4Address: _text,
    IPv4Interface: _text,
    IPv4Network: _text,
    IPv6Address: _text,
    IPv6Interface: _text,
    IPv6Network: _text,
}
"""What stands behind the tag and the length, by the type."""


def _tagging(kind: type) -> Callable[[Any], bytes]:
    """Gives the canonical bytes of values of one type."""
    body_of, form = _BODIES[kind], f"{kind.__name__}:%d:%s".encode()

    def encoder(value: Any) -> bytes:
        try:
            body = body_of(value)
        except ValueError as fault:  # an integer of more digits than Python writes
            raise NotCacheable(f"a value of type {kind.__qualname__} has no canonical form") from fault
        return form % (len(body), body)

    return encoder


# The commonest types have encoders of their own: they are most of every key, and so of what it costs.


def _string(value: str) -> bytes:
    body = value.encode("utf-8", "surrogatepass")
    return b"str:%d:%s" % (len(body), body)


_name = lru_cache(maxsize=64)(_string)  # of a part: there are few


def _items(kind: type) -> Callable[[Any], bytes]:
    form = f"{kind.__name__}:%d:%s".encode()

    def encoder(values: Any) -> bytes:
        known, other = _ENCODERS.get, _encode_other
        body = b"".join([known(type(value), other)(value) for value in values])
        return form % (len(body), body)

    return encoder


def _mapping(value: Any) -> bytes:
    known, other = _ENCODERS.get, _encode_other
    pairs = [known(type(key), other)(key) + known(type(item), other)(item) for key, item in value.items()]
    pairs.sort()
    body = b"".join(pairs)
    return b"dict:%d:%s" % (len(body), body)


def _once(encoder: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def encoded(value: ConstantDict | ConstantList) -> bytes:
        if not hasattr(value, "encoded"):
            value.encoded = encoder(value)
        return value.encoded

    return encoded


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    **{kind: _tagging(kind) for kind in _BODIES},
    type(None): lambda value: b"NoneType:0:",
    bool: lambda value: b"bool:4:True" if value else b"bool:5:False",
    str: _string,
    list: _items(list),
    tuple: _items(tuple),
    dict: _mapping,
    ConstantList: _once(_items(list)),
    ConstantDict: _once(_mapping),
}
_FORMAT = encode(FORMAT)


def _encode_numpy(value: Any) -> bytes:
    """Scalars, arrays and dtypes, told apart by what they have: numpy itself is not imported here."""
    name = type(value).__name__
    dtype = value.dtype if hasattr(value, "tobytes") else value
    # Objects, records and subarrays have no bytes of their own; a masked array's mask is not in its bytes.
    if getattr(dtype, "kind", "V") in "OV" or name == "MaskedArray":
        if dtype is value and getattr(value, "kind", None) == "O":
            return _tagged("numpy.dtype", b"object")
        raise NotCacheable(f"a value of type {type(value).__qualname__} has no canonical form")
    if dtype is value:
        return _tagged("numpy.dtype", _text(value.str))
    return _tagged(f"numpy.{name}", encode([dtype.str, list(getattr(value, "shape", ())), value.tobytes()]))


_STATELESS_DTYPES = {f"{sign}Int{bits}Dtype" for sign in ("", "U") for bits in (8, 16, 32, 64)} | {
    "Float32Dtype",
    "Float64Dtype",
    "BooleanDtype",
}


def _encode_pandas(value: Any) -> bytes:
    """The scalars and dtypes of pandas, by their names: pandas itself is not imported here."""
    name = type(value).__name__
    if name in {"NaTType", "NAType"} or name in _STATELESS_DTYPES:
        body = b""
    elif name == "Timestamp":
        body = _text(value.unit) + _moment(value)
    elif name == "Timedelta":
        body = encode(value.asm8)
    elif name == "StringDtype":
        body = encode([value.storage, repr(value.na_value)])
    elif name == "DatetimeTZDtype":
        body = encode(value.unit) + _zone(value.tz)
    elif name == "ArrowDtype":
        body = encode(str(value.pyarrow_dtype))
    else:
        raise NotCacheable(f"a value of type {type(value).__qualname__} has no canonical form")
    return _tagged(f"pandas.{name}", body)
