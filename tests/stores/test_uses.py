"""The ledger's file: what was noted comes back, and what is damaged is begun anew."""

from __future__ import annotations

import math
import os
import sqlite3
import stat
import sys
import threading
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.errors import StoreError
from sqlcache_nb.stores import Tally
from sqlcache_nb.stores.uses import FILE, UsesFile

MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)
DAY = 86_400.0
NOW = 1_800_000_000.0


@pytest.fixture
def uses(tmp_path: Path) -> UsesFile:
    return UsesFile(tmp_path)


def sql(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / FILE)) as con, con:
        con.execute(statement)


def test_nothing_was_noted_and_nothing_is_made(uses: UsesFile, tmp_path: Path) -> None:
    assert (uses.last(), uses.history()) == ({}, {})
    assert list(tmp_path.iterdir()) == []


def test_the_latest_use_counts(uses: UsesFile) -> None:
    uses.record({"a": NOW, "b": NOW}, {}, NOW)
    uses.record({"a": NOW + 60, "b": NOW - 60}, {}, NOW + 60)
    assert uses.last() == {"a": NOW + 60, "b": NOW}
    uses.forget(["a", "nothing"], NOW)
    assert uses.last() == {"b": NOW}


def test_days_add_up_and_come_in_order(uses: UsesFile) -> None:
    uses.record({}, {TUESDAY: Tally(1, 2, 3, 4, 0.5, 6)}, NOW)
    uses.record({}, {MONDAY: Tally(hits=1), TUESDAY: Tally(1, 1, 1, 1, 0.25, 1)}, NOW)
    assert list(uses.history().items()) == [(MONDAY, Tally(hits=1)), (TUESDAY, Tally(2, 3, 4, 5, 0.75, 7))]


def test_it_is_time_to_sweep_once_a_day(uses: UsesFile) -> None:
    assert uses.sweep_since(NOW) == NOW
    assert uses.sweep_since(NOW + DAY - 1) is None
    assert uses.sweep_since(NOW + DAY) == NOW
    assert uses.sweep_since(NOW + DAY + 1) is None


def test_a_clock_that_was_ahead_does_not_end_sweeping(uses: UsesFile) -> None:
    uses.record({}, {}, NOW + 3_650 * DAY)
    assert uses.sweep_since(NOW + 3_650 * DAY) == NOW + 3_650 * DAY
    assert uses.sweep_since(NOW) == NOW
    assert uses.sweep_since(NOW + DAY) == NOW


def test_nobody_else_may_read_it(uses: UsesFile, tmp_path: Path) -> None:
    uses.record({"a": NOW}, {}, NOW)
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_folder_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    uses = UsesFile(tmp_path / "gone")
    with pytest.raises(StoreError, match="cannot be noted"):
        uses.record({"a": NOW}, {}, NOW)
    with pytest.raises(StoreError, match="cannot be noted"):
        uses.sweep_since(NOW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / FILE).write_bytes(b"no database, but long enough to be taken for one" * 100),
        lambda folder: (folder / FILE).write_bytes((folder / FILE).read_bytes()[:5_000]),
        lambda folder: sql(folder, "DROP TABLE Uses"),
        lambda folder: sql(folder, "ALTER TABLE Days RENAME COLUMN hits TO kicks"),
    ],
    ids=["garbage", "cut", "no table", "no column"],
)
def test_a_damaged_one_tells_nothing_and_is_begun_anew(
    uses: UsesFile, tmp_path: Path, damage: object
) -> None:
    note = ({"a": NOW}, {MONDAY: Tally(hits=1)}, NOW)
    uses.record(*note)
    damage(tmp_path)  # type: ignore[operator]
    for look in (uses.last, uses.history):
        look()
    try:
        uses.record(*note)
    except StoreError:  # it is deleted by now
        uses.record(*note)
    assert uses.last() == {"a": NOW}
    assert uses.history()[MONDAY].hits >= 1
    assert uses.sweep_since(NOW) == NOW


@pytest.mark.parametrize("value", ["'text'", "x'00'", "NULL", "9e999", "-9e999", "-1.0"])
def test_a_damaged_value_is_no_use(uses: UsesFile, tmp_path: Path, value: str) -> None:
    uses.record({"a": NOW}, {MONDAY: Tally(hits=1)}, NOW)
    sql(tmp_path, "PRAGMA writable_schema = ON")
    with closing(sqlite3.connect(tmp_path / FILE)) as con, con:
        con.execute("CREATE TABLE Other (key TEXT, used_at)")
        con.execute(f"INSERT INTO Other VALUES ('a', {value})")
        con.execute("DROP TABLE Uses")
        con.execute("ALTER TABLE Other RENAME TO Uses")
    assert uses.last() in ({}, {"a": math.inf})


def test_a_damaged_day_is_left_out(uses: UsesFile, tmp_path: Path) -> None:
    uses.record({}, {MONDAY: Tally(hits=1), TUESDAY: Tally(hits=2)}, NOW)
    sql(tmp_path, "INSERT INTO Days VALUES ('someday', 1, 1, 1, 1, 1, 1)")
    sql(tmp_path, f"UPDATE Days SET hits = 'many' WHERE day = '{MONDAY}'")
    assert uses.history() == {TUESDAY: Tally(hits=2)}


def test_another_version_is_left_alone(uses: UsesFile, tmp_path: Path) -> None:
    sql(tmp_path, "CREATE TABLE Uses (everything TEXT)")
    sql(tmp_path, "PRAGMA user_version = 2")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(StoreError, match="another version"):
        uses.record({"a": NOW}, {}, NOW)
    assert (uses.last(), uses.history()) == ({}, {})
    assert (tmp_path / FILE).read_bytes() == before


def test_one_that_is_locked_is_left_for_later_and_not_deleted(
    uses: UsesFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sqlcache_nb.stores.uses._WAIT", 0.0)
    uses.record({"a": NOW}, {}, NOW)
    with closing(sqlite3.connect(tmp_path / FILE)) as con:
        con.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            uses.record({"b": NOW}, {}, NOW)
        assert uses.last() == {"a": NOW}  # whoever reads does not wait
    uses.record({"b": NOW}, {}, NOW)
    assert uses.last() == {"a": NOW, "b": NOW}


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_tells_what_was_noted(uses: UsesFile, tmp_path: Path) -> None:
    uses.record({"a": NOW}, {}, NOW)
    (tmp_path / FILE).chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        assert uses.last() == {"a": NOW}
        with pytest.raises(StoreError):
            uses.record({"b": NOW}, {}, NOW)
    finally:
        tmp_path.chmod(0o700)


def test_many_threads_lose_no_count(uses: UsesFile) -> None:
    uses.record({}, {}, NOW)

    def add() -> None:
        for _ in range(5):
            while True:
                try:
                    uses.record({threading.current_thread().name: NOW}, {MONDAY: Tally(hits=1)}, NOW)
                except StoreError:  # busy for half a second
                    continue
                break

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert uses.history() == {MONDAY: Tally(hits=20)}
    assert len(uses.last()) == 4


counts = st.integers(0, 2**40)
tallies = st.builds(Tally, counts, counts, counts, counts, st.integers(0, 2**20).map(float), counts)


@given(tallies, tallies, tallies)
def test_tallies_add_up_in_any_order(one: Tally, two: Tally, three: Tally) -> None:
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert one + Tally() == one
