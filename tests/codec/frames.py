"""A grammar of the frames that the codec accepts: dtypes x odd values x indexes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

Cells = st.SearchStrategy[Any]
Kind = tuple[Cells, Callable[[list[Any]], Any]]
"""A strategy for one cell, and what makes a column of a list of them."""

ZONES = [
    timezone.utc,  # noqa: UP017  # the object that pandas itself puts
    timezone(timedelta(hours=5, minutes=30)),
    timezone(-timedelta(hours=3, minutes=30)),
    ZoneInfo("UTC"),
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("America/St_Johns"),
]
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
NOT_A_TIME = -(2**63)
PER_KIND = (
    ["string[python]", "string[pyarrow]", pd.StringDtype("pyarrow", np.nan), pd.StringDtype("python", np.nan)]
    if pd.__version__ >= "3"
    else ["string[python]", "string[pyarrow]", "string[pyarrow_numpy]"]
)


def without_fold(cells: Cells) -> Cells:
    """A fold is refused; hypothesis likes to set it."""
    return cells.map(lambda moment: moment.replace(fold=0))


def optional(cells: Cells, missing: Any = None) -> Cells:
    return cells | st.just(missing)


def integers(dtype: str) -> Cells:
    limits = np.iinfo(dtype)
    return st.integers(int(limits.min), int(limits.max))


def moments(unit: str) -> Cells:
    """Integers from year 2 to 9998, so that any zone's local time is one of Python's, and no time."""
    limit = 2**63 - 1 if unit == "ns" else 253_000_000_000 * UNITS[unit]
    lowest = -limit + 10**14 if unit == "ns" else -62_000_000_000 * UNITS[unit]
    return st.integers(lowest, limit - 10**14 if unit == "ns" else limit) | st.just(NOT_A_TIME)


def decimals(places: int) -> Cells:
    """Decimals of one scale; minus zero is refused."""
    return st.integers(-(10**18), 10**18).map(lambda number: Decimal(number).scaleb(-places))


def of_dtype(dtype: Any) -> Callable[[list[Any]], Any]:
    return lambda cells: pd.array(cells, dtype=dtype)


def of_numpy(dtype: str) -> Callable[[list[Any]], Any]:
    return lambda cells: np.array(cells, dtype)


def of_integers(dtype: str) -> Callable[[list[Any]], Any]:
    return lambda cells: np.array(cells, "int64").view(dtype)


def of_objects(cells: list[Any]) -> Any:
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def of_zone(unit: str, zone: Any) -> Callable[[list[Any]], Any]:
    def make(cells: list[Any]) -> Any:
        utc: Any = pd.Series(np.array(cells, "int64").view(f"datetime64[{unit}]")).dt.tz_localize("UTC")
        return utc.dt.tz_convert(zone).array

    return make


def of_arrow(kind: Any) -> Callable[[list[Any]], Any]:
    return lambda cells: pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(cells, kind)]))  # type: ignore[attr-defined,unused-ignore]


def floats(bits: int, **options: Any) -> Cells:
    width: Any = bits
    return st.floats(width=width, **options)


def _numpy_kinds() -> dict[str, Kind]:
    kinds: dict[str, Kind] = {"bool": (st.booleans(), of_numpy("bool"))}
    for bits in (8, 16, 32, 64):
        for dtype in (f"int{bits}", f"uint{bits}"):
            kinds[dtype] = (integers(dtype), of_numpy(dtype))
    for bits in (32, 64):
        kinds[f"float{bits}"] = (floats(bits), of_numpy(f"float{bits}"))
    for unit in UNITS:
        kinds[f"datetime64[{unit}]"] = (moments(unit), of_integers(f"datetime64[{unit}]"))
        kinds[f"timedelta64[{unit}]"] = (moments(unit), of_integers(f"timedelta64[{unit}]"))
    return kinds


def _object_kinds() -> dict[str, Kind]:
    cells: dict[str, Cells] = {
        "str": st.text(),
        "bytes": st.binary(),
        "bool": st.booleans(),
        "int": integers("int64"),
        "date": st.dates(),
        "time": without_fold(st.times()),
        "datetime": without_fold(st.datetimes()),
        "Decimal": decimals(4),
        "Decimal without places": decimals(0),
        "None": st.none(),
    }
    return {f"object of {name}": (optional(each), of_objects) for name, each in cells.items()}


def _pandas_kinds() -> dict[str, Kind]:
    kinds: dict[str, Kind] = {}
    for unit in UNITS:
        for zone in ZONES:
            kinds[f"datetime64[{unit}, {zone!r}]"] = (moments(unit), of_zone(unit, zone))
    for dtype in PER_KIND:
        kinds[f"{dtype!r}"] = (optional(st.text(), pd.NA), of_dtype(dtype))
    for bits in (8, 16, 32, 64):
        for name in (f"Int{bits}", f"UInt{bits}"):
            kinds[name] = (optional(integers(name.lower()), pd.NA), of_dtype(name))
    for bits in (32, 64):
        kinds[f"Float{bits}"] = (
            optional(floats(bits, allow_nan=False), pd.NA),
            of_dtype(f"Float{bits}"),
        )
    kinds["boolean"] = (optional(st.booleans(), pd.NA), of_dtype("boolean"))
    return kinds


def _arrow_kinds() -> dict[str, Kind]:
    cells: list[tuple[Any, Cells]] = [
        (pa.bool_(), st.booleans()),
        (pa.int8(), integers("int8")),
        (pa.int64(), integers("int64")),
        (pa.uint64(), integers("uint64")),
        (pa.float32(), st.floats(width=32)),
        (pa.float64(), st.floats()),
        (pa.string(), st.text()),
        (pa.large_string(), st.text()),
        (pa.binary(), st.binary()),
        (pa.large_binary(), st.binary()),
        (pa.date32(), st.dates()),
        (pa.time64("us"), without_fold(st.times())),
        (pa.decimal128(38, 4), decimals(4)),
        (pa.timestamp("us"), without_fold(st.datetimes())),
        (pa.timestamp("ns"), integers("int64")),
        (pa.timestamp("us", "Europe/Berlin"), integers("int32")),
        (pa.duration("ms"), integers("int32")),
    ]
    return {f"{kind}[pyarrow]": (optional(each), of_arrow(kind)) for kind, each in cells}


KINDS: dict[str, Kind] = _numpy_kinds() | _object_kinds() | _pandas_kinds() | _arrow_kinds()


@st.composite
def columns(draw: st.DrawFn, name: str, rows: int) -> pd.Series[Any]:
    """A column of one kind."""
    cells, make = KINDS[name]
    values = make(draw(st.lists(cells, min_size=rows, max_size=rows)))
    made: pd.Series[Any] = pd.Series(values, dtype=values.dtype)  # pandas would infer another one for objects
    return made


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """A frame as `pd.read_sql` may return it: an index that is not the default one has names."""
    rows = draw(st.integers(0, 5))
    names = st.sampled_from(sorted(KINDS))
    labels = draw(st.lists(st.text(max_size=4), min_size=1, max_size=4, unique=True))
    frame = pd.DataFrame({label: draw(columns(draw(names), rows)) for label in labels})
    levels = draw(st.integers(0, 2))
    if levels == 0:
        return frame
    if levels == 1 and draw(st.booleans()):
        start, step = draw(st.integers(-5, 5)), draw(st.sampled_from([-3, -1, 1, 2]))
        frame.index = pd.RangeIndex(start, start + rows * step, step, name=draw(optional(st.text())))
        return frame
    arrays = [draw(columns(draw(names), rows)) for _ in range(levels)]
    level_names = draw(st.lists(st.text(max_size=4) | st.sampled_from(labels), min_size=2, max_size=2))
    if levels == 1:
        frame.index = pd.Index(arrays[0].array, dtype=arrays[0].dtype, name=level_names[0])
    elif not any(each.isna().any() for each in arrays):  # get_level_values gives NaN for any missing value
        made = [pd.Index(each.array, dtype=each.dtype) for each in arrays]
        frame.index = pd.MultiIndex.from_arrays(made, names=level_names)
    return frame
