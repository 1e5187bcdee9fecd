"""What the caller wrote."""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.api.extensions import no_default

from sqlcache_nb.errors import ConfigError
from sqlcache_nb.key import Key
from sqlcache_nb.policy import Policy
from sqlcache_nb.request import CacheOptions, PandasCall
from tests.strict import differences

# --- pandas' arguments ---------------------------------------------------------------------------------


@pytest.fixture
def con() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as con:
        con.execute("create table t (id integer, day text, price numeric)")
        con.executemany("insert into t values (?, ?, ?)", [(1, "2024-01-02", 1.5), (2, None, 2)])
        yield con


def test_the_arguments_are_those_of_pandas() -> None:
    ours = {field.name: field.default for field in fields(PandasCall)}
    theirs = {name: each.default for name, each in inspect.signature(pd.read_sql).parameters.items()}
    del theirs["con"]
    assert list(ours) == list(theirs)
    assert {name: ours[name] for name in list(ours)[1:]} == {name: theirs[name] for name in list(theirs)[1:]}


ASKED: list[dict[str, Any]] = [
    {},
    {"index_col": "id"},
    {"index_col": ["id", "day"]},
    {"coerce_float": False},
    {"parse_dates": ["day"]},
    {"parse_dates": {"day": "%Y-%m-%d"}},
    {"dtype": {"id": "float64"}},
    {"dtype_backend": "numpy_nullable"},
    {"dtype_backend": "pyarrow"},
]


@pytest.mark.parametrize("options", ASKED, ids=str)
def test_a_call_gives_what_pandas_gives(options: dict[str, Any], con: sqlite3.Connection) -> None:
    sql = "select * from t where id > ?"
    ours = PandasCall(sql, params=(0,), **options).run(con)
    assert isinstance(ours, pd.DataFrame)
    assert differences(pd.read_sql(sql, con, params=(0,), **options), ours) == []


def test_chunks_stay_chunks(con: sqlite3.Connection) -> None:
    chunks: Any = PandasCall("select * from t", chunksize=1).run(con)
    assert [len(chunk) for chunk in chunks] == [1, 1]


def test_pandas_errors_pass_through(con: sqlite3.Connection) -> None:
    with pytest.raises(pd.errors.DatabaseError, match="missing"):
        PandasCall("select * from missing").run(con)


def key_of(**options: Any) -> str:
    return Key.of(PandasCall("select 1", **options).options()).digest


def test_options_that_shape_the_frame_tell_calls_apart() -> None:
    asked: list[dict[str, Any]] = [
        *ASKED,
        {"index_col": ["id"]},
        {"columns": ["id"]},
        {"columns": ["id", "day"]},
        {"parse_dates": True},
        {"parse_dates": {"day": {"format": "%Y"}}},
        {"dtype": "float64"},
        {"dtype": {"id": "float32"}},
        {"dtype": {"id": np.float64}},
        {"dtype": {"id": pd.Float64Dtype()}},
    ]
    assert len({key_of(**options) for options in asked}) == len(asked)


def test_a_default_that_is_written_out_changes_nothing() -> None:
    assert key_of(index_col=None, coerce_float=True, dtype_backend=no_default, dtype=None) == key_of()


def test_the_statement_and_its_values_are_no_options() -> None:
    one = PandasCall("select 1", params={"a": 1}).options()
    assert one == PandasCall("select 2", params={"a": 2}).options()


# --- the cache's own -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "tags"),
    [
        (None, ()),
        ("daily", ("daily",)),
        (["a", "b", "a"], ("a", "b")),
        (("a",), ("a",)),
        ([], ()),
    ],
)
def test_tags(tag: Any, tags: tuple[str, ...]) -> None:
    assert CacheOptions(tag=tag).tags == tags


def test_tags_of_a_generator_are_not_used_up() -> None:
    options = CacheOptions(tag=(tag for tag in ("a", "b")))
    assert (options.tags, options.tags) == (("a", "b"), ("a", "b"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"refresh": True, "no_store": True}, "cannot be had with no_store"),
        ({"validate": 1}, "validate=1"),
        ({"pin": True, "no_store": True}, "cannot be had with no_store"),
        ({"ttl": "soon"}, "ttl='soon'"),
        ({"ttl": -1}, "ttl=-1"),
    ],
)
def test_what_makes_no_sense_is_said_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CacheOptions(**options)


def test_refresh_without_store_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no_store"):
        CacheOptions(refresh=True, no_store=True)


def test_what_the_call_does_not_say_the_cache_says() -> None:
    options = CacheOptions(ttl="1h", tag="daily").over(Policy(ttl="7d", validate=True))
    assert options == CacheOptions(ttl="1h", tag="daily", validate=True)


def test_options_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        CacheOptions().refresh = True  # type: ignore[misc]
