"""A database's error as one or two lines."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal

import pandas as pd
import pytest
from sqlalchemy import create_engine, text

from sqlcache_nb.notebook.faults import Interrupted, is_interrupt, message_of


def error_of(con: object, sql: object, **params: object) -> Exception:
    with pytest.raises(Exception) as raised:  # noqa: PT011  # whichever it is
        pd.read_sql(sql, con, params=params or None)  # type: ignore[call-overload]
    return raised.value


def test_through_sqlalchemy() -> None:
    engine = create_engine("sqlite://")
    error = error_of(engine, text("select :secret from flihgts"), secret="SECRET")
    assert "SECRET" in str(error)
    assert message_of(error, "flights.db") == "no such table: flihgts · flights.db"
    engine.dispose()


def test_a_missing_value() -> None:
    engine = create_engine("sqlite://")
    message = message_of(error_of(engine, text("select :x")), "flights.db")
    assert "x" in message
    assert "sqlalche.me" not in message
    assert len(message.splitlines()) == 1
    engine.dispose()


def test_through_pandas_alone() -> None:
    with closing(sqlite3.connect(":memory:")) as raw:
        error = error_of(raw, "select 'SECRET' from flihgts")
    assert message_of(error, "sqlite") == "no such table: flihgts · sqlite"


def test_the_most_helpful_of_the_other_lines_is_kept() -> None:
    driver = sqlite3.ProgrammingError(
        'relation "a" does not exist\nLINE 1: select a\n        ^\nHINT: try b\nmore'
    )
    assert message_of(driver, "db") == 'relation "a" does not exist · db\nHINT: try b'


def test_no_password_and_no_end_of_text() -> None:
    driver = sqlite3.OperationalError("cannot open postgresql://ann:SECRET@db/sales " + "x" * 1_000)
    message = message_of(driver, "db")
    assert "SECRET" not in message
    assert len(message) < 350


def test_errors_that_are_not_a_databases_say_their_type() -> None:
    assert message_of(KeyError("a"), "db") == "KeyError: 'a' · db"
    assert message_of(RuntimeError(), "db") == "RuntimeError: RuntimeError · db"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (Decimal(1), ":x is a Decimal, which sqlite3 cannot bind: give a float or a str"),
        ([1, Decimal(1)], ":x holds a Decimal, which sqlite3 cannot bind: give a float or a str"),
        ({"a": 1}, ":x is a dict, which sqlite3 cannot bind: give a number, a str or a date"),
        (pd.NaT, ":x is a NaTType, which sqlite3 cannot bind: give None"),
    ],
)
def test_a_value_that_cannot_be_bound_is_named(value: object, says: str) -> None:
    engine = create_engine("sqlite://")
    values = {"w": 1, "x": value}
    items = value if isinstance(value, list) else [value]
    for item in items[-1:]:
        error = error_of(engine, text("select :w, :x"), w=1, x=item)
        assert message_of(error, "flights.db", values) == says
    engine.dispose()


def test_a_type_that_can_be_bound_is_not_blamed() -> None:
    driver = sqlite3.OperationalError("no function f for type 'str'")
    assert message_of(driver, "d", {"x": "a"}) == "no function f for type 'str' · d"


def test_duckdb_is_named_too() -> None:
    engine = create_engine("duckdb://")
    error = error_of(engine, text("select :x"), x=1j)
    assert message_of(error, "d", {"x": 1j}).startswith(":x is a complex, which duckdb cannot bind: ")
    engine.dispose()


@pytest.mark.parametrize("sql", [";", "-- nothing"])
def test_no_rows(sql: str) -> None:
    engine = create_engine("sqlite://")
    assert message_of(error_of(engine, text(sql)), "d") == "no rows come back: nothing to show · d"
    engine.dispose()


def test_a_databases_own_words_are_kept() -> None:
    driver = sqlite3.OperationalError('unrecognized token: "@"')
    assert message_of(driver, "d") == 'unrecognized token: "@" · d'
    driver = sqlite3.OperationalError("unrecognized token: \"'x' password='SECRET\"")
    assert "SECRET" not in message_of(driver, "d")
    assert "SECRET" not in message_of(sqlite3.OperationalError('access token: "SECRET"'), "d")


def test_interrupts() -> None:
    assert is_interrupt(KeyboardInterrupt())
    assert is_interrupt(RuntimeError("Query interrupted"))  # duckdb's
    assert not is_interrupt(RuntimeError("other"))
    interrupt = Interrupted("interrupted: d did not finish")
    assert isinstance(interrupt, KeyboardInterrupt)
    assert interrupt._render_traceback_() == ["interrupted: d did not finish"]
