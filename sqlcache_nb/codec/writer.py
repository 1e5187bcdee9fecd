"""Frames -> one Parquet file: a single frame, or the chunks of a result as they come."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import groupby
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sqlcache_nb.codec.frames import take_apart
from sqlcache_nb.errors import NotCacheable

FORMAT = 2
"""Version of the JSON in the metadata; a payload of another version is a miss."""

FORMAT_KEY = b"sqlcache_nb"
PROVENANCE_KEY = b"sqlcache_nb.provenance"

_MAX_ROWS_A_GROUP = 4_000_000
"""One row group for nearly every frame: it is always read whole."""

_ROWS_A_GROUP = 100_000
"""Rows of chunks in a row group: chunks may be small, and each group costs."""

_BYTES_A_GROUP = 32_000_000
"""Where fewer rows are as large as this, they are a group."""

_SAMPLE = 20_000
"""Cells of a column that are looked at for repetition: enough to tell, at a cost that no column notices."""

Array = pa.Array | pa.ChunkedArray


def encode(frame: pd.DataFrame, provenance: str = "{}") -> pa.Buffer:
    """The Parquet file of a frame.

    Args:
        frame: what `pd.read_sql` returned.
        provenance: JSON that explains a lone file (default: an empty object).

    Raises:
        NotCacheable: the frame would not come back exactly; names the column and why.

    Example:
        >>> from sqlcache_nb.codec import decode
        >>> decode(encode(pd.DataFrame({"n": [1, 2]})))["n"].tolist()
        [1, 2]
    """
    names, arrays, spec = take_apart(frame)
    metadata = _metadata([spec], [[0, len(frame), 1]], provenance, chunked=False)
    try:
        fields = [_field(*column) for column in zip(_unique(names), arrays, strict=True)]
        table = pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata))
        sink = pa.BufferOutputStream()
        with _opened(sink, table) as writer:
            writer.write_table(table, _MAX_ROWS_A_GROUP)
        return sink.getvalue()
    except (pa.ArrowException, OverflowError) as fault:  # a type, or a value's range
        raise NotCacheable(f"the frame holds what Parquet does not keep ({type(fault).__name__})") from fault


class ChunkWriter:
    """Writes the chunks of one result to one file, as they come and in bounded memory.

    A chunk may have other dtypes than the next: a column of another Arrow type is a further column of the file.

    Args:
        spool: gives a new empty file that can be written and read.

    Raises:
        OSError: the file cannot be written, here and in all methods.
    """

    def __init__(self, spool: Callable[[], BinaryIO]) -> None:
        self._spool = spool
        self._file = spool()
        self._writer: pq.ParquetWriter | None = None
        self._fields: list[pa.Field] = []
        self._places: dict[tuple[int, str], list[int]] = {}
        self._pending: list[pa.Table] = []
        self._pending_rows = self._pending_bytes = 0
        self._specs: dict[str, int] = {}
        self._chunks: list[tuple[int, int]] = []

    def add(self, frame: pd.DataFrame) -> None:
        """Write the next chunk.

        Raises:
            NotCacheable: it would not come back exactly; names the column and why.
        """
        names, arrays, spec = take_apart(frame)
        places = [self._place(at, names[at], array.type) for at, array in enumerate(arrays)]
        told = json.dumps({**spec, "places": places})
        self._chunks.append((self._specs.setdefault(told, len(self._specs)), len(frame)))
        try:
            fields = [self._fields[place] for place in places]
            self._append(pa.Table.from_arrays(arrays, schema=pa.schema(fields)))
        except (pa.ArrowException, OverflowError) as fault:
            raise NotCacheable(
                f"a chunk holds what Parquet does not keep ({type(fault).__name__})"
            ) from fault

    @property
    def size(self) -> int:
        """Bytes that were written so far."""
        return self._file.tell()

    def finish(self, provenance: str) -> BinaryIO:
        """The finished file, at its beginning.

        Args:
            provenance: JSON that explains a lone file.

        Raises:
            NotCacheable: a chunk would not come back exactly.
        """
        runs = [[*chunk, len(list(times))] for chunk, times in groupby(self._chunks)]
        metadata = _metadata(map(json.loads, self._specs), runs, provenance, chunked=True)
        try:
            writer = self._flush()
            writer.add_key_value_metadata(metadata)
            writer.close()
        except (pa.ArrowException, OverflowError) as fault:
            raise NotCacheable(
                f"a chunk holds what Parquet does not keep ({type(fault).__name__})"
            ) from fault
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Release the file; what was written is gone."""
        if self._writer is not None:
            with suppress(pa.ArrowException, OSError):
                self._writer.close()
        self._file.close()

    def _append(self, table: pa.Table) -> None:
        """Let a chunk wait for its row group, or write it with those that wait."""
        self._pending_rows += table.num_rows
        self._pending_bytes += table.nbytes
        self._pending.append(table)
        if self._pending_rows >= _ROWS_A_GROUP or self._pending_bytes >= _BYTES_A_GROUP:
            self._flush()
        else:
            self._pending[-1] = _copied(table)

    def _place(self, at: int, name: str, kind: pa.DataType) -> int:
        """Which column of the file an array goes to: one of its own type, or a new one."""
        places = self._places.setdefault((at, name), [])
        for place in places:
            known = self._fields[place].type
            if known == kind or pa.types.is_null(kind):
                return place
            if pa.types.is_null(known):  # so far there were no values
                self._fields[place] = self._fields[place].with_type(kind)
                return place
        self._fields.append(pa.field(_free(name, {field.name for field in self._fields}), kind))
        places.append(len(self._fields) - 1)
        return places[-1]

    def _flush(self) -> pq.ParquetWriter:
        """Write the pending chunks as one row group."""
        schema = pa.schema(self._fields)
        tables = [_conformed(table, schema) for table in self._pending]
        table = pa.concat_tables(tables) if tables else pa.Table.from_batches([], schema)
        if self._writer is None:
            self._writer = _opened(self._file, table)
        elif self._writer.schema != schema:
            self._writer = self._rewritten(self._writer, table)
        if table.num_rows:
            self._writer.write_table(table)
        self._pending.clear()
        self._pending_rows = self._pending_bytes = 0
        return self._writer

    def _rewritten(self, writer: pq.ParquetWriter, like: pa.Table) -> pq.ParquetWriter:
        """A writer of a new file, with more columns, that holds what the old one holds."""
        writer.close()
        with self._file as old:
            old.seek(0)
            self._file = self._spool()
            groups = pq.ParquetFile(old)
            writer = _opened(self._file, like)
            for group in range(groups.num_row_groups):
                writer.write_table(_conformed(groups.read_row_group(group), like.schema))
        return writer


