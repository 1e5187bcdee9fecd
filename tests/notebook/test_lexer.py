"""SQL in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.notebook.lexer import tokens


@given(st.text(), st.sampled_from(["", "mysql", "sqlite", "mssql", "postgresql"]))
def test_no_letter_is_lost(sql: str, dialect: str) -> None:
    assert "".join(token.text for token in tokens(sql, dialect)) == sql


@pytest.mark.parametrize(
    ("sql", "comments"),
    [
        ("a -- b", ["-- b"]),
        ("'-- a' /* b /* c */ d */ e", ["/* b /* c */ d */"]),
        ('"--a" $$--b$$ `--c`', []),
        (" \n", []),
    ],
)
def test_comments(sql: str, comments: list[str]) -> None:
    assert [token.text for token in tokens(sql) if token.is_comment] == comments
