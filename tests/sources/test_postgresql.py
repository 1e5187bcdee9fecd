"""PostgreSQL, on a real server: users, types, transactions, secrets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine, bindparam, make_url, text
from sqlalchemy.exc import OperationalError

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache
from sqlcache_nb.freshness import Reason
from tests.conftest import SALES, Clock, Statements
from tests.strict import differences

pytestmark = pytest.mark.server
pytest.importorskip("psycopg", reason="psycopg is not installed")

QUERY = "select * from sales order by id"
TYPES = """
select 1::int2 as small, 2::int8 as big, 1.5::float8 as real, true as yes, 'text' as words,
       date '2024-01-01' as day, time '12:30' as hour, timestamp '2024-01-01 12:30' as moment,
       timestamptz '2024-01-01 12:30+02' as instant, interval '1 day' as span, 1.25::numeric as price,
       '\\x4142'::bytea as bytes
"""


@pytest.fixture
def engine(postgresql_url: str, engines: Callable[..., Engine]) -> Engine:
    engine = engines(postgresql_url)
    SALES.to_sql("sales", engine, index=False, if_exists="replace")
    return engine


def test_an_engine_and_its_connection_share_their_answers(cache: QueryCache, engine: Engine) -> None:
    """As long as the engine's server had to be asked, too."""
    cache.read(QUERY, engine)
    with engine.connect() as con:
        assert cache.read(QUERY, con).outcome is Outcome.HIT


def test_the_second_answer_asks_nothing(cache: QueryCache, engine: Engine, clock: Clock) -> None:
    statements = Statements.of(engine)
    first, second = (cache.read(QUERY, engine) for _ in range(2))
    assert (first.outcome, second.outcome, second.reason) == (Outcome.MISS, Outcome.HIT, Reason.WITHIN_TTL)
    assert statements == [QUERY]
    assert differences(pd.read_sql(QUERY, engine), second.frame) == []
    clock.forward(days=1)
    assert cache.read(QUERY, engine).reason is Reason.EXPIRED


def test_a_url_and_its_engine_share_their_answers(
    cache: QueryCache, engine: Engine, postgresql_url: str
) -> None:
    cache.read(QUERY, engine)
    assert cache.read(QUERY, postgresql_url).outcome is Outcome.HIT


@pytest.mark.parametrize(
    "options",
    [{}, {"dtype_backend": "numpy_nullable"}, {"dtype_backend": "pyarrow"}, {"coerce_float": False}],
)
def test_common_types_come_back_as_they_were(
    cache: QueryCache, engine: Engine, options: dict[str, object]
) -> None:
    asked = pd.read_sql(TYPES, engine, **options)  # type: ignore[call-overload]
    results = [cache.read(TYPES, engine, **options) for _ in range(2)]  # type: ignore[arg-type]
    assert [result.outcome for result in results] == [Outcome.MISS, Outcome.HIT]
    assert [differences(asked, result.frame) for result in results] == [[], []]


def test_parameters_and_lists(cache: QueryCache, engine: Engine) -> None:
    statement = text("select * from sales where id in :ids and amount::int > :low").bindparams(
        bindparam("ids", expanding=True)
    )
    for ids in ([1, 2, 3], [1, 2]):
        asked = pd.read_sql(statement, engine, params={"ids": ids, "low": 5})
        for expected in (Outcome.MISS, Outcome.HIT):
            result = cache.read(statement, engine, params={"ids": ids, "low": 5})
            assert result.outcome is expected
            assert differences(asked, result.frame) == []


def test_what_the_clock_answers_is_fresh_for_an_hour(cache: QueryCache, engine: Engine, clock: Clock) -> None:
    sql = "select count(*) as n from sales where now() > '2024-01-01'"
    assert [cache.read(sql, engine, ttl="forever").outcome for _ in range(2)] == [Outcome.MISS, Outcome.HIT]
    clock.forward(minutes=61)
    assert cache.read(sql, engine, ttl="forever").reason is Reason.EXPIRED


def test_two_users_are_apart(cache: QueryCache, engine: Engine, engines: Callable[..., Engine]) -> None:
    with engine.begin() as con:
        con.execute(text("drop role if exists reader"))
        con.execute(text("create role reader login superuser password 'pa55word'"))
    reader = engines(make_url(engine.url).set(username="reader", password="pa55word"))
    sql = "select current_user::text as who"
    answers = [cache.read_sql(sql, con)["who"].tolist() for con in (engine, reader)]
    assert answers == [["postgres"], ["reader"]]


def test_two_search_paths_are_apart(
    cache: QueryCache, engine: Engine, engines: Callable[..., Engine]
) -> None:
    with engine.begin() as con:
        con.execute(text("create schema if not exists dev"))
        con.execute(text("create table if not exists dev.sales as select 999 as id"))
    dev = engines(engine.url, connect_args={"options": "-csearch_path=dev"})
    cache.read(QUERY, engine)
    assert cache.read(QUERY, dev).frame["id"].tolist() == [999]


def test_what_a_transaction_alone_sets_does_not_matter(cache: QueryCache, engine: Engine) -> None:
    cache.read(QUERY, engine)
    with engine.begin() as con:
        con.exec_driver_sql("set local search_path to dev")
    assert cache.read(QUERY, engine).outcome is Outcome.HIT


def test_a_write_runs_uncached(cache: QueryCache, engine: Engine) -> None:
    with pytest.warns(NotCachedWarning, match="not a read"):
        cache.read("insert into sales (id) values (7) returning id", engine)
    assert cache.read(QUERY, engine).shape == (6, 4)  # rolled back, as with pandas
    assert cache.execute("insert into sales (id) values (7)", engine).rows == 1
    assert cache.read(QUERY, engine).shape == (7, 4)


def test_a_server_that_is_gone_is_not_hidden(cache: QueryCache) -> None:
    with pytest.raises(OperationalError):
        cache.read("select 1 as n", "postgresql+psycopg://ann:s3cret@127.0.0.1:1/sales")


def test_no_secret_is_anywhere(
    cache: QueryCache,
    engine: Engine,
    engines: Callable[..., Engine],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secrets = ("pa55word", "s3cr3t-token")
    with engine.begin() as con:
        con.execute(text("drop role if exists writer"))
        con.execute(text("create role writer login superuser password 'pa55word'"))
    url = (
        make_url(engine.url)
        .set(username="writer", password="pa55word")
        .update_query_dict({"sslpassword": "s3cr3t-token"})
    )
    with caplog.at_level("INFO", logger="sqlcache_nb"):
        cache.read_sql(QUERY, engines(url))
        cache.read_sql(QUERY, url.render_as_string(hide_password=False))
    cache.close()
    written = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert b"select * from sales" in written
    for secret in secrets:
        assert secret.encode() not in written
        assert secret not in caplog.text
