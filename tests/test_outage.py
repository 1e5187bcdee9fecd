"""The database is cut: what `stale_if_error` and `offline` serve then, and what is read when it is back."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from sqlcache_nb import CacheMiss, Outcome, QueryCache, StaleWarning
from sqlcache_nb.freshness import Reason
from tests import servers
from tests.conftest import SALES, Clock
from tests.faults import run as run_elsewhere
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

QUERY = "select id, region, amount from orders_of_outages order by id"
DRIVERS = {
    "postgresql": "postgresql+psycopg://postgres@127.0.0.1:{}/postgres",
    "mariadb": "mysql+pymysql://root@127.0.0.1:{}/mysql",
}


@pytest.fixture(params=DRIVERS)
def family(request: pytest.FixtureRequest) -> str:
    pytest.importorskip({"postgresql": "psycopg", "mariadb": "pymysql"}[request.param])
    return str(request.param)


@pytest.fixture
def filled(family: str, request: pytest.FixtureRequest, engines: Callable[..., Engine]) -> Iterator[Engine]:
    """An engine that goes to the server by a way that is not cut."""
    engine = engines(request.getfixturevalue(f"{family}_url"), isolation_level="AUTOCOMMIT")
    SALES.to_sql("orders_of_outages", engine, index=False, if_exists="replace")
    yield engine
    with engine.connect() as con:
        con.exec_driver_sql("drop table orders_of_outages")


@pytest.fixture
def proxy(filled: Engine) -> Iterator[Proxy]:
    with in_front_of(filled.url.render_as_string(hide_password=False)) as proxy:
        yield proxy


@pytest.fixture
def url(family: str, proxy: Proxy) -> str:
    return DRIVERS[family].format(proxy.port)


@pytest.fixture
def engine(url: str, engines: Callable[..., Engine]) -> Engine:
    return engines(url)


CUTS = {
    "refuses": Proxy.refuse,
    "drops": Proxy.drop,
}


def later(clock: Clock, filled: Engine) -> None:
    """The ttl passes, and something is written that the stored answer does not know of."""
    clock.forward(hours=2)
    with filled.connect() as con:
        con.exec_driver_sql("delete from orders_of_outages where id > 1")


class TestStaleIfError:
    @pytest.mark.parametrize("cut", CUTS)
    def test_the_old_answer_stands_in_and_says_so(
        self, cache: QueryCache, engine: Engine, proxy: Proxy, filled: Engine, clock: Clock, cut: str
    ) -> None:
        fresh = cache.read(QUERY, engine, ttl="1h")
        later(clock, filled)
        CUTS[cut](proxy)
        if cut == "drops":
            proxy.refuse()
        with pytest.warns(
            StaleWarning, match=r"out of reach, connection (refused|lost): the answer was fetched .*2 h ago"
        ):
            result = cache.read(QUERY, engine, stale_if_error="1d")
        assert (result.outcome, result.reason) == (Outcome.STALE, Reason.UNREACHABLE)
        assert differences(fresh.frame, result.frame) == []
        proxy.come_back()
        back = cache.read(QUERY, engine, stale_if_error="1d")
        assert (back.outcome, back.shape) == (Outcome.MISS, (1, 3))
        assert cache.read(QUERY, engine).outcome is Outcome.HIT

    @pytest.mark.parametrize(
        "options", [{}, {"stale_if_error": "30m"}, {"no_store": True, "stale_if_error": "1d"}]
    )
    def test_without_it_or_beyond_its_bounds_the_drivers_own_error_is_raised(
        self,
        cache: QueryCache,
        engine: Engine,
        proxy: Proxy,
        filled: Engine,
        clock: Clock,
        options: dict[str, Any],
    ) -> None:
        cache.read(QUERY, engine, ttl="1h")
        later(clock, filled)
        engine.dispose()
        proxy.refuse()
        with pytest.raises(DBAPIError) as own:
            pd.read_sql(QUERY, engine)
        with pytest.raises(DBAPIError) as caught:
            cache.read(QUERY, engine, **options)
        assert type(caught.value.orig) is type(own.value.orig)
        assert str(caught.value) == str(own.value)
        assert caught.value.__context__ is caught.value.orig
        assert caught.value.__cause__ is caught.value.orig
        proxy.come_back()
        assert cache.read(QUERY, engine).shape == (1, 3)

    def test_what_was_never_stored_is_an_error(self, cache: QueryCache, engine: Engine, proxy: Proxy) -> None:
        proxy.refuse()
        with pytest.raises(DBAPIError):
            cache.read(QUERY, engine, stale_if_error="1d")

    def test_an_answer_within_its_ttl(
        self, cache: QueryCache, engine: Engine, proxy: Proxy, url: str
    ) -> None:
        """The server at this machine's port must be asked which one it is: nobody answers."""
        cache.read(QUERY, engine)
        proxy.refuse()
        assert cache.read(QUERY, engine).outcome is Outcome.HIT  # what it said last stands
        with pytest.warns(StaleWarning):
            result = cache.read(QUERY, url, stale_if_error=60)
        assert result.shape == (6, 3)

    def test_a_refresh_is_answered_by_what_there_is(
        self, cache: QueryCache, engine: Engine, proxy: Proxy
    ) -> None:
        cache.read(QUERY, engine)
        proxy.refuse()
        with pytest.raises(DBAPIError):
            cache.read(QUERY, engine, refresh=True)
        with pytest.warns(StaleWarning, match="out of reach"):
            result = cache.read(QUERY, engine, refresh=True, stale_if_error="1d")
        assert result.outcome is Outcome.STALE
        proxy.come_back()
        assert cache.read(QUERY, engine, refresh=True, stale_if_error="1d").outcome is Outcome.REFRESHED

    def test_in_another_kernel(
        self,
        cache: QueryCache,
        engine: Engine,
        proxy: Proxy,
        url: str,
        engines: Callable[..., Engine],
        clock: Clock,
    ) -> None:
        """An engine that has never been connected: which server it led to is told by the address."""
        cache.read(QUERY, engine, ttl="1h")
        clock.forward(hours=2)
        proxy.refuse()
        with pytest.warns(StaleWarning, match="refused"):
            result = cache.read(QUERY, engines(url), stale_if_error="1d")
        assert (result.outcome, result.shape) == (Outcome.STALE, (6, 3))

    @pytest.mark.parametrize("kind", ["connection", "session"])
    def test_a_connection_that_dies_and_one_that_is_dead(
        self, cache: QueryCache, engine: Engine, proxy: Proxy, filled: Engine, clock: Clock, kind: str
    ) -> None:
        with engine.connect() if kind == "connection" else Session(engine) as con:
            cache.read(QUERY, con, ttl="1h")
            con.rollback()
            later(clock, filled)
            proxy.refuse()
            with pytest.warns(StaleWarning, match="out of reach, connection"):
                result = cache.read(QUERY, con, stale_if_error="1d")
            assert (result.outcome, result.shape) == (Outcome.STALE, (6, 3))
            con.rollback()
            proxy.come_back()
            assert cache.read(QUERY, con, stale_if_error="1d").shape == (1, 3)

    def test_what_a_dead_connection_says_is_no_word_of_the_database(
        self, cache: QueryCache, engine: Engine, proxy: Proxy, clock: Clock
    ) -> None:
        with engine.connect() as con:
            cache.read(QUERY, con, ttl="1h")
            clock.forward(hours=2)
            proxy.refuse()
            with pytest.raises(Exception, match=r"(?i)connection|rolled back|invalid"):
                cache.read(QUERY, con)
            proxy.come_back()
            with pytest.raises(Exception, match="rolled back"), warnings.catch_warnings(action="error"):
                cache.read(QUERY, con, stale_if_error="1d")
            con.rollback()

    def test_errors_of_other_kinds_are_raised(
        self, cache: QueryCache, engine: Engine, filled: Engine, clock: Clock
    ) -> None:
        cache.read(QUERY, engine, ttl="1h")
        clock.forward(hours=2)
        with filled.connect() as con:
            con.exec_driver_sql("alter table orders_of_outages rename to elsewhere_of_outages")
        try:
            with pytest.raises(Exception, match=r"orders_of_outages.* (does not|doesn't) exist"):
                cache.read(QUERY, engine, stale_if_error="365d")
        finally:
            with filled.connect() as con:
                con.exec_driver_sql("alter table elsewhere_of_outages rename to orders_of_outages")

    def test_chunks(self, cache: QueryCache, engine: Engine, proxy: Proxy, clock: Clock) -> None:
        list(cache.read(QUERY, engine, chunksize=4, ttl="1h").frame)
        clock.forward(hours=2)
        proxy.refuse()
        with pytest.warns(StaleWarning):
            result = cache.read(QUERY, engine, chunksize=4, stale_if_error="1d")
        assert [len(chunk) for chunk in result.frame] == [4, 2]

    def test_what_the_database_said_is_shown_without_its_secrets(
        self, cache: QueryCache, url: str, proxy: Proxy, engines: Callable[..., Engine], clock: Clock
    ) -> None:
        engine = engines(url)
        cache.read(QUERY, engine, ttl="1h")
        clock.forward(hours=2)
        proxy.refuse()
        with pytest.warns(StaleWarning) as said:
            cache.read(QUERY, engine, stale_if_error="1d")
        (warning,) = said
        assert "\n" not in str(warning.message)
        assert re.search(r"(?i)refused|lost", str(warning.message))
        assert warning.filename == __file__


