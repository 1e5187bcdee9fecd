"""Servers with what gives two sessions two answers, and a way to them that may lead elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, create_engine, make_url

from tests.conftest import SALES
from tests.tunnel import Tunnel

SCRIPT = (
    "create schema dev",
    "create table dev.sales as select 999 as id, 'x' as region, 1.0 as amount",
    "create table notes (owner text, note text)",
    "insert into notes values ('one', 'of one'), ('two', 'of two')",
    "create policy own on notes using (owner = current_user)",
    "alter table notes enable row level security",
    "do $$ begin create role one; create role two; exception when duplicate_object then null; end $$",
    """create view of_tenant as select region from sales
       where coalesce(current_setting('app.tenant', true), '') in ('', region)""",
    "grant usage on schema public, dev to one, two",
    "grant select on notes, sales, dev.sales to one, two",
    """create table moments as select timestamptz '2024-01-02 12:30+02' as moment, interval '1 day' as span,
       cast('AB' as bytea) as bytes, cast(1 as float8) / 3 as real""",
)


@pytest.fixture(scope="session")
def filled(postgresql_url: str) -> str:
    """The URL of a database that has what the tests ask for."""
    url = make_url(postgresql_url)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as con:
        con.exec_driver_sql("drop database if exists filled")
        con.exec_driver_sql("create database filled")
    engine.dispose()
    url = url.set(database="filled")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as con:
        SALES.to_sql("sales", con, index=False)
        for statement in SCRIPT:
            con.exec_driver_sql(statement)
    engine.dispose()
    return url.render_as_string(hide_password=False)


@pytest.fixture
def run(filled: str, engines: Callable[..., Engine]) -> Callable[[str], None]:
    """Runs a statement as another program would."""
    other = engines(filled, isolation_level="AUTOCOMMIT")

    def run(sql: str) -> None:
        with other.connect() as con:
            con.exec_driver_sql(sql)

    return run


MARIADB_SCRIPT = (
    "create or replace database dev",
    "create table dev.sales as select 999 as id, 'x' as region, 1.0 as amount",
    "create table all_notes (owner varchar(9), note varchar(9))",
    "insert into all_notes values ('one', 'of one'), ('two', 'of two')",
    "create sql security invoker view notes as select note from all_notes where owner = current_role()",
    "create or replace role one",
    "create or replace role two",
    "grant all on *.* to one, two",
    "create function tenant() returns varchar(9) charset utf8mb4 return @tenant",
    "create view of_tenant as select region from sales where coalesce(tenant(), '') in ('', region)",
    "create table moments (moment timestamp)",
    "insert into moments values ('2024-01-02 12:30:00')",
    "create table kept (n int) with system versioning",
    "insert into kept values (1)",
)


@pytest.fixture(scope="session")
def filled_mariadb(mariadb_url: str) -> str:
    """The URL of a MariaDB database that has what the tests ask for."""
    url = make_url(mariadb_url)
    for database, statements in (
        (url.database, ["create or replace database filled character set utf8mb4"]),
        ("filled", MARIADB_SCRIPT),
    ):
        engine = create_engine(url.set(database=database), isolation_level="AUTOCOMMIT")
        with engine.connect() as con:
            if database == "filled":
                SALES.to_sql("sales", con, index=False)
            for statement in statements:
                con.exec_driver_sql(statement)
        engine.dispose()
    return url.set(database="filled").render_as_string(hide_password=False)


@pytest.fixture
def tunnel() -> Iterator[Tunnel]:
    tunnel = Tunnel()
    yield tunnel
    tunnel.close()
