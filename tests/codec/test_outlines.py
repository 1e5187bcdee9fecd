"""What a payload says without its data being decoded."""

from __future__ import annotations

import io
import json
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings

from sqlcache_nb.codec import ChunkWriter, content_of, decode, encode, outline_of
from sqlcache_nb.errors import CodecError, NotCacheable
from tests.codec.frames import frames
from tests.codec.round_trip import column, instructions_of, table_of, tampered
from tests.strict import differences

FRAME = pd.DataFrame({"n": [1, 2], "x": [1.5, np.nan], "s": ["a", None]})


def provenance(fetched_at: str) -> str:
    return json.dumps({"fetched_at": fetched_at})


def encoded(frame: pd.DataFrame, fetched_at: str = "noon") -> memoryview:
    return memoryview(encode(frame, provenance(fetched_at)))


def chunked(*frames: pd.DataFrame, fetched_at: str = "noon") -> BinaryIO:
    writer = ChunkWriter(io.BytesIO)
    for frame in frames:
        writer.add(frame)
    return writer.finish(provenance(fetched_at))


def told(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Labels and dtypes as pandas has them."""
    found = [(str(label), str(frame.dtypes.iloc[at])) for at, label in enumerate(frame.columns)]
    index: Any = frame.index
    if type(index) is pd.RangeIndex and (index.start, index.step, index.name) == (0, 1, None):
        return found
    if isinstance(index, pd.MultiIndex):
        levels = zip(index.names, index.levels, strict=True)
        return found + [(str(name), str(level.dtype)) for name, level in levels]
    return [*found, (str(index.name), str(index.dtype))]


@settings(max_examples=300, deadline=None)
@given(frames())
def test_it_is_what_pandas_says_of_the_frame(frame: pd.DataFrame) -> None:
    try:
        payload = encoded(frame)
    except NotCacheable:
        assume(False)
    outline = outline_of(payload)
    assert outline.rows == len(frame)
    assert list(outline.columns) == told(decode(payload.tobytes()))


@settings(max_examples=200, deadline=None)
@given(frames(), frames())
def test_the_same_content_is_the_same_answer_whenever_it_was_fetched(
    one: pd.DataFrame, other: pd.DataFrame
) -> None:
    try:
        payloads = encoded(one), encoded(one.copy(), "midnight"), encoded(other)
    except NotCacheable:
        assume(False)
    first, again, another = map(content_of, payloads)
    assert first == again
    assert payloads[0] != payloads[1]
    if first == another:
        assert differences(decode(payloads[0].tobytes()), decode(payloads[2].tobytes())) == []


@pytest.mark.parametrize(
    "other",
    [
        FRAME.assign(n=[1, 3]),
        FRAME.assign(n=[1.0, 2.0]),
        FRAME.rename(columns={"n": "m"}),
        FRAME[["x", "n", "s"]],
        FRAME.set_axis([1, 2]),
        FRAME.iloc[:1],
        FRAME.iloc[::-1],
        FRAME.astype({"n": "int32"}),
    ],
    ids="cell dtype label order index rows turned width".split(),
)
def test_another_answer_has_another_content(other: pd.DataFrame) -> None:
    assert content_of(encoded(other)) != content_of(encoded(FRAME))


def test_a_file_is_what_memory_is_and_stays_open() -> None:
    payload = encoded(FRAME)
    file = io.BytesIO(payload)
    assert (outline_of(file), content_of(file)) == (outline_of(payload), content_of(payload))
    file.seek(0)
    assert file.read() == bytes(payload)


def test_chunks_have_the_rows_of_all_and_the_dtypes_of_each() -> None:
    file = chunked(column([1, 2]), column([1, 2]), column([1.5]))
    outline = outline_of(file)
    assert (outline.rows, len(outline.columns)) == (5, 1)
    assert outline.columns[0][1] == "int64 or float64"
    again = chunked(column([1, 2]), column([1, 2]), column([1.5]), fetched_at="midnight")
    assert content_of(file) == content_of(again)
    assert content_of(file) != content_of(chunked(column([1, 2]), column([1.0, 2.0]), column([1.5])))
    assert not file.closed


def test_a_large_file_is_looked_at_in_blocks() -> None:
    numbers = np.random.default_rng(1).integers(0, 2**60, 500_000)
    one, other = (chunked(column(numbers), fetched_at=when) for when in ("noon", "midnight"))
    assert one.seek(0, io.SEEK_END) > 3 * 2**20
    assert content_of(one) == content_of(other)
    numbers[-1] += 1
    assert content_of(one) != content_of(chunked(column(numbers)))


@pytest.mark.parametrize("data", [b"", b"PAR1", bytes(100)])
def test_what_is_no_payload_is_refused(data: bytes) -> None:
    for look in (outline_of, content_of):
        with pytest.raises(CodecError):
            look(memoryview(data))


def test_instructions_that_say_nothing_are_refused() -> None:
    payload = encode(FRAME, "{}")
    instructions = instructions_of(payload)
    instructions["specs"][0]["columns"][0]["kind"] = "odd"
    odd = tampered(table_of(payload), instructions)
    with pytest.raises(CodecError, match="unknown kind 'odd'"):
        outline_of(memoryview(odd))
