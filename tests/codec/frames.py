"""A grammar of the frames that the codec keeps: dtypes x odd values x labels x indexes; and of their chunks."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from importlib.util import find_spec
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from dateutil import tz as dateutil_zones
from hypothesis import reject
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.sql.elements import quoted_name

Cells = st.SearchStrategy[Any]
Kind = tuple[Cells, Callable[[list[Any]], Any]]
"""A strategy for one cell, and what makes a column of a list of them."""

UTC = timezone.utc  # noqa: UP017  # the object that pandas itself puts
ZONES: list[Any] = [
    UTC,
    timezone(timedelta(hours=5, minutes=30)),
    timezone(-timedelta(hours=3, minutes=30)),
    timezone(timedelta(hours=1), "Z"),
    ZoneInfo("UTC"),
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("America/St_Johns"),
    dateutil_zones.tzutc(),
    dateutil_zones.tzoffset(None, 5_400),
    dateutil_zones.tzoffset("here", -3_600),
]
if find_spec("pytz"):
    import pytz

    ZONES += [pytz.utc, pytz.timezone("Europe/Berlin"), pytz.FixedOffset(90)]
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
NOT_A_TIME = -(2**63)
PER_KIND: list[Any] = (
    ["string[python]", "string[pyarrow]", pd.StringDtype("pyarrow", np.nan), pd.StringDtype("python", np.nan)]
    if pd.__version__ >= "3"
    else ["string[python]", "string[pyarrow]", "string[pyarrow_numpy]"]
)

TEXTS = st.text(max_size=6)
ANY_TEXTS = st.text(st.characters(), max_size=4)
"""Lone surrogates, too."""


def without_fold(cells: Cells) -> Cells:
    """Arrow's own types have none; hypothesis likes to set it."""
    return cells.map(lambda moment: moment.replace(fold=0))


def optional(cells: Cells, missing: Any = None) -> Cells:
    return cells | st.just(missing)


def integers(dtype: str) -> Cells:
    limits = np.iinfo(dtype)
    return st.integers(int(limits.min), int(limits.max))


def floats(bits: int, **options: Any) -> Cells:
    width: Any = bits
    return st.floats(width=width, **options)


def moments(unit: str) -> Cells:
    """Integers from year 2 to 9998, so that any zone's local time is one of Python's, and no time."""
    limit = 2**63 - 1 if unit == "ns" else 253_000_000_000 * UNITS[unit]
    lowest = -limit + 10**14 if unit == "ns" else -62_000_000_000 * UNITS[unit]
    return st.integers(lowest, limit - 10**14 if unit == "ns" else limit) | st.just(NOT_A_TIME)


def decimals(places: int) -> Cells:
    """Decimals of one scale, without minus zero: what Parquet's own decimals keep."""
    return st.integers(-(10**18), 10**18).map(lambda number: Decimal(number).scaleb(-places))


# --- one cell of an object column -----------------------------------------------------------------------


def local_times() -> Cells:
    """Datetimes of any zone: also of hours that there are twice, or not at all."""

    def placed(moment: datetime, zone: Any) -> datetime:
        if hasattr(zone, "localize"):  # of pytz, where a local time that there is not has a false offset
            local: datetime = zone.normalize(zone.localize(moment))
            return local
        return moment.replace(tzinfo=zone)

    usual = st.datetimes(datetime(1950, 1, 1), datetime(2200, 1, 1))
    odd = st.sampled_from([datetime(2020, 3, 29, 2, 30), datetime(2020, 10, 25, 2, 30), datetime(1, 1, 2)])
    return st.builds(placed, usual | odd, st.sampled_from(ZONES))


def timestamps() -> Cells:
    def made(number: int, unit: Any, zone: Any) -> Any:
        moment: Any = pd.Timestamp(np.datetime64(number, unit))
        return moment if zone is None else moment.tz_localize("UTC").tz_convert(zone)

    numbers = st.integers(-(2**31), 2**32)
    return st.builds(made, numbers, st.sampled_from(sorted(UNITS)), st.none() | st.sampled_from(ZONES))


