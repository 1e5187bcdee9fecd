"""Encoding and decoding as the tests do it: what is refused, what differs, and payloads that were tampered with."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sqlcache_nb.codec import ChunkWriter, Payload, encode
from sqlcache_nb.codec.writer import FORMAT_KEY
from tests.codec.frames import of_objects
from tests.strict import differences


def objects(*cells: Any) -> pd.DataFrame:
    """A column "a" of just these objects."""
    made: pd.Series[Any] = pd.Series(of_objects(list(cells)), dtype=object)
    return pd.DataFrame({"a": made})


def column(values: Any, dtype: Any = None) -> pd.DataFrame:
    """A column "a" as pandas makes it."""
    made: pd.Series[Any] = pd.Series(values, dtype=dtype)
    return pd.DataFrame({"a": made})


def indexed(index: pd.Index[Any]) -> pd.DataFrame:
    """A frame of that index."""
    return pd.DataFrame({"v": range(len(index))}, index=index)


def round_trip(frame: pd.DataFrame) -> list[str]:
    """In what a frame differs from what comes back."""
    return differences(frame, Payload(bytes(encode(frame, "{}"))).frame)


def written(frames: Iterable[pd.DataFrame], spool: Callable[[], Any] = io.BytesIO) -> Any:
    """The file of these chunks."""
    writer = ChunkWriter(spool)
    for frame in frames:
        writer.add(frame)
    return writer.finish("{}")


def round_trip_of_chunks(frames: list[pd.DataFrame]) -> list[list[str]]:
    """In what each of the chunks differs from what comes back."""
    payload = Payload(written(frames))
    assert payload.chunked
    return [differences(frame, chunk) for frame, chunk in zip(frames, payload.chunks(), strict=True)]


def table_of(payload: Any) -> pa.Table:
    """What any other reader of the file finds."""
    return pq.ParquetFile(payload if hasattr(payload, "read") else pa.BufferReader(payload)).read()


def file_type(frame: pd.DataFrame) -> pa.DataType:
    """The type of the first column in the file."""
    return table_of(encode(frame, "{}")).schema.field(0).type


def instructions_of(payload: Any) -> Any:
    """The JSON that restores the frames."""
    return json.loads(table_of(payload).schema.metadata[FORMAT_KEY])


def tampered(table: pa.Table, instructions: Any) -> bytes:
    """A payload of this table with other instructions: JSON, or the bytes themselves."""
    told = instructions if isinstance(instructions, bytes) else json.dumps(instructions).encode()
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({FORMAT_KEY: told}), sink)
    return bytes(sink.getvalue().to_pybytes())
