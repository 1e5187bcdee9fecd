"""The database is not to be asked, and may be gone: what `offline` serves, and for whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.orm import Session

from sqlcache_nb import CacheMiss, Outcome, QueryCache, StaleWarning
from tests.conftest import SALES, Clock
from tests.faults import run as run_elsewhere
from tests.outages.conftest import QUERY, STOPPABLE, psycopg_to
from tests.proxy import Proxy, in_front_of
from tests.sources.test_outages import own_server
from tests.strict import differences

pytestmark = [
    pytest.mark.server,
    # What a driver does not close of a connection that was cut.
    pytest.mark.usefixtures("cut_connections"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

KINDS = ["url", "engine", "connection", "closed", "session", "raw", "pg8000", "adbc"]


class TestOffline:
    @pytest.fixture(params=KINDS)
    def con(
        self, request: pytest.FixtureRequest, family: str, url: str, engine: Engine, proxy: Proxy
    ) -> Iterator[Any]:
        kind, port = request.param, proxy.port
        if family == "mariadb" and kind in {"raw", "pg8000", "adbc"}:
            pytest.skip("raw connections of PyMySQL are not cached")
        with ExitStack() as stack:
            match kind:
                case "url":
                    yield url
                case "engine":
                    yield engine
                case "connection" | "closed":
                    yield stack.enter_context(engine.connect())
                case "session":
                    yield stack.enter_context(Session(engine))
                case "raw":
                    yield stack.enter_context(closing(psycopg_to(port)))
                case "pg8000":
                    pg8000 = pytest.importorskip("pg8000.dbapi")
                    con = pg8000.connect(host="127.0.0.1", port=port, user="postgres", database="postgres")
                    yield stack.enter_context(closing(con))
                case "adbc":
                    adbc = pytest.importorskip("adbc_driver_postgresql.dbapi")
                    yield stack.enter_context(
                        closing(adbc.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres"))
                    )

    @pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy:UserWarning")
    def test_nothing_is_asked_and_the_database_may_be_gone(
        self, cache: QueryCache, con: Any, proxy: Proxy, request: pytest.FixtureRequest, clock: Clock
    ) -> None:
        fresh = cache.read(QUERY, con)
        if request.node.callspec.params["con"] == "closed":
            con.close()
        before = proxy.traffic
        assert (hit := cache.read(QUERY, con, offline=True)).outcome is Outcome.HIT
        assert differences(fresh.frame, hit.frame) == []
        with pytest.raises(CacheMiss, match="no answer"):
            cache.read(QUERY + " limit 1", con, offline=True)
        assert proxy.traffic == before
        if request.node.callspec.params["con"] not in {"pg8000", "adbc"}:  # which cannot be closed any more
            proxy.refuse()
        clock.forward(days=400)
        with pytest.warns(StaleWarning, match="400 days"):
            assert cache.read(QUERY, con, offline=True).outcome is Outcome.STALE
        if request.node.callspec.params["con"] in {"connection", "session"}:
            con.invalidate()  # its end would be a rollback, which fails

    @pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy:UserWarning")
    def test_after_a_restart(
        self,
        cache: QueryCache,
        con: Any,
        url: str,
        proxy: Proxy,
        engines: Callable[..., Engine],
        request: pytest.FixtureRequest,
    ) -> None:
        cache.read(QUERY, con)
        match request.node.callspec.params["con"]:
            case "url" | "engine":
                found = cache.read(QUERY, engines(url), offline=True)
            case "connection" | "closed" | "session":
                with engines(url).connect() as other:
                    found = cache.read(QUERY, other, offline=True)
            case "raw":
                with closing(psycopg_to(proxy.port)) as other:
                    found = cache.read(QUERY, other, offline=True)
            case _:
                pytest.skip("it tells nobody where it leads")
        assert (found.outcome, found.shape) == (Outcome.HIT, (6, 3))

    def test_in_another_process(self, cache: QueryCache, url: str, proxy: Proxy) -> None:
        cache.read(QUERY, url)
        proxy.refuse()
        code = """import sys
