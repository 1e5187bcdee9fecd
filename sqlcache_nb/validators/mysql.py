"""The validator of MySQL and MariaDB: when each table that is read was last written to, as InnoDB knows it.

`information_schema.tables.update_time` is less than it seems (measured on MariaDB 10.11, `tests/validators/test_mysql.py`):

- it has steps of a second. So it is believed only once it is older than the server's clock by more than two;
- in MariaDB it is the second in which the last transaction *began* that was committed. Two that began together have one time,
  even if hours lie between their commits: so it is not believed while a transaction of that second is open. Those are told
  by SHOW ENGINE INNODB STATUS, to who has the privilege PROCESS; `innodb_trx` would be easier to read, but is not made
  anew as long as somebody asks for it again and again;
- neither TRUNCATE nor a change of columns moves it. The first gives the table another number (`table_id`), the second
  moves `create_time`: both belong to the token;
- it is forgotten with the server's end, and when the table is closed: NULL, and nothing can be told;
- of Aria's tables it moves when they are closed, and of MEMORY's never. Tables of other engines than InnoDB, partitioned ones,
  views and sequences are not vouched for.

A name in a statement does not tell the schema: all tables of that name have to be as they were. A statement that calls a
function that the parser does not know is not vouched for, since it may read any table; where somebody's own bears the name
of one that it knows, nothing can be told. Nor can it be told who may read: a right that
was taken away is found out at the next fetch. It was tried with MariaDB alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlcache_nb.freshness import Strength
from sqlcache_nb.trees import known_functions
from sqlcache_nb.validators import Probe

_SETTLED = 2
"""Seconds by which the last write must be older than the server's clock."""

_PLAIN = re.compile(r"[A-Za-z0-9_]+")
"""Names that InnoDB's own list of tables has as they are."""

# In UTC, where no hour comes twice, for one statement: nothing is set in the session. Each of the two servers skips what is for
# the other.
_BEGIN = "/*M! SET STATEMENT time_zone = '+00:00' FOR */ SELECT /*+ SET_VAR(time_zone = '+00:00') */"
_NOW = "UNIX_TIMESTAMP(SYSDATE())"  # SET timestamp does not move it
_FUNCTIONS = """FROM information_schema.routines
    WHERE routine_type = 'FUNCTION' AND routine_schema NOT IN ('sys', 'mysql')"""
# Whether this user may see everybody's transactions; functions that he may call; and, in MySQL 8, how old what it tells of tables
# may be. Texts as bytes, which no converter of a driver changes; no percent sign, which is a placeholder for some.
_ALLOWED = f"""
{_BEGIN} CAST(VERSION() AS BINARY), {_NOW},
    (SELECT COUNT(*) FROM information_schema.user_privileges WHERE privilege_type = 'PROCESS'
     AND grantee = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')),
    (SELECT COUNT(*) {_FUNCTIONS})
"""  # noqa: S608  # words of our own
_NUMBERS = {"mariadb": "information_schema.innodb_sys_tables", "mysql": "information_schema.innodb_tables"}
_TABLES = """
{begin} CAST(t.table_name AS BINARY), CAST(CONCAT_WS(' ', t.table_type, t.engine, t.create_options) AS BINARY),
    CAST(CONCAT_WS(' ', HEX(t.table_schema), HEX(t.table_name), t.create_time, t.update_time) AS BINARY),
    TIMESTAMPDIFF(SECOND, '1970-01-01', t.update_time), TIMESTAMPDIFF(SECOND, '1970-01-01', t.create_time), {now},
    (SELECT CAST(CONCAT_WS(' ', COUNT(*), SUM(n.table_id), SUM(n.space)) AS BINARY) FROM {numbers} n {named})
FROM information_schema.tables t WHERE t.table_name IN ({names})
ORDER BY t.table_schema, t.table_name LIMIT 1000
"""
_MANY = 1000
_TRANSACTION = re.compile(r"^---TRANSACTION (.*)$", re.MULTILINE)
_OPEN = re.compile(r".*\bACTIVE(?: \(PREPARED\))? (\d+) sec\b")


