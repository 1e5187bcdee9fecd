"""SQL of one's own as a validator: what it may be, and what is said where it fails."""

from __future__ import annotations

import datetime as dt
import decimal
import warnings
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Engine, make_url

from sqlcache_nb import ConfigError, Outcome, QueryCache, Reason, ValidatorWarning
from sqlcache_nb.freshness import Strength
from sqlcache_nb.validators.own import SqlValidator, digest, validator_of
from tests.tunnel import Tunnel

QUERY = "select id, region, amount from sales order by id"
LATEST = "select max(day) from sales"


class TestDigest:
    def test_rows_that_differ_in_anything_differ(self) -> None:
        moment = dt.datetime(2024, 1, 2, 3, 4, 5, 6)  # as drivers give it
        rows: list[list[tuple[object, ...]]] = [
            [],
            [()],
            [(None,)],
            [(1,)],
            [(1.0,)],
            [(True,)],
            [("1",)],
            [(b"1",)],
            [(decimal.Decimal(1),)],
            [(decimal.Decimal("1.0"),)],
            [(1, 2)],
            [(1,), (2,)],
            [(2,), (1,)],
            [(moment,)],
            [(moment.replace(tzinfo=dt.UTC),)],
            [(moment.date(),)],
        ]
        assert len(set(map(digest, rows))) == len(rows)

    def test_a_row_is_its_values_whatever_its_class(self) -> None:
        assert digest([(1, "a")]) == digest([[1, "a"]])


class TestWhatItMayBe:
    @pytest.mark.parametrize(
        "sql",
        [
            "update sales set amount = 0",
            "delete from sales",
            "drop table sales",
            "with x as (delete from sales returning id) select * from x",
            "select 1; select 2",
            "create table x (n int)",
            "pragma journal_mode = wal",
            "neither one nor the other",
        ],
    )
    def test_what_does_more_than_tell_is_refused_in_one_line(
        self, cache: QueryCache, sales: Engine, sql: str
    ) -> None:
        with pytest.raises(ConfigError, match="is no query") as caught:
            cache.read(QUERY, sales, validate=sql)
        assert "\n" not in str(caught.value)
        assert len(cache.entries()) == 0

    def test_a_password_in_it_is_not_shown(self) -> None:
        with pytest.raises(ConfigError) as caught:
            SqlValidator("attach 'postgresql://ann:hunter2@db/x' as y", "duckdb")
        assert "hunter2" not in str(caught.value)

    def test_its_name_is_that_of_its_text(self) -> None:
        assert validator_of("select 1", "sqlite").name != validator_of("select 2", "sqlite").name
        assert validator_of("select 1", "sqlite").name.startswith("sql:")
        assert validator_of("select 1", "sqlite").strength is Strength.HEURISTIC
        assert validator_of("PRAGMA user_version", "sqlite").dialects == {"sqlite"}


class TestReads:
    def test_it_decides_whatever_the_file_says(
        self, cache: QueryCache, sales: Engine, write: Callable[[str], None]
    ) -> None:
        def outcome() -> Outcome:
            return cache.read(QUERY, sales, validate=LATEST, ttl=0).outcome

        assert [outcome(), outcome()] == [Outcome.MISS, Outcome.HIT]
        write("update sales set amount = 0")
        assert outcome() is Outcome.HIT  # its author has said so
        write("update sales set day = '2025-01-01' where id = 1")
        assert outcome() is Outcome.MISS
        assert outcome() is Outcome.HIT

    def test_no_rows_are_a_state(
        self, cache: QueryCache, sales: Engine, write: Callable[[str], None]
    ) -> None:
        sql = "select day from sales where amount > 1000"
        outcomes = [cache.read(QUERY, sales, validate=sql, ttl=0).outcome for _ in range(2)]
        assert outcomes == [Outcome.MISS, Outcome.HIT]
        write("update sales set amount = 2000 where id = 1")
        assert cache.read(QUERY, sales, validate=sql, ttl=0).outcome is Outcome.MISS

    def test_one_that_fails_makes_nothing_fresh_and_is_said_once(
        self, cache: QueryCache, sales: Engine
    ) -> None:
        cache.read(QUERY, sales)
        with pytest.warns(ValidatorWarning, match="no such column: nowhere") as said:
            results = [cache.read(QUERY, sales, validate="select nowhere from sales") for _ in range(2)]
        assert [each.outcome for each in results] == [Outcome.MISS, Outcome.MISS]
        assert {each.reason for each in results} == {Reason.NO_WORD}
        assert len(said) == 1

    @pytest.mark.server
    def test_on_a_server_the_drivers_words_are_said(
        self, cache: QueryCache, postgresql_url: str, engines: Callable[..., Engine]
    ) -> None:
        engine = engines(postgresql_url)
        with pytest.warns(ValidatorWarning, match='column "nowhere" does not exist'):
            cache.read("select 1 as n", engine, validate="select nowhere")
        cache.read("select 1 as n", engine, validate="select nowhere")  # it was said
        with engine.connect() as con:
            con.exec_driver_sql("select 1")
            with warnings.catch_warnings(action="ignore", category=ValidatorWarning):
                cache.read("select 2 as n", con, validate="select nowhere")
            assert con.exec_driver_sql("select 3").scalar() == 3

    @pytest.mark.server
    def test_an_outage_is_the_persons_to_see(
        self, cache: QueryCache, postgresql_url: str, tunnel: Tunnel, engines: Callable[..., Engine]
    ) -> None:
        with closing(tunnel):
            url = make_url(postgresql_url)
            tunnel.lead(f"{url.query['host']}/.s.PGSQL.5432")
            engine = engines(url.set(host="127.0.0.1", port=tunnel.port, query={}))
            options: dict[str, Any] = {"validate": "select 1", "source_name": "there", "ttl": "1h"}
            assert cache.read("select 1 as n", engine, **options).outcome is Outcome.MISS
            assert cache.read("select 1 as n", engine, **options).outcome is Outcome.HIT
        with (
            warnings.catch_warnings(action="ignore", category=ValidatorWarning),
            pytest.raises(Exception, match="refused"),
        ):
            cache.read("select 1 as n", engine, **options)
