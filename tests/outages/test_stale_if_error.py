"""The database is cut, or stopped: what `stale_if_error` serves then, and what is read when it is back."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from sqlcache_nb import Outcome, QueryCache, StaleWarning
from sqlcache_nb.freshness import Reason
from tests import servers
from tests.conftest import SALES, Clock
from tests.outages.conftest import QUERY, STOPPABLE, psycopg_to
from tests.proxy import Proxy
from tests.sources.test_outages import own_server
from tests.strict import differences

pytestmark = [
    pytest.mark.server,
    # What a driver does not close of a connection that was cut.
    pytest.mark.usefixtures("cut_connections"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

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
        with own_server(STOPPABLE[family]()) as server:
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


def test_an_idle_connection_of_a_url_that_died_is_opened_anew(
    cache: QueryCache, url: str, proxy: Proxy
) -> None:
    cache.read(QUERY, url)
    proxy.drop()
    assert cache.read(QUERY, url).outcome is Outcome.HIT
    proxy.drop()
    assert cache.read(QUERY, url, refresh=True).outcome is Outcome.REFRESHED
