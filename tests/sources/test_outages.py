"""Which errors are outages: of real servers behind a proxy that refuses, drops, hangs and closes one half."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from sqlcache_nb.sources.outages import (
    LOST,
    REFUSED,
    STARTING,
    STOPPING,
    TIMED_OUT,
    UNKNOWN,
    is_dead,
    outage_of,
)
from tests import servers
from tests.proxy import Proxy, in_front_of

pytestmark = [
    pytest.mark.server,
    # What a driver does not close of a connection that was cut, or that it could not open.
    pytest.mark.usefixtures("cut_connections"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@dataclass
class Way:
    """A driver's way through a proxy to a server."""

    driver: str
    proxy: Proxy

    @property
    def is_mysql(self) -> bool:
        return self.driver == "pymysql"

    def connect(self, **options: Any) -> Any:
        """A connection of the driver's own; a time limit of a second or two for connecting."""
        given = {"host": "127.0.0.1", "port": self.proxy.port, **options}
        module: Any = import_module(MODULES[self.driver])
        if self.is_mysql:
            return module.connect(
                **{"user": "root", "database": "mysql", "connect_timeout": 1, "read_timeout": 1, **given}
            )
        given = {"user": "postgres", "database": "postgres", **given}
        if self.driver == "pg8000":
            return module.connect(**{"timeout": 1, **given})
        if self.driver == "adbc":
            user, host, port, database = (given[name] for name in ("user", "host", "port", "database"))
            return module.connect(f"postgresql://{user}@{host}:{port}/{database}?connect_timeout=2")
        given["dbname"] = given.pop("database")
        return module.connect(**{"connect_timeout": 2, **given})

    def url(self, **parts: Any) -> str:
        named = (
            "mysql+pymysql://root@/mysql"
            if self.is_mysql
            else f"postgresql+{self.driver}://postgres@/postgres"
        )
        url = make_url(named).set(**{"host": "127.0.0.1", "port": self.proxy.port, **parts})
        return url.render_as_string(hide_password=False)


MODULES = {
    "psycopg": "psycopg",
    "psycopg2": "psycopg2",
    "pg8000": "pg8000.dbapi",
    "adbc": "adbc_driver_postgresql.dbapi",
    "pymysql": "pymysql",
}


@pytest.fixture(params=MODULES)
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    driver = request.param
    pytest.importorskip(MODULES[driver], reason=f"{driver} is not installed")
    url = request.getfixturevalue("mariadb_url" if driver == "pymysql" else "postgresql_url")
    with in_front_of(url) as proxy:
        yield Way(driver, proxy)


@pytest.fixture
def opened(way: Way) -> Iterator[Callable[..., Any]]:
    """Opens connections of the driver, which are closed at the end if they can be."""
    with ExitStack() as stack:

        def connect(**options: Any) -> Any:
            con = way.connect(**options)
            stack.callback(_closed, con)
            return con

        yield connect


def _closed(con: Any) -> None:
    with suppress(Exception):  # it is lost
        con.close()


def ask(con: Any, sql: str = "select 1") -> None:
    with closing(con.cursor()) as cursor:
        cursor.execute(sql)
        cursor.fetchall()


def fault_of(call: Callable[..., object], *args: Any, **options: Any) -> BaseException:
    with pytest.raises(Exception) as caught, warnings.catch_warnings(action="ignore"):  # noqa: PT011  # any
        call(*args, **options)
    return caught.value


def read(con: Any, sql: str = "select 1 as n", **options: Any) -> Any:
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # pandas', of raw connections
        return pd.read_sql(sql, con, **options)


def not_on_old_adbc(way: Way) -> None:
    """Its driver of PostgreSQL ended the process when a connection was cut."""
    if way.driver == "adbc" and version("adbc_driver_postgresql") == "1.3.0":
        pytest.skip("this ADBC driver ends the process when its connection is cut")


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def own_server(server: AbstractContextManager[servers.Stoppable]) -> Iterator[servers.Stoppable]:
    with ExitStack() as stack:
        try:
            yield stack.enter_context(server)
        except servers.NoServer as fault:
            pytest.skip(str(fault))


@pytest.fixture
def users(postgresql_url: str, engines: Callable[..., Engine]) -> None:
    """One with a password, and one with no connection left."""
    with engines(postgresql_url, isolation_level="AUTOCOMMIT").connect() as con:
        for user, limit in (("locked", -1), ("limited", 0)):
            con.exec_driver_sql(f"drop role if exists {user}")
            con.exec_driver_sql(f"create role {user} login password 'right' connection limit {limit}")
        hba = Path(con.exec_driver_sql("show hba_file").scalar_one())
        if not hba.is_file():
            pytest.skip("who may log in to this server is not the tests' to say")
        line = "local all locked scram-sha-256\n"
        if line not in (rules := hba.read_text()):
            hba.write_text(line + rules)
        con.exec_driver_sql("select pg_reload_conf()")


