"""When entries were used, and how questions were answered: a small database of its own beside the entries.

Losing it costs statistics and the order in which entries make room, so that a damaged one is begun anew. Nothing is
held open between two calls.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple
from datetime import date
from pathlib import Path
from typing import Any

from sqlcache_nb.errors import StoreError
from sqlcache_nb.stores import Tally

FILE = "ledger.db"
"""Its name in the store's folder."""

_VERSION = 1
_WAIT = 0.5  # seconds for another process's note: a later one will do as well
_DAY = 86_400.0
_SCHEMA = (
    f"PRAGMA user_version = {_VERSION}",
    "CREATE TABLE IF NOT EXISTS Uses (key TEXT PRIMARY KEY, used_at REAL NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS Days (
        day TEXT PRIMARY KEY, hits INTEGER NOT NULL, misses INTEGER NOT NULL, refreshed INTEGER NOT NULL,
        bypassed INTEGER NOT NULL, saved REAL NOT NULL, saved_bytes INTEGER NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS Facts (name TEXT PRIMARY KEY, value REAL NOT NULL)",
)
_USED = """
    INSERT INTO Uses VALUES (?, ?)
    ON CONFLICT (key) DO UPDATE SET used_at = max(used_at, excluded.used_at)
"""
_ADD = """
    INSERT INTO Days VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (day) DO UPDATE SET
        hits = hits + excluded.hits, misses = misses + excluded.misses,
        refreshed = refreshed + excluded.refreshed, bypassed = bypassed + excluded.bypassed,
        saved = saved + excluded.saved, saved_bytes = saved_bytes + excluded.saved_bytes
"""
# By a clock that was wrong and is set back by now, it counts from now on.
_BEGUN = """
    INSERT INTO Facts VALUES ('begun', ?)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE value > ?
"""
_FACT = "SELECT value FROM Facts WHERE name = ? AND typeof(value) = 'real'"
_SWEPT = "INSERT OR REPLACE INTO Facts VALUES ('swept', ?)"


class UsesFile:
    """The ledger of a store in a folder; it is made at the first note, and the folder never.

    Args:
        folder: the store's.

    Example:
        >>> UsesFile(Path("nowhere")).history()
        {}
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def record(self, used: Mapping[str, float], days: Mapping[date, Tally], now: float) -> None:
        """Note when keys were last used, and add to the days' tallies."""
        tallies = [(day.isoformat(), *astuple(tally)) for day, tally in days.items()]
        with self._writing(now) as con:
            con.executemany(_USED, used.items())
            con.executemany(_ADD, tallies)

    def last(self) -> dict[str, float]:
        """When keys were last used, in seconds since 1970."""
        return dict(
            self._rows("SELECT key, used_at FROM Uses WHERE typeof(used_at) = 'real' AND used_at > 0")
        )

    def forget(self, keys: Collection[str], now: float) -> None:
        """Drop what is known of keys that are stored no more."""
        with self._writing(now) as con:
            con.executemany("DELETE FROM Uses WHERE key = ?", [(key,) for key in keys])

    def history(self) -> dict[date, Tally]:
        """The days' tallies, the earliest day first."""
        found = {}
        for day, *sums in self._rows("SELECT * FROM Days ORDER BY day"):
            if all(isinstance(number, int | float) for number in sums):
                with suppress(ValueError, TypeError):  # damaged: no day
                    found[date.fromisoformat(day)] = Tally(*sums)
        return found

    def sweep_since(self, now: float) -> float | None:
        """The time since which uses are known, if it is time to look for what is unused."""
        with self._writing(now) as con:
            swept, begun = (con.execute(_FACT, (name,)).fetchone() for name in ("swept", "begun"))
            if swept is not None and abs(now - swept[0]) < _DAY:
                return None
            con.execute(_SWEPT, (now,))
            return float(begun[0]) if begun else now

    def _rows(self, select: str) -> list[tuple[Any, ...]]:
        """What is noted; nothing where nothing was noted yet, or what is there is damaged."""
        with _faults():
            if not self._path.exists():
                return []
            try:
                with closing(self._connect("ro")) as con:
                    return con.execute(select).fetchall()
            except sqlite3.DatabaseError as fault:
                if _is_of_no_use(fault):
                    return []
                raise

    @contextmanager
    def _writing(self, now: float) -> Iterator[sqlite3.Connection]:
        """A transaction in the ledger, which is made where there is none; a damaged one is deleted."""
        with _faults():
            try:
                with closing(self._connect("rw")) as con, con:
                    self._begin(con, now)
                    yield con
            except sqlite3.DatabaseError as fault:
                if _is_of_no_use(fault):
                    self._path.unlink(missing_ok=True)
                raise

    def _begin(self, con: sqlite3.Connection, now: float) -> None:
        """Begin a write transaction, and make the tables where there are none."""
        con.execute("PRAGMA trusted_schema = OFF")
        con.execute("BEGIN IMMEDIATE")
        ((version,),) = con.execute("PRAGMA user_version")
        if version not in (0, _VERSION):
            raise StoreError(f"{FILE} is of another version, and is left alone")
        for statement in _SCHEMA:
            con.execute(statement)
        con.execute(_BEGUN, (now, now))

    def _connect(self, mode: str) -> sqlite3.Connection:
        if mode == "rw":
            with suppress(FileExistsError):  # before SQLite would make it readable for everybody
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL, 0o600))
        return sqlite3.connect(f"{self._path.as_uri()}?mode={mode}", uri=True, timeout=_WAIT)


def _is_of_no_use(fault: sqlite3.DatabaseError) -> bool:
    """Whether the file is no ledger, or a damaged one, and not only locked, full or out of reach."""
    code = getattr(fault, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {
        sqlite3.SQLITE_ERROR,  # a table or a column is missing
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_MISMATCH,
    }


@contextmanager
def _faults() -> Iterator[None]:
    """Every fault of the place as a StoreError."""
    try:
        yield
    except (sqlite3.Error, OSError) as fault:
        raise StoreError(f"what was used cannot be noted ({fault})") from fault
