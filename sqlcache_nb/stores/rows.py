"""What a row of the database says, sealed, and connections that do nothing but read rows.

The seal is a digest over key, file name and entry. It finds what is damaged, and rows that were mixed up; it
is no secret, and keeps out nobody who may write to the directory.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from sqlcache_nb.entry import FORMAT, Entry, labels_of, lifetime_of
from sqlcache_nb.stores import CURRENT, PREVIOUS, Listed, payloads, places
from sqlcache_nb.stores.places import Fault

MODE = 2
"""diskcache's word for a row whose payload is a file."""

WAIT = 2.0
"""Seconds to wait for another process's write transaction."""

_SEAL = '{"seal": "'  # which `Entry.from_json` passes over
_END = len(_SEAL) + 32
_NEXT = '", '

# As bytes: what is damaged may be no text, and that would end the whole statement.
_COLUMNS = "CAST(key AS BLOB), raw, size, mode, CAST(filename AS BLOB), CAST(value AS BLOB), expire_time"
SELECT = f"SELECT {_COLUMNS} FROM Cache"  # noqa: S608  # the line above
# What was replaced has the same key and another number in `raw`: the index of diskcache's is over both, so that
# neither is in the other's way, and no search for an entry meets it.
SELECT_CURRENT = f"{SELECT} WHERE raw = 1"
SELECT_ONE = f"{SELECT} WHERE key = ? AND raw = 1"
SELECT_PREVIOUS = f"{SELECT} WHERE key = ? AND raw = -1"
SELECT_ALIKE = f"{SELECT} WHERE tag = ? AND raw = 1 ORDER BY rowid DESC LIMIT ?"
# The text is searched before any of it is understood.
SELECT_LATEST = (
    f"SELECT {_COLUMNS} FROM (SELECT * FROM Cache WHERE raw = 1 ORDER BY rowid DESC LIMIT ?) "  # noqa: S608  # ours
    "WHERE instr(CAST(value AS BLOB), CAST(? AS BLOB)) LIMIT ?"
)

_FACTS = """name tags provenance.tables provenance.source provenance.sql provenance.rows provenance.columns bytes
    provenance.fetched_at ttl provenance.elapsed pinned""".split()
# SQLite takes them out of the text without making anything of the rest.
_LISTED = f"""SELECT key, {", ".join(f"json_extract(value, '$.{name}')" for name in _FACTS)} FROM Cache
    WHERE raw = 1 AND mode = {MODE} AND json_valid(value) AND json_extract(value, '$.format') = {FORMAT}"""  # noqa: S608  # ours

_PINNED = re.compile(r'"pinned"\s*:\s*true')

_VERSIONS = {1: CURRENT, -1: PREVIOUS}  # by `raw`

Columns = tuple[Any, ...]
"""The columns of a row as `SELECT` gives them: whatever somebody put there."""


class Row(NamedTuple):
    """What a row holds: the entry, the name of the payload's file, and which version it is."""

    entry: Entry
    filename: str
    version: int = CURRENT


def sealed(row: Row) -> str:
    """The text that a row keeps: the entry as JSON, with a digest of all that belongs together.

    Args:
        row: the entry and its file.
    """
    rest = row.entry.to_json()[1:]
    digest = _digest(row.entry.key.encode(), row.filename.encode(), rest.encode(), row.version)
    return f"{_SEAL}{digest}{_NEXT}{rest}"


def parse(columns: Columns) -> Row:
    """What a row says.

    Args:
        columns: as `SELECT` gives them.

    Raises:
        AnotherVersion: a row of another version.
        ValueError: the row is damaged, or nothing that a store writes.
    """
    key, raw, size, mode, filename, value, expire_time = columns
    if raw not in _VERSIONS or mode != MODE or expire_time is not None:
        raise ValueError("a row that this library did not write")
    version = _VERSIONS[raw]
    if not (type(key) is type(filename) is type(value) is bytes):
        raise ValueError("a row that this library did not write")
    entry = Entry.from_json(value.decode())  # first: the seal of another version may be another one, too
    if value[len(_SEAL) : _END] != _digest(key, filename, value[_END + len(_NEXT) :], version).encode():
        raise ValueError("a row whose seal is broken")
    name = filename.decode()
    if entry.key.encode() != key or entry.bytes != size or not payloads.is_name(name):
        raise ValueError("a row that is mixed up")
    return Row(entry, name, version)


def listed(con: sqlite3.Connection) -> Iterator[Listed]:
    """What a list shows of each row; what is damaged is left out as far as that is seen without its seal.

    Args:
        con: reads the database.
    """
    for key, name, tags, tables, source, sql, rows, columns, size, when, ttl, elapsed, pinned in con.execute(
        _LISTED
    ):
        with suppress(TypeError, ValueError):  # damaged
            yield Listed(
                key,
                name,
                labels_of(json.loads(tags), json.loads(tables)),
                source,
                sql,
                rows,
                columns,
                size,
                datetime.fromisoformat(when).astimezone(UTC),
                lifetime_of(ttl),
                elapsed,
                bool(pinned),
            )


