"""One Parquet file -> a single frame, or the chunks of a result one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sqlcache_nb.codec.frames import Spec, has_many_cells, put_together
from sqlcache_nb.codec.writer import FORMAT, FORMAT_KEY
from sqlcache_nb.errors import CodecError

_MAX_METADATA = 2**31 - 1
"""Bytes of a text in the metadata; Arrow's own limit is 100 MB. The checksum has vouched for the file."""


def decode(data: pa.Buffer | bytes) -> pd.DataFrame:
    """The frame of a file that `encode` wrote: writable, and nobody else's.

    Args:
        data: the bytes of the whole file.

    Raises:
        CodecError: not a payload of this version, or one that cannot be decoded.

    Example:
        >>> from sqlcache_nb.codec import encode
        >>> decode(encode(pd.DataFrame({"x": [1.5, None]})))["x"].tolist()
        [1.5, nan]
    """
    return Payload(data).frame


class Payload:
    """A Parquet file of ours, opened and not yet decoded.

    Args:
        data: the bytes of the whole file, or the file itself.

    Raises:
        CodecError: not a payload of this version.
    """

    def __init__(self, data: pa.Buffer | bytes | BinaryIO) -> None:
        self._data = data
        source = pa.BufferReader(data) if isinstance(data, pa.Buffer | bytes) else data
        try:
            # Labels and categories are in one text of the metadata, which may be large.
            self._file = pq.ParquetFile(source, thrift_string_size_limit=_MAX_METADATA)
            told = json.loads((self._file.metadata.metadata or {})[FORMAT_KEY])
            if told["format"] != FORMAT:
                raise CodecError(f"a payload of format {told['format']!r}, this is {FORMAT}")
            self.chunked: bool = bool(told["chunked"])
            """Whether it holds the chunks of a result, and not a single frame."""
            self.runs: list[tuple[Spec, int, int]] = [
                (told["specs"][number], int(rows), int(times)) for number, rows, times in told["runs"]
            ]
            """What restores its frame, how many rows that has, and how often the same comes again: of chunks."""
        except (pa.ArrowException, OSError, LookupError, TypeError, ValueError, RecursionError) as fault:
            raise CodecError(f"not a payload: {fault}") from fault

    @property
    def rows(self) -> int:
        """Rows of its frame, or of all chunks."""
        return sum(rows * times for _, rows, times in self.runs)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the file."""
        return self._file.schema_arrow

    def close(self) -> None:
        """Release the file, where it was given one."""
        if not isinstance(self._data, pa.Buffer | bytes):
            self._data.close()

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The frame: writable, and nobody else's.

        Raises:
            CodecError: the file cannot be decoded.
        """
        with decoding():
            if self.chunked:
                raise CodecError("a payload of chunks is no frame")
            ((spec, rows, _),) = self.runs
            use_threads = has_many_cells(self._file.metadata.num_rows, self._file.metadata.num_columns)
            return put_together(self._file.read(use_threads=use_threads), rows, spec)

    def chunks(self) -> Iterator[pd.DataFrame]:
        """The chunks, decoded one by one: no more than two row groups of the file are held.

        Raises:
            CodecError: the file cannot be decoded.
        """
        groups = iter(range(self._file.num_row_groups))
        with decoding():
            rest = pa.Table.from_batches([], self._file.schema_arrow)
        for spec, rows, times in self.runs:
            for _ in range(times):
                with decoding():
                    taken = rows if spec["places"] else 0  # without columns, it has no rows in the file
                    while rest.num_rows < taken:
                        rest = pa.concat_tables([rest, self._file.read_row_group(next(groups))])
                    chunk = put_together(rest.slice(0, taken).select(spec["places"]), rows, spec)
                    rest = rest.slice(taken)
                yield chunk


@contextmanager
def decoding() -> Iterator[None]:
    """Whatever instructions that fit no file may lead to, as a CodecError."""
    try:
        yield
    except CodecError:
        raise
    except Exception as fault:
        raise CodecError(f"the payload cannot be decoded: {type(fault).__name__}: {fault}") from fault
