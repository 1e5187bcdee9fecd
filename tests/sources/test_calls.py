"""Which statements call a function of somebody's own, by their words."""

from __future__ import annotations

import pytest

from sqlcache_nb.sources.calls import calls_code


@pytest.mark.parametrize(
    "statement",
    [
        "select setup('dev')",
        'select "Setup" ()',
        "select dev . setup(1)",
        'select "dev"."setup"(1)',
        "select setup/* of the tenant */(1)",
        "select setup -- of the tenant\n (1)",
        "select * from setup('x')",
        "select 1 from a join b on mine(a.n) = b.n",
        "select coalesce(mine(), 1)",
        "select public.upper(1)",
        "update t set a = mine(b)",
        "insert into t (a) select mine()",
        "insert into t (a) values (mine())",
        "with x as (select mine(1)) select 1",
        "select pg_temp.mine(1)",
        'select "pg_mine"(1)',
        "select pg_catalog.set_config('search_path', 'dev', false)",
        f"select {'x' * 63}(1)",
        f"select mine/* {'x' * 300} */(1)",
        f"select mine{' ' * 300}(1)",
    ],
)
def test_it_calls_one(statement: str) -> None:
    assert calls_code(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "select 1",
        "insert into sales (a, b) values (1, 2)",
        "insert into sales as s (a) values (1) on conflict (a) do update set a = 1",
        'insert into dev."my sales" (a, b) values (%s, %s), (%s, %s)',
        "create table t (a int, b varchar(20), c numeric(10, 2), primary key (a))",
        "create table if not exists dev.t (a text, foreign key (a) references u (a))",
        "create view v (a, b) as select 1, 2",
        "create function mine(n int) returns int language sql as 'select 1'",
        "alter table t add constraint x unique (a)",
        "select count(*), sum(a) over (partition by b) from t where a in (1, 2) and exists (select 1)",
        "select pg_catalog.version(), pg_sleep(1)",
        "with t (a) as (select 1) select * from t",
        "select cast(a as varchar(20)), a::numeric(10, 2) from t",
        "select date_trunc('month', d), extract(year from d) from t group by (a)",
        "select a from b join (select 1) c using (id)",
        "select percentile_cont(0.5) within group (order by x) filter (where y) from t",
    ],
)
def test_it_calls_none(statement: str) -> None:
    assert not calls_code(statement)


@pytest.mark.parametrize("piece", ['"', "a ", "a.", "a /*", "/*", "f -- ", "\n", " ", "into ", "(", "x\n("])
def test_a_long_statement_is_read_once(piece: str) -> None:
    """Where a pattern tried each beginning anew, this would take minutes."""
    calls_code(piece * 100_000)
