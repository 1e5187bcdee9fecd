"""Sessions and engines of a real MariaDB server: what each carries, and that nobody gets another's answer."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Connection, Engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.freshness import Reason
from sqlcache_nb.identity import SourceIdentity
from sqlcache_nb.sources import mysql, servers, source_of
from sqlcache_nb.sources.fingerprints import Fingerprint
from sqlcache_nb.sources.sessions import DRIVERS, LiveSession, State
from tests.conftest import Clock
from tests.servers import MARIADB_VARIABLE, NoServer, mariadb
from tests.source_contract import QUERY, ServerContract, outcomes
from tests.tunnel import Tunnel

pytestmark = pytest.mark.server
pymysql = pytest.importorskip("pymysql", reason="PyMySQL is not installed")

BINARY = "_utf8mb4 '2' collate utf8mb4_bin"
MISS_THEN_HIT = [Outcome.MISS, Outcome.HIT]
SESSIONS = [
    ("use dev", QUERY),
    ("set role one", "select note from notes"),
    ("set role two", "select note from notes"),
    ("set @tenant = 'north'", "select region from of_tenant"),
    ("set time_zone = '+09:00'", "select cast(moment as char) as told from moments"),
    ("set sql_mode = 'PIPES_AS_CONCAT'", "select 'a' || 'b' as told from sales"),
    ("set sql_mode = 'ORACLE'", "select 'a' || 'b' as told from sales"),
    ("set div_precision_increment = 9", "select id / 3 as told from sales"),
    ("set group_concat_max_len = 4", "select group_concat(region) as told from sales"),
    ("set sql_select_limit = 2", QUERY),
    ("set lc_time_names = 'de_DE'", "select dayname('2024-01-01') as told"),
    ("set default_week_format = 3", "select week('2024-01-01') as told"),
    (
        "set max_recursive_iterations = 2",
        "with recursive r as (select 1 as n union all select n + 1 from r) select n from r limit 9",
    ),
    ("set system_versioning_asof = '2001-01-01'", "select n from kept"),
    ("set names latin1", "select collation('x') as told"),
    ("set character_set_connection = utf16", "select hex('x') as told"),
]


@pytest.fixture
def begin() -> str:
    return "start transaction"


@pytest.fixture
def engine(filled_mariadb: str, engines: Callable[..., Engine]) -> Engine:
    return engines(filled_mariadb)


@pytest.fixture
def run(filled_mariadb: str, engines: Callable[..., Engine]) -> Callable[[str], None]:
    """Runs a statement as another program would."""
    # A table that somebody still reads would be waited for.
    options = {"init_command": "set lock_wait_timeout = 9"}
    other = engines(filled_mariadb, isolation_level="AUTOCOMMIT", connect_args=options)

    def run(sql: str) -> None:
        with other.connect() as con:
            con.exec_driver_sql(sql)

    return run


@pytest.fixture
def con(engine: Engine) -> Iterator[Connection]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as con:
        yield con


class OnAConnection(ServerContract):
    label = "root@"
    sessions = SESSIONS
    has_written = "in a transaction"

    def run(self, con: Any, sql: str) -> None:
        if sql in ("commit", "rollback"):
            getattr(con, sql)()
        else:
            (con.connection() if isinstance(con, Session) else con).exec_driver_sql(sql)

    def ask(self, con: Any, sql: str) -> pd.DataFrame:
        return pd.read_sql(sql, con.connection() if isinstance(con, Session) else con)


class TestAConnection(OnAConnection):
    pass


class TestMariadbsOwnDialect(OnAConnection):
    @pytest.fixture
    def con(self, filled_mariadb: str, engines: Callable[..., Engine]) -> Iterator[Connection]:
        url = make_url(filled_mariadb).set(drivername="mariadb+pymysql")
        with engines(url).connect().execution_options(isolation_level="AUTOCOMMIT") as con:
            yield con


class TestSession(OnAConnection):
    @pytest.fixture
    def con(self, filled_mariadb: str, engines: Callable[..., Engine]) -> Iterator[Session]:
        with Session(engines(filled_mariadb, isolation_level="AUTOCOMMIT")) as session:
            yield session


def state(con: Connection) -> State:
    return LiveSession(con.connection.driver_connection, "mysql")._state()


class TestTransactions:
    """SQLAlchemy's default: nothing is committed by itself, and the first read makes a snapshot."""

    @pytest.fixture
    def con(self, engine: Engine) -> Iterator[Connection]:
        with engine.connect() as con:
            yield con

    @pytest.fixture
    def counted(self, run: Callable[[str], None]) -> str:
        run("create or replace table counted (n int)")
        run("insert into counted values (1)")
        return "select n from counted"

    def test_one_that_has_begun_sees_what_was(
        self, cache: QueryCache, con: Connection, engine: Engine, run: Callable[[str], None], counted: str
    ) -> None:
        assert cache.read(counted, con).outcome is Outcome.MISS
        cache.invalidate(table="counted")
        run("update counted set n = 2")
        with pytest.warns(NotCachedWarning, match="in a transaction"):
            result = cache.read(counted, con)
        assert (result.outcome, result.frame["n"].tolist()) == (Outcome.BYPASSED, [1])
        assert state(con) is State.IN_TRANSACTION
        con.rollback()
        assert cache.read(counted, con).frame["n"].tolist() == [2]
        con.rollback()
        assert cache.read(counted, con).outcome is Outcome.HIT
        assert state(con) is State.IDLE
        assert cache.read(counted, engine).outcome is Outcome.HIT

    def test_one_that_the_driver_has_not_heard_of(
        self, cache: QueryCache, con: Connection, run: Callable[[str], None], counted: str
    ) -> None:
        """An error says nothing of the transaction that the statement began."""
        run("insert into counted values (1)")
        with contextlib.suppress(DBAPIError):
            con.exec_driver_sql("select n, (select n from counted) from counted")
        with pytest.warns(NotCachedWarning, match="in a transaction"):
            assert cache.read(counted, con).outcome is Outcome.BYPASSED

    def test_serializable(self, cache: QueryCache, engine: Engine, counted: str) -> None:
        with (
            engine.connect().execution_options(isolation_level="SERIALIZABLE") as con,
            pytest.warns(NotCachedWarning, match="or stricter"),
        ):
            assert cache.read(counted, con).outcome is Outcome.BYPASSED

    def test_rows_that_nobody_has_committed(
        self, cache: QueryCache, con: Connection, engine: Engine, counted: str
    ) -> None:
        con.exec_driver_sql("update counted set n = 2")
        with engine.connect().execution_options(isolation_level="READ UNCOMMITTED") as dirty:
            assert cache.read(counted, dirty).frame["n"].tolist() == [2]
        con.rollback()
        assert cache.read(counted, con).frame["n"].tolist() == [1]

    def test_chunks(self, cache: QueryCache, con: Connection) -> None:
        for expected in MISS_THEN_HIT:
            result = cache.read(QUERY, con, chunksize=2)
            assert result.outcome is expected
            assert [len(chunk) for chunk in result.frame] == [2, 2, 2]
            con.rollback()

    def test_a_write_between_chunks(self, cache: QueryCache, con: Connection) -> None:
        result = cache.read(QUERY, con, chunksize=2)
        next(result.frame)
        con.exec_driver_sql("update sales set amount = 0")
        with pytest.warns(NotCachedWarning, match="has written"):
            list(result.frame)
        con.rollback()
        assert cache.read(QUERY, con, chunksize=2).outcome is Outcome.MISS

    def test_a_session_that_is_not_flushed(self, cache: QueryCache, engine: Engine, counted: str) -> None:
        with Session(engine) as session:
            assert cache.read(counted, session).outcome is Outcome.MISS
            session.rollback()
            assert cache.read(counted, session).outcome is Outcome.HIT
            session.connection().exec_driver_sql("insert into counted values (7)")
            with pytest.warns(NotCachedWarning, match="in a transaction"):
                assert cache.read(counted, session).frame["n"].tolist() == [1, 7]