def _copied(table: pa.Table) -> pa.Table:
    """The table in memory of its own: the frame, whose memory it shares, is the reader's to change."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()


def _conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table with the columns of a schema, null where it has none."""
    columns = []
    for field in schema:
        column = table.column(field.name) if field.name in table.column_names else pa.nulls(0)
        if pa.types.is_null(column.type):
            column = pa.nulls(len(table), field.type)
        # A cast to the same type is no matter of course: it breaks lists of nulls.
        columns.append(column if column.type == field.type else column.cast(field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _metadata(
    specs: Iterable[Mapping[str, Any]], runs: list[list[int]], provenance: str, *, chunked: bool
) -> dict[bytes, bytes]:
    """What restores the frames: their specs, and runs of (number of the spec, rows, times)."""
    restored = {"format": FORMAT, "chunked": chunked, "specs": list(specs), "runs": runs}
    return {FORMAT_KEY: json.dumps(restored).encode(), PROVENANCE_KEY: provenance.encode()}


def _unique(names: list[str]) -> list[str]:
    """Names in the file: those of the frame, as far as each is the first of its kind."""
    made: list[str] = []
    for name in names:
        made.append(_free(name, {*made, *names} - {name} if name not in made else {*made, *names}))
    return made


def _free(name: str, taken: set[str]) -> str:
    """The name, or the name with the first number that nobody has."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _field(name: str, array: Any) -> pa.Field:
    """A column that misses no value is declared so: it is read without a look at each."""
    return pa.field(name, array.type, nullable=array.null_count > 0 or pa.types.is_null(array.type))


def _opened(sink: Any, like: pa.Table) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink,
        like.schema,
        compression="lz4",
        use_dictionary=[name for name in like.column_names if _repeats(like.column(name))],
        write_statistics=False,
        use_compliant_nested_type=False,  # the name of a list's items is part of an ArrowDtype
    )


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether a dictionary pays: on strings that come again, by a sample; never on numbers."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    step = max(1, len(column) // _SAMPLE)
    sample = column.take(pa.array(np.arange(0, len(column), step))) if step > 1 else column
    return bool(pc.count_distinct(sample).as_py() * 4 <= len(sample))
