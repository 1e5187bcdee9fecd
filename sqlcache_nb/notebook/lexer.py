"""SQL in pieces, as far as quotes and comments go: enough to tell what in it is code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Token(NamedTuple):
    """A piece of SQL.

    Args:
        kind: "space" (comments, too), "word", "quoted", "parameter" (what looks like one) or "symbol".
        text: its letters.
    """

    kind: str
    text: str

    @property
    def is_comment(self) -> bool:
        """Whether it is a comment."""
        return self.kind == "space" and not self.text.isspace()


# Databases whose strings know backslash escapes; in the others '\' is a whole string.
_BACKSLASHES = frozenset(
    {"mysql", "mariadb", "bigquery", "databricks", "spark", "hive", "snowflake", "clickhouse"}
)
_HASH_COMMENTS = frozenset({"mysql", "mariadb", "bigquery"})
_FLAT_COMMENTS = frozenset({"sqlite", "duckdb", "mysql", "mariadb", "oracle", "snowflake", "bigquery"})
_BRACKETED_NAMES = frozenset({"sqlite", "mssql"})

_SPACE = re.compile(r"\s+")
_DASHES = re.compile(r"--[^\n]*")
_DASHES_AND_SPACE = re.compile(r"--(?=\s|$)[^\n]*")
_HASH = re.compile(r"#[^\n]*")
_FLAT_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_STRING = re.compile(r"'(?:[^']|'')*(?:'|\Z)")
_ESCAPED_STRING = re.compile(r"'(?:[^'\\]|''|\\.)*(?:'|\\?\Z)", re.DOTALL)
_E_STRING = re.compile(r"[eE]'(?:[^'\\]|''|\\.)*(?:'|\\?\Z)", re.DOTALL)
_NAME = re.compile(r'"(?:[^"]|"")*(?:"|\Z)')
_ESCAPED_NAME = re.compile(r'"(?:[^"\\]|""|\\.)*(?:"|\\?\Z)', re.DOTALL)
_BACKTICKS = re.compile(r"`(?:[^`]|``)*`")
_DOLLARS = re.compile(r"(\$(?:[^\W\d]\w*)?\$).*?\1", re.DOTALL)
_BRACKETS = re.compile(r"\[(?!:[^\W\d])(?:[^\]]|\]\])*\]")
_COLONS = re.compile(r":=|::+")
_PARAMETER = re.compile(r":[^\W\d]\w*(?![\w$])")
_WORD = re.compile(r"\w[\w$]*")
_SYMBOL = re.compile(r".", re.DOTALL)


def tokens(sql: str, dialect: str = "") -> Iterator[Token]:
    """The SQL in pieces, with no letter lost.

    Args:
        sql: the SQL, as typed.
        dialect: SQLAlchemy's name of the dialect.

    Example:
        >>> [token.text for token in tokens("a = ':b' -- c")]
        ['a', ' ', '=', ' ', "':b'", ' ', '-- c']
    """
    lexemes = _lexemes(dialect)
    nested = dialect not in _FLAT_COMMENTS
    position = 0
    while position < len(sql):
        if nested and sql.startswith("/*", position):
            kind, end = "space", _end_of_comment(sql, position)
        else:
            matches = ((kind, pattern.match(sql, position)) for kind, pattern in lexemes)
            kind, end = next((kind, match.end()) for kind, match in matches if match)
        yield Token(kind, sql[position:end])
        position = end


def _lexemes(dialect: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """What a dialect's SQL is made of, in the order in which it is tried."""
    backslashes = dialect in _BACKSLASHES
    mysql = dialect in {"mysql", "mariadb"}
    lexemes = [
        ("space", _SPACE),
        ("space", _DASHES_AND_SPACE if mysql else _DASHES),
        ("space", _HASH) if dialect in _HASH_COMMENTS else None,
        ("space", _FLAT_COMMENT) if dialect in _FLAT_COMMENTS else None,
        ("quoted", _ESCAPED_STRING if backslashes else _STRING),
        ("quoted", _E_STRING),
        ("quoted", _ESCAPED_NAME if backslashes else _NAME),
        ("quoted", _BACKTICKS),
        ("quoted", _DOLLARS),
        ("quoted", _BRACKETS) if dialect in _BRACKETED_NAMES else None,
        ("word", _WORD),
        ("symbol", _COLONS),
        ("parameter", _PARAMETER),
        ("symbol", _SYMBOL),
    ]
    return tuple(lexeme for lexeme in lexemes if lexeme is not None)


def _end_of_comment(sql: str, start: int) -> int:
    """Where a comment ends that may hold others."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)
