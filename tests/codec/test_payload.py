"""Reading a file: what is damaged or tampered with is a CodecError, whatever it says."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlcache_nb.codec import FORMAT, Payload, decode, encode
from sqlcache_nb.codec.cells import _FORM_OF_TAG
from sqlcache_nb.errors import CodecError
from tests.codec.frames import of_arrow, of_objects
from tests.codec.round_trip import column, instructions_of, objects, table_of, tampered, written
from tests.strict import differences

FRAME = pd.DataFrame(
    {
        "n": [1, 2],
        "x": [1.5, np.nan],
        "s": ["a", None],
        "o": of_objects(["a", None]),
        "mixed": of_objects([{"a": 1}, b"x"]),
        "decimal": of_objects([None, None]),
        "list": of_objects([[1], None]),
        "masked": pd.array([1, None], dtype="Int64"),
        "zoned": pd.DatetimeIndex(["2024", None]).tz_localize("Europe/Berlin"),
        "category": pd.Categorical(["a", None]),
        "arrow": of_arrow(pa.list_(pa.int64()))([[1], None]),
    },
    index=pd.MultiIndex.from_arrays([[1, 2], ["a", None]], names=["i", ("j", 1)]),
)


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return table_of(encode(FRAME, "{}"))


@pytest.fixture(scope="module")
def instructions() -> Any:
    return instructions_of(encode(FRAME, "{}"))


def look(data: bytes) -> None:
    """Whatever can be done with a payload."""
    payload = Payload(data)
    if payload.chunked:
        list(payload.chunks())
    else:
        payload.frame  # noqa: B018  # decoding is what raises


# --- whole ----------------------------------------------------------------------------------------------


def test_instructions_that_are_left_alone_are_followed(table: pa.Table, instructions: Any) -> None:
    assert differences(FRAME, Payload(tampered(table, instructions)).frame) == []


def test_bytes_a_buffer_and_a_file_are_the_same() -> None:
    payload = encode(FRAME, "{}")
    for data in (payload, bytes(payload), io.BytesIO(bytes(payload))):
        assert differences(FRAME, Payload(data).frame) == []
    assert differences(FRAME, decode(payload)) == []


def test_a_payload_is_decoded_once() -> None:
    payload = Payload(encode(objects("x"), "{}"))
    assert payload.frame is payload.frame
    assert not payload.chunked


def test_chunks_are_decoded_anew_each_time() -> None:
    payload = Payload(written([objects([1]), objects([2])]))
    assert payload.chunked
    first = list(payload.chunks())
    first[0]["a"].iloc[0].append(9)
    assert [chunk["a"].tolist() for chunk in payload.chunks()] == [[[1]], [[2]]]
    both = zip(payload.chunks(), payload.chunks(), strict=True)
    assert all(differences(one, other) == [] for one, other in both)


def test_a_frame_is_not_read_as_chunks_nor_chunks_as_a_frame() -> None:
    with pytest.raises(CodecError):
        Payload(written([column([1]), column([2])])).frame  # noqa: B018  # decoding is what raises
    with pytest.raises(CodecError):
        list(Payload(encode(column([1]), "{}")).chunks())


def test_a_file_is_released_and_bytes_need_not_be() -> None:
    data = bytes(encode(column([1]), "{}"))
    file = io.BytesIO(data)
    Payload(file).close()
    assert file.closed
    Payload(data).close()


def test_reading_may_stop_early() -> None:
    file = written([column([1])] * 3)
    payload = Payload(file)
    chunks = payload.chunks()
    next(chunks)
    payload.close()
    assert file.closed


@pytest.mark.parametrize("source", [bytes, io.BytesIO], ids=["bytes", "file"])
def test_threads_may_read_at_once(source: Callable[[bytes], Any]) -> None:
    numbers = np.arange(20_000)
    frame = pd.DataFrame({"n": numbers, "l": of_objects([[number] for number in numbers.tolist()])})
    data = bytes(encode(frame, "{}"))
    shared = Payload(source(data))
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda _: shared.frame, range(4)))
        again += pool.map(lambda _: Payload(source(data)).frame, range(4))
    assert all(each["n"].equals(frame["n"]) and each["l"].tolist() == frame["l"].tolist() for each in again)


# --- no file of ours ------------------------------------------------------------------------------------


@given(data=st.binary(max_size=200))
def test_other_bytes_are_a_codec_error(data: bytes) -> None:
    with pytest.raises(CodecError):
        Payload(data)


def truncations() -> Iterator[bytes]:
    for whole in (encode(FRAME, "{}").to_pybytes(), written([column([1]), column(["a"])]).read()):
        for length in range(0, len(whole), len(whole) // 40):
            yield whole[:length]


def test_a_truncated_payload_is_a_codec_error() -> None:
    for data in truncations():
        with pytest.raises(CodecError):
            Payload(data)


def test_a_foreign_parquet_file_is_a_codec_error() -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"n": [1]}), sink)
    with pytest.raises(CodecError, match="not a payload"):
        Payload(sink.getvalue())


def test_a_sqlite_database_is_not_a_payload(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("create table t (n)")
    with pytest.raises(CodecError):
        Payload(path.read_bytes())


def test_another_format_says_which(table: pa.Table, instructions: Any) -> None:
    for version in (FORMAT - 1, FORMAT + 5):
        with pytest.raises(CodecError, match=f"format {version}"):
            Payload(tampered(table, instructions | {"format": version}))


# --- tampered with --------------------------------------------------------------------------------------

HEADS: dict[str, Any] = {
    "not JSON": b"{",
    "not text": b"\xff",
    "deeper than Python reads": b"[" * 100_000,
    "null": b"null",
    "a list": [1],
    "a number": 1,
    "a text": "format",
    "no format": {"specs": []},
    "format alone": {"format": FORMAT},
    "no runs": {"format": FORMAT, "chunked": True, "specs": []},
    "runs that are no list": {"format": FORMAT, "chunked": True, "specs": [], "runs": 1},
    "a run of two": {"format": FORMAT, "chunked": True, "specs": [{}], "runs": [[0, 1]]},
    "a run of no spec": {"format": FORMAT, "chunked": True, "specs": [], "runs": [[0, 1, 1]]},
    "a run of a text": {"format": FORMAT, "chunked": True, "specs": [{}], "runs": [[0, 1, "x"]]},
    "a run of another type": {"format": FORMAT, "chunked": True, "specs": [{}], "runs": [[[], 1, 1]]},
    "a spec that is no object": {"format": FORMAT, "chunked": False, "specs": [1], "runs": [[0, 2, 1]]},
    "an empty spec": {"format": FORMAT, "chunked": False, "specs": [{}], "runs": [[0, 2, 1]]},
    "an empty spec of chunks": {"format": FORMAT, "chunked": True, "specs": [{}], "runs": [[0, 2, 1]]},
}


@pytest.mark.parametrize("told", HEADS.values(), ids=HEADS)
def test_instructions_of_another_shape_are_a_codec_error(told: Any, table: pa.Table) -> None:
    with pytest.raises(CodecError):
        look(tampered(table, told))


def set_column(**facts: Any) -> Callable[[dict[str, Any]], None]:
    return lambda spec: spec["columns"].__setitem__(0, facts)


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no labels": lambda spec: spec.pop("labels"),
    "labels of another shape": lambda spec: spec.update(labels=["n"]),
    "fewer labels than columns": lambda spec: spec.update(labels={"range": [0, 1, 1]}),
    "more columns than the file": lambda spec: spec["columns"].extend([{"kind": "numpy"}] * 5),
    "columns are no list": lambda spec: spec.update(columns=None),
    "column is no object": lambda spec: spec["columns"].__setitem__(0, 1),
    "more levels than the file": lambda spec: spec["index"]["levels"].append(
        {"kind": "numpy", "dtype": "<i8"}
    ),
    "a level without its facts": lambda spec: spec["index"]["levels"].__setitem__(0, {}),
    "fewer names than levels": lambda spec: spec["index"]["names"].pop(),
    "unknown kind": set_column(kind="magic"),
    "kind without its facts": set_column(kind="numpy"),
    "unknown dtype": set_column(kind="numpy", dtype="<q9"),
    "unknown masked dtype": set_column(kind="masked", dtype="Int7"),
    "unknown objects": set_column(kind="object", of="magic"),
    "unknown texts": set_column(kind="object", of="magic", **{"as": "text"}),
    "zone of no kind": set_column(kind="zoned", unit="ns", zone={}),
    "zone that there is not": set_column(kind="zoned", unit="ns", zone={"zoneinfo": "Mars/Olympus"}),
    "zone outside its folder": set_column(kind="zoned", unit="ns", zone={"zoneinfo": "../../etc/passwd"}),
    "zone of pytz outside its folder": set_column(kind="zoned", unit="ns", zone={"pytz": "../../etc/passwd"}),
    "offset that there is not": set_column(kind="zoned", unit="ns", zone={"offset": 1e20}),
    "string storage unknown": set_column(kind="string", string={"storage": "paper", "na": "NA"}),
    "Arrow type that is none": set_column(kind="arrow", type="AAAA"),
    "categories without values": set_column(kind="category", categories={}, ordered=False, values={}),
    "JSON on numbers": set_column(kind="object", **{"as": "json"}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_instructions_that_cannot_be_followed_are_a_codec_error(
    change: Callable[[dict[str, Any]], Any], table: pa.Table, instructions: Any
) -> None:
    told = json.loads(json.dumps(instructions))
    change(told["specs"][0])
    with pytest.raises(CodecError):
        look(tampered(table, told))


POISON = ["$os.system", "$builtins.eval", "$subprocess.Popen", "$poison.Type", "$poison", "$numpy.ctypeslib"]


@pytest.mark.parametrize("tag", POISON)
def test_no_code_is_run_by_a_name_from_a_file(
    tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "poison.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    cell = json.dumps({tag: [f"touch {tmp_path / 'ran'}"]})
    payload = encode(objects(cell), "{}")
    in_a_cell, in_labels, in_a_name = (instructions_of(payload) for _ in range(3))
    in_a_cell["specs"][0]["columns"][0] = {"kind": "object", "as": "json"}
    in_labels["specs"][0]["labels"]["cells"] = [json.loads(cell)]
    in_a_name["specs"][0]["labels"]["name"] = json.loads(cell)
    for told in (in_a_cell, in_labels, in_a_name):
        with pytest.raises(CodecError, match="unknown kind"):
            look(tampered(table_of(payload), told))
    assert not (tmp_path / "ran").exists()
    assert "poison" not in sys.modules


# --- mangled by chance --------------------------------------------------------------------------------------

_TAGS = st.sampled_from([*_FORM_OF_TAG, "os.system", "builtins.eval", ""]).map(lambda tag: f"${tag}")
_WORDS = st.sampled_from(
    "numpy object string zoned arrow masked category range kind dtype as of json text int64 <i8 |O O M8[s] m8 <U3 "
    "V3 f2 list ndarray None str UUID Decimal datetime zone offset zoneinfo pytz dateutil UTC ../x name cells "
    "labels columns index levels names multi specs runs places format python pyarrow NA nan storage na Int64 "
    "boolean values categories ordered ns s unit type".split()
)
_NUMBERS = st.sampled_from([0, 1, -1, 2, 1_000, -(2**63), 2**63, 2**70, 1.5, 1e308, True, False, None])
VALUES: st.SearchStrategy[Any] = st.recursive(
    _WORDS | _NUMBERS | st.text(max_size=5),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(_WORDS, inner, max_size=2),
        st.dictionaries(_TAGS, inner, min_size=1, max_size=1),
    ),
    max_leaves=5,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


def mangled(told: Any, path: tuple[Any, ...], value: Any, remove: bool) -> Any:
    if not path:
        return value
    told = json.loads(json.dumps(told))
    inner = told
    for key in path[:-1]:
        inner = inner[key]
    if remove:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return told


CHUNKED = written([FRAME, column(["a"]), FRAME]).read()


@settings(max_examples=250, deadline=None)
@given(data=st.data(), value=VALUES, remove=st.booleans(), is_chunked=st.booleans())
def test_mangled_instructions_are_a_codec_error_or_a_frame(
    data: st.DataObject, value: Any, remove: bool, is_chunked: bool, table: pa.Table, instructions: Any
) -> None:
    if is_chunked:
        table, instructions = table_of(CHUNKED), instructions_of(CHUNKED)
    path = data.draw(st.sampled_from(list(paths(instructions))))
    if path[:1] == ("runs",) and not remove and isinstance(value, int | float) and value > 1_000:
        value = 7  # so many frames without columns would be read, one by one
    with suppress(CodecError):
        look(tampered(table, mangled(instructions, path, value, remove)))
