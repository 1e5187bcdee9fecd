"""An answer that replaced another: how they differ, what is kept of the older one, and how it is had."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from sqlcache_nb import Outcome, QueryCache
from sqlcache_nb.changes import UNCHANGED, Changes
from sqlcache_nb.errors import ConfigError, EntryNotFound
from sqlcache_nb.freshness import Reason
from sqlcache_nb.result import Result
from sqlcache_nb.stores import Removed
from tests.conftest import Clock, found_by
from tests.faults import change_row
from tests.oracle import inconsistencies
from tests.strict import differences

QUERY = "select * from sales"
MORE = "insert into sales values (7, 'west', 1.0, '2024-01-07')"

Write = Callable[[str], None]


@pytest.fixture
def read(cache: QueryCache, sales: Engine, clock: Clock) -> Callable[..., Result]:
    """Asks the question, a minute later each time."""

    def ask(**options: object) -> Result:
        clock.forward(minutes=1)
        return cache.read(QUERY, sales, **options)  # type: ignore[arg-type]  # whatever a test wants to say

    return ask


def key_of(result: Result) -> str:
    assert result.entry is not None
    return result.entry.key


class TestTheLine:
    def test_a_changed_file_says_what_was_gained(
        self,
        cache: QueryCache,
        sales: Engine,
        write: Write,
        clock: Clock,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO, "sqlcache_nb")
        cache.read_sql(QUERY, sales)
        write(MORE)
        clock.forward(minutes=1)
        cache.read_sql(QUERY, sales)
        assert caplog.messages[-1].startswith("miss: file changed · 7 rows (+1) · sales.db · 4 columns · ")

    def test_columns_and_types_that_change_are_counted(
        self, read: Callable[..., Result], write: Write
    ) -> None:
        assert read().changes is None
        write("alter table sales drop column day")
        write("alter table sales add column what text")
        write("update sales set id = 'x' where id = 1")
        write("delete from sales where id in (5, 6)")
        changed = read(refresh=True)
        assert changed.outcome is Outcome.REFRESHED
        assert changed.changes is not None
        assert (changed.changes.rows, changed.changes.same) == (-2, False)
        assert (changed.changes.added, changed.changes.removed) == (("what",), ("day",))
        assert list(changed.changes.retyped) == ["id"]
        assert changed.changes.retyped["id"][0] == "int64"

    def test_the_same_answer_is_known_to_be_so(self, read: Callable[..., Result]) -> None:
        read()
        again = read(refresh=True)
        assert (again.outcome, again.changes) == (Outcome.REFRESHED, UNCHANGED)

    def test_other_values_in_as_many_rows_are_another_answer(
        self, read: Callable[..., Result], write: Write
    ) -> None:
        read()
        write("update sales set amount = 11 where id = 1")
        assert read().changes == Changes()

    def test_a_hit_and_a_first_time_replace_nothing(self, read: Callable[..., Result]) -> None:
        assert [read().changes, read().changes] == [None, None]

    def test_what_is_damaged_is_not_compared_and_not_kept(
        self, cache: QueryCache, read: Callable[..., Result], write: Write
    ) -> None:
        first = read()
        assert first.path is not None
        first.path.write_bytes(b"damaged")
        write(MORE)
        assert read(refresh=True).changes is None
        with pytest.raises(EntryNotFound):
            cache.load(key_of(first), version=-1)


class TestLoad:
    def test_what_was_replaced_comes_as_it_was(
        self, cache: QueryCache, read: Callable[..., Result], write: Write
    ) -> None:
        first = read(name="mine")
        before = first.frame
        write(MORE)
        second = read()
        for name in ("mine", key_of(first), key_of(first)[:8]):
            old, new = cache.load(name, version=-1), cache.load(name, 0)
            assert differences(old.frame, before) == []
            assert differences(new.frame, second.frame) == []
            assert (old.outcome, old.reason) == (Outcome.HIT, Reason.LOADED)
            assert old.entry is not None
            assert first.entry is not None
            assert old.entry.provenance == first.entry.provenance
            assert old.path == first.path
        assert len(cache.entries()) == 1

    def test_it_is_never_an_answer(
        self, cache: QueryCache, read: Callable[..., Result], write: Write
    ) -> None:
        read()
        write(MORE)
        read()
        write("delete from sales where id = 7")
        assert (read().outcome, len(read().frame)) == (Outcome.MISS, 6)
        assert len(cache.load(cache.entry_list()[0].key, version=-1).frame) == 7

    def test_refreshing_in_vain_leaves_the_last_that_was_another(
        self, cache: QueryCache, read: Callable[..., Result], write: Write
    ) -> None:
        key = key_of(read())
        write(MORE)
        for _ in range(3):
            read(refresh=True)
        assert len(cache.load(key, version=-1).frame) == 6
        assert cache.load(key).shape == (7, 4)

    def test_chunks_are_kept_as_chunks(self, cache: QueryCache, sales: Engine, write: Write) -> None:
        first = pd.concat(cache.read(QUERY, sales, chunksize=2).frame)
        write(MORE)
        assert len(pd.concat(cache.read(QUERY, sales, chunksize=2).frame)) == 7
        chunks = list(cache.load(cache.entry_list()[0].key, version=-1).frame)
        assert [len(chunk) for chunk in chunks] == [2, 2, 2]
        assert differences(pd.concat(chunks), first) == []

    def test_where_nothing_was_replaced_it_says_so(
        self, cache: QueryCache, read: Callable[..., Result]
    ) -> None:
        read(name="mine")
        with pytest.raises(EntryNotFound, match=r"^of 'mine' no replaced version is kept$"):
            cache.load("mine", version=-1)

    @pytest.mark.parametrize("version", [1, -2, "-1", None, 0.5])
    def test_there_are_two_versions(
        self, cache: QueryCache, read: Callable[..., Result], version: int
    ) -> None:
        with pytest.raises(ConfigError, match=r"give 0 .* -1 "):
            cache.load(key_of(read()), version=version)

    def test_one_that_is_damaged_is_not_found_and_gone(
        self, cache: QueryCache, read: Callable[..., Result], write: Write
    ) -> None:
        first = read()
        write(MORE)
        key = key_of(read())
        assert first.path is not None
        first.path.write_bytes(b"damaged")
        with pytest.raises(EntryNotFound, match="missing or damaged"):
            cache.load(key, version=-1)
        assert (cache.previous(key), cache.load(key).shape) == (None, (7, 4))


class TestKeeping:
    @pytest.mark.parametrize("how", ["argument", "environment"])
    def test_none_is_kept_where_none_is_wanted(
        self,
        tmp_path: Path,
        sales: Engine,
        write: Write,
        how: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if how == "environment":
            monkeypatch.setenv("SQLCACHE_NB_KEEP", "0")
        with QueryCache(tmp_path / "none", keep=0 if how == "argument" else None) as cache:
            cache.read(QUERY, sales)
            write(MORE)
            second = cache.read(QUERY, sales)
            assert second.changes == Changes(rows=1)
            assert cache.previous(key_of(second)) is None
        assert len(list(tmp_path.rglob("none/**/*.parquet"))) == 1
        assert inconsistencies(tmp_path / "none") == []

    @pytest.mark.parametrize("keep", [2, -1, True, "all"])
    def test_no_more_than_one_is_kept(self, tmp_path: Path, keep: int) -> None:
        with pytest.raises(ConfigError, match="neither 0 nor 1"):
            QueryCache(tmp_path, keep=keep)

    @pytest.mark.parametrize("deed", ["clear", "clear one", "delete", "forget"])
    def test_it_goes_with_its_entry(
        self, cache: QueryCache, read: Callable[..., Result], write: Write, sales: Engine, deed: str
    ) -> None:
        read()
        write(MORE)
        key = key_of(read())
        size = sum(path.stat().st_size for path in cache.directory.rglob("*.parquet"))
        if deed == "forget":
            sales.dispose()
            write("update sales set region = x'00ff' where id = 1")
            cache._space.limit = 10
            with pytest.warns(UserWarning, match="size_limit"):
                assert read().outcome is Outcome.BYPASSED
        else:
            deeds: dict[str, Callable[..., Removed]] = {
                "clear": cache.clear,
                "clear one": partial(cache.clear, key=key),
                "delete": partial(cache.delete, key),
            }
            dry, removed = deeds[deed](dry_run=True), deeds[deed]()
            assert dry == removed == Removed(1, size)
        assert not list(cache.directory.rglob("*.parquet"))

    def test_what_lost_its_entry_is_found_and_deleted(
        self, cache: QueryCache, read: Callable[..., Result], write: Write
    ) -> None:
        read()
        write(MORE)
        last = read().path
        assert last is not None
        change_row(cache.directory, "DELETE FROM Cache WHERE raw = 1")  # as one does who knows of no versions
        last.unlink()
        report = cache.check()
        assert (len(report.orphaned), report.faults, report.entries) == (1, 1, 0)
        assert cache.check(repair=True).repaired
        assert found_by(cache) == ()
        assert not list(cache.directory.rglob("*.parquet"))

    def test_of_what_lost_its_entry_a_new_one_knows_nothing(
        self, cache: QueryCache, read: Callable[..., Result], write: Write
    ) -> None:
        read()
        write(MORE)
        last = read().path
        assert last is not None
        change_row(cache.directory, "DELETE FROM Cache WHERE raw = 1")
        last.unlink()
        assert cache.previous(key_of(read())) is None
