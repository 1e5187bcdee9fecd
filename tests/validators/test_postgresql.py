"""The validator of PostgreSQL on a real server: what moves a snapshot, and what changes without one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import DBAPIError

from sqlcache_nb import Outcome, Probe, QueryCache, Reason, ValidatorWarning
from sqlcache_nb.behind import seen_through
from sqlcache_nb.guard import examine
from sqlcache_nb.identity import SourceIdentity
from sqlcache_nb.sources import source_of
from sqlcache_nb.validators.postgresql import SnapshotValidator
from tests import servers
from tests.conftest import SALES
from tests.validator_contract import QUERY, ValidatorContract

pytestmark = pytest.mark.server
psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")

SCRIPT = (
    "create sequence numbers",
    "create table parts (n int) partition by range (n)",
    "create table parts_1 partition of parts for values from (0) to (10)",
    "create foreign data wrapper far",
    "create server away foreign data wrapper far",
    "create foreign table far_away (n int) server away",
    "create table local (n int)",
    "create view of_far as select n from far_away union all select n from local",
    "create view of_numbers as select last_value from numbers",
    "create table family (n int)",
    "create foreign table far_child () inherits (family) server away",
    "create materialized view kept as select n from local",
    "create function plain() returns bigint language sql stable as 'select count(*) from local'",
    "create function of_far() returns bigint language sql as 'select count(*) from of_far'",
    "create function opaque() returns bigint language plpgsql stable as 'begin return (select count(*) from local); end'",
    """create function doubled(n int) returns int language sql immutable as 'select 2 * n'""",
    "create view of_xml as select table_to_xml('local', true, false, '') as x",
    "create unlogged table unlogged as select 1 as n",
    "do $$ begin create role nobody; exception when duplicate_object then null; end $$",
    "grant select on all tables in schema public to nobody",
)


@pytest.fixture(scope="session")
def validated(postgresql_url: str) -> str:
    """The URL of a database that has what the tests ask for."""
    url = make_url(postgresql_url)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as con:
        con.exec_driver_sql("drop database if exists validated")
        con.exec_driver_sql("create database validated")
    engine.dispose()
    engine = create_engine(url.set(database="validated"), isolation_level="AUTOCOMMIT")
    with engine.connect() as con:
        for statement in SCRIPT:
            con.exec_driver_sql(statement)
    engine.dispose()
    return url.set(database="validated").render_as_string(hide_password=False)


@pytest.fixture
def run(validated: str) -> Iterator[Callable[..., None]]:
    """Commits statements as another program would."""
    engine = create_engine(validated)

    def run(*statements: str) -> None:
        with engine.begin() as con:
            for statement in statements:
                con.exec_driver_sql(statement)

    yield run
    engine.dispose()


@pytest.fixture
def con(validated: str, run: Callable[..., None], engines: Callable[..., Engine]) -> Engine:
    engine = engines(validated)
    for kind in ("view", "table"):
        run(
            f"do $$ begin drop {kind} if exists sales cascade; exception when wrong_object_type then null; end $$"
        )
    run("drop table if exists old cascade")
    SALES.to_sql("sales", engine, index=False)
    run("alter table sales add primary key (id)")
    return engine


class TestContract(ValidatorContract):
    validate: Any = True
    changes: tuple[tuple[str, ...], ...] = (
        ("insert into sales (id, region, amount) values (7, 'west', 1.5)",),
        ("update sales set amount = 0 where id = 1",),
        ("delete from sales where id = 2",),
        ("truncate sales",),
        ("savepoint s", "update sales set amount = 1", "release s"),
        ("savepoint s", "delete from sales", "rollback to s", "update sales set region = 'one'"),
        ("alter table sales rename to old", "create table sales as select id, region, 0 as amount from old"),
        ("alter table sales alter amount type text",),
        ("alter table sales set unlogged", "update sales set amount = 2"),
        ("drop table sales", "create view sales as select 1 as id, 'x' as region, 1.0 as amount"),
    )


class TestByItsName(TestContract):
    validate = "snapshot"


class TestSqlOfOnesOwn(TestContract):
    validate = "select count(*), sum(hashtext(sales::text)) from sales"
    changes = tuple(
        each for each in TestContract.changes if "type text" not in each[0]
    )  # which it does not tell


class TestTwoInOne:
    """A transaction that is in progress while the token is taken and the answer is fetched."""

    def test_its_commit_is_seen(self, cache: QueryCache, con: Engine, engines: Callable[..., Engine]) -> None:
        other = engines(con.url)
        with other.connect() as slow:
            slow.exec_driver_sql("update sales set amount = 77 where id = 1")
            outcomes = [cache.read(QUERY, con, ttl=0, validate=True).outcome for _ in range(2)]
            assert outcomes == [Outcome.MISS, Outcome.HIT]
            slow.commit()
        after = cache.read(QUERY, con, ttl=0, validate=True)
        assert (after.outcome, after.frame["amount"][0]) == (Outcome.MISS, 77)

    def test_one_that_writes_first_while_it_is_known(
        self, cache: QueryCache, con: Engine, engines: Callable[..., Engine]
    ) -> None:
        """It has a number that no snapshot names yet."""
        with engines(con.url).connect() as slow:
            slow.exec_driver_sql("select 1")
            cache.read(QUERY, con, ttl=0, validate=True)
            slow.exec_driver_sql("update sales set amount = 78 where id = 1")
            assert cache.read(QUERY, con, ttl=0, validate=True).outcome is Outcome.HIT
            slow.commit()
        assert cache.read(QUERY, con, ttl=0, validate=True).frame["amount"][0] == 78


class TestFalseAlarms:
    """What is said in docs/design.md of how often it fetches needlessly."""

    @pytest.mark.parametrize(
        "deed", ["analyze sales", "create temporary table t (n int)", "create table passing (n int)"]
    )
    def test_a_commit_anywhere_moves_it(
        self, cache: QueryCache, con: Engine, run: Callable[..., None], deed: str
    ) -> None:
        cache.read(QUERY, con, ttl=0, validate=True)
        run("drop table if exists passing")
        cache.read(QUERY, con, ttl=0, validate=True)
        run(deed)
        result = cache.read(QUERY, con, ttl=0, validate=True)
        assert (result.outcome, result.reason) == (Outcome.MISS, Reason.CHANGED)

    @pytest.mark.parametrize(
        "deed", ["select count(*) from sales", "listen a", "select pg_advisory_xact_lock(1)"]
    )
    def test_reading_does_not(
        self, cache: QueryCache, con: Engine, run: Callable[..., None], deed: str
    ) -> None:
        cache.read(QUERY, con, ttl=0, validate=True)
        run(deed)
        assert cache.read(QUERY, con, ttl=0, validate=True).outcome is Outcome.HIT


NOT_COVERED = [
    "select last_value from numbers",
    "select * from of_numbers",
    "select opaque()",
    "select word from ts_stat('select to_tsvector(n::text) from local')",
    "select pg_size_bytes('1 kB'), n from local",
    "select pg_read_file('PG_VERSION')",
    "select xmin from local",
    "select relname from pg_class where relname = 'local'",
    "select sum(n) from local, pg_sequences",
]
# What cannot be read here: foreign tables without code that reads them, and functions that a server may be built without.
ELSEWHERE = [
    "select * from far_away",
    "select * from of_far",
    "select * from family",
    "select * from far_child",
    "select of_far()",
    "select * from of_xml",
    "select table_to_xml('local', true, false, '')",
]
COVERED = [
    "select * from local",
    "select * from parts",
    "select * from kept",
    "select * from unlogged",
    "select plain()",
    "select doubled(n) from local",
    "with x as (select n from local) select count(*) from x",
    "select n, row_number() over (order by n) from local",
]


class TestWhatItVouchesFor:
    @pytest.mark.parametrize("sql", NOT_COVERED)
    @pytest.mark.filterwarnings("ignore::sqlcache_nb.errors.ValidatorWarning")
    @pytest.mark.filterwarnings("ignore::sqlcache_nb.errors.NotCachedWarning")
    def test_what_changes_without_a_transaction_is_never_proven(
        self, cache: QueryCache, con: Engine, sql: str
    ) -> None:
        outcomes = {cache.read(sql, con, ttl=0, validate=True).outcome for _ in range(2)}
        assert Outcome.HIT not in outcomes

    @pytest.mark.parametrize("sql", COVERED)
    def test_tables_of_the_database_are(self, cache: QueryCache, con: Engine, sql: str) -> None:
        outcomes = [cache.read(sql, con, ttl=0, validate=True).outcome for _ in range(2)]
        assert outcomes == [Outcome.MISS, Outcome.HIT]

    @pytest.mark.parametrize("sql", ELSEWHERE)
    def test_what_is_elsewhere_is_not_also_below_views_and_functions(self, con: Engine, sql: str) -> None:
        with closing(source_of(con)) as source:
            assert not seen_through(examine(sql, "postgresql"), source.behind, "postgresql").covered
            assert seen_through(
                examine("select * from kept", "postgresql"), source.behind, "postgresql"
            ).covered

    def test_an_operator_of_somebodys_own_may_read_anything(
        self, con: Engine, run: Callable[..., None]
    ) -> None:
        def is_covered() -> bool:
            with closing(source_of(con)) as source:
                return seen_through(
                    examine("select * from local", "postgresql"), source.behind, "postgresql"
                ).covered

        run("create operator !!! (function = doubled, rightarg = int)")
        assert is_covered()
        run(
            "create function reads(int, int) returns bigint language sql stable as 'select last_value from numbers'",
            "create operator !!! (function = reads, leftarg = int, rightarg = int)",
        )
        assert not is_covered()
        run("drop function reads cascade", "drop operator !!! (none, int)")

    def test_no_function_of_postgresqls_own_that_is_volatile_is_covered(self, con: Engine) -> None:
        """Whatever the server's version: those that do nothing but serve indexes, languages and samples left out."""
        with con.connect() as live:
            names = live.exec_driver_sql(
                "select distinct proname from pg_proc where oid < 16384 and provolatile = 'v' and prokind = 'f' "
                "and pronamespace = 'pg_catalog'::regnamespace "
                "and prorettype not in (2281, 2279, 3838, 2280, 325, 269, 3310)"
            )
            facts = {name: examine(f"select {name}(1)", "postgresql") for (name,) in names}
        proven = [
            name
            for name, each in facts.items()
            if each.covered and not (each.refusal or each.chance or each.volatile)
        ]
        harmless = {"amvalidate", "plpgsql_call_handler", "plpgsql_inline_handler", "plpgsql_validator"}
        assert set(proven) <= harmless


