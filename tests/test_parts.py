"""The values of a question: comparable, and readable where that is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.key import encode
from sqlcache_nb.parts import Item, items_of, likeness

VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.datetimes()
    | st.decimals()
    | st.lists(st.integers() | st.text(), max_size=4)
)


def item_of(value: object, **options: bool) -> Item:
    return items_of({"parameters": [{"x": value}, ()]}, **options)["parameters.x"]


def texts(items: Mapping[str, Item]) -> dict[str, str]:
    return {name: item.text for name, item in items.items()}


@pytest.mark.parametrize(
    ("params", "readable"),
    [
        (None, {}),
        ({"a": 1, "b": "x"}, {"a": "1", "b": "'x'"}),
        ([1, "x"], {"1": "1", "2": "'x'"}),
        ((1,), {"1": "1"}),
        (5, {"1": "5"}),
        ([], {}),
        ({1: 2}, {"1": "2"}),
    ],
)
def test_values_are_readable(params: Any, readable: dict[str, str]) -> None:
    items = items_of({"parameters": [params, ()]})
    assert texts(items) == {f"parameters.{name}": text for name, text in readable.items()}


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (date(2024, 1, 1), "a date", "2024-01-01"),
        ("2024-01-01", "a string", "'2024-01-01'"),
        (datetime(2024, 1, 1, tzinfo=UTC), "a datetime", "2024-01-01 00:00:00+00:00"),
        (pd.Timestamp("2024-01-01"), "a pandas.Timestamp", "2024-01-01 00:00:00"),
        (1, "an int", "1"),
        (1.0, "a float", "1.0"),
        (True, "a boolean", "True"),
        (Decimal("1.50"), "a Decimal", "1.50"),
        (np.int64(1), "a numpy.int64", "1"),
        (np.str_("a"), "a numpy.str_", "'a'"),
        (None, "", "None"),
        (b"ab", "a bytes", "b'ab'"),
        ([1, "a"], "a list", "[1, 'a']"),
        ({"b", "a"}, "a set", "{'a', 'b'}"),
        ({"a": 1, "password": "hunter2"}, "a dict", "{a: 1, password: ***}"),
        (list(range(10_000)), "a list", "[0, 1, 2, … 10,000 values]"),
    ],
)
def test_what_a_value_is_and_reads_as(value: object, kind: str, text: str) -> None:
    assert item_of(value)[1:] == (kind, text)


@given(VALUES)
def test_a_readable_value_is_short_and_told(value: object) -> None:
    item = item_of(value)
    assert 0 < len(item.text) <= 200
    assert (item.kind == "") == (value is None)


@given(VALUES, VALUES)
def test_digests_are_equal_where_the_values_are(one: object, other: object) -> None:
    assert (item_of(one).digest == item_of(other).digest) == (encode(one) == encode(other))


@given(VALUES)
def test_what_is_not_to_be_read_is_a_digest_alone(value: object) -> None:
    assert item_of(value, store_params=False) == Item(item_of(value).digest, "", "")


@pytest.mark.parametrize("name", ["password", "api_token", "db_pwd", "pw", "passwort", "jwt", "user_key"])
def test_a_value_whose_name_says_that_it_is_secret_is_not_shown(name: str) -> None:
    """It would rest in the store's row and in the Parquet file."""
    items = items_of({"parameters": [{name: "hunter2", "day": "2024-01-01"}, ()]})
    assert "hunter2" not in str(items)
    assert items["parameters.day"].text == "'2024-01-01'"


def test_a_secret_in_a_value_is_not_shown() -> None:
    assert "hunter2" not in item_of("postgresql://ann:hunter2@db/sales").text


def test_a_person_reads_what_was_given_and_not_what_an_adapter_made_of_it() -> None:
    adapted = [{"day": ["date", "2024-01-01"]}, ()]
    item = items_of({"parameters": adapted}, {"day": date(2024, 1, 1)})["parameters.day"]
    assert item == items_of({"parameters": adapted})["parameters.day"]._replace(
        kind="a date", text="2024-01-01"
    )


def test_what_was_not_given_has_no_item() -> None:
    options = {"index_col": None, "coerce_float": True, "dtype": {"id": "int32"}, "execution": {}}
    source = {
        "dialect": "sqlite",
        "user": None,
        "files": ("/x/sales.db",),
        "options": {"uri": True, "more": {"a": 1}},
    }
    items = items_of({"options": options, "source": source, "environment": {"pandas": "3.1"}})
    assert texts(items) == {
        "source.dialect": "sqlite",
        "source.files": "/x/sales.db",
        "source.options.uri": "True",
        "source.options.more.a": "1",
        "options.coerce_float": "True",
        "options.dtype": "{id: int32}",
        "environment.pandas": "3.1",
    }


def test_columns_of_one_name_are_told_apart() -> None:
    kinds = [["sqlalchemy.sql.sqltypes.Numeric", {}], ["sqlalchemy.sql.sqltypes.Numeric", {}]]
    items = items_of({"result types": [("n", kinds), ("n", kinds)]})
    assert texts(items) == {"result types.n": "Numeric", "result types.n (2)": "Numeric"}


@given(st.text(), st.sampled_from([" ", "\n", "\t  "]))
def test_white_space_and_case_make_no_other_statement_here(sql: str, space: str) -> None:
    assert likeness(sql) == likeness(f"{space}{space.join(sql.split())}{space}")
    assert likeness("SELECT a") == likeness("select A")
    assert likeness("selecta") != likeness("select a")
