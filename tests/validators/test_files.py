"""The validator of database files, on SQLite with either journal and on DuckDB; a third party's, and one's own SQL."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from sqlcache_nb import ConfigError, Outcome, QueryCache
from sqlcache_nb import validators as registry
from tests.conftest import SALES
from tests.validator_contract import QUERY, ValidatorContract

CHANGES = (
    ("insert into sales (id, region, amount) values (7, 'west', 1.5)",),
    ("update sales set amount = 0 where id = 1",),
    ("delete from sales where id = 2",),
    ("delete from sales",),
    ("update sales set region = 'x'", "update sales set region = 'south' where id = 1"),
    ("alter table sales rename to old", "create table sales as select id, region, 0 as amount from old"),
)


class SqliteContract(ValidatorContract):
    validate: Any = "auto"
    changes = CHANGES
    journal = "delete"

    @pytest.fixture
    def con(self, sales_db: Path, engines: Callable[..., Engine]) -> Engine:
        with closing(sqlite3.connect(sales_db)) as con:
            con.execute("drop view northern")
            con.execute(f"pragma journal_mode = {self.journal}")
            con.commit()
        return engines(f"sqlite:///{sales_db}")

    @pytest.fixture
    def run(self, sales_db: Path) -> Callable[..., None]:
        def run(*statements: str) -> None:
            with closing(sqlite3.connect(sales_db)) as con, con:
                con.execute("begin")
                for statement in statements:
                    con.execute(statement)

        return run


class TestRollbackJournal(SqliteContract):
    pass


class TestWriteAheadLog(SqliteContract):
    journal = "wal"


class TestTrueIsTheFileToo(TestWriteAheadLog):
    validate = True


class TestByItsName(TestWriteAheadLog):
    validate = "file"


class TestSqlOfOnesOwn(TestWriteAheadLog):
    validate = "select count(*), total(amount), group_concat(region) from sales"


THIRD_PARTY = """
from sqlcache_nb import Strength

class Whole:
    name = "whole"
    strength = Strength.HEURISTIC
    dialects = frozenset({"sqlite"})
    wants_tables = True

    def token(self, probe):
        return " ".join(str(probe.execute(f"select * from {table}")) for table in probe.tables)

whole = Whole()
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution that is installed, as far as Python can see."""
    installed = tmp_path / "site-packages"
    told = installed / "others_validators-1.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: others-validators\nVersion: 1.0\n", encoding="utf-8"
    )
    (told / "entry_points.txt").write_text(
        f"[{registry.GROUP}]\nwhole = others_validators:whole\n", encoding="utf-8"
    )
    (installed / "others_validators.py").write_text(THIRD_PARTY, encoding="utf-8")
    monkeypatch.syspath_prepend(str(installed))
    registry._others.cache_clear()
    yield
    registry._others.cache_clear()
    sys.modules.pop("others_validators", None)


@pytest.mark.usefixtures("third_party")
class TestAThirdPartys(TestWriteAheadLog):
    validate = "whole"

    def test_true_is_ours_where_we_know_the_dialect(self, cache: QueryCache, con: Engine) -> None:
        entry = cache.read(QUERY, con, validate=True).entry
        assert entry is not None
        assert set(entry.tokens) == {"file"}

    def test_one_that_is_not_installed_is_named(self, cache: QueryCache, con: Engine) -> None:
        with pytest.raises(
            ConfigError, match=r"no validator of that name is installed \(there are file, .*whole"
        ):
            cache.read(QUERY, con, validate="hole")


class TestDuckdb(ValidatorContract):
    """All in one process, whose connections see each other's commits."""

    validate: Any = "auto"
    changes = (*CHANGES, ("truncate sales",))

    @pytest.fixture
    def con(self, tmp_path: Path, engines: Callable[..., Engine]) -> Engine:
        duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
        pytest.importorskip("duckdb_sqlalchemy", reason="duckdb-sqlalchemy is not installed")
        with closing(duckdb.connect(str(tmp_path / "sales.duckdb"))) as con:
            con.register("frame", SALES)
            con.execute("create table sales as select id, region, amount from frame")
        return engines(f"duckdb:///{tmp_path / 'sales.duckdb'}")

    @pytest.fixture
    def run(self, con: Engine) -> Callable[..., None]:
        def run(*statements: str) -> None:
            with con.begin() as other:
                for statement in statements:
                    other.exec_driver_sql(statement)

        return run


class TestSqlOfOnesOwnOnDuckdb(TestDuckdb):
    validate = "select count(*), sum(amount), list(region order by id), list(id order by id) from sales"


def test_an_answer_that_was_stored_without_it_is_not_proven(cache: QueryCache, sales: Engine) -> None:
    sql = "select max(id) from sales"
    cache.read(QUERY, sales)
    assert [cache.read(QUERY, sales, validate=sql, ttl=0).outcome for _ in range(2)] == [
        Outcome.MISS,
        Outcome.HIT,
    ]