@pytest.fixture
def users_of_mariadb(mariadb_url: str, engines: Callable[..., Engine]) -> None:
    with engines(mariadb_url).connect() as con:
        con.exec_driver_sql("create or replace user locked identified by 'right'")


class TestOutages:
    def test_nobody_listens(self, way: Way) -> None:
        way.proxy.refuse()
        assert outage_of(fault_of(way.connect)) == REFUSED
        way.proxy.come_back()
        with closing(way.connect()) as con:
            ask(con)

    def test_no_such_host(self, way: Way) -> None:
        assert outage_of(fault_of(way.connect, host="nohost.invalid")) == UNKNOWN

    def test_nobody_answers(self, way: Way) -> None:
        way.proxy.hang()
        assert outage_of(fault_of(way.connect)) == TIMED_OUT

    def test_an_answer_that_does_not_come(self, way: Way, opened: Callable[..., Any]) -> None:
        if way.driver not in {"pg8000", "pymysql"}:
            pytest.skip(f"{way.driver} waits for an answer as long as the system does")
        con = opened()
        way.proxy.hang()
        assert outage_of(fault_of(ask, con)) == TIMED_OUT

    @pytest.mark.parametrize("cut", ["drop", "refuse", "half_close"])
    def test_a_connection_that_is_cut(self, way: Way, opened: Callable[..., Any], cut: str) -> None:
        not_on_old_adbc(way)
        con = opened()
        getattr(way.proxy, cut)()
        assert not is_dead(con)
        assert outage_of(fault_of(ask, con)) == LOST

    @pytest.mark.parametrize("chunksize", [None, 1])
    def test_what_pandas_makes_of_it(
        self, way: Way, opened: Callable[..., Any], chunksize: int | None
    ) -> None:
        not_on_old_adbc(way)
        if way.driver == "adbc" and chunksize:
            pytest.skip("pandas has no chunks of it")
        con = opened()
        way.proxy.drop()
        fault = fault_of(lambda: list(read(con, chunksize=chunksize)))
        assert outage_of(fault) == LOST

    def test_a_session_that_is_ended(self, way: Way, opened: Callable[..., Any]) -> None:
        end = "kill connection_id()" if way.is_mysql else "select pg_terminate_backend(pg_backend_pid())"
        assert outage_of(fault_of(ask, opened(), end)) == LOST

    def test_a_socket_file_that_is_not_there(self, way: Way, tmp_path: Path) -> None:
        gone = {"unix_socket" if way.is_mysql else "unix_sock": str(tmp_path / "s")}
        if way.driver in {"psycopg", "psycopg2"}:
            gone = {"host": str(tmp_path)}
        elif way.driver == "adbc":
            pytest.skip("it says what psycopg says")
        assert outage_of(fault_of(way.connect, **gone)) == REFUSED


def refused_at_last(driver: Any, url: str) -> Any:
    """How a server refuses, as soon as it has heard that it shall stop."""
    for _ in range(10_000):
        try:
            driver.connect(url).close()
        except driver.OperationalError as fault:
            return fault
    raise AssertionError("it did not stop")


def test_a_server_that_is_stopped() -> None:
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    with own_server(servers.postgresql_that_stops()) as server:
        url = make_url(server.url).set(drivername="postgresql").render_as_string(hide_password=False)
        with closing(psycopg.connect(url)) as con:
            os.kill(server.process() or 0, signal.SIGTERM)  # it waits for who is connected
            assert outage_of(refused_at_last(psycopg, url)) == STOPPING
            server.stop()
            assert outage_of(fault_of(ask, con)) == LOST
        assert outage_of(fault_of(psycopg.connect, url)) == REFUSED
        server.start()
        with closing(psycopg.connect(url)) as con:
            ask(con)


def test_a_server_that_starts(way: Way) -> None:
    """In its own words: a moment that cannot be caught."""
    errors: Any = import_module("psycopg")
    for words, told in (
        ("starting up", STARTING),
        ("in recovery mode", STARTING),
        ("not yet accepting connections", STARTING),
        ("shutting down", STOPPING),
    ):
        sentence = f"FATAL:  the database system is {words}"
        text = f'connection failed: connection to server at "::1", port 5432 failed: {sentence}'
        assert outage_of(errors.OperationalError(text)) == told


def test_a_connection_that_is_closed_is_dead(way: Way) -> None:
    if way.driver == "pg8000":
        pytest.skip("it does not tell")
    con = way.connect()
    assert not is_dead(con)
    con.close()
    assert is_dead(con)
    assert not is_dead(way.url if way.driver == "adbc" else way.url())


