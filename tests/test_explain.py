"""`QueryCache.why`, and the line of a miss: the same words, with nothing run and nothing written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, Float, Numeric, literal_column, select, text
from sqlalchemy.orm import Session

from sqlcache_nb import ConfigError, NotCachedWarning, Outcome, QueryCache, StoreError, quantities, report
from sqlcache_nb.freshness import Reason
from sqlcache_nb.result import Result
from sqlcache_nb.why import Explanation
from tests.conftest import Clock, Statements

QUERY = "select * from sales"
NOW = datetime(2026, 11, 20, 9, 14, tzinfo=UTC)
SINCE = text("select * from sales where day >= :start")


def line_of(result: Result) -> str:
    return report.line(result, now=NOW)


def write(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as con, con:
        con.execute(statement)


class TestHit:
    def test_of_an_unchanged_file(self, cache: QueryCache, sales: Engine, clock: Clock) -> None:
        entry = cache.read(QUERY, sales).entry
        clock.forward(hours=2)
        told = cache.why(QUERY, sales)
        assert (told.outcome, told.reason, told.entry) == ("hit", Reason.FILE_UNCHANGED, entry)
        assert entry is not None
        when = quantities.moment(entry.provenance.fetched_at)
        assert str(told) == f"hit · fetched {when} (2 h ago) · file unchanged (exact) · {entry.key[:8]}"
        assert told.differences == ()

    def test_within_the_ttl(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(QUERY, sales, ttl="1h")
        assert " · within its ttl of 1 h · " in str(cache.why(QUERY, sales, validate=False))

    def test_it_says_what_a_read_finds(self, cache: QueryCache, sales: Engine) -> None:
        for options in ({}, {"params": (1,)}, {"index_col": "id"}):
            sql = f"{QUERY} where id > ?" if "params" in options else QUERY
            cache.read(sql, sales, **options)
            found = cache.why(sql=sql, con=sales, **options), cache.read(sql, sales, **options)
            assert found[0].outcome == found[1].outcome == "hit"
            assert found[0].reason == found[1].reason


class TestMiss:
    def test_of_an_empty_cache(self, cache: QueryCache, sales: Engine) -> None:
        told = cache.why(QUERY, sales)
        assert (told.outcome, told.reason, told.entry) == ("miss", Reason.FIRST_TIME, None)
        assert str(told) == "miss: first time; no stored answer is to SQL like this"

    def test_of_another_value(self, cache: QueryCache, sales: Engine) -> None:
        entry = cache.read(SINCE, sales, params={"start": date(2024, 1, 1)}).entry
        asked = {"start": date(2024, 2, 1)}
        told = cache.why(SINCE, sales, params=asked)
        assert (told.outcome, told.entry) == ("miss", entry)
        (difference,) = told.differences
        assert (difference.part, difference.name) == ("parameters", "start")
        assert str(told).startswith(
            "miss: same SQL, :start was 2024-01-01, is 2024-02-01 · nearest: sales.db, fetched "
        )
        result = cache.read(SINCE, sales, params=asked)
        assert result.nearest is not None
        assert result.nearest.entry == entry
        assert line_of(result).startswith(
            "miss: same SQL, :start was 2024-01-01, is 2024-02-01 · sales.db · 0 x 4"
        )

    def test_of_a_value_of_another_type(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(SINCE, sales, params={"start": date(2024, 1, 1)})
        result = cache.read(SINCE, sales, params={"start": "2024-01-01"})
        assert line_of(result).startswith("miss: same SQL, :start was a date, is a string · ")

    def test_of_other_white_space(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(QUERY, sales)
        assert line_of(cache.read("SELECT *\nFROM sales", sales)).startswith(
            "miss: the SQL differs in case or white space alone · "
        )

    def test_of_another_pandas(
        self, cache: QueryCache, sales: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here = ".".join(pd.__version__.split(".")[:2])
        monkeypatch.setattr("sqlcache_nb.environment._VERSION", ["1", "5", "3"])
        monkeypatch.setattr(pd, "get_option", lambda name: False)
        cache.read(QUERY, sales)
        monkeypatch.undo()
        assert f"pandas was 1.5, is {here}" in str(cache.why(QUERY, sales))

    def test_of_another_option(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(QUERY, sales)
        chunks = cache.read(QUERY, sales, chunksize=5)
        assert line_of(chunks).startswith(
            "miss: same SQL, chunksize was not given, is 5 · stored once its last chunk is read · "
        )
        assert sum(map(len, chunks.frame)) == 6

    def test_of_another_result_type(self, cache: QueryCache, sales: Engine) -> None:
        one, other = (select(literal_column("1", kind).label("n")) for kind in (Numeric(), Float()))
        cache.read(one, sales)
        assert str(cache.why(other, sales)).startswith(
            "miss: same SQL, the type of column n was Numeric, is Float · nearest: "
        )

    def test_of_the_same_text_as_a_string(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(QUERY, sales)
        assert line_of(cache.read(text(QUERY), sales)).startswith(
            "miss: the SQL was asked as a string, is asked as text() · "
        )

    def test_of_another_working_directory(
        self,
        cache: QueryCache,
        engines: Callable[..., Engine],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        pytest.importorskip("duckdb_sqlalchemy")
        engine = engines(f"duckdb:///{tmp_path}/flights.duckdb")
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "numbers.csv").write_text("n\n1\n")
        question = "select * from 'numbers.csv'"
        monkeypatch.chdir(tmp_path / "one")
        for _ in range(2):  # the first of them makes the file
            cache.read(question, engine)
        assert cache.why(question, engine).outcome == "hit"
        monkeypatch.chdir(tmp_path / "two")
        told = cache.why(question, engine)
        assert told.outcome == "miss"
        assert "the working directory was …" in str(told)
        assert "/one, is …" in str(told)

    def test_another_database_is_the_first_time_in_the_line_and_told_by_why(
        self, cache: QueryCache, sales: Engine, engines: Callable[..., Engine], tmp_path: Path, sales_db: Path
    ) -> None:
        (tmp_path / "copy.db").write_bytes(sales_db.read_bytes())
        copy = engines(f"sqlite:///{tmp_path}/copy.db")
        cache.read(QUERY, sales)
        assert "sales.db, is …" in str(cache.why(QUERY, copy))
        result = cache.read(QUERY, copy)
        assert result.nearest is None
        assert line_of(result).startswith("miss: first time · copy.db · ")

    def test_of_other_sql_is_told_by_why(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(f"{QUERY} where id = 1", sales)
        question = f"{QUERY} where id = 2"
        assert str(cache.why(question, sales)).startswith("miss: the SQL says 2 where it said 1 · nearest: ")
        assert line_of(cache.read(question, sales)).startswith("miss: first time · ")
        assert cache.why("select 5", sales).entry is None

    def test_because_it_was_asked_for(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(QUERY, sales)
        told = cache.why(QUERY, sales, refresh=True)
        assert (told.outcome, told.reason, str(told)) == ("miss", Reason.ASKED, "miss: refresh was given")


class TestStale:
    def test_of_a_changed_file(self, cache: QueryCache, sales: Engine, sales_db: Path) -> None:
        entry = cache.read(QUERY, sales).entry
        write(sales_db, "delete from sales")
        told = cache.why(QUERY, sales)
        assert (told.outcome, told.reason, told.entry) == ("stale", Reason.FILE_CHANGED, entry)
        assert str(told).startswith("stale: file changed (exact) · fetched ")

    def test_of_an_old_answer(self, cache: QueryCache, sales: Engine, clock: Clock) -> None:
        cache.read(QUERY, sales, ttl="1h")
        clock.forward(hours=3)
        told = str(cache.why(QUERY, sales, validate=False))
        assert told.startswith("stale: older than its ttl of 1 h · fetched ")
        assert "(3 h ago)" in told

    def test_of_an_invalidated_answer(self, cache: QueryCache, sales: Engine, clock: Clock) -> None:
        cache.read(QUERY, sales)
        clock.forward(hours=1)
        cache.invalidate(table="sales")
        clock.forward(hours=2)
        told = cache.why(QUERY, sales)
        assert (told.outcome, told.reason) == ("stale", Reason.INVALIDATED)
        assert str(told).startswith("stale: invalidated 2 h ago · fetched ")
        result = cache.read(QUERY, sales)
        assert (result.reason, result.nearest) == (Reason.INVALIDATED, None)
        assert cache.why(QUERY, sales).outcome == "hit"


class TestChance:
    def test_it_is_kept_and_served_if_asked_and_why_says_so(self, cache: QueryCache, sales: Engine) -> None:
        sql = "select random() as r"
        assert cache.why(sql, sales, store_random=True).outcome == "miss"
        cache.read(sql, sales, store_random=True)
        told = cache.why(sql, sales, store_random=True)
        assert told.outcome == "hit"
        assert " · left to chance · " in str(told)
        assert cache.why(sql, sales).outcome == "refused"


class TestRefused:
    @pytest.mark.parametrize(
        ("sql", "words"),
        [
            (
                "select random()",
                "refused: the statement calls random, whose answer is another one each time; store_random=True (--store-random) keeps it all the same",
            ),
            ("delete from sales", "refused: the statement is not a read"),
        ],
    )
    def test_by_the_guard_which_runs_nothing(
        self, cache: QueryCache, sales: Engine, statements: Statements, sql: str, words: str
    ) -> None:
        told = cache.why(sql, sales)
        assert (told.outcome, told.reason, str(told)) == ("refused", Reason.REFUSED, words)
        assert statements == []

    def test_of_a_database_without_identity(self, cache: QueryCache) -> None:
        assert str(cache.why("select 1", "sqlite://")) == "refused: an in-memory database has no identity"

    def test_because_it_was_asked_for(self, cache: QueryCache, sales: Engine) -> None:
        assert str(cache.why(QUERY, sales, no_store=True)) == "refused: no_store was given"

    def test_of_a_session_with_changes_which_are_not_flushed(
        self, cache: QueryCache, sales: Engine, statements: Statements
    ) -> None:
        with Session(sales) as session:
            assert cache.why(QUERY, session).outcome == "miss"
            session.connection()
            session.add(_mapped(sales)(id=99))
            assert "changes of its own" in str(cache.why(QUERY, session))
            assert len(session.new) == 1
            session.expunge_all()
        assert statements == []


def _mapped(engine: Engine) -> Any:
    from sqlalchemy import Integer
    from sqlalchemy.orm import DeclarativeBase, mapped_column

    class Base(DeclarativeBase):
        pass

    class Sale(Base):
        __tablename__ = "sales"
        id = mapped_column(Integer, primary_key=True)

    return Sale


class TestWhatItLeaves:
    def test_nothing_is_asked_written_or_counted(
        self, cache: QueryCache, sales: Engine, statements: Statements
    ) -> None:
        cache.read(QUERY, sales)
        before = {path: path.read_bytes() for path in cache.directory.rglob("*") if path.is_file()}
        asked, counted = list(statements), cache.stats()
        for question in (QUERY, f"{QUERY} where id = 1", "select random()"):
            assert isinstance(cache.why(question, sales, name="mine", tag="x"), Explanation)
        assert {path: path.read_bytes() for path in cache.directory.rglob("*") if path.is_file()} == before
        assert (statements, cache.stats()) == (asked, counted)

    def test_a_place_that_cannot_be_used_is_an_error(self, tmp_path: Path, sales: Engine) -> None:
        (tmp_path / "file").write_text("")
        with QueryCache(tmp_path / "file") as cache, pytest.raises(StoreError):
            cache.why(QUERY, sales)

    def test_options_are_checked(self, cache: QueryCache, sales: Engine) -> None:
        with pytest.raises(ConfigError):
            cache.why(QUERY, sales, ttl="soon")
        with pytest.raises(TypeError):
            cache.why(QUERY, sales, unheard_of=1)  # type: ignore[call-arg]  # that is the point


class TestStoredValues:
    def test_a_digest_tells_that_a_value_differs_and_nothing_more(
        self, sales: Engine, tmp_path: Path, clock: Clock
    ) -> None:
        with QueryCache(tmp_path / "discreet", store_params=False, clock=clock) as cache:
            result = cache.read(SINCE, sales, params={"start": "2024-01-03"})
            assert result.entry is not None
            assert result.entry.provenance.params == {"start": "(not kept)"}
            for path in cache.directory.rglob("*"):
                assert path.is_dir() or b"'2024-01-03'" not in path.read_bytes()
            other = cache.read(SINCE, sales, params={"start": "2024-01-04"})
            assert line_of(other).startswith("miss: same SQL, :start differs · ")
            assert cache.why(SINCE, sales, params={"start": "2024-01-03"}).outcome == "hit"

    def test_it_may_be_configured(
        self, sales: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "pyproject.toml").write_text("[tool.sqlcache_nb]\nstore_params = false\n")
        monkeypatch.chdir(tmp_path)
        with QueryCache(tmp_path / "discreet") as cache:
            entry = cache.read(SINCE, sales, params={"start": "x"}).entry
        with QueryCache(tmp_path / "other", store_params=True) as cache:
            readable = cache.read(SINCE, sales, params={"start": "x"}).entry
        assert entry is not None
        assert readable is not None
        assert (entry.provenance.params, readable.provenance.params) == (
            {"start": "(not kept)"},
            {"start": "'x'"},
        )


class TestBefore:
    def test_it_is_told_before_the_database_is_asked(
        self, cache: QueryCache, sales: Engine, statements: Statements
    ) -> None:
        from sqlcache_nb.request import CacheOptions, PandasCall

        told: list[tuple[str, int]] = []

        def before(known: Result) -> None:
            told.append((report.awaited(known, now=NOW), len(statements)))

        def ask(sql: str, **options: Any) -> Outcome:
            return cache.ask(PandasCall(sql), sales, CacheOptions(**options), before=before).outcome

        assert [ask(QUERY), ask(QUERY), ask(QUERY, refresh=True)] == ["miss", "hit", "refreshed"]
        with pytest.warns(NotCachedWarning):
            ask("select random()")
        assert told == [("miss: first time · sales.db", 0), ("refreshing · sales.db", 1)]

    def test_a_fault_of_the_explanation_costs_no_answer(
        self, cache: QueryCache, sales: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache.read(QUERY, sales)

        def fails(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("sqlcache_nb.looking.nearest_to", fails)
        with pytest.warns(UserWarning, match="made a mistake"):
            result = cache.read(QUERY, sales, index_col="id")
        assert (result.outcome, result.nearest) == (Outcome.MISS, None)


@pytest.mark.server
def test_a_session_option_is_named(
    cache: QueryCache, postgresql_url: str, engines: Callable[..., Engine]
) -> None:
    pytest.importorskip("psycopg")
    options = "options=-c%20search_path%3D"
    one, other = (
        engines(f"{postgresql_url}{'&' if '?' in postgresql_url else '?'}{options}{name}")
        for name in ("public", "pg_catalog")
    )
    sql = text("select 1 as n where :day > date '2024-01-01'")
    cache.read(sql, one, params={"day": date(2024, 1, 2)})
    told = cache.why(sql, other, params={"day": date(2024, 1, 2)})
    assert str(told).startswith(
        "miss: same SQL, options was -c search_path=public, is -c search_path=pg_catalog; "
        "schemas was public, is pg_catalog · nearest: "  # and the search_path itself is the same once more
    )
    assert {each.name for each in told.differences} == {"options", "schemas", "search_path"}
    told = cache.why(sql, one, params={"day": date(2024, 3, 2)})
    assert str(told).startswith("miss: same SQL, :day was 2024-01-02, is 2024-03-02 · ")


@pytest.mark.server
def test_a_role_is_named(cache: QueryCache, postgresql_url: str, engines: Callable[..., Engine]) -> None:
    pytest.importorskip("psycopg")
    with engines(postgresql_url).connect() as con:
        con.exec_driver_sql("create role analyst")
        con.exec_driver_sql("create role admin")
        con.commit()
        try:
            con.exec_driver_sql("set role analyst")
            con.commit()
            assert cache.read("select 1 as n", con).outcome is Outcome.MISS
            con.exec_driver_sql("set role admin")
            con.commit()
            assert str(cache.why("select 1 as n", con)).startswith(
                "miss: same SQL, role was analyst, is admin · "
            )
        finally:
            con.rollback()
            con.exec_driver_sql("reset role")
            con.exec_driver_sql("drop role analyst")
            con.exec_driver_sql("drop role admin")
            con.commit()