class TestWhatAStatementDoes:
    """Only seen afterwards: a function may do anything."""

    @pytest.fixture
    def function(self, run: Callable[[str], None]) -> Iterator[Callable[[str], str]]:
        def make(body: str) -> str:
            run(f"create or replace function f() returns int begin {body} end")
            return "select f() as n"

        yield make
        run("drop function f")

    @pytest.mark.parametrize("engine_of", ["InnoDB", "Aria"])
    def test_it_writes(
        self,
        cache: QueryCache,
        con: Connection,
        engine: Engine,
        run: Callable[[str], None],
        function: Callable[[str], str],
        engine_of: str,
    ) -> None:
        run(f"create or replace table written (n int) engine={engine_of}")
        sql = function("insert into written values (1); return 1;")
        for source in (con, engine):
            with warnings.catch_warnings(record=True, action="always"):
                result = cache.read(sql, source)
            assert result.outcome is Outcome.BYPASSED
            assert "has written" in result.detail

    def test_it_sets(self, cache: QueryCache, con: Connection, function: Callable[[str], str]) -> None:
        sql = function("set @tenant = 'x'; return 1;")
        with pytest.warns(NotCachedWarning, match="not what it was"):
            assert cache.read(sql, con).outcome is Outcome.BYPASSED

    def test_it_makes_a_temporary_table(
        self, cache: QueryCache, con: Connection, function: Callable[[str], str]
    ) -> None:
        sql = function("create temporary table made (n int); return 1;")
        with pytest.warns(NotCachedWarning, match="temporary tables"):
            assert cache.read(sql, con).outcome is Outcome.BYPASSED

    def test_it_reads_a_variable_of_the_session(
        self, cache: QueryCache, con: Connection, run: Callable[[str], None]
    ) -> None:
        run("create or replace function told() returns text charset utf8mb4 return concat(@n)")
        sql = "select told() as n"
        for value in (
            "1",
            "2",
            "1.0",
            "'1'",
            "x'31'",
            "_utf8mb4 '\U0001f600'",
            "_utf8mb4 '\U0001f601'",
            BINARY,
        ):
            con.exec_driver_sql(f"set @n = {value}")
            assert cache.read(sql, con).outcome is Outcome.MISS
        con.exec_driver_sql("set @n = 2")
        assert cache.read(sql, con).outcome is Outcome.HIT


