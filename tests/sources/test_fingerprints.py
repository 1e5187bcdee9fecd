"""Sessions of a real PostgreSQL server: what each carries, and that nobody gets another's answer."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from tests.source_contract import PostgresqlContract

pytestmark = pytest.mark.server
psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")


def by(driver: str, url: str) -> str:
    """The same server by another driver."""
    pytest.importorskip(driver, reason=f"{driver} is not installed")
    named = make_url(url).set(drivername=f"postgresql+{driver}")
    if driver == "pg8000" and "host" in named.query:
        named = named.set(query={"unix_sock": f"{named.query['host']}/.s.PGSQL.5432"})
    return named.render_as_string(hide_password=False)


@pytest.fixture
def begin() -> str:
    """What begins a transaction: SQLAlchemy and most drivers do that by themselves."""
    return "select 1"


class OnAConnection(PostgresqlContract):
    label = "postgres@"
    driver: str

    @pytest.fixture
    def con(self, filled: str, engines: Callable[..., Engine]) -> Iterator[Connection]:
        with engines(by(self.driver, filled)).connect() as con:
            yield con

    def run(self, con: Any, sql: str) -> None:
        connection = con.connection() if isinstance(con, Session | scoped_session) else con
        if sql in ("commit", "rollback"):
            getattr(con, sql)()
        else:
            connection.exec_driver_sql(sql)

    def ask(self, con: Any, sql: str) -> pd.DataFrame:
        return pd.read_sql(sql, con.connection() if isinstance(con, Session | scoped_session) else con)


class TestPsycopg(OnAConnection):
    driver = "psycopg"


class TestPsycopg2(OnAConnection):
    driver = "psycopg2"


class TestPg8000(OnAConnection):
    driver = "pg8000"


class TestSession(OnAConnection):
    driver = "psycopg"

    @pytest.fixture
    def con(self, filled: str, engines: Callable[..., Engine]) -> Iterator[Session]:
        with Session(engines(filled)) as session:
            yield session


class TestScopedSession(OnAConnection):
    driver = "psycopg"

    @pytest.fixture
    def con(self, filled: str, engines: Callable[..., Engine]) -> Iterator[scoped_session[Session]]:
        session = scoped_session(sessionmaker(engines(filled)))
        yield session
        session.remove()


class ByDriver(PostgresqlContract):
    label = "postgres@postgresql/filled"

    def run(self, con: Any, sql: str) -> None:
        if sql in ("commit", "rollback"):
            getattr(con, sql)()
            return
        with closing(con.cursor()) as cursor:
            cursor.execute(sql)

    def ask(self, con: Any, sql: str) -> pd.DataFrame:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            return pd.read_sql(sql, con)


class TestAdbc(ByDriver):
    is_always_in_transaction = True

    def run(self, con: Any, sql: str) -> None:
        super().run(con, sql)
        if sql == "rollback":
            con.commit()  # before 1.6 only this begins the next transaction

    @pytest.fixture
    def con(self, filled: str) -> Iterator[Any]:
        dbapi = pytest.importorskip(
            "adbc_driver_postgresql.dbapi", reason="adbc-driver-postgresql is missing"
        )
        with dbapi.connect(filled.replace("+psycopg", "")) as con:
            yield con
            con.rollback()
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            gc.collect()  # pandas leaves a cursor open that failed


class TestAdbcAutocommit(ByDriver):
    @pytest.fixture
    def con(self, filled: str) -> Iterator[Any]:
        dbapi = pytest.importorskip(
            "adbc_driver_postgresql.dbapi", reason="adbc-driver-postgresql is missing"
        )
        with dbapi.connect(filled.replace("+psycopg", ""), autocommit=True) as con:
            yield con
            with suppress(Exception):
                self.run(con, "rollback")
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            gc.collect()  # as above

    @pytest.fixture
    def begin(self) -> str:
        return "begin"

    def run(self, con: Any, sql: str) -> None:
        with closing(con.cursor()) as cursor:
            cursor.execute(sql)


@pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy:UserWarning")
class TestRawPsycopg(ByDriver):
    @pytest.fixture
    def con(self, filled: str) -> Iterator[Any]:
        with closing(psycopg.connect(filled.replace("+psycopg", ""))) as con:
            yield con


@pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy:UserWarning")
class TestRawPg8000(ByDriver):
    @pytest.fixture
    def con(self, filled: str) -> Iterator[Any]:
        dbapi = pytest.importorskip("pg8000.dbapi", reason="pg8000 is not installed")
        url = make_url(by("pg8000", filled))
        with closing(
            dbapi.connect(url.username, database=url.database, host=url.host or "localhost", **url.query)
        ) as con:
            yield con
