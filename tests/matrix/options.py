"""The ways to read that the matrix tries: every option of `pd.read_sql` that shapes a frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

PANDAS = int(pd.__version__.split(".")[0])
"""The major version."""

Labels = tuple[str, ...]


def _nothing(labels: Labels) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class OptionSet:
    """One way to read.

    Args:
        name: as the table of results prints it.
        arguments: the keywords of `pd.read_sql`, for a query with these labels.
        settings: pandas' own options while it reads.
        needs: how many columns the arguments speak of.
        shapes_empty: whether results without rows are read, too: for one of several like option sets.
        by_name: whether the whole table is read by its name, by SQLAlchemy's reflection.
    """

    name: str
    arguments: Callable[[Labels], dict[str, Any]] = _nothing
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs: int = 0
    shapes_empty: bool = True
    by_name: bool = False


def _dtypes(labels: Labels) -> dict[str, Any]:
    kinds: list[Any] = ["float32", "category", "string", object]
    # A column that is read alone is asked for as what it is asked for among others.
    wanted = {"id": 0, "v": 1, "w": 2, "n": 3}
    return {label: kinds[wanted.get(label, position)] for position, label in enumerate(labels[:4])}


def _parsed(labels: Labels) -> dict[str, Any]:
    ways: list[Any] = [
        {"utc": True, "unit": "s"},
        {"utc": True, "errors": "coerce"},
        "%Y-%m-%d",
        {"utc": True},
    ]
    wanted = {"id": 0, "v": 1, "w": 2, "n": 3}
    return {label: ways[wanted.get(label, position)] for position, label in enumerate(labels[:4])}


_NULLABLE = {"dtype_backend": "numpy_nullable"}
_OTHER_STORAGE = {"mode.string_storage": "python" if PANDAS >= 3 else "pyarrow"}

OPTION_SETS: tuple[OptionSet, ...] = (
    OptionSet("default"),
    OptionSet("coerce_float=False", lambda _: {"coerce_float": False}, shapes_empty=False),
    OptionSet("numpy_nullable", lambda _: _NULLABLE),
    OptionSet("pyarrow", lambda _: {"dtype_backend": "pyarrow"}),
    OptionSet(
        "numpy_nullable, coerce_float=False",
        lambda _: _NULLABLE | {"coerce_float": False},
        shapes_empty=False,
    ),
    OptionSet("parse_dates=[...]", lambda labels: {"parse_dates": list(labels[1:])}, needs=2),
    OptionSet(
        "parse_dates={...}", lambda labels: {"parse_dates": _parsed(labels)}, needs=1, shapes_empty=False
    ),
    OptionSet("index_col", lambda labels: {"index_col": labels[1]}, needs=2, shapes_empty=False),
    OptionSet("index_col=[2]", lambda labels: {"index_col": [labels[1], labels[0]]}, needs=2),
    OptionSet("dtype={...}", lambda labels: {"dtype": _dtypes(labels)}, needs=1),
    OptionSet("chunksize", lambda _: {"chunksize": 2}),
    OptionSet("numpy_nullable, other storage", lambda _: _NULLABLE, _OTHER_STORAGE),
    # pandas 3 infers strings in any case; there, the other storage is what changes the frame.
    OptionSet("other strings", settings=_OTHER_STORAGE if PANDAS >= 3 else {"future.infer_string": True}),
    OptionSet("by table name", by_name=True),
)