class TestAnEngineThatWasTouched:
    @pytest.mark.parametrize("seen_before", [True, False])
    @pytest.mark.parametrize(
        ("touch", "query", "answer"),
        [
            ("use dev", "select id as told from sales", [999]),
            ("set role one", "select note as told from notes", ["of one"]),
            ("set @tenant = 'east'", "select region as told from of_tenant", ["east"]),
            ("select 'east' into @tenant", "select region as told from of_tenant", ["east"]),
            ("set local sql_mode = 'PIPES_AS_CONCAT'", "select 'a' || 'b' as told", ["ab"]),
            ("/*!40101 set sql_mode = 'PIPES_AS_CONCAT' */", "select 'a' || 'b' as told", ["ab"]),
            ("# so\nset sql_mode = 'PIPES_AS_CONCAT'", "select 'a' || 'b' as told", ["ab"]),
        ],
    )
    def test_its_answers_are_its_own(
        self,
        cache: QueryCache,
        engine: Engine,
        filled_mariadb: str,
        seen_before: bool,
        touch: str,
        query: str,
        answer: list[Any],
    ) -> None:
        plain = pd.read_sql(query, filled_mariadb)["told"].tolist()
        if seen_before:
            assert cache.read(query, engine).frame["told"].tolist() == plain
        with engine.begin() as con:
            con.exec_driver_sql(touch)
        assert outcomes(cache, engine, query) == MISS_THEN_HIT
        assert cache.read(query, engine).frame["told"].tolist() == answer
        assert cache.read(query, filled_mariadb).frame["told"].tolist() == plain
        engine.dispose()
        assert cache.read(query, engine).frame["told"].tolist() == plain

    @pytest.mark.parametrize("seen_before", [True, False])
    @pytest.mark.parametrize("words", ["temporary table", "or replace temporary table"])
    def test_a_temporary_table_is_never_stored(
        self, cache: QueryCache, engine: Engine, filled_mariadb: str, seen_before: bool, words: str
    ) -> None:
        if seen_before:
            cache.read(QUERY, engine)
        with engine.begin() as con:
            con.exec_driver_sql(f"create {words} sales as select 999 as id, 'x' as region, 1.5 as amount")
        with pytest.warns(NotCachedWarning, match="temporary tables"):
            assert cache.read(QUERY, engine).frame["id"].tolist() == [999]
        assert cache.read(QUERY, filled_mariadb).shape == (6, 3)
        engine.dispose()
        assert cache.read(QUERY, engine).outcome is Outcome.HIT

    def test_a_role_that_a_listener_takes(
        self, cache: QueryCache, filled_mariadb: str, engines: Callable[..., Engine]
    ) -> None:
        for role in ("one", "two"):
            engine = engines(filled_mariadb)

            @event.listens_for(engine, "connect")
            def take(raw: Any, _record: Any, role: str = role) -> None:
                raw.query(f"set role {role}")

            for source_name in (None, "prod"):
                sql = "select note from notes"
                assert outcomes(cache, engine, sql, source_name=source_name) == MISS_THEN_HIT
                hit = cache.read(sql, engine, source_name=source_name)
                assert hit.frame["note"].tolist() == [f"of {role}"]