def numpy_scalars() -> Cells:
    return st.one_of(
        st.booleans().map(np.bool_),
        integers("int8").map(np.int8),
        integers("uint64").map(np.uint64),
        floats(16).map(np.float16),
        floats(64).map(np.float64),
        st.complex_numbers().map(np.complex128),
        TEXTS.filter(lambda text: text and not text.endswith("\0")).map(np.str_),
        integers("int32").map(lambda number: np.datetime64(number, "D")),
        integers("int32").map(lambda number: np.timedelta64(number, "ms")),
    )


def date_offsets() -> Cells:
    parts = st.dictionaries(st.sampled_from(["months", "days", "nanoseconds"]), integers("int16"))
    make: Any = pd.DateOffset
    return parts.map(lambda given: make(**given))


HASHABLE: dict[str, Cells] = {
    "str": TEXTS,
    "any str": ANY_TEXTS,
    "bytes": st.binary(max_size=4),
    "bool": st.booleans(),
    "int": integers("int64"),
    "large int": st.integers(-(10**60), 10**60),
    "float": st.floats(),
    "date": st.dates(),
    "time": without_fold(st.times()),
    "local time of day": st.times(timezones=st.sampled_from([UTC, timezone(timedelta(hours=2)), None])),
    "datetime": without_fold(st.datetimes()),
    "datetime with a zone": local_times(),
    "timedelta": st.timedeltas(),
    "Decimal": decimals(4),
    "Decimal without places": decimals(0),
    "any Decimal": st.decimals(allow_nan=False),
    "UUID": st.uuids(),
    "IPv4Address": st.ip_addresses(v=4),
    "IPv6Address": st.ip_addresses(v=6),
    "Timestamp": timestamps(),
    "Timedelta": st.builds(
        lambda number, unit: pd.Timedelta(np.timedelta64(number, unit)),
        integers("int32"),
        st.sampled_from(sorted(UNITS)),
    ),
    "DateOffset": date_offsets(),
    "numpy scalar": numpy_scalars(),
    "quoted_name": st.builds(quoted_name, TEXTS, st.sampled_from([None, True, False])),
    "SQLAlchemy's Range": st.builds(Range, integers("int8"), st.none(), bounds=st.sampled_from(["[)", "()"])),
}
"""Cells of one type, of every type that may be a key or stand in a set."""

MISSING: Cells = st.sampled_from([None, pd.NA, pd.NaT, float("nan"), Decimal("NaN")])

LEAVES: Cells = st.one_of(
    *HASHABLE.values(),
    MISSING,
    st.binary(max_size=4).map(bytearray),
    st.binary(max_size=4).map(lambda data: memoryview(data)),  # noqa: PLW0108  # generic, for mypy
    st.binary(max_size=4).map(lambda data: memoryview(data).cast("c")),
    st.frozensets(TEXTS | integers("int8"), max_size=3),
    st.sets(TEXTS, max_size=3),
)


def arrays() -> Cells:
    """Arrays of NumPy's, of 0 to 2 dimensions."""

    def made(shape: tuple[int, ...], dtype: str) -> Any:
        size = int(np.prod(shape))
        return np.arange(size).astype(dtype).reshape(shape)

    shapes = st.sampled_from([(), (0,), (3,), (2, 2), (2, 0)])
    dtypes = st.sampled_from(["i8", "u1", "f4", "f8", "bool", "M8[us]", "m8[s]", "c16", "U3", "S3"])
    objects = st.lists(LEAVES, max_size=3).map(of_objects)
    return st.builds(made, shapes, dtypes) | objects


def of_objects(cells: list[Any]) -> Any:
    array = np.empty(len(cells), dtype=object)
    for position, cell in enumerate(cells):  # `array[:] = cells` would look into lists
        array[position] = cell
    return array


ANYTHING: Cells = st.recursive(
    LEAVES | arrays(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(of_objects),
        st.dictionaries(ANY_TEXTS | st.just("$Decimal"), inner, max_size=3),
        st.dictionaries(TEXTS | integers("int8") | st.dates(), inner, max_size=3),
    ),
    max_leaves=6,
)
"""A cell of any type of the closed list, or nested out of them."""

_ITEMS: dict[str, Cells] = {
    **{name: HASHABLE[name] for name in ("str", "any str", "int", "bool", "float", "date", "bytes", "UUID")},
    **{name: HASHABLE[name] for name in ("time", "datetime", "timedelta", "Decimal")},
    "None": st.none(),
}


# --- columns ------------------------------------------------------------------------------------------


