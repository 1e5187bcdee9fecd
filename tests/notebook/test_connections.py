"""Which connection a word means."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from sqlcache_nb.errors import NotebookError
from sqlcache_nb.notebook.connections import (
    Connections,
    expanded,
    facts_of,
    is_held,
    outside_transactions,
)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.chdir(tmp_path)
    engine = create_engine("sqlite:///flights.db")
    yield engine
    engine.dispose()


@pytest.fixture
def connections() -> Iterator[Connections]:
    connections = Connections({"PW": "s@cr/t", "EMPTY": ""})
    yield connections
    connections.close()


def test_everything_that_takes_a_query(connections: Connections, engine: Engine) -> None:
    with (
        engine.connect() as connection,
        Session(engine) as session,
        closing(sqlite3.connect(":memory:")) as raw,
        closing(duckdb.connect()) as duck,
    ):
        scoped = scoped_session(sessionmaker(engine))
        for con in (engine, connection, session, scoped, raw, duck):
            assert connections.resolve("db", {"db": con}) is con
        scoped.remove()


def test_a_url_has_one_engine(connections: Connections) -> None:
    first = connections.resolve("sqlite:///flights.db")
    assert isinstance(first, Engine)
    assert connections.resolve("sqlite:///flights.db") is first
    assert connections.resolve("db", {"db": "sqlite:///flights.db"}) is first
    assert connections.resolve("db", {"db": make_url("sqlite:///flights.db")}) is first
    assert connections.resolve("sqlite:///other.db") is not first


def test_the_last_one_used(connections: Connections, engine: Engine) -> None:
    assert connections.resolve("db", {"db": engine}) is engine
    assert connections.resolve(None) is engine
    other = connections.connect("other", "sqlite:///other.db")
    assert connections.resolve(None) is other
    assert connections.resolve("other", {"other": pd.DataFrame()}) is other
    assert connections.resolve("db", {"db": engine}) is engine


def test_an_alias_of_a_variable(connections: Connections, engine: Engine) -> None:
    assert connections.connect("mine", "db", {"db": engine}) is engine
    assert connections.resolve("mine") is engine


def test_the_default_of_the_environment() -> None:
    connections = Connections({"DATABASE_URL": "sqlite:///flights.db"})
    con = connections.resolve(None)
    assert facts_of(con) == ("flights.db", "sqlite")
    assert connections.resolve(None) is con
    connections.close()


def test_the_nearest_scope_wins(connections: Connections, engine: Engine) -> None:
    with closing(sqlite3.connect(":memory:")) as raw:
        assert connections.resolve("db", {"db": raw}, {"db": engine}) is raw


def test_words_that_name_a_connection(connections: Connections, engine: Engine) -> None:
    scope = {"db": engine, "url": "sqlite:///flights.db", "SELECT": 1, "frame": pd.DataFrame()}
    connections.connect("alias", "sqlite:///flights.db")
    assert all(connections.names(word, scope) for word in ("db", "url", "alias"))
    assert not any(connections.names(word, scope) for word in ("SELECT", "frame", "other"))
    assert is_held("db", scope)
    assert not is_held("alias", scope)


@pytest.mark.parametrize("password", ["p@SECRET", "p@SEC/RET", "p@SEC?RET", "p/a@SECRET", "p@@SECRET"])
def test_an_at_in_a_typed_password(connections: Connections, password: str) -> None:
    url = f"postgresql://alice:{password}@127.0.0.1/x"
    acts: list[Callable[[], object]] = [
        lambda: connections.connect("zz", url),
        lambda: connections.resolve("db", {"db": url}),
        lambda: Connections({"DATABASE_URL": url}).resolve(None),
    ]
    for act in acts:
        with pytest.raises(NotebookError, match="write it as %40, or use") as fault:
            act()
        assert "SEC" not in str(fault.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////data/a@b@c.db",
        "postgresql://alice@corp:pw@host/x",
        "postgresql://alice@host/x?application_name=a@b",
    ],
)
def test_an_at_where_it_may_stand(connections: Connections, url: str) -> None:
    pytest.importorskip("psycopg")
    assert connections.resolve(url.replace("postgresql:", "postgresql+psycopg:"))


def test_what_runs_in_no_transaction(connections: Connections, engine: Engine) -> None:
    pytest.importorskip("psycopg")
    server = connections.resolve("postgresql+psycopg://ann@host/db")
    for sql in ("VACUUM orders", "CREATE INDEX CONCURRENTLY i ON t (a)", "drop database d"):
        assert outside_transactions(server, sql, "postgresql").get_execution_options() == {
            "isolation_level": "AUTOCOMMIT"
        }
    assert outside_transactions(server, "DELETE FROM vacuum", "postgresql") is server
    assert outside_transactions(engine, "VACUUM", "sqlite") is engine


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (None, "which database?"),
        ("egnine", "no connection named egnine (did you mean engine?)"),
        ("frame", "frame is a DataFrame, not a connection"),
        ("Engine", "Engine is a type, not a connection"),
        ("nosuchdb://host/db", "SQLAlchemy knows no database named nosuchdb"),
        ("sqlite:///$NOWHERE/f.db", "the environment variable NOWHERE is not set"),
        ("$NOWHERE", "the environment variable NOWHERE is not set"),
        ("$EMPTY", "the URL cannot be read"),
        ("postgresql://ann:SECRET@host:SECRET/db", "the URL cannot be read"),
        ("postgresql:/ann:SECRET@host", "that is no connection"),
        ("oracle+cx_oracle://ann:SECRET@host/db", "oracle+cx_oracle:// needs a driver"),
    ],
)
def test_faults(connections: Connections, engine: Engine, word: str | None, says: str) -> None:
    scope = {"engine": engine, "frame": pd.DataFrame({"a": ["SECRET"]}), "Engine": Engine, "key": "SECRET"}
    with pytest.raises(NotebookError) as fault:
        connections.resolve(word, scope)
    assert says in str(fault.value)
    assert "SECRET" not in str(fault.value)
    assert "\n" not in str(fault.value)
    assert fault.value.__context__ is None or "SECRET" not in str(fault.value.__context__)


def test_a_bad_alias(connections: Connections) -> None:
    with pytest.raises(NotebookError, match="an alias is one word"):
        connections.connect("a/b", "sqlite://")


def test_the_environment_in_a_url() -> None:
    environ = {"USER": "ann", "PW": "s@cr/t:%", "HOST": "db.example", "WHOLE": "sqlite:///f.db"}
    url = make_url(expanded("postgresql://$USER:${PW}@$HOST:5432/sales?application_name=$USER", environ))
    assert (url.username, url.password, url.host, url.port) == ("ann", "s@cr/t:%", "db.example", 5432)
    assert url.query == {"application_name": "ann"}
    assert expanded("$WHOLE", environ) == "sqlite:///f.db"


@given(st.text(min_size=1).filter(lambda text: not any("\ud800" <= letter <= "\udfff" for letter in text)))
def test_any_password_gets_there(password: str) -> None:
    url = make_url(expanded("postgresql://ann:$PW@db/sales", {"PW": password}))
    assert (url.password, url.host, url.database) == (password, "db", "sales")


def test_facts_are_known_without_connecting(engine: Engine) -> None:
    assert facts_of(create_engine("duckdb:///none/such.duckdb")) == ("such.duckdb", "duckdb")
    with Session(engine) as session:
        assert facts_of(session) == ("flights.db", "sqlite")
        assert not session.in_transaction()
    with Session() as unbound:
        assert facts_of(unbound) == ("session", "")