class TestAnEngine:
    def test_it_and_its_connection_and_url_share_their_answers(
        self, cache: QueryCache, engine: Engine, filled_mariadb: str
    ) -> None:
        """As long as the engine's server had to be asked, too."""
        assert outcomes(cache, engine) == MISS_THEN_HIT
        assert cache.read(QUERY, filled_mariadb).outcome is Outcome.HIT
        with engine.connect() as con:
            assert cache.read(QUERY, con).outcome is Outcome.HIT

    def test_it_is_not_asked_where_its_url_tells(self, engines: Callable[..., Engine]) -> None:
        identity = source_of(engines("mysql+pymysql://ann@db.example/sales")).identify()
        assert (identity.host, identity.database) == ("db.example", "sales")
        assert "server_uuid" not in identity.options

    def test_one_that_reads_what_nobody_has_committed(self, engines: Callable[..., Engine]) -> None:
        url = "mysql+pymysql://ann@db.example/sales"
        plain = engines(url)
        dirty = [
            engines(url, isolation_level="READ UNCOMMITTED"),
            plain.execution_options(isolation_level="READ UNCOMMITTED"),
        ]
        for engine in dirty:
            assert source_of(engine).identify() != source_of(plain).identify()

    def test_a_socket_file_is_of_this_machine(self) -> None:
        options = {"unix_socket": "/run/s"}
        assert servers.is_local(SourceIdentity("mysql", "pymysql", host="db.example", options=options))

    def test_it_is_asked_once(self, cache: QueryCache, engine: Engine, run: Callable[[str], None]) -> None:
        cache.read(QUERY, engine)
        assert servers.remembered(engine) is not None
        with engine.connect() as con:
            number = con.connection.driver_connection.thread_id()  # type: ignore[union-attr]
        run(f"kill {number}")
        assert servers.remembered(engine) is None
        assert cache.read(QUERY, engine).outcome is Outcome.HIT

    def test_one_statement_asks(self, con: Connection) -> None:
        session = LiveSession(con.connection.driver_connection, "mysql")
        session.look()

        def count() -> int:
            return int(con.exec_driver_sql("show session status like 'Questions'").one()[1])

        before = count()
        session.look()
        assert count() - before == 2  # with the second count

    def test_who_sees_little_is_told_which_server_it_is(
        self, cache: QueryCache, run: Callable[[str], None], engine: Engine, engines: Callable[..., Engine]
    ) -> None:
        run("create or replace user ann@localhost")
        run("grant select on filled.sales to ann@localhost")
        ann = engines(make_url(engine.url).set(username="ann"))
        assert outcomes(cache, ann) == MISS_THEN_HIT
        with ann.connect() as con:
            assert cache.read(QUERY, con).outcome is Outcome.HIT
        assert cache.read(QUERY, engine).outcome is Outcome.MISS