def of_dtype(dtype: Any) -> Callable[[list[Any]], Any]:
    return lambda cells: pd.array(cells, dtype=dtype)


def of_numpy(dtype: str) -> Callable[[list[Any]], Any]:
    return lambda cells: np.array(cells, dtype)


def of_integers(dtype: str) -> Callable[[list[Any]], Any]:
    return lambda cells: np.array(cells, "int64").view(dtype)


def of_zone(unit: str, zone: Any) -> Callable[[list[Any]], Any]:
    def make(cells: list[Any]) -> Any:
        utc: Any = pd.Series(np.array(cells, "int64").view(f"datetime64[{unit}]")).dt.tz_localize("UTC")
        return utc.dt.tz_convert(zone).array

    return make


def of_arrow(kind: Any) -> Callable[[list[Any]], Any]:
    return lambda cells: of_arrow_array(pa.array(cells, kind))


def of_extension(kind: Any) -> Callable[[list[Any]], Any]:
    return lambda cells: of_arrow_array(
        pa.ExtensionArray.from_storage(kind, pa.array(cells, kind.storage_type))
    )


def of_nested_extension(kind: Any) -> Callable[[list[Any]], Any]:
    """Lists or structs of an extension type, made of what it is stored as."""
    if pa.types.is_struct(kind):
        plain: Any = pa.struct([(field.name, field.type.storage_type) for field in kind])
    else:
        plain = pa.list_(kind.value_type.storage_type)
    return lambda cells: of_arrow_array(pa.array(cells, plain).cast(kind))


def of_arrow_array(array: Any) -> Any:
    return pd.arrays.ArrowExtensionArray(pa.chunked_array([array]))  # type: ignore[attr-defined,unused-ignore]


def of_masked(dtype: str) -> Callable[[list[Any]], Any]:
    """Floats in which NaN is a value, and NA is none."""

    def make(cells: list[Any]) -> Any:
        mask = np.array([cell is pd.NA for cell in cells], "bool")
        data = np.array([0.0 if cell is pd.NA else cell for cell in cells], dtype)
        return pd.arrays.FloatingArray(data, mask)

    return make


def of_categories(dtype: Any) -> Callable[[list[Any]], Any]:
    """A categorical with one category that no cell has, ordered where there is an even number of cells."""

    def make(cells: list[Any]) -> Any:
        known = list(dict.fromkeys([*cells[1:], *cells[:1]]))  # 1 and True are one category, as for pandas
        known = [cell for cell in known if cell is not None]
        codes = [-1 if cell is None else known.index(cell) for cell in cells]
        values = known if "str" in str(dtype) else np.array(known, dtype)
        if dtype is object:
            values = of_objects(known)
        categories: Any = pd.Index(values, dtype=dtype, tupleize_cols=False)
        return pd.Categorical.from_codes(codes, categories=categories, ordered=len(cells) % 2 == 0)

    return make


def _numpy_kinds() -> dict[str, Kind]:
    kinds: dict[str, Kind] = {"bool": (st.booleans(), of_numpy("bool"))}
    for bits in (8, 16, 32, 64):
        for dtype in (f"int{bits}", f"uint{bits}"):
            kinds[dtype] = (integers(dtype), of_numpy(dtype))
    for bits in (16, 32, 64):
        kinds[f"float{bits}"] = (floats(bits), of_numpy(f"float{bits}"))
    for unit in UNITS:
        kinds[f"datetime64[{unit}]"] = (moments(unit), of_integers(f"datetime64[{unit}]"))
        kinds[f"timedelta64[{unit}]"] = (integers("int64"), of_integers(f"timedelta64[{unit}]"))
    kinds["datetime64[s] of any year"] = (integers("int64"), of_integers("datetime64[s]"))
    return kinds


