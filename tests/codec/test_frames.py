"""A whole frame comes back, is writable, and is nobody else's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlcache_nb.codec import Payload, encode
from sqlcache_nb.codec import frames as frames_module
from sqlcache_nb.errors import NotCacheable
from tests.codec.frames import ANYTHING, KINDS, columns, frames, of_objects, optional
from tests.codec.round_trip import column, objects, round_trip
from tests.strict import differences


@settings(max_examples=150, deadline=None)
@given(frame=frames())
def test_every_frame_comes_back(frame: pd.DataFrame) -> None:
    before = frame.copy()
    assert round_trip(frame) == []
    assert differences(before, frame) == []


class Stranger:
    """A type that nobody knows."""


@settings(max_examples=60, deadline=None)
@given(cells=st.lists(optional(ANYTHING), max_size=3), label=st.text(max_size=3), data=st.data())
def test_one_strange_cell_is_refused_by_column_and_type(
    cells: list[Any], label: str, data: st.DataObject
) -> None:
    cells.insert(data.draw(st.integers(0, len(cells))), Stranger())
    frame = pd.DataFrame({"before": range(len(cells)), label: pd.Series(of_objects(cells), dtype=object)})
    with pytest.raises(NotCacheable) as refusal:
        encode(frame, "{}")
    assert str(refusal.value).startswith(f"column {label!r} holds objects of type ")
    assert "Stranger" in str(refusal.value)


SHAPES: dict[str, pd.DataFrame] = {
    "nothing": pd.DataFrame(),
    "rows without columns": pd.DataFrame(index=pd.RangeIndex(3)),
    "an index without columns": pd.DataFrame(index=pd.Index(["a", None], name="n")),
    "levels without columns": pd.DataFrame(index=pd.MultiIndex.from_arrays([[1, 2], ["a", "b"]])),
    "columns without rows": pd.DataFrame(
        {"a": pd.Series([], dtype="int8"), "b": pd.Series([], dtype=object)}
    ),
    "labels without columns or rows": pd.DataFrame(columns=pd.Index([], dtype="int64", name="x")),
    "duplicate labels": pd.DataFrame([[1, "a", 2.5]], columns=["?column?"] * 3),
    "labels that others' numbers would take": pd.DataFrame([[1, 2, 3, 4]], columns=["a", "a", "a_2", "a_2"]),
    "labels of unlike types and one text": pd.DataFrame(
        [[1, 2, 3]], columns=pd.Index([1, "1", b"1"], dtype=object)
    ),
    "integers": pd.DataFrame([[1, 2]]),
    "empty labels": pd.DataFrame([[1, 2]], columns=["", " "]),
    "dots and brackets": pd.DataFrame([["x", [1]]], columns=["a.b", "a.list.element"]),
    "the name of a column twice in the index": pd.DataFrame({"a": [1]}).set_index(
        pd.MultiIndex.from_arrays([[1], [2]], names=["a", "a_2"])
    ),
}


@pytest.mark.parametrize("frame", SHAPES.values(), ids=SHAPES)
def test_every_shape_comes_back(frame: pd.DataFrame) -> None:
    assert round_trip(frame) == []


@pytest.mark.parametrize("number", [101, 500])
def test_wide_frames_come_back_without_a_warning(number: int) -> None:
    makers: list[Callable[[], Any]] = [
        lambda: [1, 2],
        lambda: ["a", None],
        lambda: pd.array([1, None], dtype="Int64"),
        lambda: of_objects([[1], None]),
        lambda: pd.Categorical(["a", None]),
    ]
    frame = pd.DataFrame({f"c{at}": makers[at % len(makers)]() for at in range(number)})
    with warnings.catch_warnings(action="error"):
        assert round_trip(frame) == []


class Frame(pd.DataFrame):
    @property
    def _constructor(self) -> type[Frame]:
        return Frame


def with_attrs() -> pd.DataFrame:
    frame = column([1])
    frame.attrs["source"] = "x"
    return frame


REFUSED: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    "a class of its own": (lambda: Frame({"a": [1]}), "class of its own"),
    "attrs": (with_attrs, "attrs"),
    "flags": (lambda: column([1]).set_flags(allows_duplicate_labels=False), "flags"),
    "labels of two levels": (
        lambda: pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])),
        "labels",
    ),
    "a label of a type that is not known": (
        lambda: pd.DataFrame([[1]], columns=pd.Index([Stranger()], dtype=object)),
        "Stranger",
    ),
    "a column": (lambda: column([1j]), "column 'a' is of dtype complex128"),
    "a column by its label": (
        lambda: pd.DataFrame([[1, 1j]], columns=pd.Index([("x", 1), ("x", 2)], tupleize_cols=False)),
        r"column \('x', 2\) is of dtype complex128",
    ),
    "an index": (lambda: pd.DataFrame({"a": [1]}, index=pd.interval_range(0, 1)), "index .*interval"),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_says_of_what(make: Callable[[], pd.DataFrame], words: str) -> None:
    with pytest.raises(NotCacheable, match=words):
        encode(make(), "{}")


def test_labels_too_long_for_python_to_write_are_refused() -> None:
    frame = pd.DataFrame([[1]], columns=pd.Index([10**5_000], dtype=object))
    with pytest.raises(NotCacheable):
        encode(frame, "{}")


def test_a_frame_of_many_cells_is_decoded_with_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_module, "_THREADS_FROM_CELLS", 1)
    frame = pd.DataFrame(
        {"n": range(50), "x": [1.5, None] * 25, "s": list("ab") * 25, "o": objects(*"ab" * 25)["a"]}
    )
    assert round_trip(frame) == []


# --- the decoded frame ------------------------------------------------------------------------------------


def change(cell: Any) -> None:
    """Change whatever can be changed in a cell."""
    if isinstance(cell, dict | set | bytearray | list):
        for item in cell.values() if isinstance(cell, dict) else cell:
            change(item)
        cell.clear()
    elif isinstance(cell, tuple):
        for item in cell:
            change(item)
    elif isinstance(cell, np.ndarray) and cell.size:
        for item in cell.ravel() if cell.dtype == object else ():
            change(item)
        cell[...] = cell.ravel()[-1] if cell.dtype != object else None


def overwrite(frame: Any) -> None:
    """Write into the memory of the column "a", and into the frame."""
    array, dtype = frame["a"].array, frame["a"].dtype
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        for cell in array:
            change(cell)
        value: Any = 7
    else:
        # pandas takes no list, struct or tuple for one value.
        value = None if isinstance(dtype, pd.ArrowDtype | pd.CategoricalDtype) else array[3]
    with suppress(pa.ArrowException):  # pandas 2 cannot write into Arrow's float16
        array[0] = value
        frame.iloc[1, 0] = value
    frame.loc[frame["n"] > 1, "n"] = -1
    frame["new"] = 1
    frame.index = pd.Index([9, 8, 7, 6])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_a_decoded_frame_is_writable_and_nobody_elses(kind: str, data: st.DataObject) -> None:
    original = pd.DataFrame({"a": data.draw(columns(kind, 4)), "n": range(4)})
    payload = encode(original, "{}")
    bytes_before = payload.to_pybytes()
    ours, theirs = Payload(payload).frame, Payload(payload).frame
    overwrite(ours)
    assert ours["n"].tolist() == [0, 1, -1, -1]
    assert differences(original, theirs) == []
    assert payload.to_pybytes() == bytes_before


def test_cells_that_were_one_object_are_one_each() -> None:
    shared = [1]
    frame = Payload(encode(objects(shared, shared, {"a": shared}, {"a": shared}), "{}")).frame
    frame["a"].iloc[0].append(2)
    frame["a"].iloc[2]["a"].append(3)
    assert frame["a"].tolist() == [[1, 2], [1], {"a": [1, 3]}, {"a": [1]}]


def test_the_memory_of_a_frame_is_its_own() -> None:
    payload = encode(pd.DataFrame({"x": [1.5, 2.5], "n": [1, 2], "m": pd.array([1, 2], dtype="Int64")}), "{}")
    one, other = Payload(payload).frame, Payload(payload).frame
    for label in ("x", "n"):
        assert not np.shares_memory(one[label].to_numpy(), other[label].to_numpy())
        assert not np.shares_memory(one[label].to_numpy(), np.frombuffer(payload, "u1"))
    assert not np.shares_memory(one["m"].array._data, other["m"].array._data)


def test_the_original_may_be_changed_after_encoding() -> None:
    frame = objects([1], [2])
    payload = encode(frame, "{}")
    frame["a"].iloc[0].append(9)
    assert Payload(payload).frame["a"].tolist() == [[1], [2]]


# --- settings of pandas -------------------------------------------------------------------------------------

SETTINGS: list[tuple[str, Any]] = [
    *(("mode.string_storage", storage) for storage in ("python", "pyarrow")),
    *(("future.distinguish_nan_and_na", on) for on in (True, False)),
    *((("future.infer_string", True), ("mode.copy_on_write", True)) if pd.__version__ < "3" else ()),
]

MIXED = {
    "n": [1, 2],
    "x": [1.5, np.nan],
    "texts": ["a", None],
    "objects": of_objects(["a", None]),
    "dates": of_objects([date(2024, 1, 1), None]),
    "masked": pd.arrays.FloatingArray(np.array([np.nan, 0.0]), np.array([False, True])),
    "string[python]": pd.array(["a", None], dtype="string[python]"),
    "string[pyarrow]": pd.array(["a", None], dtype="string[pyarrow]"),
    "category": pd.Categorical(["a", None]),
    "arrow": pd.array([1.5, None], dtype="double[pyarrow]"),
}


def is_known(name: str) -> bool:
    try:
        pd.get_option(name)
    except KeyError:
        return False
    return True


@pytest.mark.parametrize(("name", "value"), SETTINGS)
def test_frames_do_not_depend_on_the_settings_of_today(name: str, value: Any) -> None:
    frame = pd.DataFrame(MIXED)
    many = [
        frame,
        *(frame.set_index(label) for label in MIXED),
        frame.set_index(["objects", "texts", "masked"]),
    ]
    payloads = [encode(each, "{}") for each in many]
    if not is_known(name):
        pytest.skip(f"this pandas has no {name}")
    with pd.option_context(name, value):
        after = [Payload(payload).frame for payload in payloads]
    for left, right in zip(many, after, strict=True):
        assert differences(left, right) == []
