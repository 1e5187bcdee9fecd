"""Who is asked, and never a password."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url
from sqlalchemy.engine import URL

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.identity import SourceIdentity, file_identity, from_connect_args
from sqlcache_nb.key import Key, encode
from tests.test_redaction import MARK, in_libpq, in_odbc, passwords

POSTGRES = "postgresql+psycopg://ann:pw@db.example:5432/sales"


@pytest.fixture(autouse=True)
def no_postgres_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("PG"):
            monkeypatch.delenv(name)


def identify(url: str | URL, **connect_args: Any) -> SourceIdentity:
    """The identity of what a URL reaches, by the real dialect's connect arguments."""
    made = make_url(url)
    arguments, keywords = made.get_dialect()().create_connect_args(made)
    return from_connect_args(made, tuple(arguments), {**keywords, **connect_args})


def key(identity: SourceIdentity) -> str:
    return Key.of(identity.parts()).digest


# --- servers --------------------------------------------------------------------------------------------


def test_a_server() -> None:
    assert identify(POSTGRES) == SourceIdentity(
        dialect="postgresql",
        driver="psycopg",
        user="ann",
        host="db.example",
        port=5432,
        database="sales",
        options={"host": "db.example", "dbname": "sales", "user": "ann", "port": 5432},
    )
    assert identify(POSTGRES).label == "ann@db.example:5432/sales"


@pytest.mark.parametrize(
    "other",
    [
        "postgresql+psycopg://bob:pw@db.example:5432/sales",
        "postgresql+psycopg://ann:pw@db2.example:5432/sales",
        "postgresql+psycopg://ann:pw@db.example:5433/sales",
        "postgresql+psycopg://ann:pw@db.example:5432/stock",
        "postgresql+psycopg://ann:pw@db.example:5432/sales?options=-csearch_path%3Dx",
        "postgresql+psycopg://ann:pw@db.example:5432/sales?sslmode=require",
    ],
)
def test_servers_are_told_apart(other: str) -> None:
    assert key(identify(other)) != key(identify(POSTGRES))


def test_connect_arguments_tell_apart() -> None:
    asked = [
        {},
        {"options": "-csearch_path=a"},
        {"options": "-csearch_path=b"},
        {"user": "bob"},
        {"dbname": "x"},
    ]
    assert len({key(identify(POSTGRES, **arguments)) for arguments in asked}) == len(asked)
    assert identify(POSTGRES, user="bob", dbname="x").label == "bob@db.example:5432/x"


def test_a_new_password_is_the_same_database() -> None:
    other = POSTGRES.replace(":pw@", ":changed@")
    assert key(identify(POSTGRES)) == key(identify(other))


def test_objects_of_the_transport_are_no_part() -> None:
    assert identify(POSTGRES, ssl_context=object(), ssl=object()) == identify(POSTGRES)


@given(password=passwords)
def test_no_password_is_in_an_identity(password: str) -> None:
    url = URL.create("postgresql+psycopg", "ann", password, "db", 5432, "sales", {"sslpassword": password})
    options = {"password": password, "nested": {"token": password, "kept": 1}, "dsn": in_libpq("pw")}
    identity = identify(url, **options)
    assert MARK not in repr(identity)
    assert MARK not in identity.label
    assert identity.options["nested"] == {"kept": 1}
    assert identity.options["dsn"] == "host=db password=*** dbname=sales"


@given(password=passwords)
def test_no_password_is_in_an_odbc_identity(password: str) -> None:
    """The whole connect string of pyodbc is one positional argument."""
    url = make_url("mssql+pyodbc://ann:x@db/sales")
    identity = from_connect_args(url, (in_odbc(password),), {})
    assert MARK not in repr(identity)
    others = [from_connect_args(url, (f"SERVER={name};PWD=pw",), {}) for name in ("a", "b")]
    assert key(others[0]) != key(others[1])


# --- PostgreSQL's environment ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"application_name": "report"},
        {"connect_timeout": 3, "keepalives": 1},
        {"warehouse": "LARGE", "session_parameters": {"QUERY_TAG": "daily"}},
        {"options": "-c statement_timeout=5s --application_name=a\\ b"},
    ],
)
def test_what_changes_no_row_of_a_server_is_no_part(arguments: dict[str, Any]) -> None:
    assert identify(POSTGRES, **arguments) == identify(POSTGRES)


