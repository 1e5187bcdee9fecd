"""The database of a store: opened when it is needed, begun anew where it was removed or damaged; its faults in words.

What reads goes through `rows.Reader`, what writes through `table.Table`, which is opened when something is first written.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from sqlcache_nb.errors import StoreError, StoreWarning, warn
from sqlcache_nb.stores import payloads, places
from sqlcache_nb.stores.places import DATABASE, LAYOUT, Fault
from sqlcache_nb.stores.rows import Reader
from sqlcache_nb.stores.table import Table, has_our_settings

T = TypeVar("T")

FAULTS = (sqlite3.Error, OSError, UnicodeDecodeError)
"""What goes wrong in a place; the last one, since a message of SQLite's may quote what is damaged."""


class Database:
    """The rows of a directory, for those who read and those who write.

    Args:
        directory: as a person named it; all is in its folder of this layout.

    Raises:
        StoreError: the directory cannot be made or read.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.folder = directory / LAYOUT
        self._reader = Reader(self.folder / DATABASE)
        self._table: Table | None = None
        self._opening = threading.Lock()
        try:
            self.mended(self._open)
        except BaseException:
            self.close()
            raise
        _all.add(self)

    def rows(self) -> sqlite3.Connection:
        """This thread's connection for reading."""
        if self._reader.is_inherited():
            for database in list(_all):  # SQLite shares what it knows of locks among a process's connections
                database.close()
        return self._reader.connection()

    def table(self) -> Table:
        """The table, opened when something is first written."""
        self.rows()
        with self._opening:
            return self._table if self._table is not None else self._begin()

    @contextmanager
    def transaction(self) -> Iterator[Table]:
        """A write transaction that is on the disk when it ends, and the files whose rows it took away gone."""
        table = self.table()
        with table.transaction() as names:
            yield table
        for name in names:
            payloads.remove(self.folder, name)

    def close(self) -> None:
        """Release what is held open; the next use opens it again."""
        self._reader.close()
        if self._table is not None:
            self._table.close()

    # --- opened, and begun anew -----------------------------------------------------------------------

    def _open(self) -> None:
        """Make what is not there, and see to it that it is ours."""
        database = self.folder / DATABASE
        if not database.exists() or database.stat().st_size == 0:
            places.make_private(self.folder)
            self._begin()
        places.refuse_links(self.folder)
        places.warn_of_others(self.folder)
        places.warn_of_network(self.folder)
        if not has_our_settings(self.rows()):
            with suppress(*FAULTS):  # reading does not go by them
                self.table()

    def _begin(self) -> Table:
        """Open the table for writing, which makes it where there is none."""
        self._table = Table(self.folder)
        return self._table

    def reopen_if_replaced(self) -> None:
        """Begin anew where the database was removed, or set aside by another process."""
        if not self._reader.is_current():
            self._reopen()

    def _reopen(self) -> None:
        self.close()
        self._table, self._reader = None, Reader(self.folder / DATABASE)
        places.make_private(self.folder)
        self._begin()

    def set_aside(self) -> None:
        """Begin anew beside a damaged database."""
        self.close()
        self._table = None
        aside = places.set_aside(self.folder)
        self._reopen()
        warn(
            f"the cache's database in {self.directory} was damaged: it is now {aside.name}, and the cache begins anew",
            StoreWarning,
        )

    # --- faults ---------------------------------------------------------------------------------------

    def mended(self, call: Callable[[], T]) -> T:
        """What a call gives, made once more where the place had a fault that could be mended.

        Args:
            call: reads or writes here.

        Raises:
            StoreError: the place has a fault.
        """
        try:
            return call()
        except FAULTS as fault:
            if not self._mend(fault):
                raise self._told(fault) from fault
        with self.translated():
            return call()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """A fault of the place is a `StoreError`."""
        try:
            yield
        except FAULTS as fault:
            raise self._told(fault) from fault

    def _mend(self, fault: BaseException) -> bool:
        """Whether it is worth another try, since the database was replaced or is set aside."""
        try:
            if not self._reader.is_current():
                self._reopen()
                return True
            if self._table is None and places.lacks_tables(fault) and self._is_made():
                return True
            kind = places.kind_of(fault)
            if kind is Fault.DAMAGED or (
                kind is Fault.READ_ONLY
                and isinstance(fault, sqlite3.Error)
                and places.says_read_only(self.folder)
            ):
                self.set_aside()
                return True
        except (*FAULTS, StoreError):
            return False  # the first fault is what is told
        return False

    def _is_made(self) -> bool:
        """Whether tables could be made in a database that has none: another process may be about to make them."""
        with suppress(*FAULTS):  # then it is damaged
            self._begin()
            return True
        return False

    def _told(self, fault: BaseException) -> StoreError:
        is_read_only = self._reader.is_current() and not places.is_writable(self.folder)
        return StoreError(places.told(fault, self.directory, is_read_only=is_read_only))


_all: weakref.WeakSet[Database] = weakref.WeakSet()
