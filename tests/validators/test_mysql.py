"""The validator of MariaDB and MySQL on a real MariaDB: what moves `update_time`, what does not, and what is done about it.

Each case has tables of its own, so that all of them come to rest together: the time of the server's clock cannot be set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, make_url

from sqlcache_nb import Outcome, Probe, QueryCache, Reason
from sqlcache_nb.guard import examine
from sqlcache_nb.identity import SourceIdentity
from sqlcache_nb.validators.mysql import UpdateTimeValidator
from tests.conftest import SALES

pytestmark = [pytest.mark.server, pytest.mark.slow]
pymysql = pytest.importorskip("pymysql", reason="PyMySQL is not installed")

REST = "do sleep(3.1)"
"""Until what was written is older than the validator wants, by the server's own clock."""


@dataclass(frozen=True)
class Case:
    """A change of a table.

    Args:
        make: what makes the table `t`, filled.
        change: what changes it; it is committed.
        also: what is there beside it.
    """

    change: tuple[str, ...]
    make: tuple[str, ...] = (
        "create table t (id int primary key, x int)",
        "insert into t values (1, 1), (2, 2)",
    )
    also: tuple[str, ...] = ()


PARENT = (
    "create table parent (id int primary key, x int)",
    "insert into parent values (1, 1), (2, 2)",
)
CHILD = (
    "create table t (id int primary key, p int, foreign key (p) references parent (id) on delete cascade on update cascade)",
    "insert into t values (1, 1), (2, 2)",
)
TRIGGER = "create trigger tr after update on parent for each row insert into t values (3, 3)"
CHANGES = {
    "insert": Case(("insert into t values (3, 3)",)),
    "update": Case(("update t set x = 9 where id = 1",)),
    "delete": Case(("delete from t where id = 1",)),
    "truncate": Case(("truncate t",)),
    "add column": Case(("alter table t add column y int default 5",)),
    "rename column": Case(("alter table t rename column x to y",)),
    "modify": Case(("alter table t modify x bigint",)),
    "replaced": Case(
        ("create or replace table t (id int primary key, x int)", "insert into t values (1, 1)")
    ),
    "exchanged": Case(
        ("rename table t to away, other to t",),
        also=("create table other (id int)", "insert into other values (9)"),
    ),
    "cascade of a delete": Case(("delete from parent where id = 1",), (*PARENT, *CHILD)),
    "cascade of an update": Case(("update parent set id = 7 where id = 1",), (*PARENT, *CHILD)),
    "trigger": Case(("update parent set x = 0 where id = 1",), also=(*PARENT, TRIGGER)),
    "savepoint": Case(("savepoint s", "delete from t", "rollback to s", "update t set x = 0")),
    "two phases": Case(
        ("xa start 'a'", "update t set x = 8 where id = 1", "xa end 'a'", "xa prepare 'a'", "xa commit 'a'")
    ),
}
NO_CHANGES = {
    "nothing": Case(()),
    "of another table": Case(("insert into other values (1)",), also=("create table other (id int)",)),
    "rollback": Case(("begin", "update t set x = 9", "rollback")),
    "analyze": Case(("analyze table t",)),
}
UNKNOWN = {
    "a view": (
        "create table base (id int)",
        "insert into base values (1)",
        "create view t as select * from base",
    ),
    "partitions": ("create table t (id int) partition by hash(id) partitions 2", "insert into t values (1)"),
    "Aria": ("create table t (id int) engine = aria", "insert into t values (1)"),
    "MyISAM": ("create table t (id int) engine = myisam", "insert into t values (1)"),
    "MEMORY": ("create table t (id int) engine = memory", "insert into t values (1)"),
    "a sequence": ("create sequence t",),
    "with its history": ("create table t (id int) with system versioning", "insert into t values (1)"),
    "never written to": ("create table t (id int)",),
    "no such table": (),
}


class Servant:
    """A connection that runs what it is told to, and asks the validator."""

    def __init__(self, url: str) -> None:
        self.engine = create_engine(url, isolation_level="AUTOCOMMIT")
        self.con = self.engine.connect()

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.con.exec_driver_sql(statement)

    def run_as_it_is(self, statement: str) -> None:
        """Also one with percent signs and colons."""
        driver: Any = self.con.connection.driver_connection
        with closing(driver.cursor()) as cursor:
            cursor.execute(statement)

    def rows(self, sql: str) -> list[Any]:
        return list(self.con.exec_driver_sql(sql).fetchall())

    def token(self, *tables: str) -> str | None:
        return UpdateTimeValidator().token(Probe(SourceIdentity("mysql", ""), self.rows, tables))

    def close(self) -> None:
        self.con.close()
        self.engine.dispose()


