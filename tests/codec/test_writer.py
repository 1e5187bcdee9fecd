"""Files: how a frame is stored, and the chunks of a result, in bounded memory."""

from __future__ import annotations

import io
import json
import tempfile
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlcache_nb.codec import FORMAT, ChunkWriter, Payload, encode, payload, writer
from sqlcache_nb.errors import CodecError, NotCacheable
from tests.codec.frames import chunks, of_arrow, of_extension, of_objects
from tests.codec.round_trip import (
    column,
    indexed,
    instructions_of,
    objects,
    round_trip,
    round_trip_of_chunks,
    table_of,
    written,
)
from tests.strict import differences


def none_of(frames: list[pd.DataFrame]) -> list[list[str]]:
    return [[] for _ in frames]


# --- one frame ----------------------------------------------------------------------------------------------


def test_the_file_explains_itself() -> None:
    metadata = table_of(encode(column([1]), '{"sql": "select 1"}')).schema.metadata
    assert json.loads(metadata[b"sqlcache_nb.provenance"]) == {"sql": "select 1"}
    assert json.loads(metadata[b"sqlcache_nb"])["format"] == FORMAT


def test_only_strings_that_come_again_have_a_dictionary() -> None:
    rows = 1000
    frame = pd.DataFrame(
        {
            "few strings": ["red", "green"] * (rows // 2),
            "many strings": [str(number) for number in range(rows)],
            "few integers": [1] * rows,
            "few floats": [1.5] * rows,
            "few times": pd.to_datetime(["2024-01-01"] * rows),
            "few bytes": pd.Series([b"x"] * rows, dtype=object),
        }
    )
    group = pq.ParquetFile(pa.BufferReader(encode(frame, "{}"))).metadata.row_group(0)
    facts = {group.column(position).path_in_schema: group.column(position) for position in range(6)}
    assert {name for name, column in facts.items() if column.has_dictionary_page} == {"few strings"}
    assert {column.compression for column in facts.values()} == {"LZ4"}
    assert not any(column.is_stats_set for column in facts.values())


def test_several_row_groups_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_MAX_ROWS_A_GROUP", 2)
    frame = pd.DataFrame(
        {
            "n": range(5),
            "s": list("abcda"),
            "o": pd.Series([1, None, 3, 4, 5], dtype=object),
            "j": pd.Series([1, None, "x", [4], {"a": 5}], dtype=object),
            "l": of_objects([[1], None, [], [4], [5, None]]),
            "m": pd.array([1, None, 3, 4, 5], dtype="Int64"),
            "p": pd.array([1, None, 3, 4, 5], dtype="int64[pyarrow]"),
            "c": pd.Categorical(["a", None, "b", "a", "b"]),
            "i": of_arrow(pa.month_day_nano_interval())([(1, 2, 3), None, (4, 5, 6), None, (7, 8, 9)]),
        }
    ).set_index(pd.MultiIndex.from_arrays([[1.5, None, 2.5, 1.5, None], list("abcab")], names=["x", "y"]))
    encoded = encode(frame, "{}")
    assert pq.ParquetFile(pa.BufferReader(encoded)).metadata.num_row_groups == 3
    assert differences(frame, Payload(encoded).frame) == []


def test_names_in_the_file_are_the_labels_and_unique() -> None:
    labels = pd.Index(
        ["a", "a", "a_2", 1, "1", None, "", "", "\ud800", ("t", 1)], dtype=object, tupleize_cols=False
    )
    frame = pd.DataFrame([range(len(labels))], columns=labels)
    names = table_of(encode(frame, "{}")).column_names
    assert names[:1] == ["a"]
    assert [names[2], names[3], names[9]] == ["a_2", "1", "('t', 1)"]
    assert len(set(names)) == len(labels)


def test_the_metadata_may_be_longer_than_arrow_thinks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Categories are in it. Arrow's own limit for one text is 100 MB, which takes seconds to write."""
    encoded = encode(column(pd.Categorical.from_codes([-1], pd.Index(["x" * 10_000], dtype=object))), "{}")
    assert payload._MAX_METADATA > 2**30
    monkeypatch.setattr(payload, "_MAX_METADATA", 9_000)
    with pytest.raises(CodecError, match="size limit"):
        Payload(encoded)


# --- chunks -------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(frames=chunks(), rows_a_group=st.sampled_from([1, 3, 100_000]))
def test_every_chunk_comes_back(frames: list[pd.DataFrame], rows_a_group: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "_ROWS_A_GROUP", rows_a_group)
        assert round_trip_of_chunks(frames) == none_of(frames)


def zoned(*moments: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": pd.to_datetime([*moments]).tz_localize("UTC")})


UNLIKE: list[pd.DataFrame] = [
    objects(None),
    objects(None, None),
    column([1, 2]),
    column([1.5, None]),
    column([True]),
    column(["a", None]),
    objects("a", None),
    objects("\ud800"),
    objects(1, "a"),
    objects(b"x"),
    objects([1], None),
    objects([], None),
    objects([None]),
    objects(["a"]),
    objects(np.array([1])),
    objects({"a": 1}),
    objects(Decimal("1.00"), None),
    objects(Decimal("1.000")),
    objects(Decimal(1), Decimal("1.0")),
    objects(date(2024, 1, 1)),
    objects(datetime(2024, 1, 1, tzinfo=UTC)),
    zoned("2024-01-01"),
    column([1, None], "Int64"),
    column([1, None], "int64[pyarrow]"),
    column(["a", None], "string[pyarrow]"),
    column(["a", None], "string[python]"),
    column(of_arrow(pa.null())([None])),
    column(of_arrow(pa.string())([None, "a"])),
    column(of_arrow(pa.list_(pa.int64()))([[1], None])),
    column(of_arrow(pa.month_day_nano_interval())([(1, 2, 3), None])),
    column(of_arrow(pa.struct([("a", pa.int64())]))([{"a": 1}, None])),
    column(of_extension(pa.uuid())([bytes(16), None])),
    column(of_extension(pa.opaque(pa.string(), "a", "b"))(["x", None])),
    column(["a", None], "category"),
    column([None, None], "category"),
    column([1, 2], "category"),
    column(np.array([2**62], "int64").view("datetime64[s]")),
    column(np.array([1], "datetime64[s]")),
    column([]),
]


@pytest.mark.parametrize("rows_a_group", [1, 100_000])
@pytest.mark.parametrize("second", UNLIKE, ids=lambda frame: str(frame["a"].dtype))
def test_a_chunk_may_have_another_dtype_than_the_next(
    second: pd.DataFrame, rows_a_group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_ROWS_A_GROUP", rows_a_group)
    for first in UNLIKE[::6]:
        frames = [first, second, first.iloc[:0], first, second]
        assert round_trip_of_chunks(frames) == none_of(frames)


@pytest.mark.parametrize("rows_a_group", [1, 2, 100_000])
def test_chunks_of_all_dtypes_come_back(rows_a_group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_ROWS_A_GROUP", rows_a_group)
    frames = [*UNLIKE, *reversed(UNLIKE), *UNLIKE]
    assert round_trip_of_chunks(frames) == none_of(frames)


def rows(number: int) -> pd.DataFrame:
    """Rows without columns, as `select from t` gives them."""
    return pd.DataFrame(index=pd.RangeIndex(number))


SEQUENCES: dict[str, list[pd.DataFrame]] = {
    "none": [],
    "one without rows": [column([])],
    "several without rows": [column([], "int64"), column([], object), column([], "int64")],
    "rows without columns": [rows(3), rows(2), rows(0)],
    "rows without columns among others": [column([1, 2, 3]), rows(2), column([4, 5]), rows(1), column([6])],
    "an index without columns among others": [
        indexed(pd.Index([7, 8]))[[]],
        rows(1),
        indexed(pd.Index([9]))[[]],
    ],
    "indexes of unlike kinds": [
        indexed(pd.RangeIndex(2)),
        indexed(pd.RangeIndex(5, 1, -2)),
        indexed(pd.Index([5, 3], name="n")),
        indexed(pd.Index(["a", None], dtype=object, name="n")),
        indexed(pd.MultiIndex.from_arrays([[1.5, np.nan], ["a", "b"]], names=["n", "m"])),
        indexed(pd.MultiIndex.from_arrays([["x", None], [1, 2]], names=["n", "m"])),
    ],
    "more and fewer columns": [column([1]), pd.DataFrame([[1, "a"]]), pd.DataFrame([[1]]), pd.DataFrame()],
    "duplicate labels": [
        pd.DataFrame([[1, "a"]], columns=["x", "x"]),
        pd.DataFrame([["a", 1]], columns=["x", "x"]),
    ],
    "labels in another order": [pd.DataFrame({"a": [1], "b": ["x"]}), pd.DataFrame({"b": ["x"], "a": [1]})],
    "lengths of every sort": [column(range(number)) for number in (0, 5, 1, 0, 7, 3, 0)],
}


@pytest.mark.parametrize("rows_a_group", [1, 4, 100_000])
@pytest.mark.parametrize("frames", SEQUENCES.values(), ids=SEQUENCES)
def test_every_sequence_comes_back(
    frames: list[pd.DataFrame], rows_a_group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_ROWS_A_GROUP", rows_a_group)
    assert round_trip_of_chunks(frames) == none_of(frames)


def test_chunks_come_back_across_the_borders_of_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_ROWS_A_GROUP", 10)
    frames = [pd.DataFrame({"n": range(at, at + 7), "s": [str(at)] * 7}) for at in range(0, 70, 7)]
    file = written(frames)
    assert pq.ParquetFile(file).num_row_groups == 5
    assert round_trip_of_chunks(frames) == none_of(frames)


def test_large_cells_make_a_row_group_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_BYTES_A_GROUP", 1_000)
    frames = [column(["x" * 600]) for _ in range(6)]
    assert pq.ParquetFile(written(frames)).num_row_groups == 3
    assert round_trip_of_chunks(frames) == none_of(frames)


def test_a_column_that_was_empty_at_first_is_one_column_of_the_file() -> None:
    frames = [objects(None, None), objects("a", None), objects(None)]
    table = table_of(written(frames))
    assert (table.column_names, table.schema.field(0).type) == (["a"], pa.string())
    assert table.column(0).to_pylist() == [None, None, "a", None, None]


def test_other_readers_find_each_dtype_in_a_column_of_its_own() -> None:
    frames = [column([1, 2]), column(["a"]), column([3])]
    assert table_of(written(frames)).to_pydict() == {
        "a": [1, 2, None, 3],
        "a_2": [None, None, "a", None],
    }


def test_runs_of_like_chunks_are_told_once() -> None:
    instructions = instructions_of(written([column([1, 2])] * 1_000 + [column([3])]))
    assert (len(instructions["specs"]), instructions["runs"]) == (1, [[0, 2, 1_000], [0, 1, 1]])


def test_chunks_may_be_changed_once_they_were_added() -> None:
    frame = pd.DataFrame({"x": [1.5, 2.5], "n": [1, 2], "l": of_objects([[1], [2]])})
    before = frame.copy(deep=True)
    before["l"] = of_objects([[1], [2]])
    chunk_writer = ChunkWriter(io.BytesIO)
    chunk_writer.add(frame)
    frame.loc[:, "x"] = -1.0
    frame["n"].array[0] = 9
    frame["l"].iloc[0].append(9)
    chunk_writer.add(frame.iloc[:1])
    assert differences(before, next(Payload(chunk_writer.finish("{}")).chunks())) == []


def test_a_refusal_names_the_column_and_the_writer_can_be_closed() -> None:
    files: list[BinaryIO] = []

    def spool() -> BinaryIO:
        files.append(io.BytesIO())
        return files[-1]

    chunk_writer = ChunkWriter(spool)
    chunk_writer.add(column([1]))
    with pytest.raises(NotCacheable, match="column 'a' is of dtype complex128"):
        chunk_writer.add(column([1j]))
    chunk_writer.close()
    chunk_writer.close()
    assert all(file.closed for file in files)


def test_files_that_were_replaced_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_ROWS_A_GROUP", 1)
    files: list[BinaryIO] = []

    def spool() -> BinaryIO:
        files.append(io.BytesIO())
        return files[-1]

    finished = written([column([1]), column(["a"]), column([1.5])], spool)
    assert [file.closed for file in files] == [*(True for _ in files[1:]), False]
    assert (finished, finished.tell()) == (files[-1], 0)


class Full(io.BytesIO):
    """A disk that is full after a few bytes."""

    def write(self, data: Any) -> int:
        if self.tell() > 1_000:
            raise OSError(28, "No space left on device")
        return super().write(data)


def test_a_full_disk_is_an_oserror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_ROWS_A_GROUP", 1)
    chunk_writer = ChunkWriter(Full)

    def fill() -> None:
        for number in range(1_000):
            chunk_writer.add(pd.DataFrame({"a": np.random.default_rng(number).random(100)}))
        chunk_writer.finish("{}")

    with pytest.raises(OSError, match="No space left"):
        fill()
    chunk_writer.close()


# --- cost ---------------------------------------------------------------------------------------------------


def test_many_small_chunks_come_back() -> None:
    frame = pd.DataFrame({"n": [1], "s": ["a"]})
    frames = [frame] * 1_000
    assert sum(len(chunk) for chunk in Payload(written(frames)).chunks()) == len(frames)


CHUNKS, ROWS = 200, 10_000
MEGABYTE = 1_000_000


def answer() -> Iterator[pd.DataFrame]:
    numbers = np.arange(ROWS)
    texts = pd.Series(numbers).astype("string[pyarrow]")
    for at in range(CHUNKS):
        yield pd.DataFrame({"n": numbers + at, "x": numbers / 3, "s": texts})


@pytest.mark.slow
def test_two_million_rows_in_bounded_memory() -> None:
    """As one frame they take 60 MB of texts and 32 MB of numbers."""
    allocated = pa.total_allocated_bytes()
    peak = 0
    tracemalloc.start()
    try:
        with tempfile.TemporaryFile() as file:
            chunk_writer = ChunkWriter(lambda: file)
            for chunk in answer():
                chunk_writer.add(chunk)
                peak = max(peak, pa.total_allocated_bytes() - allocated)
            finished = chunk_writer.finish("{}")
            rows_read = 0
            for chunk in Payload(finished).chunks():
                rows_read += len(chunk)
                peak = max(peak, pa.total_allocated_bytes() - allocated)
        _, peak_of_python = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows_read == CHUNKS * ROWS
    assert peak < 20 * MEGABYTE
    assert peak_of_python < 20 * MEGABYTE


def test_round_trip_of_a_frame_and_of_its_chunk_are_one() -> None:
    frame = pd.DataFrame({"a": [1, None], "b": of_objects([{"x": [1]}, None])})
    assert round_trip(frame) == []
    assert differences(Payload(encode(frame, "{}")).frame, next(Payload(written([frame])).chunks())) == []
