"""Listeners that run statements of their own before an engine's, and those that do not."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator
from operator import methodcaller
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, event

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.sources import source_of
from tests.source_contract import QUERY

pytestmark = pytest.mark.server
pytest.importorskip("psycopg", reason="psycopg is not installed")
logger = logging.getLogger(__name__)


def apply(cursor: Any) -> None:
    cursor.execute("set local search_path to dev")


def of_tenant(cursor: Any, deeper: int = 3) -> None:
    return of_tenant(cursor, deeper - 1) if deeper else apply(cursor)


def by_helper(con: Any, cursor: Any, *rest: Any) -> None:
    of_tenant(cursor)


def by_default(con: Any, cursor: Any, *rest: Any, helper: Any = apply) -> None:
    helper(cursor)


def by_name(con: Any, cursor: Any, *rest: Any) -> None:
    methodcaller("execute", "set local search_path to dev")(cursor)


def by_import(con: Any, cursor: Any, *rest: Any) -> None:
    from tests.sources.test_listeners import apply as imported

    imported(cursor)


def wrapped(function: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(function)
    def inner(*args: Any) -> None:
        function(*args)

    return inner


@wrapped
def by_decorated(con: Any, cursor: Any, *rest: Any) -> None:
    apply(cursor)


class Tenant:
    def __call__(self, con: Any, cursor: Any, *rest: Any) -> None:
        self.take(con, cursor)

    def take(self, con: Any, cursor: Any, *rest: Any) -> None:
        self.set(cursor)

    def set(self, cursor: Any) -> None:
        cursor.execute("set local search_path to dev")


@contextlib.contextmanager
def as_tenant(cursor: Any) -> Iterator[None]:
    cursor.execute("set local search_path to dev")
    yield


def by_context(con: Any, cursor: Any, *rest: Any) -> None:
    with as_tenant(cursor):
        pass


tenant = Tenant()


def by_object(con: Any, cursor: Any, *rest: Any) -> None:
    tenant.set(cursor)


def in_closure() -> Any:
    def helper(cursor: Any) -> None:
        cursor.execute("set local search_path to dev")

    return lambda con, cursor, *rest: helper(cursor)


def by_partial(helper: Any, con: Any, cursor: Any, *rest: Any) -> None:
    helper(cursor)


@pytest.mark.parametrize(
    "listener",
    [
        by_helper,
        by_default,
        by_name,
        by_import,
        by_decorated,
        by_context,
        by_object,
        functools.partial(by_partial, apply),
        tenant,
        tenant.take,
        in_closure(),
    ],
)
@pytest.mark.parametrize("options", [{}, {"once": True}])
def test_one_that_executes_is_found(
    cache: QueryCache, filled: str, engines: Callable[..., Engine], listener: Any, options: dict[str, Any]
) -> None:
    cache.read(QUERY, engines(filled))
    engine = engines(filled)
    event.listen(engine, "before_cursor_execute", listener, **options)
    with pytest.warns(NotCachedWarning, match="executes statements of its own"):
        assert cache.read(QUERY, engine).outcome is Outcome.BYPASSED
    with engine.connect() as con, pytest.raises(NotCacheable, match="executes statements of its own"):
        source_of(con).identify()


def test_one_by_the_names_of_its_arguments(
    cache: QueryCache, filled: str, engines: Callable[..., Engine]
) -> None:
    engine = engines(filled)
    event.listen(engine, "before_execute", lambda conn, **rest: apply(conn.connection.cursor()), named=True)
    with pytest.warns(NotCachedWarning, match="executes statements of its own"):
        assert cache.read(QUERY, engine).frame.equals(pd.read_sql(QUERY, engine))


class Timing:
    """As in SQLAlchemy's own recipe for profiling."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.logger = logger

    def begin(self, conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        conn.info.setdefault("query_start_time", []).append(time.perf_counter())
        self.note(statement)

    def note(self, statement: str) -> None:
        self.seen.append(statement)
        self.logger.debug("Start Query: %s", statement)


def log(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
    logger.info("executing %s at %s", statement, time.monotonic(), extra={"execute": executemany})
    pd.Timestamp.now()


@pytest.mark.parametrize("listener", [Timing().begin, log, functools.partial(log), logger.debug])
def test_one_that_times_or_logs_changes_nothing(
    cache: QueryCache, filled: str, engines: Callable[..., Engine], listener: Any
) -> None:
    engine = engines(filled)
    if listener == logger.debug:
        event.listen(engine, "before_cursor_execute", lambda con, cur, text, *rest: logger.debug(text))
    else:
        event.listen(engine, "before_cursor_execute", listener)
    assert [cache.read(QUERY, engine).outcome for _ in range(2)] == [Outcome.MISS, Outcome.HIT]
    with engine.connect() as con:
        assert cache.read(QUERY, con).outcome is Outcome.HIT
