"""QueryCache.read: what is a hit, what is not, and that no fault of the cache reaches the caller."""

from __future__ import annotations

import math
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, MetaData, Table, bindparam, select, text
from sqlalchemy.exc import OperationalError

from sqlcache_nb import (
    ConfigError,
    EntryNotFound,
    NotCachedWarning,
    Outcome,
    QueryCache,
    StoreWarning,
    UnsupportedSource,
    Written,
    request,
)
from sqlcache_nb.freshness import Reason
from sqlcache_nb.policy import Policy
from tests.conftest import SALES, Clock, Statements, found_by
from tests.oracle import inconsistencies
from tests.strict import differences

QUERY = "select * from sales"


def outcomes(cache: QueryCache, *args: Any, times: int = 2, **kwargs: Any) -> list[str]:
    return [str(cache.read(*args, **kwargs).outcome) for _ in range(times)]


class TestHit:
    def test_the_second_answer_is_the_same_frame_and_asks_nothing(
        self, cache: QueryCache, sales: Engine, statements: Statements
    ) -> None:
        asked = pd.read_sql(QUERY, sales)
        first = cache.read(QUERY, sales)
        assert (first.outcome, first.reason) == (Outcome.MISS, Reason.FIRST_TIME)
        before = len(statements)
        second = cache.read(QUERY, sales)
        assert (second.outcome, second.reason) == (Outcome.HIT, Reason.FILE_UNCHANGED)
        assert differences(asked, first.frame) == []
        assert differences(asked, second.frame) == []
        assert len(statements) == before

    def test_a_hit_opens_no_connection(
        self, cache: QueryCache, sales_db: Path, engines: Callable[..., Engine]
    ) -> None:
        cache.read(QUERY, engines(f"sqlite:///{sales_db}"))
        fresh = engines(f"sqlite:///{sales_db}")
        assert cache.read(QUERY, fresh).outcome is Outcome.HIT
        assert fresh.pool.checkedin() == 0  # type: ignore[attr-defined]  # it is a QueuePool

    def test_a_hit_survives_the_process_and_its_hash_seed(self, cache: QueryCache, sales_db: Path) -> None:
        code = (
            "import sys; from sqlcache_nb import QueryCache; cache = QueryCache(sys.argv[1]);"
            "print(cache.read('select * from sales where id in (?, ?)', sys.argv[2], params=(1, 2)).outcome)"
        )
        seen = []
        for seed in ("1", "2"):
            command = [sys.executable, "-c", code, str(cache.directory), f"sqlite:///{sales_db}"]
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": seed}
            )
            seen.append(done.stdout.strip())
        assert seen == ["miss", "hit"]

    def test_a_hit_writes_nothing(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(QUERY, sales)
        before = {path: path.stat().st_mtime_ns for path in cache.directory.rglob("*") if path.is_file()}
        assert cache.read(QUERY, sales).outcome is Outcome.HIT
        after = {path: path.stat().st_mtime_ns for path in cache.directory.rglob("*") if path.is_file()}
        assert after == before

    def test_changing_a_frame_changes_nobody_elses(self, cache: QueryCache, sales: Engine) -> None:
        frames = [cache.read_sql(QUERY, sales) for _ in range(3)]
        for frame in frames:
            frame.loc[:, "amount"] = -1.0
            frame.loc[0, "region"] = "nowhere"
        assert differences(pd.read_sql(QUERY, sales), cache.read_sql(QUERY, sales)) == []

    def test_the_frame_of_a_result_is_decoded_once(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(QUERY, sales)
        result = cache.read(QUERY, sales)
        assert result.shape == (6, 4)
        assert result.frame is result.frame
        assert result.path is not None
        assert len(pd.read_parquet(result.path)) == 6


class TestWhatIsAsked:
    def test_every_kind_of_statement_hits(self, cache: QueryCache, sales: Engine) -> None:
        table = Table("sales", MetaData(), autoload_with=sales)
        questions: list[tuple[Any, Any]] = [
            (QUERY, None),
            ("sales", None),
            (text("select * from sales where id < :n"), {"n": 4}),
            (
                text("select * from sales where id in :n").bindparams(bindparam("n", expanding=True)),
                {"n": [1, 2]},
            ),
            (select(table).where(table.c.region == "north"), None),
            ("select * from sales where id < ?", (4,)),
            ("select * from northern", None),
        ]
        for sql, params in questions:
            asked = pd.read_sql(sql, sales, params=params)
            results = [cache.read(sql, sales, params=params) for _ in range(2)]
            assert [str(result.outcome) for result in results] == ["miss", "hit"], sql
            assert [differences(asked, result.frame) for result in results] == [[], []], sql

    @pytest.mark.parametrize(
        "others",
        [
            {"params": (5,)},
            {"params": (4.0,)},
            {"params": ("4",)},
            {"params": (True,)},
            {"index_col": "id"},
            {"index_col": ["id", "day"]},
            {"coerce_float": False},
            {"parse_dates": ["day"]},
            {"dtype_backend": "numpy_nullable"},
            {"dtype_backend": "pyarrow"},
            {"dtype": {"id": "int32"}},
            {"source_name": "prod"},
        ],
        ids=str,
    )
    def test_another_option_or_value_is_another_question(
        self, cache: QueryCache, sales: Engine, others: dict[str, Any]
    ) -> None:
        sql = "select * from sales where id <= ?"
        cache.read(sql, sales, params=(4,))
        asked_for = {"params": (4,)} | others
        for_pandas = {name: value for name, value in asked_for.items() if name != "source_name"}
        asked = pd.read_sql(sql, sales, **for_pandas)
        results = [cache.read(sql, sales, **asked_for) for _ in range(2)]
        assert [str(result.outcome) for result in results] == ["miss", "hit"]
        assert [differences(asked, result.frame) for result in results] == [[], []]

    def test_positions_tell_parameters_apart(self, cache: QueryCache, sales: Engine) -> None:
        values = {"a": 1, "b": 2}
        forward = cache.read(text("select :a as x, :b as y"), sales, params=values)
        backward = cache.read(text("select :b as x, :a as y"), sales, params=values)
        assert backward.outcome is Outcome.MISS
        assert forward.frame["x"].tolist() == [1]
        assert backward.frame["x"].tolist() == [2]

    def test_two_databases_are_apart(
        self, cache: QueryCache, tmp_path: Path, engines: Callable[..., Engine]
    ) -> None:
        frames = []
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
            engine = engines(f"sqlite:///{tmp_path / folder / 'same-name.db'}")
            pd.DataFrame({"n": [folder]}).to_sql("t", engine, index=False)
            frames.append(cache.read_sql("select n from t", engine))
        assert [frame["n"].tolist() for frame in frames] == [["one"], ["two"]]

    def test_a_relative_path_is_of_the_working_directory(
        self, cache: QueryCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers = []
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
            monkeypatch.chdir(tmp_path / folder)
            with closing(sqlite3.connect("data.db")) as con, con:
                con.execute(f"create table t as select '{folder}' as n")
            answers.append(cache.read_sql("select n from t", "sqlite:///data.db")["n"].tolist())
        assert answers == [["one"], ["two"]]


class TestFreshness:
    def test_a_changed_file_is_a_miss_and_an_unchanged_one_a_hit_at_any_age(
        self, cache: QueryCache, sales: Engine, clock: Clock, write: Callable[[str], None]
    ) -> None:
        cache.read(QUERY, sales)
        clock.forward(days=4_000)
        assert cache.read(QUERY, sales).outcome is Outcome.HIT
        assert cache.read(QUERY, sales, ttl=0).outcome is Outcome.HIT  # proven fresh just now
        write("update sales set amount = 99 where id = 1")
        changed = cache.read(QUERY, sales)
        assert (changed.outcome, changed.reason) == (Outcome.MISS, Reason.FILE_CHANGED)
        assert changed.frame.loc[0, "amount"] == 99

    def test_without_validation_the_ttl_decides(
        self, cache: QueryCache, sales: Engine, clock: Clock, write: Callable[[str], None]
    ) -> None:
        cache.read(QUERY, sales)
        write("delete from sales")
        assert cache.read(QUERY, sales, validate=False).reason is Reason.WITHIN_TTL
        clock.forward(days=1)
        assert len(cache.read(QUERY, sales, validate=False).frame) == 0

    def test_given_ttl_over_stored_over_default(self, cache: QueryCache, sales: Engine, clock: Clock) -> None:
        def read(**options: Any) -> Reason:
            return cache.read(QUERY, sales, validate=False, **options).reason

        read(ttl="1h")
        clock.forward(minutes=59)
        assert read() is Reason.WITHIN_TTL
        assert read(ttl="30m") is Reason.EXPIRED  # and fetched: stored with 30 minutes from here on
        clock.forward(minutes=31)
        assert read(ttl="forever") is Reason.WITHIN_TTL
        assert read() is Reason.EXPIRED

    def test_what_asks_for_the_time_is_fresh_for_an_hour_even_if_the_file_is_unchanged(
        self, cache: QueryCache, sales: Engine, clock: Clock
    ) -> None:
        sql = "select count(*) as n from sales where day < datetime('now')"
        assert outcomes(cache, sql, sales) == ["miss", "hit"]
        clock.forward(minutes=61)
        assert cache.read(sql, sales).reason is Reason.EXPIRED

    def test_a_view_that_asks_for_the_time_is_seen_through(
        self, cache: QueryCache, sales: Engine, clock: Clock, write: Callable[[str], None]
    ) -> None:
        write("create view recent as select * from sales where day < datetime('now')")
        assert outcomes(cache, "select * from recent", sales) == ["miss", "hit"]
        clock.forward(minutes=61)
        assert cache.read("select * from recent", sales).reason is Reason.EXPIRED

    def test_a_clock_that_was_set_back_makes_no_eternal_entry(
        self, cache: QueryCache, sales: Engine, clock: Clock
    ) -> None:
        cache.read(QUERY, sales)
        clock.forward(hours=-1)
        assert cache.read(QUERY, sales, validate=False).reason is Reason.FROM_FUTURE

    def test_a_write_during_the_fetch_is_a_miss_next_time(
        self, cache: QueryCache, sales: Engine, write: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        really = request._read_sql

        def slow(*args: Any, **kwargs: Any) -> Any:
            frame = really(*args, **kwargs)
            write("update sales set amount = 0")
            return frame

        monkeypatch.setattr(request, "_read_sql", slow)
        cache.read(QUERY, sales)
        monkeypatch.undo()
        later = cache.read(QUERY, sales)
        assert later.reason is Reason.FILE_CHANGED
        assert later.frame["amount"].sum() == 0


class TestOptions:
    def test_refresh_fetches_and_replaces(
        self, cache: QueryCache, sales: Engine, write: Callable[[str], None]
    ) -> None:
        cache.read(QUERY, sales)
        write("delete from sales where id = 1")
        refreshed = cache.read(QUERY, sales, refresh=True, validate=False)
        assert (refreshed.outcome, refreshed.reason, refreshed.shape) == (
            Outcome.REFRESHED,
            Reason.ASKED,
            (5, 4),
        )
        assert cache.read(QUERY, sales).shape == (5, 4)

    def test_no_store_neither_reads_nor_writes(
        self, cache: QueryCache, sales: Engine, statements: Statements
    ) -> None:
        with warnings.catch_warnings(action="error"):
            assert outcomes(cache, QUERY, sales, no_store=True) == ["bypassed", "bypassed"]
        assert len(cache.entries()) == 0
        cache.read(QUERY, sales)
        before = len(statements)
        assert cache.read(QUERY, sales, no_store=True).outcome is Outcome.BYPASSED
        assert len(statements) == before + 1

    def test_bad_options_are_refused_before_anything_runs(
        self, cache: QueryCache, sales: Engine, statements: Statements
    ) -> None:
        with pytest.raises(ValueError, match="no_store"):
            cache.read(QUERY, sales, refresh=True, no_store=True)
        with pytest.raises(ConfigError, match='"1h"'):
            cache.read(QUERY, sales, ttl="soon")
        with pytest.raises(ConfigError, match=r"'always': no validator of that name .*there are file"):
            cache.read(QUERY, sales, validate="always")
        assert statements == []

    def test_a_name_and_tags_may_be_given_later(self, cache: QueryCache, sales: Engine) -> None:
        cache.read(QUERY, sales, tag="daily")
        cache.read(QUERY, sales, name="all sales", tag=["weekly", "daily"])
        entry = cache.find("all sales")
        assert (entry.name, entry.tags) == ("all sales", ("daily", "weekly"))
        assert cache.read(QUERY, sales).outcome is Outcome.HIT

    def test_what_was_stored_with_an_entry_stays_when_it_is_fetched_again(
        self, cache: QueryCache, sales: Engine, write: Callable[[str], None]
    ) -> None:
        cache.read(QUERY, sales, name="mine", tag="x", ttl="7d")
        write("delete from sales where id = 1")
        entry = cache.read(QUERY, sales, tag="y").entry
        assert entry is not None
        assert (entry.name, entry.tags, entry.ttl) == ("mine", ("x", "y"), 604_800)
        assert cache.load("mine").shape == (5, 4)

    @pytest.mark.parametrize(
        "options", [{"name": 1}, {"tag": 1}, {"tag": ["x", 1]}, {"source_name": 1}], ids=str
    )
    def test_a_label_is_a_text(self, cache: QueryCache, sales: Engine, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match="texts"):
            cache.read(QUERY, sales, **options)

    def test_the_stored_ttl_is_the_given_one(self, cache: QueryCache, sales: Engine) -> None:
        cases: list[tuple[Any, float | None]] = [
            (None, None),
            ("forever", math.inf),
            (timedelta(minutes=2), 120.0),
            (None, 120.0),
        ]
        for given, stored in cases:
            cache.read(QUERY, sales, ttl=given, refresh=True)
            assert cache.entry_list()[0].ttl == stored


class TestNotCached:
    @pytest.mark.parametrize(
        ("sql", "why"),
        [
            ("select random() as n", "random"),
            ("explain query plan select * from sales", "not a query"),
        ],
    )
    def test_it_runs_each_time_and_says_why_once(
        self, cache: QueryCache, sales: Engine, statements: Statements, sql: str, why: str
    ) -> None:
        with pytest.warns(NotCachedWarning, match=why) as seen:
            assert outcomes(cache, sql, sales, times=3) == ["bypassed"] * 3
        assert len(seen) == 1
        assert seen[0].filename == __file__
        assert len(statements) == 3
        assert len(cache.entries()) == 0

    def test_an_in_memory_database_has_no_identity(
        self, cache: QueryCache, engines: Callable[..., Engine]
    ) -> None:
        engine = engines("sqlite://")
        SALES.to_sql("sales", engine, index=False)
        with pytest.warns(NotCachedWarning, match="in-memory"):
            result = cache.read(QUERY, engine)
        assert (result.outcome, result.shape) == (Outcome.BYPASSED, (6, 4))

    def test_a_dtype_that_is_not_kept_is_named(self, cache: QueryCache, sales: Engine) -> None:
        with pytest.warns(NotCachedWarning, match="column 'amount' is of dtype complex128"):
            result = cache.read(QUERY, sales, dtype={"amount": "complex128"})
        assert result.outcome is Outcome.BYPASSED

    def test_a_newer_answer_that_cannot_be_stored_does_not_leave_the_old_one(
        self, cache: QueryCache, sales: Engine, write: Callable[[str], None]
    ) -> None:
        cache.read(QUERY, sales)
        write("insert into sales select id + 6, day, amount, randomblob(100000) from sales")
        small = QueryCache(cache.directory, size_limit="10kB")
        with small, pytest.warns(NotCachedWarning, match="size_limit"):
            small.read(QUERY, sales, refresh=True)
        assert len(cache.entries()) == 0

    def test_a_result_over_the_limit_is_not_stored(self, tmp_path: Path, sales: Engine) -> None:
        with QueryCache(tmp_path / "small", size_limit=100) as cache:
            with pytest.warns(NotCachedWarning, match="size_limit"):
                assert cache.read(QUERY, sales).shape == (6, 4)
            assert len(cache.entries()) == 0


def test_it_may_take_the_place_of_pandas_own(
    cache: QueryCache, sales: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pd, "read_sql", cache.read_sql)
    assert [len(pd.read_sql(QUERY, sales)) for _ in range(2)] == [6, 6]
    assert (cache.stats().misses, cache.stats().hits) == (1, 1)


class TestErrors:
    """Those of the database are pandas' own, with nothing of ours around them."""

    @pytest.mark.parametrize(
        "sql", ["select * from nowhere", "selec 1", text("select * from nowhere")], ids=str
    )
    def test_they_are_as_pandas_raises_them(self, cache: QueryCache, sales: Engine, sql: Any) -> None:
        with pytest.raises(Exception) as theirs:  # noqa: PT011  # whatever pandas raises
            pd.read_sql(sql, sales)
        with (
            warnings.catch_warnings(action="ignore", category=NotCachedWarning),
            pytest.raises(type(theirs.value)) as ours,
        ):
            cache.read(sql, sales)
        assert str(ours.value) == str(theirs.value)
        assert type(ours.value.__cause__) is type(theirs.value.__cause__)
        assert ours.value.__context__ is ours.value.__cause__
        assert len(cache.entries()) == 0

    def test_a_write_runs_once_and_rolls_back_as_with_pandas(
        self, cache: QueryCache, sales: Engine, statements: Statements
    ) -> None:
        with pytest.warns(NotCachedWarning, match="not a read"):
            result = cache.read("insert into sales (id) values (7) returning id", sales)
        assert result.frame["id"].tolist() == [7]
        assert len(statements) == 1
        assert len(pd.read_sql(QUERY, sales)) == 6

    def test_a_database_that_cannot_be_reached_is_not_hidden(self, cache: QueryCache, tmp_path: Path) -> None:
        with pytest.raises(OperationalError, match="unable to open"):
            cache.read(QUERY, f"sqlite:///{tmp_path / 'nowhere' / 'sales.db'}")


class TestFaultsOfTheCache:
    """The query answers, there is one warning, nothing else is lost."""

    @pytest.mark.parametrize("damage", ["flipped", "cut", "deleted"])
    def test_a_damaged_payload_is_fetched_again(self, cache: QueryCache, sales: Engine, damage: str) -> None:
        path = cache.read(QUERY, sales).path
        assert path is not None
        content = path.read_bytes()
        match damage:
            case "flipped":
                path.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
            case "cut":
                path.write_bytes(content[:-50])
            case "deleted":
                path.unlink()
        with pytest.warns(StoreWarning, match="missing or damaged") as seen:
            result = cache.read(QUERY, sales)
        assert len(seen) == 1
        assert (result.outcome, result.reason) == (Outcome.MISS, Reason.DAMAGED)
        assert differences(pd.read_sql(QUERY, sales), result.frame) == []
        assert cache.read(QUERY, sales).outcome is Outcome.HIT

    def test_a_payload_that_cannot_be_decoded_is_fetched_again(
        self, cache: QueryCache, sales: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache.read(QUERY, sales)
        hit = cache.read(QUERY, sales)
        monkeypatch.setattr("sqlcache_nb.codec.payload.put_together", lambda *args: 1 / 0)
        with pytest.warns(StoreWarning, match="cannot be decoded"):
            assert differences(pd.read_sql(QUERY, sales), hit.frame) == []
        monkeypatch.undo()
        assert outcomes(cache, QUERY, sales) == ["miss", "hit"]

    @pytest.mark.parametrize("damage", ['"elapsed": null', '"elapsed": "long"'])
    def test_a_damaged_entry_is_fetched_again(self, cache: QueryCache, sales: Engine, damage: str) -> None:
        cache.read(QUERY, sales)
        with closing(sqlite3.connect(cache.directory / "v1" / "cache.db")) as con, con:
            ((value,),) = con.execute("select value from Cache").fetchall()
            con.execute("update Cache set value = ?", (re.sub(r'"elapsed": [^,]+', damage, value),))
        assert outcomes(cache, QUERY, sales) == ["miss", "hit"]
        assert cache.stats().entries == 1

    def test_a_corrupt_database_is_set_aside_with_one_warning_and_the_cache_begins_anew(
        self, tmp_path: Path, sales: Engine
    ) -> None:
        with QueryCache(tmp_path / "corrupt") as cache:
            path = cache.read(QUERY, sales).path
        assert path is not None
        for leftover in (tmp_path / "corrupt" / "v1").glob("cache.db-*"):
            leftover.unlink()
        (tmp_path / "corrupt" / "v1" / "cache.db").write_bytes(b"garbage" * 1_000)
        with QueryCache(tmp_path / "corrupt") as cache:
            with pytest.warns(StoreWarning, match="begins anew") as seen:
                assert outcomes(cache, QUERY, sales, times=3) == ["miss", "hit", "hit"]
            assert [warning.filename for warning in seen] == [__file__]
            report = cache.check()
            assert (report.entries, len(report.aside), len(report.unfinished)) == (1, 1, 1)

    def test_a_directory_that_is_removed_while_open_is_made_again(
        self, tmp_path: Path, sales: Engine
    ) -> None:
        with QueryCache(tmp_path / "removed") as cache:
            cache.read(QUERY, sales)
            shutil.rmtree(tmp_path / "removed")
            assert outcomes(cache, QUERY, sales, times=3) == ["miss", "hit", "hit"]
            assert found_by(cache) == ()
        assert inconsistencies(tmp_path / "removed") == []

    def test_a_directory_that_cannot_be_made_means_no_cache_and_one_warning(
        self, tmp_path: Path, sales: Engine
    ) -> None:
        (tmp_path / "file").write_text("in the way")
        self.assert_stands_aside(QueryCache(tmp_path / "file" / "cache"), sales)

    def test_a_mistake_of_ours_does_not_cost_the_answer(
        self, tmp_path: Path, sales: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sqlcache_nb.question.ask", lambda *args, **kwargs: 1 / 0)
        with QueryCache(tmp_path / "mistaken") as cache:
            self.assert_stands_aside(cache, sales, match="please report it: ZeroDivisionError")

    def assert_stands_aside(self, cache: QueryCache, sales: Engine, match: str = "SQLCACHE_NB_DIR") -> None:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            results = [cache.read(QUERY, sales) for _ in range(3)]
        assert [str(result.outcome) for result in results] == ["bypassed"] * 3
        assert all(differences(pd.read_sql(QUERY, sales), result.frame) == [] for result in results)
        store_warnings = [warning for warning in seen if warning.category is StoreWarning]
        assert len(store_warnings) == 1
        assert match in str(store_warnings[0].message)
        assert store_warnings[0].filename == __file__
        assert len(seen) == 1


class TestBesideReading:
    def test_stats_count_this_process_and_what_is_stored(
        self, cache: QueryCache, sales: Engine, write: Callable[[str], None]
    ) -> None:
        cache.read(QUERY, sales)
        cache.read(QUERY, sales)
        cache.read(QUERY, sales, refresh=True)
        cache.read(QUERY, sales, no_store=True)
        stats = cache.stats()
        assert (stats.hits, stats.misses, stats.refreshed, stats.bypassed) == (1, 1, 1, 1)
        assert (stats.entries, stats.sources) == (1, 1)
        assert stats.bytes == cache.entry_list()[0].bytes
        assert stats.saved > 0

    def test_execute_commits_once_and_caches_nothing(
        self, cache: QueryCache, sales: Engine, sales_db: Path, statements: Statements
    ) -> None:
        assert cache.execute("delete from sales where id > 4", sales) == Written(2, 0)
        delete = text("delete from sales where id = :n")
        assert cache.execute(delete, f"sqlite:///{sales_db}", {"n": 1}) == Written(1, 0)
        assert len(pd.read_sql(QUERY, sales)) == 3
        assert statements[0].startswith("delete")
        assert len(cache.entries()) == 0

    def test_execute_leaves_a_persons_connection_alone(self, cache: QueryCache, sales: Engine) -> None:
        with sales.connect() as con, pytest.raises(UnsupportedSource, match="Engine or a URL"):
            cache.execute("delete from sales", con)

    def test_execute_writes_nothing_offline(self, cache: QueryCache, sales: Engine) -> None:
        cache.policy = Policy(offline=True)
        with pytest.raises(ConfigError, match="offline: the database is not asked, and nothing was written"):
            cache.execute("delete from sales", sales)
        assert len(pd.read_sql(QUERY, sales)) == 6

    def test_a_failed_write_is_rolled_back(self, cache: QueryCache, sales: Engine) -> None:
        with pytest.raises(OperationalError):
            cache.execute("delete from nowhere", sales)

    def test_the_policy_can_be_changed(self, cache: QueryCache, sales: Engine, clock: Clock) -> None:
        cache.read(QUERY, sales)
        clock.forward(hours=2)
        cache.policy = Policy(ttl="1h")
        assert cache.read(QUERY, sales, validate=False).reason is Reason.EXPIRED

    def test_a_closed_cache_opens_again(self, tmp_path: Path, sales: Engine) -> None:
        cache = QueryCache(tmp_path / "again")
        cache.read(QUERY, sales)
        cache.close()
        assert cache.read(QUERY, sales).outcome is Outcome.HIT
        cache.close()

    def test_the_settings_of_pyproject_apply(
        self, tmp_path: Path, sales: Engine, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SQLCACHE_NB_DIR")
        (tmp_path / "project" / "deep").mkdir(parents=True)
        (tmp_path / "project" / "pyproject.toml").write_text(
            '[tool.sqlcache_nb]\ndir = "answers"\nttl = "1m"\n'
        )
        monkeypatch.chdir(tmp_path / "project" / "deep")
        with QueryCache(clock=clock) as cache:
            assert cache.directory == tmp_path / "project" / "answers"
            assert "pyproject.toml" in (cache.announce() or "")
            assert cache.announce() is None
            cache.read(QUERY, sales)
            clock.forward(minutes=2)
            assert cache.read(QUERY, sales, validate=False).reason is Reason.EXPIRED

    def test_an_unknown_key_is_an_error_of_ours(self, cache: QueryCache) -> None:
        with pytest.raises(EntryNotFound, match="'nothing'"):
            cache.load("nothing")