def _object_kinds() -> dict[str, Kind]:
    cells: dict[str, Cells] = {
        **HASHABLE,
        "None": st.none(),
        "missing of every sort": MISSING,
        "bytearray": st.binary(max_size=4).map(bytearray),
        "memoryview": st.binary(max_size=4).map(memoryview),
        "set": st.sets(TEXTS | integers("int8"), max_size=3),
        "dict": st.dictionaries(ANY_TEXTS, optional(integers("int64") | TEXTS), max_size=3),
        "arrays of every sort": arrays(),
        "array of objects": st.lists(optional(TEXTS), max_size=3).map(of_objects),
        "anything": ANYTHING,
        **{f"list of {name}": st.lists(optional(item), max_size=3) for name, item in _ITEMS.items()},
        "list of lists": st.lists(optional(st.lists(optional(integers("int64")), max_size=2)), max_size=2),
        "list of anything": st.lists(ANYTHING, max_size=2),
    }
    for dtype in ("int64", "uint8", "float16", "float32", "float64", "bool"):
        numbers = st.booleans() if dtype == "bool" else floats(16) if "f" in dtype else integers("uint8")
        cells[f"array of {dtype}"] = st.lists(numbers, max_size=3).map(of_numpy(dtype.replace("int64", "i8")))
    return {f"object of {name}": (optional(each), of_objects) for name, each in cells.items()}


def _pandas_kinds() -> dict[str, Kind]:
    kinds: dict[str, Kind] = {}
    for zone in ZONES:
        kinds[f"datetime64[us, {zone!r}]"] = (moments("us"), of_zone("us", zone))
    for unit in UNITS:
        kinds[f"datetime64[{unit}, Berlin]"] = (moments(unit), of_zone(unit, ZoneInfo("Europe/Berlin")))
    for dtype in PER_KIND:
        kinds[f"{dtype!r}"] = (optional(TEXTS, pd.NA), of_dtype(dtype))
    kinds["string[python] of any str"] = (ANY_TEXTS, of_dtype("string[python]"))
    for bits in (8, 16, 32, 64):
        for name in (f"Int{bits}", f"UInt{bits}"):
            kinds[name] = (optional(integers(name.lower()), pd.NA), of_dtype(name))
    for bits in (32, 64):
        kinds[f"Float{bits}"] = (optional(floats(bits), pd.NA), of_masked(f"float{bits}"))
    kinds["boolean"] = (optional(st.booleans(), pd.NA), of_dtype("boolean"))
    return kinds


def _category_kinds() -> dict[str, Kind]:
    # pandas 2.2 takes texts that begin with NUL for empty ones, and so they are refused as categories.
    texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)
    cells: dict[str, tuple[Any, Cells]] = {
        "object of str": (object, texts),
        "object of date": (object, st.dates()),
        "object of Decimal": (object, st.decimals(allow_nan=False)),
        "object of UUID": (object, st.uuids()),
        "object of a mixture": (object, st.booleans() | integers("int8") | texts | st.dates() | st.binary()),
        "object of tuple": (object, st.tuples(integers("int8"), texts)),
        "string[python]": ("string[python]", texts),
        "string[pyarrow]": ("string[pyarrow]", texts),
        "bool": ("bool", st.booleans()),
        "int8": ("int8", integers("int8")),
        "uint64": ("uint64", integers("uint64")),
        "float64": ("float64", st.floats(allow_nan=False)),
        "datetime64[us]": ("datetime64[us]", integers("int32")),
        "timedelta64[ms]": ("timedelta64[ms]", integers("int32")),
    }
    if pd.__version__ >= "3":
        cells["str"] = ("str", texts)
    return {
        f"category of {name}": (optional(each), of_categories(dtype)) for name, (dtype, each) in cells.items()
    }


