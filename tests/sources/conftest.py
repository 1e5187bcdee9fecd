"""A PostgreSQL server with what gives two sessions two answers."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, make_url

from tests.conftest import SALES

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
