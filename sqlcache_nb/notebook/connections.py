"""Which connection a word means, and the engines made for URLs."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlcache_nb.errors import NotebookError, UnsupportedSource
from sqlcache_nb.notebook.hints import did_you_mean

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine

Scope = Mapping[str, object]

_DEFAULT = "DATABASE_URL"
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_AUTHORITY = re.compile(r"(?P<scheme>[^:/]+://)(?P<user>[^@/?]*@)?(?P<rest>.*)", re.DOTALL)
_STRAY_AT = re.compile(
    r"[^/]+://[^:/]*:[^@]*@.*@", re.DOTALL
)  # all after the first is shown as host or database
_PLAIN_WORD = re.compile(r"[\w.-]+")
# What PostgreSQL does not run inside a transaction.
_ALONE = re.compile(
    r"""\s*(?:vacuum\b | alter\s+system\b | (?:create|drop)\s+database\b | reindex\s+(?:database|system)\b
       | (?:create|drop|reindex)\b.*\bconcurrently\b)""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


class Connections:
    """Aliases, one engine for each URL, and the connection that was used last.

    Args:
        environ: environment variables (default: those of the process, as they are at each look).

    Example:
        >>> connections = Connections({"DATABASE_URL": "sqlite:///flights.db"})
        >>> connections.resolve(None).url.database
        'flights.db'
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._aliases: dict[str, object] = {}
        self._engines: dict[URL, Engine] = {}
        self._last: object | None = None

    def connect(self, alias: str, target: str, *scopes: Scope) -> object:
        """Give a connection a short name, and use it from now on.

        Args:
            alias: the short name.
            target: a URL, in which `$NAME` and `${NAME}` stand for environment variables, or the name
                of a variable.
            scopes: the notebook's variables, the nearest scope first.

        Raises:
            NotebookError: neither, or a URL that no engine can be made for.
        """
        if not _PLAIN_WORD.fullmatch(alias):
            raise NotebookError("an alias is one word of letters, digits, dots and dashes")
        self._last = self._aliases[alias] = self._find(target, scopes)
        return self._last

    def resolve(self, word: str | None, *scopes: Scope) -> object:
        """The connection that a word means.

        Args:
            word: a variable's name, an alias or a URL; None for the one used last, else the one that
                `$DATABASE_URL` leads to.
            scopes: the notebook's variables, the nearest scope first.

        Raises:
            NotebookError: there is none; names are proposed, values are not shown.
        """
        if word is not None:
            self._last = self._find(word, scopes)
        elif self._last is None:
            if not self._environ.get(_DEFAULT):
                raise NotebookError(
                    "which database? Name an engine, a URL or an alias on the line "
                    f"(%%cachedsql CON), or set {_DEFAULT}"
                )
            self._last = self._engine(f"${_DEFAULT}")
        return self._last

    def names(self, word: str, *scopes: Scope) -> bool:
        """Whether a word is an alias, or a variable that holds a connection.

        Args:
            word: what was typed.
            scopes: the notebook's variables, the nearest scope first.
        """
        return word in self._aliases or is_held(word, *scopes)

    def close(self) -> None:
        """Close the engines that were made here."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        self._aliases.clear()
        self._last = None

    def _find(self, word: str, scopes: tuple[Scope, ...]) -> object:
        if "://" in word or word.startswith("$"):
            return self._engine(word)
        if (found := self._known(word, scopes)) is not None:
            return found
        named = next((scope[word] for scope in scopes if word in scope), None)
        if named is not None:
            raise NotebookError(f"{word} is a {type(named).__name__}, not a connection")
        names = {name for scope in scopes for name in scope if _connection(scope[name]) is not None}
        shown = f"no connection named {word}" if _PLAIN_WORD.fullmatch(word) else "that is no connection"
        raise NotebookError(
            f"{shown}{did_you_mean(word, names | self._aliases.keys())}: give a variable that holds an engine, "
            "connection or session, a URL, or an alias (%cachedsql connect ALIAS URL)"
        )

    def _known(self, word: str, scopes: tuple[Scope, ...]) -> object | None:
        """The connection in a variable, else the one behind an alias."""
        found = _held(word, scopes)
        if found is None:
            return self._aliases.get(word)
        return self._engine_for(found) if _is_url(found) else found

    def _engine(self, url: str) -> Engine:
        return self._engine_for(expanded(url, self._environ))

    def _engine_for(self, text: Any) -> Engine:
        """The engine of a URL, made once. No message shows the URL: it may hold a password."""
        from sqlalchemy import create_engine, make_url
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError

        if isinstance(text, str) and _STRAY_AT.match(text):
            raise NotebookError("the URL's password holds an @: write it as %40, or use $PASSWORD")
        try:
            url = make_url(text)
            if url not in self._engines:
                self._engines[url] = create_engine(url, pool_pre_ping=True)
            return self._engines[url]
        except NoSuchModuleError:
            fault = f"SQLAlchemy knows no database named {url.drivername}"
        except ImportError as missing:
            fault = f"{url.drivername}:// needs a driver: {missing}"
        except (ArgumentError, ValueError):  # the port may be no number
            fault = "the URL cannot be read; it is written dialect://user:$PASSWORD@host:port/database"
        raise NotebookError(fault)