def size_of(columns: Columns | None) -> int:
    """The bytes that a row says its payload has; none where it says anything else, or is not there.

    Args:
        columns: as `SELECT` gives them.
    """
    return columns[2] if columns is not None and type(columns[2]) is int else 0


def is_pinned(columns: Columns) -> bool:
    """Whether a row says that its entry is pinned; one that is damaged holds nothing that could be kept.

    Args:
        columns: as `SELECT` gives them.
    """
    # Within a text of JSON these quotes are written otherwise: most rows need not be parsed.
    if _PINNED.search(worded(columns[5])) is None:
        return False
    with suppress(ValueError):
        return parse(columns).entry.pinned
    return False


class ClosesWithItsThread:
    """Closes a connection when the thread ends whose own it is.

    Args:
        con: the connection; it may have been closed before.
    """

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con

    def __del__(self) -> None:
        with suppress(sqlite3.Error):  # collected in another thread, which may not close it
            self._con.close()


class Reader:
    """Connections that only read, one for each thread: they write nothing and wait for no writer.

    Where nothing can be written, the database is read as it is; where no live log is beside it, as one that
    does not change (SQLite reads no other there), which is looked at before each use.

    Args:
        path: the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()

    def connection(self) -> sqlite3.Connection:
        """This thread's connection.

        Raises:
            sqlite3.Error: there is no such database, or it cannot be read.
        """
        local = self._local
        try:
            if local.process == os.getpid() and (local.state is None or local.state == self._state()):
                con: sqlite3.Connection = local.con
                return con
        except AttributeError:  # none yet
            pass
        self.close()  # also one that a parent process opened: used by both, it would damage the database
        local.con, local.state = self._connect()
        local.end = ClosesWithItsThread(local.con)
        local.process, local.file = os.getpid(), _file(self._path)
        return local.con  # type: ignore[no-any-return]  # a thread's own space is not typed

    def is_current(self) -> bool:
        """Whether there is a database, and still the one that this thread has opened, if it has."""
        file = _file(self._path)
        return file is not None and getattr(self._local, "file", file) == file

    def is_inherited(self) -> bool:
        """Whether this thread's connection was opened by the process from which this one was forked."""
        return getattr(self._local, "process", os.getpid()) != os.getpid()

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        con: sqlite3.Connection | None = self._local.__dict__.pop("con", None)
        if con is not None:
            con.close()

    def _connect(self) -> tuple[sqlite3.Connection, object]:
        """A connection, and the state of the files if it holds for these alone."""
        refusal: Exception | None = None
        for how in ("mode=rw", "mode=ro", "immutable=1"):
            state = self._state() if how == "immutable=1" else None
            if state is not None and state[1]:
                break  # a log with transactions in it, which would not be seen
            con = sqlite3.connect(
                f"{self._path.as_uri()}?{how}",
                uri=True,
                timeout=WAIT,
                isolation_level=None,
                check_same_thread=False,  # used by its own thread alone, and closed by whoever lets go of it last
            )
            try:
                con.execute("PRAGMA mmap_size = 0")  # a file that is cut while mapped kills the process
                con.execute("PRAGMA cache_size = -16384")  # KiB: the index of 100,000 keys fits
                con.execute(f"{SELECT} LIMIT 1").fetchone()
            except (sqlite3.Error, UnicodeDecodeError) as fault:  # a message may quote what is damaged
                con.close()
                refusal = fault
                if places.kind_of(fault) is Fault.DAMAGED:
                    break
            except BaseException:
                con.close()
                raise
            else:
                return con, state
        assert refusal is not None  # noqa: S101  # the first of the three has no `break` before it
        raise refusal

    def _state(self) -> tuple[object, int]:
        """What changes when the database does, and the size of its log."""
        facts = os.stat(self._path)
        log = 0
        with suppress(OSError):
            log = os.stat(f"{self._path}-wal").st_size
        return (facts.st_ino, facts.st_size, facts.st_mtime_ns), log


def all_of(con: sqlite3.Connection, statement: str, values: tuple[object, ...] = ()) -> Iterator[Columns]:
    """The rows of one statement, and its cursor closed.

    Args:
        con: a connection.
        statement: one that begins as `SELECT` does.
        values: what it binds.
    """
    with closing(con.execute(statement, values)) as found:
        yield from found


def worded(value: object) -> str:
    """What a column says, whatever somebody put there.

    Args:
        value: of a column.
    """
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _digest(key: bytes, filename: bytes, rest: bytes, version: int) -> str:
    digest = xxhash.xxh3_128(b"%b\0%b\0" % (key, filename))
    if version != CURRENT:  # a damaged row is never taken for what its question is answered with
        digest.update(b"%d\0" % version)
    digest.update(rest)
    return digest.hexdigest()


def _file(path: Path) -> tuple[int, int] | None:
    """Which file is there: while it is open, no other gets its number."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
