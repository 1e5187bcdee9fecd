"""A whole frame: its columns and index as an Arrow table, and what restores it from one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from sqlcache_nb.codec.columns import from_arrow, is_natural, to_arrow
from sqlcache_nb.codec.indexes import index_from_arrow, index_to_arrow
from sqlcache_nb.codec.values import index_of, index_spec
from sqlcache_nb.errors import NotCacheable

_THREADS_FROM_CELLS = 500_000
"""Starting threads costs more than it gives on small frames."""

_MAX_APART = 100
"""From here on pandas warns of a frame whose columns do not lie together, when one is added."""

Spec = Mapping[str, Any]
"""What restores a frame: "labels", "columns", and "index" where it has one of its own."""


class Apart(NamedTuple):
    """A frame taken apart.

    Args:
        names: what the columns, then the levels of the index, are called in the file; not yet unique.
        arrays: the columns, then the levels of the index.
        spec: what restores the frame.
    """

    names: list[str]
    arrays: list[pa.Array | pa.ChunkedArray]
    spec: Spec


def take_apart(frame: pd.DataFrame) -> Apart:
    """Take a frame apart.

    Args:
        frame: what `pd.read_sql` returned.

    Raises:
        NotCacheable: it would not come back exactly; names the column and why.
    """
    if type(frame) is not pd.DataFrame or frame.attrs or not frame.flags.allows_duplicate_labels:
        raise NotCacheable("the frame is of a class of its own, or has attrs or flags")
    arrays, specs = [], []
    for position, label in enumerate(frame.columns):
        try:
            array, spec = to_arrow(frame.iloc[:, position])
        except NotCacheable as refusal:
            raise NotCacheable(f"column {label!r} {refusal}") from refusal
        arrays.append(array)
        specs.append(spec)
    levels, index = index_to_arrow(frame.index)
    labels = index_spec(frame.columns)
    names = [*frame.columns, *("index" if name is None else name for name in frame.index.names if levels)]
    return Apart(
        list(map(_utf8, names)),
        arrays + levels,
        {"labels": labels, "columns": specs} | ({"index": index} if index else {}),
    )


def put_together(table: pa.Table, rows: int, spec: Spec) -> pd.DataFrame:
    """The frame that was taken apart: writable, and nobody else's.

    Args:
        table: the columns, then the levels of the index, in their order.
        rows: how many: a table without columns does not tell.
        spec: what `take_apart` said.
    """
    columns = spec["columns"]
    text = _dtype_of_texts() if any(column["kind"] == "string" for column in columns) else None
    own = [at for at, column in enumerate(columns) if is_natural(column, table.field(at).type, text)]
    # Labels may be unlike the file's names, and are set last; until then they are positions.
    frame: pd.DataFrame = (
        table.select(own)
        .rename_columns([str(at) for at in own])
        .to_pandas(ignore_metadata=True, use_threads=has_many_cells(rows, len(own)))
    )
    for place, (at, dtype) in enumerate(zip(own, frame.dtypes.tolist(), strict=True)):
        if columns[at]["kind"] == "numpy" and dtype != columns[at]["dtype"]:
            frame.isetitem(place, frame.iloc[:, place].astype(columns[at]["dtype"]).array)
    if len(own) < len(columns) or not columns:
        found = {at: frame.iloc[:, place] for place, at in enumerate(own)}
        for at, column in enumerate(columns):
            if at not in found:
                after = from_arrow(table.column(at), column)
                # As a Series of its own dtype: pandas would infer another one from an array of objects.
                found[at] = pd.Series(after, dtype=after.dtype, copy=False)
        # A copy brings columns of one dtype together; of many that are apart pandas would warn.
        frame = pd.DataFrame(dict(sorted(found.items())), pd.RangeIndex(rows), copy=len(columns) > _MAX_APART)
    frame.columns = index_of(spec["labels"])
    if "index" in spec:
        frame.index = index_from_arrow(table.columns[len(columns) :], spec["index"])
    return frame


def has_many_cells(rows: int, columns: int) -> bool:
    """Whether threads are worth their start."""
    return rows * columns >= _THREADS_FROM_CELLS


def _dtype_of_texts() -> Any:
    """The dtype that Arrow's own conversion gives texts: it depends on pandas' version and settings."""
    return _TEXTS.to_pandas(ignore_metadata=True, use_threads=False).dtypes.iloc[0]


_TEXTS = pa.table({"": pa.array([], pa.string())})


def _utf8(name: object) -> str:
    return str(name).encode(errors="replace").decode()