def expanded(url: str, environ: Mapping[str, str]) -> str:
    """A URL with the values of its `$NAME` and `${NAME}`.

    A value in the part before `@` is taken as it is, whatever letters it has: it is quoted for the URL.

    Args:
        url: the URL, as typed.
        environ: environment variables.

    Raises:
        NotebookError: a variable that is not set.

    Example:
        >>> expanded("postgresql://ann:$PW@db/sales", {"PW": "a/b"})
        'postgresql://ann:a%2Fb@db/sales'
    """

    def value(name: re.Match[str]) -> str:
        wanted = name[1] or name[2]
        if wanted not in environ:
            raise NotebookError(f"the environment variable {wanted} is not set")
        return environ[wanted]

    parts = _AUTHORITY.fullmatch(url)
    if parts is None:
        return _VARIABLE.sub(value, url)
    user = _VARIABLE.sub(lambda name: quote(value(name), safe=""), parts["user"] or "")
    return parts["scheme"] + user + _VARIABLE.sub(value, parts["rest"])


def is_held(word: str, *scopes: Scope) -> bool:
    """Whether a variable holds a connection.

    Args:
        word: the variable's name.
        scopes: the notebook's variables, the nearest scope first.
    """
    return _held(word, scopes) is not None


def speaks_sqlalchemy(con: object) -> bool:
    """Whether a connection takes `text()`: an Engine, Connection, Session or scoped_session."""
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.orm import Session, scoped_session

    return isinstance(con, Engine | Connection | Session | scoped_session)


def outside_transactions(con: Any, sql: str, dialect: str) -> Any:
    """The connection for a statement that changes data: in autocommit where a transaction would not do.

    Args:
        con: the connection.
        sql: the statement.
        dialect: SQLAlchemy's name of the dialect.
    """
    from sqlalchemy.engine import Engine

    alone = dialect == "postgresql" and isinstance(con, Engine) and _ALONE.match(sql)
    return con.execution_options(isolation_level="AUTOCOMMIT") if alone else con


def driver_of(con: object) -> str:
    """The package that a driver's own connection comes from, "duckdb" or "psycopg"."""
    return type(con).__module__.partition(".")[0].lstrip("_")


def facts_of(con: Any) -> tuple[str, str]:
    """A connection's label and dialect name, without connecting or flushing.

    Args:
        con: what `Connections` resolved.

    Example:
        >>> from sqlalchemy import create_engine
        >>> facts_of(create_engine("sqlite:///flights.db"))
        ('flights.db', 'sqlite')
    """
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.orm import Session, scoped_session

    from sqlcache_nb.sources import source_of

    try:
        source = source_of(con.get_bind() if isinstance(con, Session | scoped_session) else con)
    except (SQLAlchemyError, UnsupportedSource):  # a Session that has one engine for each class
        return "session", ""
    return source.label, source.dialect_name


def _held(word: str, scopes: tuple[Scope, ...]) -> object | None:
    """The connection in a variable, or None."""
    found = (_connection(scope[word]) for scope in scopes if word in scope)
    return next((con for con in found if con is not None), None)


def _connection(thing: Any) -> object | None:
    """The thing itself where a query can be put to it, else None."""
    if isinstance(thing, type | ModuleType):
        return None
    if isinstance(thing, sqlite3.Connection) or _is_url(thing) or speaks_sqlalchemy(thing):
        return thing  # type: ignore[no-any-return]
    return (
        thing if all(callable(getattr(thing, name, None)) for name in ("cursor", "commit", "close")) else None
    )


def _is_url(thing: object) -> bool:
    from sqlalchemy.engine import URL

    return isinstance(thing, URL) or (isinstance(thing, str) and re.match(r"[\w+]+://", thing) is not None)
