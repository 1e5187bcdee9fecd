"""Frames as Parquet, natural first: real names, native types, readable by every other tool.

What Parquet does not carry (labels' type, index, tz objects, string storage, objects of one type) is
restored from one JSON key of the schema metadata. What is not known to come back exactly is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy.sql.elements import quoted_name

from sqlcache_nb.codec.columns import (
    Spec,
    from_arrow,
    is_as_it_was,
    string_dtype,
    string_spec,
    to_arrow,
)
from sqlcache_nb.errors import CodecError, NotCacheable

__all__ = ["FORMAT", "Payload", "encode"]

FORMAT = 1
"""Version of the JSON in the schema metadata; a payload of another version is a miss."""

_FORMAT_KEY = b"sqlcache_nb"
_PROVENANCE_KEY = b"sqlcache_nb.provenance"
_MAX_ROWS_A_GROUP = 4_000_000
"""One row group for nearly every result: it is always read whole."""

_SAMPLE = 20_000
"""Cells of a column that are looked at for repetition: enough to tell, at a cost that no column notices."""

_THREADS_FROM_CELLS = 500_000
"""Starting threads costs more than it gives on small frames."""


def encode(frame: pd.DataFrame, provenance: str) -> pa.Buffer:
    """The Parquet file of a frame.

    Args:
        frame: what `pd.read_sql` returned.
        provenance: JSON that explains a lone file.

    Raises:
        NotCacheable: the frame would not come back exactly; names the column and why.

    Example:
        >>> payload = encode(pd.DataFrame({"n": [1, 2]}), "{}")
        >>> Payload(payload).frame["n"].tolist()
        [1, 2]
    """
    if frame.attrs or not frame.flags.allows_duplicate_labels:
        raise NotCacheable("the frame has attrs or flags of its own")
    labels = _labels(frame.columns)
    levels = _levels(frame.index)
    columns = [_named(f"column {label}", frame.iloc[:, position]) for position, label in enumerate(labels)]
    index = [_level(f"index level {position}", level) for position, level in enumerate(levels)]
    spec = {
        "format": FORMAT,
        "labels": _labels_spec(frame.columns),
        "columns": [spec for _, spec in columns],
        "index": [spec for _, spec in index],
        "index names": [level.name for level in levels],
    }
    names = [str(label) for label in labels] + _free_names(labels, [level.name for level in levels])
    metadata = {_FORMAT_KEY: json.dumps(spec).encode(), _PROVENANCE_KEY: provenance.encode()}
    try:
        table = pa.Table.from_arrays([array for array, _ in (*columns, *index)], names=names)
        return _write(table.replace_schema_metadata(metadata))
    except (pa.ArrowException, UnicodeError, OverflowError, OSError) as fault:  # a label, or a value's range
        raise NotCacheable(f"the frame holds what Parquet does not keep ({type(fault).__name__})") from fault


class Payload:
    """A Parquet file in memory, opened and not yet decoded.

    Args:
        data: the bytes of the whole file.

    Raises:
        CodecError: not a payload of this version.
    """

    def __init__(self, data: pa.Buffer | bytes) -> None:
        try:
            self._file = pq.ParquetFile(pa.BufferReader(data))
            self._spec = json.loads((self._file.schema_arrow.metadata or {})[_FORMAT_KEY])
            version = self._spec["format"]
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as fault:
            raise CodecError(f"not a payload: {fault}") from fault
        if version != FORMAT:
            raise CodecError(f"a payload of format {version!r}, this is {FORMAT}")

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The frame: writable, and nobody else's.

        Raises:
            CodecError: the file cannot be decoded.
        """
        facts = self._file.metadata
        use_threads = facts.num_rows * facts.num_columns >= _THREADS_FROM_CELLS
        try:
            table = self._file.read(use_threads=use_threads)
            return _restore(table, self._spec, use_threads)
        except CodecError:
            raise
        except Exception as fault:  # whatever instructions that fit no file may lead to
            raise CodecError(f"the payload cannot be decoded: {type(fault).__name__}: {fault}") from fault


def _restore(table: pa.Table, spec: Mapping[str, Any], use_threads: bool) -> pd.DataFrame:
    width = len(spec["columns"])
    # Labels may be unlike the file's names, and are set last; until then they are positions.
    table = table.rename_columns([str(position) for position in range(table.num_columns)])
    natural: pd.DataFrame = table.to_pandas(ignore_metadata=True, use_threads=use_threads)
    frame = natural.iloc[:, :width].copy(deep=False) if spec["index"] else natural
    dtypes = list(frame.dtypes)
    for position, column_spec in enumerate(spec["columns"]):
        if is_as_it_was(column_spec, dtypes[position]):
            continue
        after = from_arrow(table.column(position), column_spec, frame.iloc[:, position])
        # As a Series of its own dtype: pandas would infer another one from an array of objects.
        frame.isetitem(position, pd.Series(after, index=frame.index, dtype=after.dtype))
    frame.columns = _restored_labels(spec["labels"])
    if spec["index"]:
        frame.index = _restored_index(table, natural, spec, width)
    return frame


