"""Offline: what is stored is served, and the database is not even looked at."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from sqlcache_nb import CacheMiss, Outcome, QueryCache, StaleWarning, report
from sqlcache_nb.freshness import Reason
from sqlcache_nb.result import Result
from tests.conftest import Clock
from tests.faults import run as run_elsewhere
from tests.strict import differences

QUERY = "select id, region, amount from sales order by id"
BY_START = "select id from sales where id >= :start order by id"

pytestmark = [
    pytest.mark.usefixtures("cut_connections"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy:UserWarning"),
]


def served(cache: QueryCache, con: Any, sql: Any = QUERY, **options: Any) -> Result:
    """What comes from the cache alone, be it stale."""
    with warnings.catch_warnings(action="ignore", category=StaleWarning):
        return cache.read(sql, con, offline=True, **options)


def says(cache: QueryCache, con: Any, sql: Any = QUERY, **options: Any) -> str:
    """What a miss says."""
    with pytest.raises(CacheMiss) as caught:
        cache.read(sql, con, offline=True, **options)
    assert len(str(caught.value).splitlines()) <= 2
    return str(caught.value)


class TestAFile:
    """Its file is deleted once it was read."""

    @pytest.fixture(params=["url", "engine", "pooled", "connection", "closed", "session", "raw", "adbc"])
    def con(
        self, request: pytest.FixtureRequest, sales_db: Path, engines: Callable[..., Engine]
    ) -> Iterator[Any]:
        url = f"sqlite:///{sales_db}"
        engine = engines(url, **({"poolclass": StaticPool} if request.param == "pooled" else {}))
        match request.param:
            case "url":
                yield url
            case "engine" | "pooled":
                yield engine
            case "connection" | "closed":
                with engine.connect() as con:
                    yield con
            case "session":
                with Session(engine) as session:
                    yield session
            case "raw":
                with closing(sqlite3.connect(sales_db)) as con:
                    yield con
            case "adbc":
                adbc = pytest.importorskip("adbc_driver_sqlite.dbapi")
                with closing(adbc.connect(str(sales_db))) as con:
                    yield con

    def test_it_is_served_although_its_file_is_gone(
        self, cache: QueryCache, con: Any, sales_db: Path, request: pytest.FixtureRequest, clock: Clock
    ) -> None:
        first = cache.read(QUERY, con)
        sales_db.unlink()
        if request.node.callspec.params["con"] == "closed":
            con.close()
        hit = cache.read(QUERY, con, offline=True)
        assert (hit.outcome, hit.reason) == (Outcome.HIT, Reason.OFFLINE)
        assert differences(first.frame, hit.frame) == []
        assert report.line(hit, now=clock.now).startswith("offline · fetched")
        clock.forward(days=400)
        with pytest.warns(
            StaleWarning, match=r"offline: sales.db is not asked; the answer was fetched .*400 days ago"
        ):
            stale = cache.read(QUERY, con, offline=True)
        assert stale.outcome is Outcome.STALE
        assert "400 days ago" in report.line(stale, now=clock.now)
        assert not sales_db.exists()

    def test_in_another_process(self, cache: QueryCache, sales_db: Path) -> None:
        url = f"sqlite:///{sales_db}"
        cache.read(QUERY, url)
        sales_db.unlink()
        code = """import sys
