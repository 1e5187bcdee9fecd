"""The table of rows: diskcache's, with settings of our own and without pickle.

What diskcache is used for: the table, its triggers, its connections, its transactions. What is switched off:
eviction, expiry and statistics.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import diskcache

from sqlcache_nb.parts import likeness
from sqlcache_nb.stores import CURRENT, PREVIOUS
from sqlcache_nb.stores.places import DATABASE
from sqlcache_nb.stores.rows import (
    MODE,
    SELECT_ONE,
    SELECT_PREVIOUS,
    WAIT,
    ClosesWithItsThread,
    Columns,
    Row,
    sealed,
    worded,
)

_SETTINGS = diskcache.DEFAULT_SETTINGS | {
    "eviction_policy": "none",
    "cull_limit": 0,
    "statistics": 0,
    "tag_index": 1,
    "sqlite_mmap_size": 0,  # a database that is cut while it is mapped kills the process
}
"""diskcache's settings, which it keeps in the database; whoever else opened it may have changed them."""


class ParquetDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no type hints
    """Keeps entries as text, each with a file's name; reads nothing else, and never a pickle.

    Args:
        directory: the layout's own folder.
        settings: those of whatever other Disk somebody opened the directory with.
    """

    def __init__(self, directory: str, **settings: object) -> None:
        super().__init__(directory)
        self._replaced = threading.local()

    def put(self, key: object) -> tuple[str, bool]:
        """A key as it is kept: plain text only."""
        if type(key) is not str:
            raise TypeError(f"keys are str, not {type(key).__qualname__}")
        return key, True

    def get(self, key: object, raw: object) -> str:
        """A kept key: plain text only."""
        if not raw or type(key) is not str:
            raise ValueError("a key that this library did not write")
        return key

    def store(self, value: Row, read: bool, key: object = None) -> tuple[int, int, str, str]:
        """A row's size, mode, file name and text; the file itself is there already."""
        return value.entry.bytes, MODE, value.filename, sealed(value)

    def fetch(self, mode: int, filename: str, value: object, read: bool) -> Row:
        """Nothing: rows are read by `rows.parse` alone."""
        raise ValueError("rows are not read through diskcache")

    def remove(self, file_path: str) -> None:
        """Delete a payload's file once the transaction is committed that takes its row away."""
        self.replaced.append(file_path)

    @property
    def replaced(self) -> list[str]:
        """The files that this thread's transaction leaves without a row."""
        names: list[str] = self._replaced.__dict__.setdefault("names", [])
        return names