def _arrow_kinds() -> dict[str, Kind]:
    numbers = integers("int32")
    cells: list[tuple[Any, Cells]] = [
        (pa.null(), st.none()),
        (pa.bool_(), st.booleans()),
        *[(pa.from_numpy_dtype(name), integers(name)) for name in ("int8", "int64", "uint16", "uint64")],
        (pa.float16(), floats(16).map(np.float16)),
        (pa.float32(), floats(32)),
        (pa.float64(), st.floats()),
        (pa.string(), TEXTS),
        (pa.large_string(), TEXTS),
        (pa.binary(), st.binary(max_size=4)),
        (pa.large_binary(), st.binary(max_size=4)),
        (pa.binary(3), st.binary(min_size=3, max_size=3)),
        (pa.date32(), st.dates()),
        (pa.time32("ms"), st.integers(0, 86_399_999)),
        (pa.time64("us"), without_fold(st.times())),
        (pa.time64("ns"), st.integers(0, 86_399_999_999_999)),
        (pa.decimal128(38, 4), decimals(4)),
        (pa.decimal256(60, 2), decimals(2)),
        (pa.timestamp("s"), numbers),
        (pa.timestamp("us"), without_fold(st.datetimes())),
        (pa.timestamp("ns"), integers("int64")),
        (pa.timestamp("s", "UTC"), numbers),
        (pa.timestamp("us", "Europe/Berlin"), numbers),
        (pa.timestamp("ms", "+05:30"), numbers),
        (pa.duration("s"), numbers),
        (pa.duration("ms"), numbers),
        (pa.month_day_nano_interval(), st.tuples(numbers, numbers, integers("int64"))),
        (pa.list_(pa.int64()), st.lists(optional(integers("int64")), max_size=3)),
        (pa.list_(pa.null()), st.lists(st.none(), max_size=3)),
        (pa.list_(pa.field("of its own", pa.string())), st.lists(optional(TEXTS), max_size=3)),
        (pa.large_list(pa.string()), st.lists(optional(TEXTS), max_size=3)),
        (
            pa.list_(pa.list_(pa.timestamp("ms"))),
            st.lists(st.lists(optional(numbers), max_size=2), max_size=2),
        ),
        (pa.list_(pa.duration("us")), st.lists(optional(numbers), max_size=2)),
        (
            pa.struct([("a", pa.int64()), ("b", pa.string())]),
            st.fixed_dictionaries({"a": numbers, "b": TEXTS}),
        ),
        (pa.struct([("a", pa.list_(pa.decimal128(38, 2)))]), st.just({"a": [Decimal("1.50"), None]})),
        (pa.map_(pa.string(), pa.int32()), st.lists(st.tuples(TEXTS, optional(numbers)), max_size=2)),
    ]
    kinds: dict[str, Kind] = {f"{kind}[pyarrow]": (optional(each), of_arrow(kind)) for kind, each in cells}
    for kind, each in _extension_cells():
        kinds[f"{kind}[pyarrow]"] = (optional(each), of_extension(kind))
    opaque = pa.opaque(pa.string(), "numeric", "PostgreSQL")
    for outer, each in (
        (pa.list_(pa.uuid()), st.lists(optional(st.just(bytes(16))), max_size=2)),
        (pa.list_(opaque), st.lists(optional(TEXTS), max_size=2)),
        (pa.struct([("a", opaque)]), st.fixed_dictionaries({"a": optional(TEXTS)})),
    ):
        kinds[f"{outer}[pyarrow]"] = (optional(each), of_nested_extension(outer))
    return kinds


def _extension_cells() -> list[tuple[Any, Cells]]:
    cells: list[tuple[Any, Cells]] = [
        (pa.uuid(), st.uuids().map(lambda value: value.bytes)),
        (pa.opaque(pa.string(), "numeric", "PostgreSQL"), TEXTS),
        (pa.opaque(pa.binary(), "inet", "PostgreSQL"), st.binary(max_size=4)),
        (pa.bool8(), integers("int8")),
    ]
    if hasattr(pa, "json_"):  # pyarrow 19
        cells.append((pa.json_(), st.just('{"a": [1, null]}')))
    return cells


KINDS: dict[str, Kind] = (
    _numpy_kinds() | _object_kinds() | _pandas_kinds() | _category_kinds() | _arrow_kinds()
)

_NO_KEYS = ("list", "array", "bytearray", "memoryview", "set", "dict", "anything", "every sort", "struct")
"""Words in the names of kinds whose cells pandas puts into no level of an index, or not for sure."""

LEVELS = [
    name
    for name, (cells, make) in KINDS.items()
    if not any(
        word in name for word in (*_NO_KEYS, "map<", "interval", "extension", "null[", "float16", "halffloat")
    )
    and not any(word in name for word in ("any str", "any year", "numpy scalar", "DateOffset", "Range"))
]
"""Kinds of which there may be a level of a MultiIndex."""

FLAT = [*LEVELS, "object of any str", "object of list of int", "object of anything", "object of DateOffset"]
"""Kinds of which there may be an Index of one level."""


@st.composite
def columns(draw: st.DrawFn, name: str, rows: int) -> pd.Series[Any]:
    """A column of one kind."""
    cells, make = KINDS[name]
    values = make(draw(st.lists(cells, min_size=rows, max_size=rows)))
    made: pd.Series[Any] = pd.Series(values, dtype=values.dtype)  # pandas would infer another one for objects
    return made