from sqlalchemy import create_engine
from sqlcache_nb import QueryCache
with QueryCache(sys.argv[1], clock=__import__("tests.conftest").conftest.Clock()) as cache:
    print(*(cache.read(sys.argv[3], con, offline=True).shape for con in (sys.argv[2], create_engine(sys.argv[2]))))"""
        assert run_elsewhere(code, cache.directory, url, QUERY) == "(6, 3) (6, 3)\n"

    def test_two_servers_behind_one_port(
        self,
        cache: QueryCache,
        family: str,
        url: str,
        engine: Engine,
        proxy: Proxy,
        engines: Callable[..., Engine],
    ) -> None:
        first = cache.read(QUERY, engine).entry
        with own_server(STOPPABLE[family]()) as other:
            SALES.head(2).to_sql("orders_of_outages", engines(other.url), index=False)
            engine.dispose()
            with in_front_of(other.url) as another:
                proxy.lead(another.target)
                second = cache.read(QUERY, engine).entry
        assert first is not None
        assert second is not None
        assert first.key != second.key
        with pytest.raises(CacheMiss, match="2 stored answers fit") as caught:
            cache.read(QUERY, engines(url), offline=True)
        assert all(entry.key[:8] in str(caught.value) for entry in (first, second))
        assert cache.read(QUERY, engine, offline=True).shape == (2, 3)  # as was said last

    def test_a_session_that_was_set(
        self, cache: QueryCache, engine: Engine, family: str, engines: Callable[..., Engine], url: str
    ) -> None:
        cache.read(QUERY, engine)
        setting = "set search_path to pg_catalog, public" if family == "postgresql" else "set sql_mode = ''"
        with engine.begin() as con:
            con.exec_driver_sql(setting)
        with pytest.raises(CacheMiss, match="something was set"):
            cache.read(QUERY, engine, offline=True)
        assert cache.read(QUERY, engines(url), offline=True).shape == (6, 3)

    def test_a_connection_that_was_set_since_it_was_asked(
        self, cache: QueryCache, engine: Engine, family: str
    ) -> None:
        setting = "set search_path to pg_catalog, public" if family == "postgresql" else "set sql_mode = ''"
        with engine.connect() as con:
            cache.read(QUERY, con)
            con.exec_driver_sql(setting)
            con.commit()
            with pytest.raises(CacheMiss, match="something was set"):
                cache.read(QUERY, con, offline=True)
            cache.read(QUERY, con)
            assert cache.read(QUERY, con, offline=True).outcome is Outcome.HIT

    def test_two_sessions_of_connections(
        self, cache: QueryCache, engine: Engine, family: str, engines: Callable[..., Engine], url: str
    ) -> None:
        setting = "set search_path to pg_catalog, public" if family == "postgresql" else "set sql_mode = ''"
        with engine.connect() as plain, engine.connect() as other, engines(url).connect() as third:
            cache.read(QUERY, plain)
            assert cache.read(QUERY, third, offline=True).outcome is Outcome.HIT
            other.exec_driver_sql(setting)
            other.commit()
            cache.read(QUERY, other)
            assert len({served(cache, con) for con in (plain, other)}) == 2
            with pytest.raises(CacheMiss, match="2 stored answers fit"):
                cache.read(QUERY, third, offline=True)

    def test_another_database_or_user_at_the_address(
        self, cache: QueryCache, engine: Engine, url: str, engines: Callable[..., Engine]
    ) -> None:
        cache.read(QUERY, engine)
        for other in (make_url(url).set(database="other"), make_url(url).set(username="nobody")):
            with pytest.raises(CacheMiss, match="no answer"):
                cache.read(QUERY, engines(other.render_as_string(hide_password=False)), offline=True)

    def test_more_answers_to_one_statement_than_are_looked_at_first(
        self, cache: QueryCache, engine: Engine, engines: Callable[..., Engine], url: str, clock: Clock
    ) -> None:
        sql = text("select id from orders_of_outages where id > :least")
        for least in range(70):
            cache.read(sql, engine, params={"least": least})
            clock.forward(seconds=1)
        assert cache.read(sql, engines(url), params={"least": 0}, offline=True).shape == (6, 1)

    def test_under_a_name_of_ones_own(
        self, cache: QueryCache, engine: Engine, engines: Callable[..., Engine], url: str
    ) -> None:
        cache.read(QUERY, engine, source_name="orders")
        assert cache.read(QUERY, engines(url), source_name="orders", offline=True).shape == (6, 3)
        with pytest.raises(CacheMiss, match="no answer"):
            cache.read(QUERY, engines(url), offline=True)

    def test_code_of_ones_own_may_lead_anywhere(
        self, cache: QueryCache, engine: Engine, engines: Callable[..., Engine], url: str
    ) -> None:
        led = engines(
            url,
            creator=lambda: engine.dialect.connect(
                *engine.dialect.create_connect_args(engine.url)[0],
                **engine.dialect.create_connect_args(engine.url)[1],
            ),
        )
        cache.read(QUERY, led)
        other = engines(url, creator=lambda: None)
        with pytest.raises(CacheMiss, match="not known without asking"):
            cache.read(QUERY, other, offline=True)


def served(cache: QueryCache, con: Any) -> str:
    """The key of what is served offline."""
    entry = cache.read(QUERY, con, offline=True).entry
    assert entry is not None
    return entry.key