def _restored_index(
    table: pa.Table, natural: pd.DataFrame, spec: Mapping[str, Any], width: int
) -> pd.Index[Any]:
    levels: list[pd.Index[Any]] = []
    for position, (level_spec, name) in enumerate(
        zip(spec["index"], spec["index names"], strict=True), width
    ):
        if level_spec["kind"] == "range":
            start, stop, step = level_spec["range"]
            levels.append(pd.RangeIndex(start, stop, step, name=name))
            continue
        values = from_arrow(table.column(position), level_spec, natural.iloc[:, position])
        # dtype= keeps pandas from inferring another one from objects
        level: pd.Index[Any] = pd.Index(values, dtype=values.dtype)
        levels.append(level.rename(name))  # afterwards: name=None would keep a Series' own
    return levels[0] if len(levels) == 1 else pd.MultiIndex.from_arrays(levels)


# --- labels and index -------------------------------------------------------------------------------


def _labels(columns: pd.Index[Any]) -> list[str]:
    labels = list(columns)
    if columns.nlevels > 1 or columns.name is not None or not labels:
        raise NotCacheable("the frame has no columns, or labels of several levels")
    for label in labels:
        if type(label) not in (str, quoted_name):
            raise NotCacheable(f"the label {label!r} is of type {type(label).__qualname__}")
    if not columns.is_unique:
        twice = columns[columns.duplicated()][0]
        raise NotCacheable(f"two columns are called {twice!r}")
    return labels


def _labels_spec(columns: pd.Index[Any]) -> dict[str, Any]:
    # A reflected table's columns have names of SQLAlchemy's own type.
    quotes = [[label.quote] if isinstance(label, quoted_name) else [] for label in columns]
    return {
        "values": [str(label) for label in columns],
        **({"quotes": quotes} if any(quotes) else {}),
        **(string_spec(columns.dtype) if isinstance(columns.dtype, pd.StringDtype) else {}),
    }


def _restored_labels(spec: Mapping[str, Any]) -> pd.Index[Any]:
    dtype: Any = string_dtype(spec) if "storage" in spec else np.dtype(object)
    quotes = spec.get("quotes", [[]] * len(spec["values"]))
    values = [
        quoted_name(value, *quote) if quote else value
        for value, quote in zip(spec["values"], quotes, strict=True)
    ]
    labels: pd.Index[Any] = pd.Index(values, dtype=dtype)
    return labels


def _levels(index: pd.Index[Any]) -> list[pd.Index[Any]]:
    """The levels that must be stored: none for the index that a fresh frame has."""
    if isinstance(index, pd.RangeIndex) and (index.start, index.step, index.name) == (0, 1, None):
        return []
    levels = [index.get_level_values(position) for position in range(index.nlevels)]
    for level in levels:
        if getattr(level, "freq", None) is not None:
            raise NotCacheable("the index has a freq")
        if not (level.name is None or type(level.name) is str):
            raise NotCacheable(f"the index name {level.name!r} is of type {type(level.name).__qualname__}")
    return levels


def _free_names(taken: list[str], wanted: list[Any]) -> list[str]:
    """Names in the file for index levels, none of which is a column's."""
    names: list[str] = []
    for position, name in enumerate(wanted):
        free = name if isinstance(name, str) else f"index_{position}"
        while free in taken or free in names:
            free += "_"
        names.append(free)
    return names


def _level(where: str, level: pd.Index[Any]) -> tuple[pa.Array | pa.ChunkedArray, Spec]:
    array, spec = _named(where, level)
    if isinstance(level, pd.RangeIndex):  # pandas makes one of regular integers
        return array, {"kind": "range", "range": [level.start, level.stop, level.step]}
    return array, spec


def _named(where: str, values: pd.Series[Any] | pd.Index[Any]) -> tuple[pa.Array | pa.ChunkedArray, Spec]:
    try:
        return to_arrow(values)
    except NotCacheable as refusal:
        raise NotCacheable(f"{where} {refusal}") from refusal


# --- file -------------------------------------------------------------------------------------------


def _write(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="lz4",
        use_dictionary=[name for name in table.column_names if _repeats(table.column(name))],
        write_statistics=False,
        row_group_size=_MAX_ROWS_A_GROUP,
    )
    return sink.getvalue()


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether a dictionary pays: on strings that come again, by a sample; never on numbers."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    step = max(1, len(column) // _SAMPLE)
    sample = column.take(pa.array(np.arange(0, len(column), step))) if step > 1 else column
    return bool(pc.count_distinct(sample).as_py() * 4 <= len(sample))
