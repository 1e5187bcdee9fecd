"""What a payload says without its data: columns and their dtypes, and whether it is another one's equal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO

import pyarrow as pa
import xxhash

from sqlcache_nb.changes import Outline
from sqlcache_nb.codec.cells import from_plain
from sqlcache_nb.codec.columns import dtype_of
from sqlcache_nb.codec.frames import Spec
from sqlcache_nb.codec.payload import Payload, decoding
from sqlcache_nb.codec.values import index_of

_BLOCK = 2**20
_TAIL = 8  # bytes at a Parquet file's end: the length of its footer, and a word


def outline_of(data: memoryview | BinaryIO) -> Outline:
    """Rows, labels and dtypes of an answer: read from the file's footer.

    A column of chunks that has one dtype here and another one there has both.

    Args:
        data: the bytes of a payload, or its file, which stays open.

    Raises:
        CodecError: not a payload of this version, or one whose footer cannot be understood.
    """
    payload = _opened(data)
    with decoding():
        dtypes: dict[tuple[str, int], list[str]] = {}
        for spec, _, _ in payload.runs:
            for place, (label, dtype) in enumerate(_columns(spec)):
                dtypes.setdefault((label, place), []).append(dtype)
        columns = [(label, " or ".join(dict.fromkeys(of))) for (label, _), of in dtypes.items()]
    return Outline(payload.rows, tuple(columns))


def content_of(data: memoryview | BinaryIO) -> str:
    """A digest of an answer: equal for the same answer fetched twice, although the files tell when that was.

    It is over the file's data as written and what restores the frame from it, not over what else its footer has.
    Where it differs, the answers may be the same all the same: written by another version, say.

    Args:
        data: the bytes of a payload, or its file, which stays open.

    Raises:
        CodecError: not a payload of this version.
    """
    payload = _opened(data)
    digest = xxhash.xxh3_128(json.dumps([payload.chunked, payload.runs]).encode())
    digest.update(payload.schema.remove_metadata().serialize())
    for block in _before_footer(data):
        digest.update(block)
    return digest.hexdigest()


def _opened(data: memoryview | BinaryIO) -> Payload:
    return Payload(pa.py_buffer(data) if isinstance(data, memoryview) else data)


def _columns(spec: Spec) -> Iterator[tuple[str, str]]:
    """Label and dtype of each column, and then of each level of an index of its own."""
    for label, column in zip(index_of(spec["labels"]), spec["columns"], strict=True):
        yield str(label), dtype_of(column)
    index: dict[str, Any] = spec.get("index", {"levels": [], "names": []})
    for name, level in zip(index["names"], index["levels"], strict=True):
        yield str(from_plain(name)), dtype_of(level)


def _before_footer(data: memoryview | BinaryIO) -> Iterator[memoryview | bytes]:
    """The data pages, in blocks."""
    if isinstance(data, memoryview):
        data = data.cast("B")
        yield data[: len(data) - _TAIL - int.from_bytes(data[-_TAIL : -_TAIL + 4], "little")]
        return
    data.seek(-_TAIL, os.SEEK_END)
    rest = data.tell() - int.from_bytes(data.read(4), "little")
    data.seek(0)
    for block in iter(partial(data.read, _BLOCK), b""):
        yield block[:rest]
        rest -= len(block)
        if rest <= 0:
            return
