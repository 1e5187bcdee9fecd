"""Passwords are taken out of any text, and the rest stays."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from sqlcache_nb.redaction import is_secret, redact

MARK = "hunter2"
passwords = st.text(string.printable, max_size=8).map(lambda text: MARK + text + MARK)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://ann:pw@db/x", "postgresql://ann:***@db/x"),
        ("postgresql+psycopg://ann:p@w@db/x", "postgresql+psycopg://ann:***@db/x"),
        ("redis://:pw@db", "redis://:***@db"),
        ("postgresql://ann:p/w@db/x", "postgresql://ann:***@db/x"),
        ("at 'postgresql://ann:pw@db/x' it failed", "at 'postgresql://ann:***@db/x' it failed"),
        ("postgresql://db/x?user=ann&password=pw", "postgresql://db/x?user=ann&password=***"),
        ("snowflake://a/b?passcode=1&warehouse=w", "snowflake://a/b?passcode=***&warehouse=w"),
        ("host=db password=pw dbname=x", "host=db password=*** dbname=x"),
        ("host=db password='p w' dbname=x", "host=db password=*** dbname=x"),
        ("DRIVER={ODBC};UID=ann;PWD=pw;Server=db", "DRIVER={ODBC};UID=ann;PWD=***;Server=db"),
        ("UID=ann;PWD={p;w};Server=db", "UID=ann;PWD=***;Server=db"),
        ("md:x?motherduck_token=abc", "md:x?motherduck_token=***"),
        ('{"password": "pw", "user": "ann"}', '{"password": ***, "user": "ann"}'),
        ("select * from t where api_key = 'abc'", "select * from t where api_key = ***"),
        # nothing secret: stays
        ("postgresql://ann@db/x", "postgresql://ann@db/x"),
        ("postgresql://db:5432/x", "postgresql://db:5432/x"),
        ("select a::int, 'x:y@z' from t", "select a::int, 'x:y@z' from t"),
        ("select token::text from t", "select token::text from t"),
        ("select password from users", "select password from users"),
        ("", ""),
    ],
)
def test_secrets_are_taken_out_and_the_rest_stays(text: str, expected: str) -> None:
    assert redact(text) == expected


def in_url(password: str) -> str:
    url = URL.create("postgresql", "ann", password, "db.example", 5432, "sales")
    return url.render_as_string(hide_password=False)


def in_query(password: str) -> str:
    return URL.create(
        "postgresql", host="db", query={"password": password, "sslmode": "require"}
    ).render_as_string()


def in_odbc(password: str) -> str:
    braced = password.replace("}", "}}")
    return f"DRIVER={{ODBC Driver 18}};SERVER=db;UID=ann;PWD={{{braced}}};Encrypt=yes"


def in_odbc_url(password: str) -> str:
    return URL.create("mssql+pyodbc", query={"odbc_connect": in_odbc(password)}).render_as_string()


def in_libpq(password: str) -> str:
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    return f"host=db password='{quoted}' dbname=sales"


PLACES = [in_url, in_query, in_odbc, in_odbc_url, in_libpq]


@pytest.mark.parametrize("place", PLACES)
@given(password=passwords)
def test_no_password_outlives_redaction(place: Any, password: str) -> None:
    """Neither its beginning nor its end, whatever stands between."""
    assert MARK not in redact(place(password))


@pytest.mark.parametrize("place", PLACES)
def test_redaction_keeps_what_is_around(place: Any) -> None:
    redacted = redact(f"before {place('pw')} after")
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")
    assert redact(redacted) == redacted


@given(st.text())
def test_any_text_can_be_redacted(text: str) -> None:
    redact(text)


@pytest.mark.parametrize(
    "name",
    """password PASSWORD passwd pwd PWD sslpassword passphrase passcode private_key_passphrase secret client_secret token
    motherduck_token access_token api_key apikey access_key aws_secret_access_key private_key credentials_base64
    sas pass account_key encryption_key""".split(),
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    "sslmode sslcert user host port dbname options role schema keepalives database bypass compass".split(),
)
def test_names_of_other_things(name: str) -> None:
    assert not is_secret(name)