from sqlcache_nb import QueryCache
with QueryCache(sys.argv[1]) as cache:
    print(cache.read(sys.argv[3], sys.argv[2], offline=True).shape)"""
        assert (
            run_elsewhere(
                code.replace("import sys", "import sys, warnings; warnings.simplefilter('ignore')", 1),
                cache.directory,
                url,
                QUERY,
            )
            == "(6, 3)\n"
        )

    def test_what_is_in_the_file_by_now_is_not_seen(
        self, cache: QueryCache, sales: Engine, write: Callable[[str], None]
    ) -> None:
        cache.read(QUERY, sales)
        write("delete from sales")
        assert served(cache, sales).shape == (6, 3)

    def test_chunks(self, cache: QueryCache, sales: Engine, sales_db: Path) -> None:
        list(cache.read(QUERY, sales, chunksize=4).frame)
        sales_db.unlink()
        assert [len(chunk) for chunk in served(cache, sales, chunksize=4).frame] == [4, 2]
        assert "chunksize" in says(cache, sales)

    def test_no_statement_is_run(self, cache: QueryCache, sales: Engine) -> None:
        seen: list[str] = []
        for each in ("before_cursor_execute", "engine_connect", "begin"):
            event.listen(sales, each, lambda *_, each=each: seen.append(each))
        event.listen(sales, "connect", lambda *_: seen.append("connect"))
        with sales.connect() as con:
            seen.clear()
            says(cache, con)
            says(cache, sales)
            with Session(sales) as session:
                says(cache, session)
            assert not con.in_transaction()
        assert seen == []

    def test_why(self, cache: QueryCache, sales: Engine, sales_db: Path, clock: Clock) -> None:
        told = cache.why(QUERY, sales, offline=True)
        assert (told.outcome, told.reason) == ("miss", Reason.OFFLINE)
        assert str(told).startswith("offline: no answer")
        cache.read(QUERY, sales)
        sales_db.unlink()
        assert str(cache.why(QUERY, sales, offline=True)).startswith("offline: hit · fetched")
        clock.forward(days=2)
        assert cache.why(QUERY, sales, offline=True).outcome == "stale"
        assert not sales_db.exists()

    def test_a_write_is_not_run(self, cache: QueryCache, sales: Engine) -> None:
        assert "no answer" in says(cache, sales, "delete from sales")
        assert cache.read(QUERY, sales).shape == (6, 3)

    def test_what_is_never_stored(self, cache: QueryCache, sales: Engine) -> None:
        assert "not cached: an in-memory database" in says(cache, "sqlite://")
        with closing(sqlite3.connect(":memory:")) as con:
            assert "not cached: an in-memory database" in says(cache, con)
        assert "not cached: several sets" in says(cache, sales, text(BY_START), params=[{"start": 1}])

    def test_what_is_given_with_it(self, cache: QueryCache, sales: Engine, sales_db: Path) -> None:
        cache.read(QUERY, sales)
        sales_db.unlink()
        entry = served(cache, sales, name="mine", tag="kept", pin=True).entry
        assert entry is not None
        assert (entry.name, entry.tags, entry.pinned) == ("mine", ("kept",), True)

    def test_what_was_invalidated_is_served_and_said(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(QUERY, sales)
        cache.invalidate()
        with pytest.warns(StaleWarning, match="invalidated"):
            assert cache.read(QUERY, sales, offline=True).outcome is Outcome.STALE

    def test_another_path_is_another_database(self, cache: QueryCache, sales: Engine, tmp_path: Path) -> None:
        cache.read(QUERY, sales)
        says(cache, f"sqlite:///{tmp_path / 'other.db'}")
        assert not (tmp_path / "other.db").exists()

    def test_a_whole_cache_that_is_offline(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(QUERY, sales)
        with QueryCache(cache.directory, offline=True) as offline:
            with warnings.catch_warnings(action="ignore", category=StaleWarning):
                assert offline.read(QUERY, sales).reason is Reason.OFFLINE
            says(offline, sales, "select 1 as one")
            assert offline.read("select 1 as one", sales, offline=False).outcome is Outcome.MISS


class TestMisses:
    def test_the_nearest_is_named(self, cache: QueryCache, sales: Engine) -> None:
        entry = cache.read(text(BY_START), sales, params={"start": 1}).entry
        assert entry is not None
        told = says(cache, sales, text(BY_START), params={"start": 2})
        assert "nearest: same SQL, :start was 1, is 2; fetched 2026-11-20" in told
        assert told.endswith(f"(load {entry.key[:8]})")

    def test_nothing_is_like_it(self, cache: QueryCache, sales: Engine) -> None:
        assert says(cache, sales) == "offline: no answer to this question of sales.db is stored"

    def test_a_likely_statement(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(QUERY, sales)
        assert "nearest: the SQL says" in says(cache, sales, QUERY.replace("amount", "day"))

    def test_without_a_cache(self, cache: QueryCache, sales: Engine) -> None:
        assert "no_store" in says(cache, sales, no_store=True)

    def test_a_directory_that_cannot_be_used(self, tmp_path: Path, sales: Engine) -> None:
        (tmp_path / "file").write_text("no directory")
        with QueryCache(tmp_path / "file") as cache:
            assert says(cache, sales).startswith("offline: ")

    def test_a_damaged_payload(self, cache: QueryCache, sales: Engine) -> None:
        path = cache.read(QUERY, sales).path
        assert path is not None
        path.write_bytes(b"nothing")
        says(cache, sales)


class TestDuckdb:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        duckdb = pytest.importorskip("duckdb")
        pytest.importorskip("duckdb_sqlalchemy")
        path = tmp_path / "sales.duckdb"
        with closing(duckdb.connect(str(path))) as con:
            con.execute("create table sales as select 1 as id, 'x' as region, 1.5 as amount")
        return path

    @pytest.mark.parametrize("setting", ["", "set timezone = 'Asia/Tokyo'"])
    @pytest.mark.parametrize("by", ["engine", "connection"])
    def test_its_file_is_gone(
        self, cache: QueryCache, path: Path, engines: Callable[..., Engine], by: str, setting: str
    ) -> None:
        engine = engines(f"duckdb:///{path}")
        with engine.connect() as con:
            if setting:
                con.exec_driver_sql(setting)
                con.commit()
            cache.read(QUERY, con if by == "connection" else engine)
        engine.dispose()
        path.unlink()
        again = engines(f"duckdb:///{path}")
        assert served(cache, again).shape == (1, 3)

    def test_another_working_directory(
        self,
        cache: QueryCache,
        path: Path,
        engines: Callable[..., Engine],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "a.csv").write_text("n\n1\n")
        engine = engines(f"duckdb:///{path}")
        cache.read("select * from 'a.csv'", engine)
        assert served(cache, engine, "select * from 'a.csv'").shape == (1, 1)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert "working directory" in says(cache, engine, "select * from 'a.csv'")
