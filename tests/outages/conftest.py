"""A server behind a way that can be cut, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from tests import servers
from tests.conftest import SALES
from tests.proxy import Proxy, in_front_of

QUERY = "select id, region, amount from orders_of_outages order by id"
DRIVERS = {
    "postgresql": "postgresql+psycopg://postgres@127.0.0.1:{}/postgres",
    "mariadb": "mysql+pymysql://root@127.0.0.1:{}/mysql",
}
STOPPABLE = {"postgresql": servers.postgresql_that_stops, "mariadb": servers.mariadb_that_stops}


@pytest.fixture(params=DRIVERS)
def family(request: pytest.FixtureRequest) -> str:
    pytest.importorskip({"postgresql": "psycopg", "mariadb": "pymysql"}[request.param])
    return str(request.param)


@pytest.fixture
def filled(family: str, request: pytest.FixtureRequest, engines: Callable[..., Engine]) -> Iterator[Engine]:
    """An engine that goes to the server by a way that is not cut."""
    engine = engines(request.getfixturevalue(f"{family}_url"), isolation_level="AUTOCOMMIT")
    SALES.to_sql("orders_of_outages", engine, index=False, if_exists="replace")
    yield engine
    with engine.connect() as con:
        con.exec_driver_sql("drop table orders_of_outages")


@pytest.fixture
def proxy(filled: Engine) -> Iterator[Proxy]:
    with in_front_of(filled.url.render_as_string(hide_password=False)) as proxy:
        yield proxy


@pytest.fixture
def url(family: str, proxy: Proxy) -> str:
    return DRIVERS[family].format(proxy.port)


@pytest.fixture
def engine(url: str, engines: Callable[..., Engine]) -> Engine:
    return engines(url)


def psycopg_to(port: int) -> Any:
    psycopg = pytest.importorskip("psycopg")
    return psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres")