class Table(diskcache.Cache):  # type: ignore[misc]  # diskcache has no type hints
    """The table, open for writing: made where there is none, and put right where somebody has changed its settings.

    Args:
        folder: the layout's own folder.

    Raises:
        sqlite3.Error: it cannot be written to; nothing is left open then.
    """

    def __init__(self, folder: Path) -> None:
        _take_away_other_settings(folder)
        self._ends = threading.local()
        try:
            super().__init__(str(folder), timeout=WAIT, disk=ParquetDisk, **_SETTINGS)
        except BaseException:
            self.close()
            raise

    @property
    def con(self) -> sqlite3.Connection:
        """This thread's connection."""
        con: sqlite3.Connection = self._con
        if getattr(self._ends, "con", None) is not con:
            self._ends.con, self._ends.end = con, ClosesWithItsThread(con)
        return con

    @contextmanager
    def transaction(self) -> Iterator[list[str]]:
        """A write transaction that is on the disk when it ends; gives the files whose rows it took away.

        Raises:
            sqlite3.Error: it was not committed.
        """
        con, names = self.con, self.disk.replaced
        names.clear()
        con.execute("PRAGMA synchronous = FULL")
        try:
            with self.transact():
                yield names
        except BaseException as fault:
            names.clear()
            with suppress(sqlite3.Error):  # the first fault is what is told
                con.rollback()  # diskcache leaves a failed commit open
            if isinstance(fault, diskcache.Timeout) and isinstance(fault.__context__, sqlite3.Error):
                raise fault.__context__ from None  # which it calls a timeout, whatever it was
            raise

    def one(self, key: str, version: int = CURRENT) -> Columns | None:
        """The row of a key as it is within a transaction.

        Args:
            key: the key.
            version: which of its versions.
        """
        statement = SELECT_ONE if version == CURRENT else SELECT_PREVIOUS
        columns: Columns | None = self.con.execute(statement, (key,)).fetchone()
        return columns

    def put(self, row: Row, before: Row | None = None) -> None:
        """Put a row in its place, within a transaction, and what it replaces in that of the previous version.

        Args:
            row: the entry and its file.
            before: the row that is there, if it is to be kept.
        """
        key, entry = row.entry.key, row.entry
        if before is None:
            gone = self.take_away(key)
        elif entry.content and before.entry.content == entry.content:
            # The same answer again: kept twice it would tell nobody anything, and would push out the last one that
            # was another, which is what somebody looks for.
            gone = self._drop(key, CURRENT)
        else:
            gone = self._drop(key, PREVIOUS)
            # Without a tag, the index that finds statements alike does not lead to it.
            statement = "UPDATE Cache SET raw = -1, tag = NULL, value = ? WHERE key = ? AND raw = 1"
            stepped_back = Row(replace(before.entry, pinned=False), before.filename, PREVIOUS)
            self.con.execute(statement, (sealed(stepped_back), key))
        for filename in gone:
            self.let_go(filename)
        self.set(key, row, tag=likeness(entry.provenance.sql))

    def change(self, row: Row) -> None:
        """Change the facts of a row and not its file, within a transaction.

        This is below diskcache's public face, which replaces a row only together with its file.

        Args:
            row: the new entry and the file that is there.
        """
        values = (sealed(row), row.entry.key)
        self.con.execute("UPDATE Cache SET value = ? WHERE key = ? AND raw = 1", values)

    def take_away(self, key: str, version: int = CURRENT) -> list[str]:
        """Delete a row within a transaction; gives the names of files that have none then, whatever those say.

        With an entry goes its previous version, which would be of nothing.

        Args:
            key: the key.
            version: which of its versions.
        """
        return [name for each in {version, PREVIOUS} for name in self._drop(key, each)]

    def _drop(self, key: str, version: int) -> list[str]:
        columns = self.one(key, version)
        if columns is None:
            return []
        self.con.execute("DELETE FROM Cache WHERE key = ? AND raw = ?", (key, columns[1]))
        return [worded(columns[4])]

    def let_go(self, filename: str) -> None:
        """Have a file deleted once the transaction is committed.

        Args:
            filename: what a row said, which may be anything.
        """
        self.disk.remove(filename)


def has_our_settings(con: sqlite3.Connection) -> bool:
    """Whether nobody has changed diskcache's settings.

    Args:
        con: reads the database.
    """
    found = con.execute("SELECT CAST(key AS BLOB), value FROM Settings").fetchall()
    settings = {worded(key): value for key, value in found}
    for key in diskcache.core.METADATA:
        settings.pop(key, None)
    return settings == dict(_SETTINGS)


def _take_away_other_settings(folder: Path) -> None:
    """Take away what is no setting of ours; diskcache then puts the others right.

    It opens the database by hand besides: diskcache would retry for a minute on a locked one.
    """
    with closing(sqlite3.connect(folder / DATABASE, timeout=WAIT, isolation_level=None)) as con:
        con.execute("BEGIN IMMEDIATE")
        if con.execute("SELECT count(*) FROM sqlite_master WHERE name = 'Settings'").fetchone() == (1,):
            known = [*_SETTINGS, *diskcache.core.METADATA]
            marks = ", ".join("?" * len(known))
            con.execute(f"DELETE FROM Settings WHERE key NOT IN ({marks})", known)  # noqa: S608  # marks only
        con.execute("COMMIT")
