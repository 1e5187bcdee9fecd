"""What is inconsistent in a store, and which files nobody needs.

diskcache has a check of its own, which is never called: it takes a truncated file for a whole one, and deletes
files that somebody is about to store.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

from sqlcache_nb.entry import AnotherVersion
from sqlcache_nb.stores import CURRENT, Report, payloads, places
from sqlcache_nb.stores.rows import SELECT, Columns, parse, worded

T = TypeVar("T")

GRACE = 3_600.0
"""Seconds for which a payload may be there without a row: somebody may be writing it."""

_DAY = 86_400.0
_KEEP_ASIDE = 30 * _DAY
_AT_ONCE = 64  # rows or files that are deleted in one transaction: a few milliseconds

_NUMBERED = SELECT.replace("SELECT ", "SELECT rowid, ", 1)
_NAMES = "SELECT CAST(filename AS BLOB) FROM Cache"
# Previous versions whose entry is gone: another version of this library may have deleted it.
_LONELY = """FROM Cache AS old WHERE raw = -1
    AND NOT EXISTS (SELECT 1 FROM Cache WHERE key = old.key AND raw = 1)"""
_LONELY_NAMES = f"SELECT CAST(filename AS BLOB) {_LONELY}"
_DELETE_LONELY = f"DELETE FROM Cache WHERE rowid IN (SELECT rowid {_LONELY})"  # noqa: S608  # the lines above
_TOTALS = """SELECT coalesce(sum(size), 0) IS (SELECT value FROM Settings WHERE key = 'size')
                AND count(*) IS (SELECT value FROM Settings WHERE key = 'count') FROM Cache"""
_MEND_TOTALS = (
    "UPDATE Settings SET value = (SELECT coalesce(sum(size), 0) FROM Cache) WHERE key = 'size'",
    "UPDATE Settings SET value = (SELECT count(*) FROM Cache) WHERE key = 'count'",
)


@dataclass(slots=True)
class Check:
    """What is in a store, row by row and file by file.

    Args:
        con: reads the database.
        folder: the layout's own folder.
    """

    con: sqlite3.Connection
    folder: Path
    suspects: list[tuple[str, int, Columns]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    database: list[str] = field(default_factory=list)
    entries: int = 0
    bytes: int = 0
    is_damaged: bool = False

    def report(self) -> Report:
        """Look at everything.

        What changes meanwhile is no fault: what looks like one is looked at again in the end.
        """
        found = payloads.survey(self.folder)  # before the rows: a file is there before its row is
        try:
            referenced = self._look_at_rows()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as fault:
            if places.kind_of(fault) is not places.Fault.DAMAGED:
                raise
            self.is_damaged, referenced = True, set()
            self.database.append(str(fault))
        suspects = [each for each in self.suspects if self.is_damaged or self._is_still(*each[1:])]
        lonely = {name: when for name, when in found.payloads.items() if name not in referenced}
        now = time.time()
        there = {name: when for name, when in lonely.items() if (self.folder / name).exists()}
        orphans = {name for name, when in there.items() if is_old(when, now)} | self._of_no_entry()

        def of(kind: str) -> tuple[str, ...]:
            return tuple(worded(columns[0]) for each, _, columns in suspects if each == kind)

        return Report(
            entries=self.entries,
            bytes=self.bytes,
            damaged=of("damaged"),
            missing=of("missing"),
            unreadable=of("unreadable"),
            orphaned=tuple(sorted(orphans)),
            unfinished=tuple(sorted(name for name, when in there.items() if not is_old(when, now))),
            database=tuple(self.database),
            unknown=tuple(self.unknown),
            aside=tuple(sorted(name for name in found.aside if not name.endswith(places.BESIDE))),
            foreign=tuple(sorted(found.foreign)),
        )

    def repair(self, con: sqlite3.Connection) -> Iterator[str]:
        """Delete the rows that were found to be no good, within a transaction; gives the files that have none then.

        Args:
            con: writes to the database.
        """
        names = []
        for _, number, columns in self.suspects:
            if con.execute(f"{_NUMBERED} WHERE rowid = ?", (number,)).fetchone() == (number, *columns):
                con.execute("DELETE FROM Cache WHERE rowid = ?", (number,))
                names.append(worded(columns[4]))
        names += [worded(name) for (name,) in con.execute(_LONELY_NAMES)]
        con.execute(_DELETE_LONELY)
        for statement in _MEND_TOTALS:
            con.execute(statement)
        # What a damaged row names may be another's.
        referenced = {worded(name) for (name,) in con.execute(_NAMES)} if names else set()
        yield from (name for name in names if name not in referenced)

    def _look_at_rows(self) -> set[str]:
        """Note what is wrong with each row, and give the names of all files that rows name."""
        for (told,) in self.con.execute("PRAGMA integrity_check(10)"):
            if told != "ok":
                self.is_damaged = True
                self.database.append(str(told))
        if not self.is_damaged and self.con.execute(_TOTALS).fetchone() != (1,):
            self.database.append("its totals are wrong")
        referenced = set()
        for number, *columns in self.con.execute(_NUMBERED):
            referenced.add(worded(columns[4]))
            kind = self._kind(tuple(columns))
            if kind is not None:
                self.suspects.append((kind, number, tuple(columns)))
        return referenced

    def _kind(self, columns: Columns) -> str | None:
        try:
            row = parse(columns)
        except AnotherVersion:
            self.unknown.append(worded(columns[0]))
            return None
        except ValueError:
            return "unreadable"
        path = self.folder / row.filename
        file = None
        with suppress(FileNotFoundError):
            file = payloads.opened(path, row.entry.checksum, row.entry.bytes)
        if file is None:
            return "damaged" if os.path.lexists(path) else "missing"
        file.close()
        self.entries += row.version == CURRENT
        self.bytes += row.entry.bytes
        return None

    def _of_no_entry(self) -> set[str]:
        """The files of previous versions whose entry is gone."""
        if self.is_damaged:
            return set()
        return {worded(name) for (name,) in self.con.execute(_LONELY_NAMES)}

    def _is_still(self, number: int, columns: Columns) -> bool:
        return bool(
            self.con.execute(f"{_NUMBERED} WHERE rowid = ?", (number,)).fetchone() == (number, *columns)
        )


def is_old(when: float, now: float) -> bool:
    """Whether a file was not written to for so long that nobody is at it any more.

    Args:
        when: the time of its last change, in seconds since 1970; one in the future is of a clock that was wrong.
        now: the time.

    Example:
        >>> is_old(0, 3_599), is_old(0, 3_601), is_old(9_999, 0)
        (False, True, True)
    """
    return abs(now - when) > GRACE


def is_sweep_due(folder: Path) -> bool:
    """Whether nobody has swept for a day.

    Args:
        folder: the layout's own folder.
    """
    try:
        return abs(time.time() - os.stat(folder / places.STAMP).st_mtime) > _DAY
    except FileNotFoundError:
        return True


def unneeded(folder: Path, con: sqlite3.Connection) -> Iterator[list[str]]:
    """Delete what was not finished, and give names of payloads that no row seems to name, some at a time.

    Args:
        folder: the layout's own folder.
        con: reads the database.
    """
    now = _stamped(folder)
    found = payloads.survey(folder)
    gone = [name for name, when in found.spools.items() if is_old(when, now)]
    gone += [name for name, when in found.aside.items() if abs(now - when) > _KEEP_ASIDE]
    for name in gone:
        with suppress(OSError):  # Windows: somebody has it open
            (folder / name).unlink()
    old = {name for name, when in found.payloads.items() if is_old(when, now)}
    old -= {worded(name) for (name,) in con.execute(_NAMES)}
    yield from batches(sorted(old))


def batches(each: Iterable[T]) -> Iterator[list[T]]:
    """Some at a time, so that nobody else's write waits for all of them.

    Args:
        each: rows or names, to be deleted in one transaction for each batch.

    Example:
        >>> [len(batch) for batch in batches(range(100))]
        [64, 36]
    """
    rest = iter(each)
    while batch := list(islice(rest, _AT_ONCE)):
        yield batch


def unreferenced(con: sqlite3.Connection, names: list[str]) -> list[str]:
    """Those names that no row has, asked within a write transaction.

    Args:
        con: the transaction's connection.
        names: of payloads.
    """
    marks = ", ".join("?" * len(names))
    statement = f"{_NAMES} WHERE filename IN ({marks})"  # marks only
    taken = {worded(name) for (name,) in con.execute(statement, names)}
    return [name for name in names if name not in taken]


def _stamped(folder: Path) -> float:
    """Note that a sweep was made; gives the time of the disk's own clock, by which its files are dated."""
    stamp = folder / places.STAMP
    stamp.touch(mode=0o600)
    os.utime(stamp)
    return os.stat(stamp).st_mtime
