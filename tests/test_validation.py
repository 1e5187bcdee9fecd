"""Who has a say in whether a stored answer still is right: the options `ttl` and `validate`, on real files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from sqlcache_nb import ConfigError, Outcome, QueryCache, Reason, ValidatorWarning
from sqlcache_nb.entry import Entry
from tests.conftest import Clock, Statements
from tests.gate import QUERY

Write = Callable[[str], None]


def kept(cache: QueryCache) -> Entry:
    (entry,) = cache.entry_list()
    return entry


class TestAProof:
    def test_renews_what_is_stale_by_one_write(
        self, cache: QueryCache, sales: Engine, clock: Clock, statements: Statements
    ) -> None:
        cache.read(QUERY, sales, ttl="1h")
        clock.forward(hours=2)
        result = cache.read(QUERY, sales)
        assert (result.outcome, result.reason) == (Outcome.HIT, Reason.FILE_UNCHANGED)
        assert kept(cache).validated_at == clock.now
        clock.forward(minutes=30)
        cache.read(QUERY, sales)
        assert kept(cache).validated_at == clock.now - timedelta(minutes=30)
        assert cache.read(QUERY, sales, validate=False).reason is Reason.WITHIN_TTL
        clock.forward(minutes=30)
        assert len(statements) == 1
        assert cache.read(QUERY, sales, validate=False).outcome is Outcome.MISS

    @pytest.mark.parametrize("options", [{}, {"ttl": 0}, {"ttl": "forever"}])
    def test_writes_nothing_where_it_would_not_matter(
        self, cache: QueryCache, sales: Engine, clock: Clock, options: dict[str, Any]
    ) -> None:
        cache.read(QUERY, sales, **options)
        clock.forward(days=400)
        assert cache.read(QUERY, sales, **options).outcome is Outcome.HIT
        assert kept(cache).validated_at is None

    def test_leaves_the_age_as_it_is(self, cache: QueryCache, sales: Engine, clock: Clock) -> None:
        fetched = cache.read(QUERY, sales, ttl="1h")
        clock.forward(hours=2)
        result = cache.read(QUERY, sales)
        assert result.entry is not None
        assert fetched.entry is not None
        assert result.entry.provenance == fetched.entry.provenance

    def test_that_cannot_be_noted_is_a_proof_all_the_same(
        self, cache: QueryCache, sales: Engine, clock: Clock
    ) -> None:
        cache.read(QUERY, sales, ttl="1h")
        clock.forward(hours=2)
        table = cache._store()._database.table()  # type: ignore[attr-defined]
        table.con.execute("PRAGMA query_only = 1")
        assert cache.read(QUERY, sales).outcome is Outcome.HIT
        table.con.execute("PRAGMA query_only = 0")
        assert kept(cache).validated_at is None


class TestTtl:
    def test_0_is_to_be_validated_or_fetched(self, cache: QueryCache, sales: Engine, write: Write) -> None:
        cache.read(QUERY, sales, ttl=0)
        assert cache.read(QUERY, sales, ttl=0).outcome is Outcome.HIT
        assert cache.read(QUERY, sales, ttl=0, validate=False).reason is Reason.EXPIRED
        assert cache.read(QUERY, sales, validate=False).reason is Reason.WITHIN_TTL  # of no other read
        write("delete from sales")
        assert cache.read(QUERY, sales).outcome is Outcome.MISS

    def test_today(self, cache: QueryCache, sales: Engine, clock: Clock) -> None:
        clock.now = datetime(2026, 11, 20, 12).astimezone()
        options: dict[str, Any] = {"ttl": "today", "validate": False}
        cache.read(QUERY, sales, **options)
        clock.now = datetime(2026, 11, 20, 23, 59, 59).astimezone()
        assert cache.read(QUERY, sales, **options).outcome is Outcome.HIT
        clock.now = datetime(2026, 11, 21).astimezone()
        assert cache.read(QUERY, sales, **options).reason is Reason.EXPIRED

    def test_session_is_this_kernels(self, tmp_path: Path, sales: Engine, clock: Clock) -> None:
        with QueryCache(tmp_path / "shared", clock=clock) as before:
            before.read(QUERY, sales, ttl="session")
            assert before.read(QUERY, sales, validate=False).outcome is Outcome.HIT
        clock.forward(hours=1)
        with QueryCache(tmp_path / "shared", clock=clock) as later:
            assert later.read(QUERY, sales, validate=False).reason is Reason.EXPIRED
            assert later.read(QUERY, sales, validate=False).outcome is Outcome.HIT

    def test_of_an_entry_without_one_has_no_limit_where_its_file_vouches(
        self, cache: QueryCache, sales: Engine, clock: Clock
    ) -> None:
        cache.read(QUERY, sales)
        clock.forward(days=400)
        assert cache.read(QUERY, sales).outcome is Outcome.HIT
        assert cache.read(QUERY, sales, validate=False).reason is Reason.EXPIRED


class TestValidate:
    def test_true_asks_a_file_by_its_own_validator(
        self, cache: QueryCache, sales: Engine, write: Write
    ) -> None:
        cache.read(QUERY, sales, validate=True)
        assert cache.read(QUERY, sales, validate=True).reason is Reason.FILE_UNCHANGED
        write("delete from sales")
        assert cache.read(QUERY, sales, validate=True).reason is Reason.FILE_CHANGED

    def test_false_asks_nobody_and_keeps_the_token_for_others(
        self, cache: QueryCache, sales: Engine, write: Write
    ) -> None:
        cache.read(QUERY, sales, validate=False)
        assert cache.read(QUERY, sales).reason is Reason.FILE_UNCHANGED
        write("delete from sales")
        assert cache.read(QUERY, sales, validate=False).outcome is Outcome.HIT
        assert cache.read(QUERY, sales).outcome is Outcome.MISS

    def test_a_name_that_nobody_knows_is_said(self, cache: QueryCache, sales: Engine) -> None:
        with pytest.raises(ConfigError, match="'lakehouse': no validator of that name is installed"):
            cache.read(QUERY, sales, validate="lakehouse")

    def test_where_a_file_is_not_all_that_is_read_the_ttl_decides_and_that_is_said_once(
        self, cache: QueryCache, engines: Callable[..., Engine], tmp_path: Path, clock: Clock
    ) -> None:
        pytest.importorskip("duckdb_sqlalchemy")
        engine = engines(f"duckdb:///{tmp_path}/numbers.duckdb")
        (tmp_path / "numbers.csv").write_text("n\n1\n")
        question = f"select * from '{tmp_path}/numbers.csv'"
        for _ in range(2):  # the first of them makes the database
            cache.read(question, engine)
        with pytest.warns(ValidatorWarning, match=r"validate=True: file cannot tell .* the ttl decides"):
            assert cache.read(question, engine, validate=True).reason is Reason.WITHIN_TTL
        cache.read(question, engine, validate=True)
        clock.forward(days=1)
        assert cache.read(question, engine, validate=True).reason is Reason.EXPIRED