def database(number: int) -> str:
    return f"validated_{number}"


ALL = {**CHANGES, **NO_CHANGES, **{name: Case((), make) for name, make in UNKNOWN.items()}}
TOKENS = {name: number for number, name in enumerate(ALL)}


@pytest.fixture(scope="module")
def servant(mariadb_url: str) -> Iterator[Servant]:
    servant = Servant(mariadb_url)
    yield servant
    servant.close()


@pytest.fixture(scope="module")
def tokens(servant: Servant) -> dict[str, list[str | None]]:
    """Of each case: the token before its change, right after it, and when it has come to rest.

    A name does not tell its schema, so each case's table has a name of its own in place of `t`.
    """

    def named(name: str, statements: tuple[str, ...]) -> Iterator[str]:
        for statement in statements:
            words = (f"t_{TOKENS[name]}" if word == "t" else word for word in statement.split(" "))
            yield " ".join(words)

    for name, case in ALL.items():
        servant.run(f"create or replace database {database(TOKENS[name])}", f"use {database(TOKENS[name])}")
        servant.run(*named(name, case.make))
        servant.run(*named(name, case.also))
    servant.run(REST)
    told: dict[str, list[str | None]] = {name: [servant.token(f"t_{TOKENS[name]}")] for name in ALL}
    for name, case in ALL.items():
        servant.run(f"use {database(TOKENS[name])}")
        servant.run(
            *named(
                name,
                case.change
                if case.change[:1] and case.change[0][:2] in {"xa", "be"}
                else ("begin", *case.change, "commit"),
            )
        )
        told[name].append(servant.token(f"t_{TOKENS[name]}"))
    servant.run(REST)
    for name in ALL:
        told[name].append(servant.token(f"t_{TOKENS[name]}"))
    servant.run("use mysql")
    return told


class TestChanges:
    @pytest.mark.parametrize("name", CHANGES)
    def test_each_is_told_from_what_was_before(self, tokens: dict[str, list[str | None]], name: str) -> None:
        before, right_after, at_rest = tokens[name]
        assert before is not None
        assert before != right_after
        assert before != at_rest

    @pytest.mark.parametrize("name", NO_CHANGES)
    def test_what_changes_nothing_is_no_change(self, tokens: dict[str, list[str | None]], name: str) -> None:
        assert len(set(tokens[name])) == 1
        assert None not in tokens[name]

    @pytest.mark.parametrize("name", UNKNOWN)
    def test_of_some_it_cannot_tell(self, tokens: dict[str, list[str | None]], name: str) -> None:
        assert set(tokens[name]) == {None}


class TestNames:
    @pytest.mark.usefixtures("tokens")
    def test_case_quotes_and_schemas(self, servant: Servant) -> None:
        odd = "An `odd: name%s ä"
        quoted = odd.replace("`", "``")
        for schema in ("validated_0", "validated_1"):
            servant.run_as_it_is(f"create table {schema}.`{quoted}` (n int)")
            servant.run_as_it_is(f"insert into {schema}.`{quoted}` values (1)")
        servant.run(
            "create or replace table validated_0.`Mixed` (n int)",
            "insert into validated_0.`Mixed` values (1)",
            REST,
        )
        before = servant.token(odd)
        assert before is not None
        assert None not in (servant.token("Mixed"), servant.token(odd, "Mixed"))
        assert servant.token("Mixed", "nowhere") is None
        assert servant.token() is None
        servant.run_as_it_is(f"insert into validated_1.`{quoted}` values (2)")
        assert servant.token(odd) != before  # whichever of the two is meant


