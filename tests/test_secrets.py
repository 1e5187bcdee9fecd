"""No secret of a connection is anywhere: not in the cache's files, not in the log, not in a message."""

from __future__ import annotations

import logging
import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from sqlcache_nb import QueryCache
from sqlcache_nb.errors import SqlcacheWarning
from sqlcache_nb.identity import from_connect_args

SECRETS = ["hunter-two", "tok-e-n", "ke-y", "pa ss", "pa%20ss", "pa+ss"]


def written(directory: Path) -> bytes:
    """Everything in a directory, the names of its files too."""
    return b"\n".join(
        str(path.relative_to(directory)).encode() + b"\n" + (path.read_bytes() if path.is_file() else b"")
        for path in sorted(directory.rglob("*"))
    )


def assert_no_secret(*places: str | bytes) -> None:
    for place in places:
        plain = place if isinstance(place, bytes) else place.encode()
        assert [secret for secret in SECRETS if secret.encode() in plain] == []


def used(cache: QueryCache, con: object, sql: str) -> list[str]:
    """All that a cache says of a question, of its answer and of what goes wrong with them."""
    said = []
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for question in (text(sql), text(sql)):
            said += [repr(cache.read(question, con)), str(cache.why(question, con))]
        said += [repr(entry) for entry in cache.entry_list()]
        said += [cache.entries().to_string(), repr(cache.stats()), repr(cache), str(cache.check())]
        for path in cache.directory.rglob("*.parquet"):
            path.write_bytes(b"damaged")
        said.append(repr(cache.read(text(sql), con)))
        cache.clear()
    return said + [str(warning.message) for warning in seen if issubclass(warning.category, SqlcacheWarning)]


@pytest.fixture
def names(sales_db: Path) -> Path:
    """A database file whose URI can carry anything."""
    with closing(sqlite3.connect(sales_db)) as con, con:
        con.execute("create table names as select 'ann' as name")
    return sales_db


def test_of_a_file_with_a_password_in_its_uri(
    cache: QueryCache,
    names: Path,
    engines: Callable[..., Engine],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG, "sqlcache_nb")
    url = f"sqlite:///file:{names}?uri=true&password=hunter-two&token=tok-e-n&key=ke-y"
    said = used(cache, engines(url), "select * from names")
    said += used(cache, url, "select name from names")
    assert_no_secret(written(cache.directory), caplog.text, *said, *capsys.readouterr())


@pytest.mark.server
def test_of_a_server(
    cache: QueryCache,
    postgresql_url: str,
    engines: Callable[..., Engine],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG, "sqlcache_nb")
    admin = engines(postgresql_url)
    with admin.begin() as con:
        con.execute(text("drop role if exists keeper"))
        con.execute(text("create role keeper login password 'hunter-two'"))
    try:
        url = make_url(postgresql_url).set(username="keeper", password="hunter-two")
        engine = engines(url, connect_args={"application_name": "x"})
        said = used(cache, engine, "select 1 as n")
        with engine.connect() as con:
            said += used(cache, con, "select 2 as n")
        said += used(cache, url.render_as_string(hide_password=False), "select 3 as n")
    finally:
        engine.dispose()
        with admin.begin() as con:
            con.execute(text("drop role keeper"))
    assert_no_secret(written(cache.directory), caplog.text, *said, *capsys.readouterr())


@pytest.mark.parametrize(
    "query",
    [
        "odbc_connect=DRIVER%3D%7BX%7D%3BSERVER%3Dh%3BDATABASE%3Dd%3BUID%3Dann%3BPWD%3Dhunter-two",
        "odbc_connect=Driver%3D%7BX%7D%3BServer%3Dh%3BUid%3Dann%3BPwd%3D%7Bpa+ss%7D%3BAccessToken%3Dtok-e-n",
    ],
)
def test_of_an_odbc_string(query: str) -> None:
    url = make_url(f"mssql+pyodbc:///?{query}")
    arguments, keywords = url.get_dialect()().create_connect_args(url)
    identity = from_connect_args(url, tuple(arguments), keywords)
    assert_no_secret(repr(identity), identity.label, repr(identity.parts()))


def test_no_sql_is_in_the_name_of_a_file(cache: QueryCache, sales: Engine) -> None:
    cache.read("select region as secret_name from sales", sales, name="mine", tag="daily")
    names = {path.name for path in cache.directory.rglob("*")}
    assert not [
        name for name in names for word in ("secret", "region", "sales", "mine", "daily") if word in name
    ]