class UpdateTimeValidator:
    """Tells by the last write to each table, in some milliseconds; only to who has the privilege PROCESS."""

    name = "update_time"
    strength = Strength.CONSERVATIVE
    dialects = frozenset({"mysql", "mariadb"})
    wants_tables = True

    def token(self, probe: Probe) -> str | None:
        """When each table was last written to.

        Args:
            probe: the session that answers the question, and the tables that it reads.

        Raises:
            Exception: the driver's own, or that the session cannot be asked.
        """
        names = sorted({each for name in probe.tables for each in (name, name.lower())})
        if not names:
            return None
        ((version, before, may_see, functions),) = probe.execute(_ALLOWED)
        server = _server(_text(version))
        if server is None or not int(may_see) or (int(functions) and _may_be_taken_for_others(probe)):
            return None
        ages = _open_for(_text(probe.execute("SHOW ENGINE INNODB STATUS")[0][2]))
        if ages is None:
            return None
        with _not_remembered(probe, server):
            rows = probe.execute(_statement(names, server))
        return _token(probe.tables, rows, int(before), ages)


def _may_be_taken_for_others(probe: Probe) -> bool:
    """Whether functions of somebody's own have names by which they are taken for the server's (`Facts.covered`)."""
    names = {
        _text(name).lower() for (name,) in probe.execute(f"SELECT CAST(routine_name AS BINARY) {_FUNCTIONS}")
    }
    return not names.isdisjoint(known_functions("mysql"))


def _open_for(status: str) -> frozenset[int] | None:
    """For how many seconds each transaction has been open; None where that is not told of all.

    Args:
        status: what SHOW ENGINE INNODB STATUS says.
    """
    if "LIST OF TRANSACTIONS" not in status or "truncated" in status:
        return None
    ages = set()
    for told in _TRANSACTION.findall(status):
        if told.endswith("not started"):
            continue
        found = _OPEN.match(told)
        if found is None or "recovered" in told:  # after the server's end, of which no table is known
            return None
        ages.add(int(found[1]))
    return frozenset(ages)


def _token(tables: Iterable[str], rows: list[Any], before: int, ages: frozenset[int]) -> str | None:
    """The token, None where one of the tables does not tell, and "" where it may be written to right now.

    Args:
        tables: the names that are read.
        rows: what the server says of tables of these names.
        before: the server's time, in seconds, before its open transactions were asked for.
        ages: for how long each of those had been open.
    """
    known = {_text(row[0]).lower() for row in rows}
    if len(rows) >= _MANY or not {name.lower() for name in tables} <= known:
        return None
    told = []
    for _, kind, state, written, made, after, _ in rows:
        words = _text(kind).lower()
        if (
            not words.startswith("base table innodb")
            or "partitioned" in words
            or written is None
            or made is None
        ):
            return None
        if max(int(written), int(made)) >= before - _SETTLED:
            return ""  # written just now
        # Both are whole seconds, of times that are cut off or rounded: one more on either side.
        if any(before - int(written) - 1 <= age <= int(after) - int(written) + 1 for age in ages):
            return ""
        told.append(_text(state))
    return "; ".join([_text(rows[0][-1]), *told])


def _statement(names: list[str], server: str) -> str:
    """Asks for the tables of some names in whatever schema."""
    listed = _listed(names)
    # Names with other signs are written in a way of InnoDB's own there: then any new table of the server counts.
    is_plain = all(map(_PLAIN.fullmatch, names))
    named = f"WHERE SUBSTRING_INDEX(n.name, '/', -1) IN ({listed})" if is_plain else ""
    return _TABLES.format(
        begin=_BEGIN,
        now=_NOW,
        numbers=_NUMBERS[server],
        named=named,
        names=listed,
    )


def _listed(names: Iterable[str]) -> str:
    """Names as SQL, whatever is in them."""
    return ", ".join(f"CONVERT(X'{name.encode().hex()}' USING utf8mb4)" for name in names)


def _server(version: str) -> str | None:
    """Which of the two it is; None for versions whose tables of InnoDB's are called otherwise."""
    if "mariadb" in version.lower():
        return "mariadb"
    number = version.partition(".")[0]
    is_known = number.isdecimal() and int(number) >= 8 and "tidb" not in version.lower()
    return "mysql" if is_known else None


@contextmanager
def _not_remembered(probe: Probe, server: str) -> Iterator[None]:
    """MySQL 8 tells of tables what it has asked InnoDB up to a day ago, unless the session wants it otherwise."""
    if server != "mysql":
        yield
        return
    ((before,),) = probe.execute("SELECT @@SESSION.information_schema_stats_expiry")
    probe.execute("SET SESSION information_schema_stats_expiry = 0")
    try:
        yield
    finally:
        probe.execute(f"SET SESSION information_schema_stats_expiry = {int(before)}")


def _text(value: Any) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes | bytearray) else str(value)
