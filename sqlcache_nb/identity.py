"""Who is asked: the identity of a database, without any secret."""

from __future__ import annotations

import getpass
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlcache_nb.constant import ConstantDict
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.redaction import is_secret, redact

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

FILE_DIALECTS = frozenset({"sqlite", "duckdb"})
"""Dialects whose database is a file of this machine."""

# Objects of the transport, which do not change rows and have no canonical form.
_TRANSPORT = frozenset({"ssl", "ssl_context", "sslcontext"})
_ADDRESS = frozenset({"host", "hostaddr", "port", "pghost", "pghostaddr", "pgport"})
_HOSTS = ("hostaddr", "PGHOST", "PGHOSTADDR", "unix_socket")
_LOOPBACK = frozenset({"", "127.0.0.1", "::1", "localhost"})
_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "mssql": 1433, "oracle": 1521}
SERVER_OPTIONS = frozenset({"system_identifier", "database_oid", "server_uuid"})
"""Options by which a server, and a database of it, tell themselves from others behind the same address."""

_ATTACHED = "attached"
_PLACE = _ADDRESS | SERVER_OPTIONS
_HARMLESS_IN_SQLITE = frozenset(
    "autocommit cached_statements check_same_thread detect_types isolation_level timeout uri".split()
)
# They say how one connects, how long a statement may take, by what machines it is run and under which label:
# not which rows there are. Those of libpq's environment have names of their own.
_HARMLESS = frozenset(
    """application application_name client_session_keep_alive connect_timeout connection_timeout
    fallback_application_name keepalives keepalives_count keepalives_idle keepalives_interval login_timeout
    network_timeout pgappname pgconnect_timeout program_name query_tag read_timeout
    tcp_user_timeout warehouse write_timeout""".split()
)
_SETTINGS = frozenset({"options", "PGOPTIONS"})
# The same among libpq's options (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-OPTIONS).
_HARMLESS_SETTING = re.compile(
    r"(?:^|(?<=\s))(?:-c\s*|--)(?:application_name|(?:lock|statement|idle_session|transaction)_timeout"
    r"|idle_in_transaction_session_timeout)=(?:\\.|[^\s\\])*(?:\s+|$)"
)
# https://www.postgresql.org/docs/current/libpq-envars.html; what else begins with PG is somebody's own, and may be secret.
_LIBPQ = """PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGSERVICE PGSERVICEFILE PGOPTIONS PGSSLMODE PGREQUIRESSL PGSSLCERT
    PGSSLKEY PGSSLCERTMODE PGSSLROOTCERT PGREQUIREPEER PGKRBSRVNAME PGGSSLIB PGREQUIREAUTH PGCHANNELBINDING
    PGCLIENTENCODING PGTARGETSESSIONATTRS PGLOADBALANCEHOSTS PGDATESTYLE PGTZ PGGEQO PGSYSCONFDIR PGLOCALEDIR""".split()