@pytest.fixture(scope="module")
def sockets(mariadb_url: str) -> Iterator[list[str]]:
    """Two servers, with the same tables of other rows."""
    if os.environ.get(MARIADB_VARIABLE):
        pytest.skip(f"{MARIADB_VARIABLE} names one server, and two are needed")
    with contextlib.ExitStack() as stack:
        try:
            urls = [make_url(mariadb_url), make_url(stack.enter_context(mariadb()))]
        except NoServer as fault:
            pytest.skip(str(fault))
        paths = [str(url.query["unix_socket"]) for url in urls]
        for number, path in enumerate(paths):
            with contextlib.closing(pymysql.connect(unix_socket=path, user="root", autocommit=True)) as raw:
                raw.query("create or replace database places")
                raw.query(f"create table places.place as select {number} as n")
        yield paths


PLACE = "select n from place"


class TestTwoServersBehindOnePort:
    @pytest.mark.parametrize("options", [{}, {"poolclass": NullPool}, {"pool_pre_ping": True}])
    def test_each_has_its_own_answers(
        self,
        cache: QueryCache,
        sockets: list[str],
        tunnel: Tunnel,
        engines: Callable[..., Engine],
        options: dict[str, Any],
    ) -> None:
        url = f"mysql+pymysql://root@127.0.0.1:{tunnel.port}/places"
        kept = engines(url, **options)
        seen: dict[int, set[str]] = {0: set(), 1: set()}
        for turn in (0, 1, 0, 1):
            tunnel.lead(sockets[turn])
            for con in (engines(url, **options), url, kept):
                for _ in range(2):
                    try:
                        result = cache.read(PLACE, con)
                    except (DBAPIError, NotCachedWarning):  # the connection was cut off
                        continue
                    assert result.frame["n"].tolist() == [turn]
                    if result.entry is not None:
                        seen[turn].add(result.entry.key)
        assert [len(keys) for keys in seen.values()] == [1, 1]
        assert not seen[0] & seen[1]

    def test_a_source_name_vouches_for_what_is_behind(
        self, cache: QueryCache, sockets: list[str], tunnel: Tunnel, engines: Callable[..., Engine]
    ) -> None:
        url = f"mysql+pymysql://root@localhost:{tunnel.port}/places"
        tunnel.lead(sockets[0])
        cache.read(PLACE, engines(url), source_name="prod")
        tunnel.lead(sockets[1])
        assert cache.read(PLACE, engines(url), source_name="prod").outcome is Outcome.HIT
        tunnel.close()
        assert cache.read(PLACE, engines(url), source_name="prod").outcome is Outcome.HIT

    def test_what_was_said_is_remembered_for_when_there_is_no_network(
        self, cache: QueryCache, sockets: list[str], tunnel: Tunnel, engines: Callable[..., Engine]
    ) -> None:
        tunnel.lead(sockets[0])
        engine = engines(f"mysql+pymysql://root@localhost:{tunnel.port}/places")
        cache.read(PLACE, engine)
        tunnel.close()
        assert cache.read(PLACE, engine).outcome is Outcome.HIT

    def test_counters_that_were_reset(
        self, cache: QueryCache, sockets: list[str], engines: Callable[..., Engine]
    ) -> None:
        engine = engines(f"mysql+pymysql://root@localhost/places?unix_socket={sockets[1]}")
        with engine.connect() as con:
            con.exec_driver_sql("create temporary table place as select 7 as n")
            con.exec_driver_sql("flush status")
            con.commit()
            with pytest.warns(NotCachedWarning, match="FLUSH STATUS"):
                assert cache.read(PLACE, con).frame["n"].tolist() == [7]


