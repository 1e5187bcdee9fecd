"""A few values that stand beside the columns, as JSON: labels, and the categories of a categorical."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sqlcache_nb.codec.cells import from_plain, to_plain
from sqlcache_nb.codec.zones import zone_of, zone_spec
from sqlcache_nb.errors import NotCacheable


def index_spec(index: pd.Index[Any]) -> dict[str, Any]:
    """An Index of labels or categories, as JSON.

    Args:
        index: of one level.

    Raises:
        NotCacheable: its type, or that of one of its values, is not one that is known to come back.
    """
    dtype: Any = index.dtype
    spec: dict[str, Any] = {} if index.name is None else {"name": to_plain(index.name)}
    if type(index) not in _INDEXES:
        raise NotCacheable(f"labels or categories in a {type(index).__qualname__}")
    if getattr(index, "freq", None) is not None:
        raise NotCacheable(f"labels or categories of dtype {dtype} with a freq")
    if isinstance(index, pd.RangeIndex):
        return spec | {"range": [index.start, index.stop, index.step]}
    if isinstance(dtype, pd.StringDtype):
        return spec | {"string": string_spec(dtype), "cells": [to_plain(cell) for cell in index]}
    if isinstance(dtype, pd.DatetimeTZDtype):
        moments: Any = pd.DatetimeIndex(index).tz_convert(None)
        return {**index_spec(moments), **spec, "zone": zone_spec(dtype.tz)}
    if isinstance(dtype, np.dtype):
        if dtype.kind in "mM":
            return spec | {"dtype": dtype.str, "cells": index.to_numpy().view("int64").tolist()}
        if dtype.kind in "Obiuf":
            return spec | {
                "dtype": dtype.str,
                "cells": [to_plain(cell) for cell in index.to_numpy().tolist()],
            }
    raise NotCacheable(f"labels or categories of dtype {dtype}")


_INDEXES = (pd.Index, pd.RangeIndex, pd.DatetimeIndex, pd.TimedeltaIndex)


def index_of(spec: Mapping[str, Any]) -> pd.Index[Any]:
    """The Index that `index_spec` told."""
    name = from_plain(spec.get("name"))
    if "range" in spec:
        start, stop, step = spec["range"]
        return pd.RangeIndex(start, stop, step, name=name)
    cells = [from_plain(cell) for cell in spec["cells"]]
    if "string" in spec:
        index: pd.Index[Any] = pd.Index(cells, dtype=string_dtype(spec["string"]), name=name)
        return index
    dtype = np.dtype(spec["dtype"])
    if "zone" in spec:
        moments = pd.DatetimeIndex(np.array(cells, "int64").view(dtype), name=name)
        return moments.tz_localize("UTC").tz_convert(zone_of(spec["zone"]))
    if dtype.kind in "mM":
        values = np.array(cells, "int64").view(dtype)
    else:
        values = np.empty(len(cells), dtype)
        for position, cell in enumerate(cells):  # `values[:] = cells` would look into tuples
            values[position] = cell
    # Said, since pandas would infer another dtype from objects, and levels from tuples.
    made: pd.Index[Any] = pd.Index(values, dtype=dtype, name=name, tupleize_cols=False)
    return made


def string_spec(dtype: pd.StringDtype) -> dict[str, str]:
    """What tells a StringDtype apart: its text is the same for several of them."""
    na_value = getattr(dtype, "na_value", pd.NA)
    return {"storage": dtype.storage, "na": "NA" if na_value is pd.NA else "nan"}


def string_dtype(spec: Mapping[str, Any]) -> pd.StringDtype:
    """The StringDtype that `string_spec` told apart."""
    if spec["na"] == "NA" or spec["storage"] == "pyarrow_numpy":  # the latter is pandas 2.2's word
        return pd.StringDtype(spec["storage"])
    return pd.StringDtype(spec["storage"], na_value=np.nan)