class TestTwoThatBeganTogether:
    @pytest.mark.parametrize("zone", ["+00:00", "+05:30"])
    def test_the_one_that_is_open_makes_the_time_of_the_other_worthless(
        self, servant: Servant, mariadb_url: str, zone: str
    ) -> None:
        """MariaDB notes when a transaction began: its commit, however late, leaves the time as it was."""
        servant.run(
            "create or replace table dev_two (id int primary key, x int)",
            "insert into dev_two values (1, 1), (2, 2)",
        )
        first, second = Servant(mariadb_url), Servant(mariadb_url)
        try:
            while True:  # until both have begun in one second
                first.run("begin", "update dev_two set x = x + 1 where id = 1")
                second.run("begin", "update dev_two set x = x + 1 where id = 2")
                ((status,),) = [row[2:] for row in servant.rows("show engine innodb status")]
                if len(set(re.findall(r"ACTIVE (\d+) sec", status))) == 1:
                    break
                first.run("rollback")
                second.run("rollback")
            first.run("commit")
            servant.run(REST, f"set time_zone = '{zone}'")
            ((early,),) = servant.rows(
                "select update_time from information_schema.tables where table_name = 'dev_two'"
            )
            assert servant.token("dev_two") == ""
            second.run("commit")
            ((late,),) = servant.rows(
                "select update_time from information_schema.tables where table_name = 'dev_two'"
            )
            assert early == late
            assert servant.token("dev_two") is not None
        finally:
            servant.run("set time_zone = '+00:00'")
            first.close()
            second.close()


class TestWhoMayAsk:
    def test_without_the_privilege_nothing_is_told(self, servant: Servant, mariadb_url: str) -> None:
        servant.run(
            "create or replace database validated_by_all",
            "create table validated_by_all.plain (n int)",
            "insert into validated_by_all.plain values (1)",
            "create or replace user analyst@localhost",
            "grant select on validated_by_all.* to analyst@localhost",
            REST,
        )
        assert servant.token("plain") is not None
        url = make_url(mariadb_url).set(username="analyst", database="validated_by_all")
        for may in (False, True):
            if may:  # which a session learns when it begins
                servant.run("grant process on *.* to analyst@localhost")
            analyst = Servant(url.render_as_string(hide_password=False))
            try:
                assert analyst.token("plain") == (servant.token("plain") if may else None)
            finally:
                analyst.close()

    def test_functions_of_somebodys_own_may_read_anything(self, servant: Servant) -> None:
        assert servant.token("plain") is not None
        create = (
            "create or replace function validated_by_all.{} returns int return (select max(n) from plain)"
        )
        servant.run(create.format("latest()"))
        assert servant.token("plain") is not None  # whoever calls it is not vouched for
        assert not examine("select latest() from plain", "mysql").covered
        assert examine("select max(n), upper('x') from plain", "mysql").covered
        servant.run(create.format("levenshtein(a text, b text)"))  # which other databases have
        assert servant.token("plain") is None
        servant.run("drop function validated_by_all.levenshtein", "drop function validated_by_all.latest")
        assert servant.token("plain") is not None


class TestReads:
    @pytest.fixture
    def con(self, servant: Servant, mariadb_url: str, engines: Callable[..., Engine]) -> Engine:
        servant.run("create or replace database validated_reads")
        engine = engines(make_url(mariadb_url).set(database="validated_reads"))
        # A name that no other test has given: one of another schema that has nothing to tell would be as good as this one.
        SALES.to_sql("resting_sales", engine, index=False)
        return engine

    def test_an_answer_is_proven_once_its_tables_rest(
        self, cache: QueryCache, servant: Servant, con: Engine
    ) -> None:
        def read() -> tuple[Outcome, Reason]:
            result = cache.read("select * from resting_sales", con, validate=True, ttl=0)
            assert (
                result.frame["amount"].sum()
                == servant.rows("select sum(amount) from validated_reads.resting_sales")[0][0]
            )
            return result.outcome, result.reason

        assert [read()[0] for _ in range(2)] == [Outcome.MISS, Outcome.MISS]
        servant.run(REST)
        assert [read() for _ in range(2)] == [
            (Outcome.MISS, Reason.UNPROVEN),
            (Outcome.HIT, Reason.UNCHANGED),
        ]
        servant.run("update validated_reads.resting_sales set amount = 1 where id = 1")
        assert read()[0] is Outcome.MISS
        servant.run(REST)
        assert [read()[0] for _ in range(2)] == [Outcome.MISS, Outcome.HIT]
        servant.run("delete from validated_reads.resting_sales where id = 2", REST)
        assert read() == (Outcome.MISS, Reason.CHANGED)