class TestAServerThatIsStopped:
    @pytest.fixture
    def server(self, family: str) -> Iterator[servers.Stoppable]:
        own = {"postgresql": servers.postgresql_that_stops, "mariadb": servers.mariadb_that_stops}
        with own_server(own[family]()) as server:
            yield server

    def test_it_is_stopped_and_started_again(
        self, cache: QueryCache, server: servers.Stoppable, engines: Callable[..., Engine], clock: Clock
    ) -> None:
        engine = engines(server.url)
        SALES.to_sql("orders_of_outages", engine, index=False)
        first = cache.read(QUERY, engine, ttl="1h")
        clock.forward(hours=2)
        server.stop()
        with pytest.raises(Exception):  # noqa: B017, PT011  # the pooled connection's, or the new one's
            cache.read(QUERY, engine)
        with pytest.warns(StaleWarning, match="out of reach"):
            stale = cache.read(QUERY, engine, stale_if_error="1d")
        with pytest.warns(StaleWarning, match="offline"):
            offline = cache.read(QUERY, engine, offline=True)
        assert [each.outcome for each in (stale, offline)] == [Outcome.STALE] * 2
        assert differences(first.frame, stale.frame) == differences(first.frame, offline.frame) == []
        server.start()
        with engine.begin() as con:
            con.exec_driver_sql("delete from orders_of_outages where id > 1")
        back = cache.read(QUERY, engine, stale_if_error="1d")
        assert (back.outcome, back.reason, back.shape) == (Outcome.MISS, Reason.EXPIRED, (1, 3))


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
        own = {"postgresql": servers.postgresql_that_stops, "mariadb": servers.mariadb_that_stops}
        with own_server(own[family]()) as other:
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


def psycopg_to(port: int) -> Any:
    psycopg = pytest.importorskip("psycopg")
    return psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres")


def test_an_idle_connection_of_a_url_that_died_is_opened_anew(
    cache: QueryCache, url: str, proxy: Proxy
) -> None:
    cache.read(QUERY, url)
    proxy.drop()
    assert cache.read(QUERY, url).outcome is Outcome.HIT
    proxy.drop()
    assert cache.read(QUERY, url, refresh=True).outcome is Outcome.REFRESHED


def test_a_raw_connection(cache: QueryCache, filled: Engine, proxy: Proxy, family: str, clock: Clock) -> None:
    if family == "mariadb":
        pytest.skip("raw connections of PyMySQL are not cached")
    with (
        warnings.catch_warnings(action="ignore", category=UserWarning),
        closing(psycopg_to(proxy.port)) as con,
    ):
        cache.read(QUERY, con, ttl="1h")
        con.rollback()
        clock.forward(hours=2)
        proxy.drop()
        result = cache.read(QUERY, con, stale_if_error="1d")
        assert result.outcome is Outcome.STALE
        with pytest.raises(Exception, match="closed"):  # the person is to open another one
            cache.read(QUERY, con, stale_if_error="1d")
