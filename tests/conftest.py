"""Fixtures: a clock, a cache that is checked after use, and real databases."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine, create_engine, event

from sqlcache_nb import QueryCache
from tests import servers
from tests.oracle import inconsistencies

SALES = pd.DataFrame(
    {
        "id": range(1, 7),
        "region": ["north", "south", "north", "east", None, "south"],
        "amount": [10.5, 20.0, None, 40.25, 5.0, 60.0],
        "day": ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-06"],
    }
)


class Clock:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 9, 14, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **spans: float) -> None:
        self.now += timedelta(**spans)


class Statements(list[str]):
    """The statements that an engine really executed, pandas' questions about tables left out."""

    @classmethod
    def of(cls, engine: Engine) -> Statements:
        seen = cls()

        def note(con: object, cursor: object, statement: str, *rest: object) -> None:
            if (
                "sqlite_master" not in statement
                and "PRAGMA" not in statement
                and "pg_catalog" not in statement
            ):
                seen.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        return seen


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the person's own cache, settings or connection."""
    monkeypatch.setenv("SQLCACHE_NB_DIR", str(tmp_path / "default-cache"))
    monkeypatch.delenv("DATABASE_URL", raising=False)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> Iterator[QueryCache]:
    with QueryCache(tmp_path / "cache", clock=clock) as cache:
        yield cache
        assert found_by(cache) == ()
    assert inconsistencies(tmp_path / "cache") == []


def found_by(cache: QueryCache) -> tuple[str, ...]:
    """What is not as it should be, as the cache's own check has it; nothing is made that was not there."""
    if not cache.directory.is_dir():
        return ()
    report = cache.check()
    return (str(report),) if report.faults or report.foreign or report.unknown or report.aside else ()


@pytest.fixture
def sales_db(tmp_path: Path) -> Path:
    """A SQLite file with a table and a view."""
    path = tmp_path / "sales.db"
    with closing(sqlite3.connect(path)) as con, con:
        SALES.to_sql("sales", con, index=False)
        con.execute("create view northern as select * from sales where region = 'north'")
    return path


@pytest.fixture
def engines() -> Iterator[Callable[..., Engine]]:
    """Makes engines that are disposed of at the end."""
    made = []

    def make(url: str, **options: object) -> Engine:
        made.append(create_engine(url, **options))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


@pytest.fixture
def sales(sales_db: Path, engines: Callable[..., Engine]) -> Engine:
    return engines(f"sqlite:///{sales_db}")


@pytest.fixture
def statements(sales: Engine) -> Statements:
    return Statements.of(sales)


@pytest.fixture
def write(sales_db: Path) -> Callable[[str], None]:
    """Writes to the SQLite file as another program would: by a connection of its own."""

    def run(sql: str) -> None:
        with closing(sqlite3.connect(sales_db)) as con, con:
            con.execute(sql)

    return run


@pytest.fixture
def cut_connections() -> Iterator[None]:
    """What a driver leaves open of a connection that was cut is collected here, and complains in no later test."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL server of the tests' own, or the one that the environment names."""
    yield from _url_of(servers.postgresql())


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    """A MariaDB server of the tests' own, or the one that the environment names."""
    pytest.importorskip("pymysql", reason="PyMySQL is not installed")
    yield from _url_of(servers.mariadb())


def _url_of(server: AbstractContextManager[str]) -> Iterator[str]:
    with ExitStack() as stack:
        try:
            url = stack.enter_context(server)
        except servers.NoServer as fault:
            pytest.skip(str(fault))
        yield url