@pytest.mark.parametrize("setting", ["-c search_path=dev", "-c my.statement_timeout=3", "-c role=x"])
def test_what_stands_beside_a_harmless_setting_is_a_part(setting: str) -> None:
    harmless = "-c lock_timeout=3 "
    assert identify(POSTGRES, options=harmless + setting) == identify(POSTGRES, options=setting)
    assert identify(POSTGRES, options=setting) != identify(POSTGRES, options=harmless)


@pytest.mark.parametrize("name", ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGOPTIONS", "PGTZ"])
def test_libpqs_environment_tells_apart(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = identify("postgresql+psycopg://")
    monkeypatch.setenv(name, "one")
    one = identify("postgresql+psycopg://")
    monkeypatch.setenv(name, "other")
    assert len({key(before), key(one), key(identify("postgresql+psycopg://"))}) == 3


@pytest.mark.parametrize("name", ["PGPASSWORD", "PGPASSFILE", "PGADMIN_DEFAULT_PASSWORD", "PGPW"])
def test_a_password_in_the_environment_is_no_part(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = identify(POSTGRES)
    monkeypatch.setenv(name, MARK)
    assert identify(POSTGRES) == before
    assert MARK not in repr(identify(POSTGRES))


def test_the_environment_is_no_part_of_other_databases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    before = identify(url)
    monkeypatch.setenv("PGHOST", "db")
    assert identify(url) == before


def test_a_service_may_say_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotCacheable, match="'service' names a file"):
        identify("postgresql+psycopg://?service=prod")
    monkeypatch.setenv("PGSERVICE", "prod")
    with pytest.raises(NotCacheable, match="'service' names a file"):
        identify(POSTGRES)


@pytest.mark.parametrize("option", ["read_default_file", "read_default_group"])
def test_a_file_of_mysql_may_say_anything(option: str) -> None:
    with pytest.raises(NotCacheable, match=f"'{option}' names a file"):
        from_connect_args(make_url("mysql+pymysql://ann@db/x"), (), {option: "my.cnf"})


def test_whoever_is_nobody_to_the_machine_has_an_identity_or_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a container that runs as a number, there is no name to be had."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54_321)
    try:
        identity = identify("postgresql+psycopg://db/sales")
    except NotCacheable:
        return
    assert identity.host == "db"


# --- files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["sqlite", "duckdb"])
def test_a_file_is_its_real_path(dialect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "real.db"
    real.touch()
    (tmp_path / "link.db").symlink_to(real)
    (tmp_path / "folder").mkdir()
    (tmp_path / "way").symlink_to(tmp_path / "folder")
    monkeypatch.chdir(tmp_path / "way")
    paths = [str(real), "../real.db", str(tmp_path / "link.db"), str(tmp_path / "folder" / ".." / "real.db")]
    identities = [identify(f"{dialect}:///{path}") for path in paths]
    assert {identity.files for identity in identities} == {(str(real.resolve()),)}
    assert len(set(map(key, identities))) == 1
    assert identities[0].label == "real.db"


def test_a_relative_path_is_another_file_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = set()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        keys.add(key(identify("sqlite:///x.db")))
    assert len(keys) == 2


def test_dialects_of_one_path_are_told_apart(tmp_path: Path) -> None:
    assert key(identify(f"sqlite:///{tmp_path}/x.db")) != key(identify(f"duckdb:///{tmp_path}/x.db"))


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///file::memory:?cache=shared&uri=true",
        "sqlite:///file:name?mode=memory&cache=shared&uri=true",
        "sqlite:///file:/name?vfs=memdb&uri=true",
        "sqlite:///file:?uri=true",
        "duckdb://",
        "duckdb:///:memory:",
        "duckdb:///:memory:name",
        "duckdb:///:default:",
    ],
)
def test_what_is_in_memory_has_no_identity(url: str) -> None:
    with pytest.raises(NotCacheable, match="in-memory"):
        identify(url)


@pytest.mark.parametrize("database", ["", None, ":memory:", b":memory:"])
def test_a_connect_argument_in_memory_has_no_identity(database: Any) -> None:
    with pytest.raises(NotCacheable, match="in-memory"):
        from_connect_args(make_url("sqlite://"), (database,), {})


@pytest.mark.parametrize("path", ["", None])
def test_a_live_connection_without_a_file_has_no_identity(path: str | None) -> None:
    with pytest.raises(NotCacheable, match="in-memory"):
        file_identity("sqlite", "sqlite3", path)


@pytest.mark.parametrize(
    "url", ["duckdb:///md:sales", "duckdb:///ducklake:x.ducklake", "duckdb:///s3://b/x.db"]
)
def test_a_duckdb_that_is_no_file_is_refused(url: str) -> None:
    with pytest.raises(NotCacheable, match="not a file of this machine"):
        identify(url)


@pytest.mark.parametrize("name", ["x.db", "a b.db", "ä.db", "100%.db"])
def test_a_uri_is_the_file_that_it_names(name: str, tmp_path: Path) -> None:
    uri = (tmp_path / name).as_uri()
    identity = from_connect_args(make_url("sqlite://"), (uri + "?mode=ro",), {"uri": True})
    assert identity.files == (str((tmp_path / name).resolve()),)


def test_a_path_of_bytes_or_pathlib_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    ways: list[Any] = [str(path), path, os.fsencode(path)]
    found = {from_connect_args(make_url("sqlite://"), (way,), {}).files for way in ways}
    assert found == {(str(path.resolve()),)}


@pytest.mark.parametrize("flags", [1, 2, 3])
def test_a_file_whose_values_are_converted_by_anybodys_code_is_refused(flags: int, tmp_path: Path) -> None:
    with pytest.raises(NotCacheable, match="detect_types"):
        identify(f"sqlite:///{tmp_path}/x.db", detect_types=flags)


def test_what_changes_no_row_is_no_part(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    harmless = identify(url, timeout=30, check_same_thread=False, cached_statements=5, detect_types=0)
    assert key(harmless) == key(identify(url))
    assert key(identify(url, factory=int)) != key(identify(url))


def test_a_live_connection_is_the_same_as_its_url(tmp_path: Path) -> None:
    live = file_identity("sqlite", "pysqlite", str(tmp_path / "x.db"))
    assert key(live) == key(identify(f"sqlite:///{tmp_path}/x.db"))


# --- a name of one's own ---------------------------------------------------------------------------------


def test_a_source_name_replaces_the_address(tmp_path: Path) -> None:
    tunnels = [
        identify(POSTGRES.replace("db.example:5432", place)) for place in ("db:5432", "localhost:6000")
    ]
    assert key(tunnels[0]) != key(tunnels[1])
    named = [identity.named("sales") for identity in tunnels]
    assert key(named[0]) == key(named[1])
    assert named[0].label == "sales"
    copies = [identify(f"sqlite:///{tmp_path}/{name}.db").named("sales") for name in ("x", "y")]
    assert key(copies[0]) == key(copies[1])


def test_a_source_name_replaces_libpqs_address(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = set()
    for port in ("6000", "6001"):
        monkeypatch.setenv("PGPORT", port)
        keys.add(key(identify("postgresql+psycopg://ann@/sales").named("sales")))
    assert len(keys) == 1


@pytest.mark.parametrize(
    "other",
    [
        "postgresql+psycopg://bob@db/sales",
        "postgresql+psycopg://ann@db/stock",
        "postgresql+psycopg://ann@db/sales?options=-csearch_path%3Dx",
    ],
)
def test_a_source_name_replaces_nothing_else(other: str) -> None:
    ours = identify("postgresql+psycopg://ann@db/sales").named("prod")
    assert key(identify(other).named("prod")) != key(ours)


def test_source_names_are_told_apart() -> None:
    identity = identify(POSTGRES)
    assert key(identity.named("a")) != key(identity.named("b"))
    assert identity.named(None) is identity


@pytest.mark.parametrize(
    ("identity", "label"),
    [
        (SourceIdentity("postgresql", "psycopg", "ann", "db", 5432, "sales"), "ann@db:5432/sales"),
        (SourceIdentity("postgresql", "psycopg", None, "db"), "db"),
        (SourceIdentity("postgresql", "psycopg"), "postgresql"),
        (SourceIdentity("postgresql", "psycopg", database="sales"), "postgresql/sales"),
        (SourceIdentity("sqlite", "pysqlite", files=("/data/x.db",)), "x.db"),
        (SourceIdentity("sqlite", "pysqlite", files=("/data/x.db", "/data/y.db")), "x.db + y.db"),
        (SourceIdentity("sqlite", "pysqlite", files=("/data/x.db",), name="mine"), "mine"),
    ],
)
def test_a_label_is_short(identity: SourceIdentity, label: str) -> None:
    assert identity.label == label


@pytest.mark.parametrize("parameter", ["vfs=unix-none", "immutable=1", "cache=shared", "nolock=1"])
def test_a_uri_that_changes_what_is_read_is_refused(parameter: str, tmp_path: Path) -> None:
    with pytest.raises(NotCacheable, match=f"the URI's {parameter.partition('=')[0]} changes what is read"):
        identify(f"sqlite:///file:{tmp_path}/x.db?{parameter}&uri=true")


def test_a_secret_that_is_set_in_a_session_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row-level security may go by it, and it is kept nowhere: two persons' would be one."""
    setting = "-c app.api_token=abc"
    with pytest.raises(NotCacheable, match="options set a secret") as caught:
        identify(POSTGRES, options=setting)
    assert "abc" not in str(caught.value)
    monkeypatch.setenv("PGOPTIONS", setting)
    with pytest.raises(NotCacheable, match="options set a secret"):
        identify(POSTGRES)


# --- generated addresses ------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [None, "a", "b", "A", "a b", "a;b", "a@b", "a:b", "a=b", "a,b", "{a}", "'a'", "a%b", "ä"]
)
SERVERS = st.fixed_dictionaries(
    {
        "drivername": st.sampled_from(
            [
                "postgresql+psycopg",
                "postgresql+psycopg2",
                "postgresql+pg8000",
                "mysql+pymysql",
                "mysql+mysqldb",
                "mssql+pyodbc",
            ]
        ),
        "username": WORDS,
        "host": st.sampled_from(["a", "b", "a.b", "10.0.0.1", "::1"]),
        "port": st.sampled_from([None, 1, 2, 12]),
        "database": WORDS,
        "query": st.dictionaries(
            st.sampled_from(["options", "sslmode", "charset", "a"]), WORDS.filter(bool), max_size=2
        ),
    }
)


def key_of_url(url: URL, source_name: str | None) -> str | None:
    try:
        with warnings.catch_warnings(action="ignore"):  # pyodbc's, of a driver that nobody named
            arguments: Any = url.get_dialect()().create_connect_args(url)
            identity = from_connect_args(url, *arguments)
    except NotCacheable:
        return None
    return Key.of(identity.named(source_name).parts()).digest


@given(
    one=SERVERS,
    change=SERVERS,
    names=st.sets(st.sampled_from("drivername username host port database query".split())),
)
@settings(max_examples=300, deadline=None)
def test_who_is_asked_tells_questions_apart(
    one: dict[str, Any], change: dict[str, Any], names: set[str]
) -> None:
    other = one | {name: change[name] for name in names}
    here, there = (URL.create(**each, password=secret) for each, secret in ((one, "x"), (other, "y")))
    assert (key_of_url(here, None) == key_of_url(there, None)) == (one == other)
    # A name vouches for the address alone.
    apart = any(one[name] != other[name] for name in ("drivername", "username", "database", "query"))
    if (
        "mssql" not in one["drivername"] and "mssql" not in other["drivername"]
    ):  # the address is in one text there
        assert (key_of_url(here, "prod") == key_of_url(there, "prod")) == (not apart)
    assert key_of_url(here, "prod") != key_of_url(here, None)
    assert key_of_url(here, "prod") != key_of_url(here, "stock")


def test_parts_tell_values_apart_that_python_takes_for_equal() -> None:
    values = [1, True, 1.0, "1", None, [1], {"a": 1}, {"a": True}]
    for _ in range(2):
        made = [SourceIdentity("postgresql", "psycopg", options={"x": value}).parts() for value in values]
        assert len({encode(parts) for parts in made}) == len(values)
        assert [parts["options"] for parts in made] == [{"x": value} for value in values]
    one, other = (SourceIdentity("postgresql", "psycopg", options={name: 1}) for name in "ab")
    assert encode(one.parts()) != encode(other.parts())
    assert encode(replace(one, port=1).parts()) != encode(replace(one, port=True).parts())
