"""Tokens of database files: every commit changes them, nothing else does."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sqlcache_nb.sources import files
from sqlcache_nb.sources.files import may_be_open, sqlite_schema_cookie, token


def make_sqlite(path: Path, mode: str) -> None:
    with closing(sqlite3.connect(path)) as con, con:
        con.execute(f"pragma journal_mode={mode}")
        con.execute("create table t (n)")
        con.execute("insert into t values (1)")


def run_sqlite(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as con:
        for statement in statements:
            con.execute(statement)
        con.commit()


def current(path: Path, dialect: str = "sqlite") -> str | None:
    return token(dialect, (str(path),))


@pytest.mark.parametrize("mode", ["delete", "wal", "truncate"])
class TestSqlite:
    CHANGES: tuple[Callable[[Path], None], ...] = (
        lambda path: run_sqlite(path, "update t set n = n + 1"),
        lambda path: run_sqlite(path, "delete from t"),
        lambda path: run_sqlite(path, "create table u (n)"),
        lambda path: run_sqlite(path, "vacuum"),
    )

    @pytest.mark.parametrize("change", CHANGES, ids=["update", "delete", "ddl", "vacuum"])
    def test_a_commit_changes_it(self, tmp_path: Path, mode: str, change: Callable[[Path], None]) -> None:
        path = tmp_path / "t.db"
        make_sqlite(path, mode)
        with closing(sqlite3.connect(path)) as reader:  # keeps a -wal alive
            reader.execute("select * from t").fetchall()
            before = current(path)
            change(path)
            assert current(path) != before

    def test_reading_and_rolling_back_do_not(self, tmp_path: Path, mode: str) -> None:
        path = tmp_path / "t.db"
        make_sqlite(path, mode)
        before = current(path)
        assert before is not None
        run_sqlite(path, "select * from t")
        with closing(sqlite3.connect(path)) as con:
            con.execute("update t set n = 5")
            con.rollback()
        assert current(path) == before

    def test_many_quick_commits_are_all_seen(self, tmp_path: Path, mode: str) -> None:
        path = tmp_path / "t.db"
        make_sqlite(path, mode)
        seen = {current(path)}
        with closing(sqlite3.connect(path)) as con:
            for n in range(50):
                con.execute("update t set n = ?", (n + 2,))
                con.commit()
                seen.add(current(path))
        assert len(seen) == 51


class TestReplacedFiles:
    def test_a_file_put_in_its_place_is_seen_even_with_the_same_time(self, tmp_path: Path) -> None:
        path, other = tmp_path / "t.db", tmp_path / "other.db"
        make_sqlite(path, "delete")
        shutil.copy2(path, other)
        before = current(path)
        other.replace(path)
        assert current(path) != before

    def test_a_missing_file_cannot_be_told(self, tmp_path: Path) -> None:
        assert current(tmp_path / "nowhere.db") is None
        assert token("postgresql", ("x",)) is None
        assert token("sqlite", ()) is None

    @pytest.mark.skipif(os.name != "posix", reason="descriptors are kept open on POSIX only")
    def test_replacing_a_file_often_leaks_no_descriptors(self, tmp_path: Path) -> None:
        path = tmp_path / "t.db"
        make_sqlite(path, "delete")
        current(path)
        before = len(list(Path("/dev/fd").iterdir()))
        for _ in range(30):
            shutil.copy(path, tmp_path / "next.db")
            (tmp_path / "next.db").replace(path)
            current(path)
        assert len(list(Path("/dev/fd").iterdir())) <= before + 1
        assert str(path) in files._open_files


class TestDuckdb:
    def test_a_commit_changes_it_in_the_wal_and_by_a_checkpoint(self, tmp_path: Path) -> None:
        duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
        path = tmp_path / "t.duckdb"
        seen = []
        with duckdb.connect(str(path)) as con:
            for statement in (
                "create table t as select 1 as n",
                "update t set n = 2",
                "checkpoint",
                "update t set n = 3",
                "checkpoint",
                "delete from t",
            ):
                con.execute(statement)
                seen.append(current(path, "duckdb"))
            con.execute("select * from t").fetchall()
            seen.append(current(path, "duckdb"))
        assert None not in seen
        assert len(set(seen[:-1])) == 6
        assert seen[-1] == seen[-2]


@pytest.mark.skipif(os.name != "posix", reason="only POSIX drops locks when a descriptor is closed")
class TestLocks:
    """Closing a descriptor of a file would drop the locks that this process holds on it."""

    def test_a_token_drops_no_lock_of_an_open_transaction(self, tmp_path: Path) -> None:
        path = tmp_path / "t.db"
        make_sqlite(path, "delete")
        with closing(sqlite3.connect(path)) as con:
            con.execute("begin immediate")
            current(path)
            sqlite_schema_cookie(str(path))
            code = (
                "import sqlite3, sys; con = sqlite3.connect(sys.argv[1], timeout=0);"
                "con.execute('begin immediate')"
            )
            done = subprocess.run(
                [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
            )
            con.rollback()
        assert "database is locked" in done.stderr

    def test_a_token_drops_no_lock_of_duckdb(self, tmp_path: Path) -> None:
        duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
        path = tmp_path / "t.duckdb"
        with duckdb.connect(str(path)) as con:
            con.execute("create table t as select 1 as n")
            current(path, "duckdb")
            code = "import duckdb, sys; duckdb.connect(sys.argv[1])"
            done = subprocess.run(
                [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
            )
        assert "lock" in done.stderr.lower()


def test_the_schema_cookie_is_sqlites_own(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    make_sqlite(path, "delete")
    for _ in range(3):
        with closing(sqlite3.connect(path)) as con:
            ((version,),) = con.execute("pragma schema_version").fetchall()
        assert sqlite_schema_cookie(str(path)) == version
        run_sqlite(path, f"create table u{version} (n)")


def test_who_has_a_duckdb_file_open(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    path, other = tmp_path / "t.duckdb", tmp_path / "u.duckdb"
    for each in (path, other):
        duckdb.connect(str(each)).close()
        assert current(each, "duckdb")  # for which we keep it open ourselves
    assert not may_be_open(str(path))
    assert not may_be_open(str(tmp_path / "new.duckdb"))
    with duckdb.connect(str(path)):
        assert may_be_open(str(path))
    with duckdb.connect(str(other)) as con:
        con.execute(f"attach '{path}' as t")
        con.execute("detach t")
        assert may_be_open(str(path))  # it may have been attached
    assert not may_be_open(str(path))
