"""The index of a frame as further columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sqlcache_nb.codec.cells import from_plain, to_plain
from sqlcache_nb.codec.columns import Spec, from_arrow, present_from_arrow, to_arrow
from sqlcache_nb.errors import NotCacheable

Level = tuple[pa.Array | pa.ChunkedArray, Spec]


def index_to_arrow(index: pd.Index[Any]) -> tuple[list[pa.Array | pa.ChunkedArray], dict[str, Any]]:
    """The levels of an index as columns, none for the index that a fresh frame has, and what restores it.

    Args:
        index: the frame's index.

    Raises:
        NotCacheable: it would not come back as it was; names the level.
    """
    if type(index) is pd.RangeIndex and (
        (index.start, index.stop, index.step, index.name) == (0, len(index), 1, None)
    ):
        return [], {}
    if getattr(index, "freq", None) is not None:
        raise NotCacheable("the index has a freq")
    if isinstance(index, pd.MultiIndex):
        levels = [_level(f"index level {name!r}", index, at) for at, name in enumerate(index.names)]
    elif type(index) is pd.RangeIndex:
        levels = [(pa.array(index), {"kind": "range", "range": [index.start, index.stop, index.step]})]
    else:
        levels = [_named(f"index {index.name!r}", index)]
    names = [to_plain(name) for name in index.names]
    spec = {"levels": [spec for _, spec in levels], "names": names, "multi": isinstance(index, pd.MultiIndex)}
    return [array for array, _ in levels], spec


def index_from_arrow(columns: list[pa.ChunkedArray], spec: Mapping[str, Any]) -> pd.Index[Any]:
    """The index that `index_to_arrow` told.

    Args:
        columns: its levels, as read from Parquet.
        spec: what `index_to_arrow` said.
    """
    names = [from_plain(name) for name in spec["names"]]
    if spec["multi"]:
        levels: list[Any] = [_restored_level(*level) for level in zip(columns, spec["levels"], strict=True)]
        return pd.MultiIndex(
            levels=[level for level, _ in levels],
            codes=[codes for _, codes in levels],
            names=names,
            verify_integrity=False,
        )
    (level,) = spec["levels"]
    if level["kind"] == "range":
        start, stop, step = level["range"]
        return pd.RangeIndex(start, stop, step, name=names[0])
    values = from_arrow(columns[0], level)
    # dtype= keeps pandas from inferring another one from objects
    index: pd.Index[Any] = pd.Index(values, dtype=values.dtype, name=names[0], tupleize_cols=False)
    return index


# --- levels of a MultiIndex ---------------------------------------------------------------------------


def _level(where: str, index: pd.MultiIndex, at: int) -> Level:
    """A level as a column of its values, null where there is none."""
    level, codes = index.levels[at], np.asarray(index.codes[at])
    missing = codes < 0
    present = level.take(codes[~missing])
    if getattr(level, "freq", None) is not None or isinstance(level, pd.RangeIndex):
        raise NotCacheable(f"{where} is one that no query gives")
    try:
        again, codes_again = _factorized(present)
        is_alike = (type(again), again.dtype, len(again)) == (type(level), level.dtype, len(level))
        if not is_alike or not np.array_equal(codes[~missing], codes_again):
            raise NotCacheable(f"{where} is not in the order that pandas makes of its values")
        array, spec = _named(where, present)
        if missing.any():
            array = array.take(pa.array(np.cumsum(~missing) - 1, mask=missing))
    except (UnicodeError, pa.ArrowException) as fault:  # lone surrogates on pandas 2; more than 2 GB of texts
        raise NotCacheable(f"{where} holds a value that is not kept ({type(fault).__name__})") from fault
    return array, spec


def _restored_level(column: pa.ChunkedArray, spec: Spec) -> tuple[pd.Index[Any], np.ndarray[Any, Any]]:
    missing, present = present_from_arrow(column, spec)
    level, present_codes = _factorized(present)
    if level.dtype != present.dtype:  # where pandas' settings are no longer those under which it was stored
        level = level.astype(present.dtype)
    codes = np.full(len(column), -1)
    codes[~missing] = present_codes
    return level, codes


def _factorized(values: pd.Index[Any]) -> tuple[pd.Index[Any], np.ndarray[Any, Any]]:
    """The level and codes that pandas makes of values."""
    made = pd.MultiIndex.from_arrays([values])
    return made.levels[0], np.asarray(made.codes[0])


def _named(where: str, values: pd.Index[Any]) -> Level:
    try:
        return to_arrow(values)
    except NotCacheable as refusal:
        raise NotCacheable(f"{where} {refusal}") from refusal