class TestOutagesBehindSqlalchemy:
    @pytest.fixture
    def way(self, way: Way) -> Way:
        if way.driver == "adbc":
            pytest.skip("SQLAlchemy has no dialect of it")
        return way

    def test_an_engine(self, way: Way, engines: Callable[..., Engine]) -> None:
        engine = engines(way.url())
        read(engine)
        way.proxy.drop()
        assert outage_of(fault_of(read, engine)) == LOST  # its pooled connection
        read(engine)
        way.proxy.refuse()
        assert outage_of(fault_of(read, engine)) == LOST
        assert outage_of(fault_of(read, engine)) == REFUSED

    def test_a_url(self, way: Way) -> None:
        way.proxy.refuse()
        assert outage_of(fault_of(read, way.url())) == REFUSED
        assert outage_of(fault_of(read, way.url(host="nohost.invalid"))) == UNKNOWN

    @pytest.mark.parametrize("chunksize", [None, 1])
    def test_a_connection(self, way: Way, engines: Callable[..., Engine], chunksize: int | None) -> None:
        with engines(way.url()).connect() as con:
            read(con)
            way.proxy.drop()
            assert not is_dead(con)
            assert outage_of(fault_of(lambda: list(read(con, chunksize=chunksize)))) == LOST
            assert is_dead(con)
            con.rollback()
            assert read(con)["n"].tolist() == [1]

    def test_pinged_before_use_it_is_opened_anew(self, way: Way, engines: Callable[..., Engine]) -> None:
        engine = engines(way.url(), pool_pre_ping=True)
        read(engine)
        way.proxy.drop()
        assert read(engine)["n"].tolist() == [1]


class TestWhatIsNone:
    @pytest.mark.parametrize("sql", ["select * from nowhere", "selct 1", "select 1/0 from nowhere where"])
    def test_statements_that_are_wrong(self, way: Way, opened: Callable[..., Any], sql: str) -> None:
        fault = fault_of(read, opened(), sql)
        assert outage_of(fault) is None

    def test_a_division_by_zero(self, way: Way, opened: Callable[..., Any]) -> None:
        if way.is_mysql:
            pytest.skip("it is NULL there")
        assert outage_of(fault_of(ask, opened(), "select 1/0")) is None

    def test_a_time_limit_for_the_statement(self, way: Way, opened: Callable[..., Any]) -> None:
        con = opened()
        limit, slow = "set statement_timeout = 20", "select pg_sleep(9)"
        if way.is_mysql:
            limit, slow = (
                "set statement max_statement_time = 0.02 for select sleep(9)",
                "select 1 from nowhere",
            )
        with suppress(Exception), closing(con.cursor()) as cursor:
            cursor.execute(limit)
        assert outage_of(fault_of(ask, con, slow)) is None

    def test_a_database_that_is_not_there(self, way: Way) -> None:
        assert outage_of(fault_of(way.connect, database="nowhere")) is None

    @pytest.mark.parametrize("user", ["locked", "limited"])
    def test_a_login_that_is_refused(self, way: Way, request: pytest.FixtureRequest, user: str) -> None:
        """A password that is wrong, and a limit of connections."""
        if way.is_mysql and user == "limited":
            pytest.skip("it counts what a user has had in an hour")
        request.getfixturevalue("users_of_mariadb" if way.is_mysql else "users")
        fault = fault_of(way.connect, user=user, **({} if way.driver == "adbc" else {"password": "wrong"}))
        assert outage_of(fault) is None
        if way.driver != "adbc":
            assert outage_of(fault_of(read, way.url(username=user, password="wrong"))) is None

    def test_nor_where_another_address_is_refused(self, way: Way) -> None:
        if way.driver not in {"psycopg", "psycopg2"}:
            pytest.skip("it takes one address")
        ports = f"{free_port()},{way.proxy.port}"
        two = {"host": "127.0.0.1,127.0.0.1", "port": ports, "database": "nowhere"}
        assert outage_of(fault_of(way.connect, **two)) is None
        both = {"host": "127.0.0.1,127.0.0.1", "port": f"{free_port()},{free_port()}"}
        assert outage_of(fault_of(way.connect, **both)) == REFUSED

    def test_a_table_that_nobody_may_read(self, way: Way, opened: Callable[..., Any]) -> None:
        if way.is_mysql:
            pytest.skip("root may read all")
        con = opened()
        with closing(con.cursor()) as cursor:
            cursor.execute("set role pg_monitor")
        assert outage_of(fault_of(ask, con, "select * from pg_authid")) is None

    def test_what_other_code_raises(self) -> None:
        for fault in (
            TimeoutError("timed out"),
            ConnectionResetError("reset"),
            FileNotFoundError(2, "No such file or directory"),
            pd.errors.DatabaseError("connection refused"),
            SQLAlchemyError("connection refused"),
            KeyboardInterrupt(),
        ):
            assert outage_of(fault) is None

    def test_files_of_databases(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/gone/sales.db"
        assert outage_of(fault_of(read, url)) is None
        with pytest.raises(sqlite3.OperationalError) as caught:
            sqlite3.connect(tmp_path / "gone" / "sales.db")
        assert outage_of(caught.value) is None
        duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
        assert outage_of(fault_of(duckdb.connect, str(tmp_path / "gone" / "sales.duckdb"))) is None