# --- frames -------------------------------------------------------------------------------------------

LABELS: Cells = st.one_of(
    ANY_TEXTS,
    st.sampled_from(["a", "A", "a_2", "?column?", "", "a.b", "index", "__index_level_0__"]),
    st.sampled_from(
        [None, float("nan"), 0, 1, True, 1.0, -0.0, b"a", ("a", 1), ("a", None), uuid.UUID(int=1)]
    ),
    st.builds(quoted_name, st.just("a"), st.sampled_from([None, True, False])),
    st.dates(),
    st.decimals(allow_nan=False),
)
"""Labels and names of levels: what a query may give, and what a person may make of it."""


@st.composite
def labels(draw: st.DrawFn, number: int) -> pd.Index[Any]:
    """The labels of so many columns; there may be the same twice."""
    name = draw(st.none() | LABELS)
    match draw(st.sampled_from(["object", "texts", "int64", "range", "datetime64[us]", *PER_KIND])):
        case "object":
            cells = of_objects(draw(st.lists(LABELS, min_size=number, max_size=number)))
            index: Any = pd.Index(cells, dtype=object, tupleize_cols=False)
        case "texts":
            index = pd.Index([f"c{position}" for position in range(number)])
        case "range":
            index = pd.RangeIndex(number)
        case "int64" | "datetime64[us]" as dtype:
            index = pd.Index(
                np.array(draw(st.lists(integers("int16"), min_size=number, max_size=number)), "i8")
            )
            index = pd.Index(index.to_numpy().view(dtype))
        case dtype:
            index = pd.Index(draw(st.lists(TEXTS, min_size=number, max_size=number)), dtype=dtype)
    named: pd.Index[Any] = index.rename(name)
    return named


@st.composite
def indexes(draw: st.DrawFn, rows: int) -> pd.Index[Any]:
    """An index of so many rows."""
    kind = draw(st.sampled_from(["default", "default", "range", "flat", "flat", "multi"]))
    if kind == "default":
        return pd.RangeIndex(rows)
    if kind == "range":
        start, step = draw(st.integers(-5, 5)), draw(st.sampled_from([-3, -1, 1, 2]))
        return pd.RangeIndex(start, start + rows * step, step, name=draw(st.none() | LABELS))
    if kind == "flat":
        values = draw(st.sampled_from(FLAT).flatmap(lambda name: columns(name, rows)))
        made: pd.Index[Any] = pd.Index(
            values.array, dtype=values.dtype, name=draw(st.none() | LABELS), tupleize_cols=False
        )
        return made
    levels = [
        draw(st.sampled_from(LEVELS).flatmap(lambda name: columns(name, rows)))
        for _ in range(draw(st.integers(1, 3)))
    ]
    names = [draw(st.none() | LABELS) for _ in levels]
    present: list[Any] = [pd.Index(level.array, dtype=level.dtype, tupleize_cols=False) for level in levels]
    try:
        return pd.MultiIndex.from_arrays(present, names=names)
    except (UnicodeError, NotImplementedError, TypeError, ValueError):  # pandas itself has no such levels
        reject()


@st.composite
def frames(draw: st.DrawFn, columns_of: pd.Index[Any] | None = None) -> pd.DataFrame:
    """A frame as `pd.read_sql` may return it, and rather odder.

    Args:
        draw: hypothesis' own.
        columns_of: its labels, where they are given.
    """
    rows = draw(st.integers(0, 4))
    number = draw(st.integers(0, 3)) if columns_of is None else len(columns_of)
    drawn = [
        draw(st.sampled_from(sorted(KINDS)).flatmap(lambda name: columns(name, rows))) for _ in range(number)
    ]
    frame = pd.DataFrame(dict(enumerate(drawn)), index=pd.RangeIndex(rows))
    frame.columns = draw(labels(number)) if columns_of is None else columns_of
    frame.index = draw(indexes(rows))
    return frame


@st.composite
def chunks(draw: st.DrawFn) -> list[pd.DataFrame]:
    """The chunks of one result: of the same labels, but of any dtypes."""
    known = draw(labels(draw(st.integers(0, 2))))
    return draw(st.lists(frames(known), max_size=4))