class TestRefusals:
    def test_a_clock_that_was_set(self, cache: QueryCache, con: Connection) -> None:
        con.exec_driver_sql("set timestamp = 1234567")
        with pytest.warns(NotCachedWarning, match="clock was set"):
            assert cache.read(QUERY, con).outcome is Outcome.BYPASSED
        con.exec_driver_sql("set timestamp = default")
        assert cache.read(QUERY, con).outcome is Outcome.MISS

    def test_a_connection_that_is_closed(self, con: Connection) -> None:
        source = source_of(con)
        con.close()
        with pytest.raises(NotCacheable, match="closed"):
            source.identify()

    def test_a_session_that_was_ended(self, con: Connection, run: Callable[[str], None]) -> None:
        run(f"kill {con.connection.driver_connection.thread_id()}")  # type: ignore[union-attr]
        with pytest.raises(NotCacheable, match="closed, busy"):
            source_of(con).identify()

    def test_a_busy_connection(self, con: Connection) -> None:
        raw: Any = con.connection.driver_connection
        with contextlib.closing(raw.cursor(pymysql.cursors.SSCursor)) as cursor:
            cursor.execute("select seq from seq_1_to_3")
            with pytest.raises(NotCacheable, match="busy"):
                source_of(con).identify()
            assert cursor.fetchall() == [(1,), (2,), (3,)]

    def test_a_driver_that_is_not_known(
        self, cache: QueryCache, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(NotCacheable, match="of a driver whose sessions cannot be asked"):
            LiveSession(object(), "mysql").look()
        monkeypatch.setitem(DRIVERS, "mysql", frozenset())
        with pytest.warns(NotCachedWarning, match="of the driver pymysql cannot be asked"):
            assert cache.read(QUERY, engine).outcome is Outcome.BYPASSED
        assert outcomes(cache, engine, source_name="prod") == MISS_THEN_HIT

    def test_values_that_are_made_by_code_of_ones_own(
        self, cache: QueryCache, filled_mariadb: str, engines: Callable[..., Engine]
    ) -> None:
        path = make_url(filled_mariadb).query["unix_socket"]
        conv = pymysql.converters.conversions | {pymysql.constants.FIELD_TYPE.DOUBLE: lambda data: 0.0}
        engine = engines(
            filled_mariadb,
            creator=lambda: pymysql.connect(unix_socket=path, user="root", database="filled", conv=conv),
        )
        with pytest.warns(NotCachedWarning, match="converts values"):
            assert set(cache.read(QUERY, engine).frame["amount"].dropna()) == {0.0}


@pytest.fixture
def tokyo(run: Callable[[str], None]) -> str:
    """A zone that the server knows by its name, as by mariadb-tzinfo-to-sql."""
    run("delete from mysql.time_zone_name where name = 'Asia/Tokyo'")
    run("replace into mysql.time_zone values (99, 'N')")
    run("insert into mysql.time_zone_name values ('Asia/Tokyo', 99)")
    run("replace into mysql.time_zone_transition_type values (99, 0, 32400, 0, 'JST')")
    return "Asia/Tokyo"


class TestZones:
    SQL = "select id, current_date as day from sales"

    @pytest.mark.parametrize("source_name", [None, "prod"])
    def test_the_date_is_that_of_the_servers_zone(
        self,
        cache: QueryCache,
        clock: Clock,
        filled_mariadb: str,
        engines: Callable[..., Engine],
        tokyo: str,
        source_name: str | None,
    ) -> None:
        engine = engines(filled_mariadb, connect_args={"init_command": f"set time_zone = '{tokyo}'"})
        entry = cache.read(self.SQL, engine, ttl="7d", source_name=source_name).entry
        assert entry is not None
        assert (entry.zone, entry.day, entry.volatile) == (tokyo, "2026-11-20", False)
        clock.forward(hours=5, minutes=45)  # 23:59 there
        assert cache.read(self.SQL, engine, source_name=source_name).outcome is Outcome.HIT
        clock.forward(minutes=1)
        result = cache.read(self.SQL, engine, source_name=source_name)
        assert (result.outcome, result.reason) == (Outcome.MISS, Reason.ANOTHER_DAY)

    @pytest.mark.parametrize(("zone", "known"), [("+00:00", "UTC"), ("+02:00", None)])
    def test_a_connection(self, cache: QueryCache, con: Connection, zone: str, known: str | None) -> None:
        con.exec_driver_sql(f"set time_zone = '{zone}'")
        entry = cache.read(self.SQL, con).entry
        assert entry is not None
        assert (entry.zone, entry.volatile) == (known, known is None)

    @pytest.mark.parametrize(
        ("system", "known"), [("UTC", "UTC"), ("GMT", None), ("EST", None), ("Europe/Berlin", None)]
    )
    def test_the_systems_own(self, system: str, known: str | None) -> None:
        assert mysql._zone({"time_zone": "SYSTEM", "system_time_zone": system}) == known


class TestWhatMysqlTells:
    """Rows as MySQL's documentation has them: there is no such server here."""

    @staticmethod
    def fingerprint(*rows: tuple[str, str, Any], variables: int | None = 0) -> Fingerprint:
        told = {
            ("session", "user"): "ann@localhost",
            ("session", "account"): "ann@localhost",
            ("session", "role"): "NONE",
            ("session", "database"): "sales",
            ("session", "now"): "1795240848",
            ("session", "behind"): "0",
            ("session", "sysdate is now"): "no",
            ("variable", "server_uuid"): "0e1b",
            ("variable", "time_zone"): "+00:00",
            ("variable", "transaction_isolation"): "REPEATABLE-READ",
            ("variable", "autocommit"): "OFF",
            ("status", "Uptime"): "9",
            ("status", "Uptime_since_flush_status"): "9",
            ("status", "Com_create_table"): "0",
            ("status", "Com_set_role"): "0",
        } | {(kind, name): value for kind, name, value in rows}

        def execute(sql: str) -> list[Any]:
            if "processlist_id" in sql:
                if variables is None:
                    raise PermissionError
                return [(variables,)]
            return [(kind.encode(), name.encode(), value.encode()) for (kind, name), value in told.items()]

        return mysql.fingerprint(execute)

    def test_a_session_that_nobody_has_touched(self) -> None:
        found = self.fingerprint()
        assert (found.touched, found.doubt, found.zone, found.snapshot) == ("", "", "UTC", False)
        assert (found.options["server_uuid"], found.tells_its_server) == ("0e1b", True)

    @pytest.mark.parametrize(
        ("rows", "touched"),
        [
            ([("set", "sql_mode", "ANSI")], "sql_mode"),
            ([("status", "Com_set_role", "1")], "role"),
            ([("status", "Com_change_db", "1")], "database"),
            ([("set", "character_set_results", "latin1"), ("set", "wait_timeout", "9")], ""),
        ],
    )
    def test_one_that_somebody_has(self, rows: list[tuple[str, str, str]], touched: str) -> None:
        assert self.fingerprint(*rows).touched == touched

    @pytest.mark.parametrize(
        ("rows", "variables", "doubt"),
        [
            ([], None, "does not tell whether the session has variables"),
            ([], 1, "has variables"),
            ([("status", "Com_create_table", "1")], 0, "whether they are temporary"),
            ([("status", "Uptime_since_flush_status", "1")], 0, "FLUSH STATUS"),
            ([("session", "sysdate is now", "yes")], 0, "SYSDATE"),
        ],
    )
    def test_what_cannot_be_told(
        self, rows: list[tuple[str, str, str]], variables: int | None, doubt: str
    ) -> None:
        found = self.fingerprint(*rows, variables=variables)
        assert doubt in found.doubt
        identity = SourceIdentity("mysql", "pymysql")
        found.identify(identity, elsewhere=True, set_up=False)
        with pytest.raises(NotCacheable, match=doubt):
            found.identify(identity, elsewhere=True, set_up=True)