class TestTheToken:
    def token(self, con: Any) -> str | None:
        with closing(source_of(con)) as source:
            source.prepare()
            source.identify()
            identity = SourceIdentity("postgresql", "")
            return SnapshotValidator().token(
                Probe(identity, lambda sql: source.ask(lambda execute: list(execute(sql))))
            )

    def test_it_is_the_same_for_all_who_ask(self, con: Engine) -> None:
        told = {self.token(con)}
        with con.connect() as live:
            told.add(self.token(live))
            live.exec_driver_sql("select 1")
            told.add(self.token(live))
        assert len(told) == 1

    def test_a_transaction_of_the_persons_stays_as_it_was(self, con: Engine) -> None:
        with con.connect() as live:
            raw: Any = live.connection.driver_connection
            self.token(live)
            assert raw.info.transaction_status.name == "IDLE"
            live.exec_driver_sql("select 1")
            self.token(live)
            assert raw.info.transaction_status.name == "INTRANS"

    def test_who_may_not_ask_is_told_nothing(
        self, cache: QueryCache, validated: str, engines: Callable[..., Engine]
    ) -> None:
        admin = engines(validated, isolation_level="AUTOCOMMIT")
        with admin.connect() as con:
            con.exec_driver_sql("revoke execute on function pg_control_checkpoint() from public")
        engine = engines(make_url(validated).update_query_dict({"options": "-c role=nobody"}))
        try:
            with pytest.warns(ValidatorWarning, match="cannot tell"):
                outcomes = [
                    cache.read("select * from local", engine, validate=True).outcome for _ in range(2)
                ]
            assert outcomes == [Outcome.MISS, Outcome.HIT]  # by its ttl
            result = cache.read("select * from local", engine, validate=True, ttl=0)
            assert result.outcome is Outcome.MISS
        finally:
            with admin.connect() as con:
                con.exec_driver_sql("grant execute on function pg_control_checkpoint() to public")

    def test_settings_that_a_server_reads_anew_move_it(
        self, con: Engine, engines: Callable[..., Engine]
    ) -> None:
        before = self.token(con)
        with engines(con.url, isolation_level="AUTOCOMMIT").connect() as admin:
            admin.exec_driver_sql("alter system set intervalstyle = 'iso_8601'")
            admin.exec_driver_sql("select pg_reload_conf()")
            try:
                # The postmaster is told by a signal, and its children by it: until a new one knows.
                while (during := self.token(engines(con.url))) == before:
                    pass
            finally:
                admin.exec_driver_sql("alter system reset intervalstyle")
                admin.exec_driver_sql("select pg_reload_conf()")
                while self.token(engines(con.url)) == during:
                    pass

    @pytest.mark.parametrize(
        "version",
        [
            "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2, Redshift 1.0.77",
            "PostgreSQL 12.12 (Greenplum Database 7.0.0 build commit) on x86_64",
            "PostgreSQL 15.2-YB-2025.1.0.0-b0 on x86_64-pc-linux-gnu",
            "CockroachDB CCL v23.1.0",
            "PostgreSQL 12.4 on x86_64",
        ],
    )
    def test_what_only_speaks_as_postgresql_does_is_told_nothing_of(self, con: Engine, version: str) -> None:
        with con.connect() as live:

            def execute(sql: str) -> list[Any]:
                sql = sql.replace("pg_catalog.version()", f"'{version}'::text")
                return list(live.exec_driver_sql(sql).fetchall())

            assert SnapshotValidator().token(Probe(SourceIdentity("postgresql", ""), execute)) is None

    def test_a_standby_is_told_nothing_of(self, con: Engine) -> None:
        """Its snapshots do not name what is in progress; tried on a real one, which this server is not."""
        with con.connect() as live:

            def execute(sql: str) -> list[Any]:
                return list(
                    live.exec_driver_sql(sql.replace("pg_catalog.pg_is_in_recovery()", "true")).fetchall()
                )

            assert SnapshotValidator().token(Probe(SourceIdentity("postgresql", ""), execute)) is None


