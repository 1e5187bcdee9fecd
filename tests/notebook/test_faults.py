"""A database's error as one or two lines."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pandas as pd
import pytest
from sqlalchemy import create_engine, text

from sqlcache_nb.notebook.faults import message_of


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