# They name a file elsewhere that may say anything.
_INDIRECT = frozenset({"service", "read_default_file", "read_default_group"})


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """Which database answers, as whom, under which settings.

    Args:
        dialect: SQLAlchemy's name of the dialect, or "sqlite" for a raw connection.
        driver: the driver's name; two drivers give other Python values for the same column.
        user: who asks, or None for a file.
        host: the server's name, or None.
        port: the server's port, or None.
        database: the database's name, or None for a file.
        files: real paths of the database's files.
        name: the person's own word for the host, port and path, which it then replaces.
        options: connection arguments and session settings that may change rows.
    """

    dialect: str
    driver: str
    user: str | None = None
    host: str | None = None
    port: int | None = None
    database: str | None = None
    files: tuple[str, ...] = ()
    name: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Short, for a person: "flights.db", "ann@db.example:5432/sales"."""
        if self.files or self.name:
            return self.name or " + ".join(Path(file).name for file in self.files)
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return redact(f"{user}{self.host or self.dialect}{port}/{self.database or ''}".rstrip("/"))

    @property
    def places(self) -> tuple[str, ...]:
        """Where the rows are, whoever asks, by whatever driver and settings: a write there reaches them.

        The files; or the server, and for PostgreSQL its database: other servers' statements reach into
        each database, so that one of them alone tells too little. () where the address is not known.
        """
        if self.files:
            return self.files
        if self.driver.startswith(("adbc", "raw ")):  # a driver's own connection does not tell its address
            return ()
        elsewhere = (str(self.options[name]) for name in _HOSTS if self.options.get(name))
        host = self.host or next(elsewhere, "")
        host = "localhost" if host.lower() in _LOOPBACK else host.lower()
        port = self.port or self.options.get("PGPORT") or _PORTS.get(self.dialect, "")
        database = (
            f"/{self.database or self.options.get('PGDATABASE', '')}" if self.dialect == "postgresql" else ""
        )
        return (redact(f"{host}:{port}{database}"),)

    def named(self, source_name: str | None) -> SourceIdentity:
        """This identity with `source_name` in the place of host, port and path."""
        if source_name is None:
            return self
        options = {k: v for k, v in self.options.items() if k.lower() not in _PLACE}
        if self.files and _ATTACHED in options:
            attached: Any = options[_ATTACHED]
            options[_ATTACHED] = [alias for alias, _ in attached]
        return replace(self, name=source_name, host=None, port=None, files=(), options=options)

    def parts(self) -> Mapping[str, object]:
        """What goes into a key; for most identities that are the same, the same object again."""
        facts, names, values = _FACTS(self), tuple(self.options), self.options.values()
        if _TOLD_BY_EQUALITY.issuperset(map(type, values)):
            return _constant_parts(names, *facts, *values)
        return _parts(names, *facts, *values)


_TOLD_BY_EQUALITY = frozenset({type(None), bool, int, str})
"""Types of which two values are the same where they are equal and of one type."""

_NAMES = tuple(each.name for each in fields(SourceIdentity) if each.name != "options")
_FACTS = attrgetter(*_NAMES)


def _parts(names: tuple[str, ...], *values: object) -> ConstantDict:
    facts, options = values[: len(_NAMES)], values[len(_NAMES) :]
    told = dict(zip(names, options, strict=True))
    return ConstantDict({**dict(zip(_NAMES, facts, strict=True)), "options": told})


_constant_parts = lru_cache(maxsize=64, typed=True)(_parts)  # 1 is not True


def from_connect_args(url: URL, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> SourceIdentity:
    """The identity of what a driver's `connect(*arguments, **keywords)` reaches.

    Args:
        url: SQLAlchemy's URL, for the dialect, the driver, and names that the driver words otherwise.
        arguments: positional connect arguments.
        keywords: the others, `connect_args` included.

    Raises:
        NotCacheable: an in-memory database, or arguments that may hide anything.
    """
    dialect = url.get_backend_name()
    driver = url.get_driver_name()
    if dialect in FILE_DIALECTS:
        path, rest = _database_path(dialect, arguments, keywords)
        options = {**file_options(dialect, rest), **_local_time(dialect)}
        return SourceIdentity(dialect, driver, files=(path,), options=options)
    options = _options(keywords)
    for position, argument in enumerate(arguments):
        options[f"argument {position}"] = redact(argument) if isinstance(argument, str) else argument
    if dialect == "postgresql":
        # libpq fills what the URL leaves open from these.
        options |= _options({name: value for name in _LIBPQ if (value := os.environ.get(name)) is not None})
        given = [keywords.get("options"), os.environ.get("PGOPTIONS")]
        if any(isinstance(each, str) and redact(each) != each for each in given):
            # A setting, by which rows may be chosen: that of one person would be that of another.
            raise NotCacheable("the connection's options set a secret, which is in no identity")
    if indirect := _INDIRECT & {*options, *(["service"] if "PGSERVICE" in options else [])}:
        raise NotCacheable(f"the connection's {min(indirect)!r} names a file that may say anything")
    return SourceIdentity(
        dialect,
        driver,
        # Arguments given beside the URL win over it, as they do in the driver.
        user=str(keywords.get("user") or url.username or _user_of_this_process()),
        host=str(keywords.get("host") or url.host or "") or None,
        port=keywords.get("port") or url.port,
        database=str(keywords.get("dbname") or keywords.get("database") or url.database or "") or None,
        options=options,
    )


def file_options(dialect: str, keywords: Mapping[str, Any]) -> dict[str, object]:
    """The connect arguments of a database file that may change rows.

    Raises:
        NotCacheable: values are converted by code that has no identity.
    """
    if dialect != "sqlite":
        return _options(keywords)
    if keywords.get("detect_types"):
        raise NotCacheable("the connection converts values (detect_types) by code that has no identity")
    return {name: value for name, value in _options(keywords).items() if name not in _HARMLESS_IN_SQLITE}


def file_identity(
    dialect: str, driver: str, path: str | None, attached: Mapping[str, str] | None = None, **options: object
) -> SourceIdentity:
    """The identity of a database file that a live connection names.

    Args:
        dialect: SQLAlchemy's name of the dialect.
        driver: the driver's name.
        path: the file, or "" or None where there is none.
        attached: paths of other files that the connection has attached, by their names there, in the
            order in which a name is looked for.
        options: settings of the session that may change rows.

    Raises:
        NotCacheable: there is no file.
    """
    if not path:
        raise NotCacheable("an in-memory database has no identity")
    others = [[name, os.path.realpath(other)] for name, other in (attached or {}).items()]
    return SourceIdentity(
        dialect,
        driver,
        files=(os.path.realpath(path), *(other for _, other in others)),
        options={**options, **_local_time(dialect), **({_ATTACHED: others} if others else {})},
    )


def _local_time(dialect: str) -> dict[str, object]:
    """The time zone of this process, by which SQLite goes: `datetime(day, 'localtime')`."""
    told = f"{'/'.join(time.tzname)} {time.timezone} {time.altzone}"
    return {"local time": told} if dialect == "sqlite" else {}


def working_directory() -> str:
    """Where relative paths begin, "" where the directory was deleted."""
    try:
        return os.getcwd()  # noqa: PTH109  # to be compared, and no path to be used
    except OSError:
        return ""


def _user_of_this_process() -> str:
    try:
        return getpass.getuser()  # whom a driver asks for where nobody is named
    except (ImportError, KeyError, OSError):  # a user id without a name, as containers have
        return ""


def _database_path(
    dialect: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The real path of a database file, and the connect arguments that are not its path."""
    rest = dict(keywords)
    database = arguments[0] if arguments else rest.pop("database", None)
    if isinstance(database, bytes | os.PathLike):
        database = os.fsdecode(database)
    if not isinstance(database, str):
        database = ""
    if database.startswith("file:") and rest.get("uri"):
        database = _path_of_uri(database)
    if database in ("", ":default:") or database.startswith(":memory:"):
        raise NotCacheable("an in-memory database has no identity")
    if dialect == "duckdb" and re.match(r"\w{2,}:", database):  # md:, ducklake:, postgres: ...
        raise NotCacheable(f"a {database.partition(':')[0]}: database is not a file of this machine")
    return os.path.realpath(database), rest


def _path_of_uri(uri: str) -> str:
    """The path in a SQLite URI (https://www.sqlite.org/uri.html), "" where it is in memory."""
    from urllib.parse import parse_qsl, unquote, urlsplit

    parsed = urlsplit(uri)
    parameters = dict(parse_qsl(parsed.query))
    if parameters.get("mode") == "memory" or parameters.get("vfs") == "memdb":
        return ""
    path = unquote(parsed.path)
    if path not in ("", ":memory:") and (other := parameters.keys() - {"mode"}):
        raise NotCacheable(f"the URI's {min(other)} changes what is read of the file")
    return path


def _options(keywords: Mapping[str, Any]) -> dict[str, object]:
    """Connect arguments that may change rows, nested ones included, without secrets."""
    kept: dict[str, object] = {}
    for name, given in keywords.items():
        value = given
        if is_secret(str(name)) or name in _TRANSPORT or str(name).lower() in _HARMLESS:
            continue
        if isinstance(value, Mapping):
            value = _options(value) or None
        elif isinstance(value, str) and name in _SETTINGS:
            value = redact(_HARMLESS_SETTING.sub("", value).rstrip()) or None
        elif isinstance(value, str):
            value = redact(value)
        if value is not None:
            kept[str(name)] = value
    return kept