@pytest.fixture
def own_server() -> Iterator[str]:
    """A server that may be made to crash."""
    if os.environ.get(servers.POSTGRESQL_VARIABLE):
        pytest.skip("a server that the environment names is somebody's")
    try:
        with servers.postgresql() as url:
            yield url
    except servers.NoServer as fault:
        pytest.skip(str(fault))


@pytest.mark.slow
class TestCrash:
    def test_numbers_that_are_given_twice_prove_nothing(
        self, cache: QueryCache, own_server: str, engines: Callable[..., Engine]
    ) -> None:
        """What was lost gives its number to another transaction, and an unlogged table is empty without one."""
        engine = engines(own_server, isolation_level="AUTOCOMMIT")
        sql = "select n from fleeting order by n"
        with engine.connect() as con:
            con.exec_driver_sql("create unlogged table fleeting (n int)")
            con.exec_driver_sql("checkpoint")
            con.exec_driver_sql("insert into fleeting values (1)")
            before = con.exec_driver_sql("select pg_current_snapshot()::text").scalar()
        assert [cache.read(sql, engine, validate=True, ttl=0).outcome for _ in range(2)] == [
            Outcome.MISS,
            Outcome.HIT,
        ]
        with engine.connect() as con:
            pid = con.exec_driver_sql("select pg_backend_pid()").scalar()
            assert isinstance(pid, int)
            os.kill(pid, signal.SIGKILL)
        engine.dispose()
        for _ in range(10_000):  # until the server has recovered
            with suppress(DBAPIError), engine.connect() as con:
                rows = con.exec_driver_sql("select * from fleeting").all()
                while con.exec_driver_sql("select pg_current_snapshot()::text").scalar() != before:
                    con.exec_driver_sql("select pg_current_xact_id()")  # as any other transaction
                break
        assert rows == []
        after = cache.read(sql, engine, validate=True, ttl=0)
        assert (after.outcome, len(after.frame)) == (Outcome.MISS, 0)
