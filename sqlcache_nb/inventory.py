"""The entries of one store: list them, find them, load them, delete them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pandas as pd

from sqlcache_nb.chunks import read_back, started
from sqlcache_nb.entry import Entry
from sqlcache_nb.errors import CodecError, ConfigError, DamagedPayload, EntryNotFound
from sqlcache_nb.freshness import Reason
from sqlcache_nb.ledger import Ledger
from sqlcache_nb.lifetime import Ttl, parse_age
from sqlcache_nb.result import Outcome, Result
from sqlcache_nb.selection import Selection, only_one
from sqlcache_nb.stores import CURRENT, PREVIOUS, Listed, Removed, Report, Store, Stored
from sqlcache_nb.writes import touched_tables

if TYPE_CHECKING:
    from sqlcache_nb.codec import Payload


class Inventory:
    """The entries of one store.

    Args:
        place: a directory, opened at first use, or a `Store`.
        clock: gives the time, with a zone.
    """

    def __init__(self, place: Store | str | os.PathLike[str], clock: Callable[[], datetime]) -> None:
        self._place = place
        self._clock = clock
        self._lock = threading.RLock()
        self._used: set[str] = set()  # keys of what this process had as hits, or stored
        self._opened: Store | None = None
        self._closings = self._clearings = 0
        self._ledger = Ledger(lambda: self._opened, clock)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.directory)!r})"

    @property
    def directory(self) -> Path:
        """Where entries are kept."""
        return Path(self._place.directory if isinstance(self._place, Store) else self._place)

    def load(self, key_or_name: str, version: int = CURRENT) -> Result:
        """An entry's frame as it is, of any age, also one that no question reaches any more.

        Args:
            key_or_name: a key, a unique prefix of one, or a name.
            version: 0 for the entry, -1 for the answer that it replaced, as long as there was room for it. What
                was the same answer is not counted as another version.

        Raises:
            ConfigError: another version than these.
            EntryNotFound: there is none, or there are several, or no replaced version is kept.
            StoreError: the directory cannot be used.
        """
        if version not in (CURRENT, PREVIOUS):
            raise ConfigError(
                f"version={version!r}: give 0 for the current answer, -1 for the one that it replaced"
            )
        stored = self._find(key_or_name)
        if version == PREVIOUS:
            replaced = self._store().previous(stored.entry.key)
            if replaced is None:
                raise EntryNotFound(f"of {key_or_name!r} no replaced version is kept")
            stored = replaced
        try:
            payload = opened_payload(self._store(), stored)
        except DamagedPayload as fault:
            raise EntryNotFound(f"{key_or_name!r}: {fault}; ask its question again") from fault
        if payload is None:
            raise EntryNotFound(f"{key_or_name!r} was replaced or deleted just now, or is of another version")
        self._ledger.use(stored.entry)
        return result_of(Outcome.HIT, Reason.LOADED, stored, payload)

    def find(self, key_or_name: str) -> Entry:
        """One entry.

        Args:
            key_or_name: a key, a unique prefix of one, or a name (the newest of that name).

        Raises:
            EntryNotFound: there is none, or there are several.
            StoreError: the directory cannot be used.
        """
        return self._find(key_or_name).entry

    def previous(self, key_or_name: str) -> Entry | None:
        """The answer that an entry replaced, None where it is not kept; arguments and errors as for `find`."""
        found = self._store().previous(self._find(key_or_name).entry.key)
        return None if found is None else found.entry

    def entry_list(self) -> list[Entry]:
        """All entries, newest fetch first.

        Raises:
            StoreError: the directory cannot be used.
        """
        return [stored.entry for stored in self._store().entries()]

    def entries(self) -> pd.DataFrame:
        """All entries as a frame, newest fetch first.

        Raises:
            StoreError: the directory cannot be used.
        """
        store = self._store()
        last_used, rows = self._ledger.last_used(store), store.listed()
        columns = {name: [row[place] for row in rows] for place, name in enumerate(Listed._fields)}
        columns["tags"] = [", ".join(row.tags) for row in rows]
        columns["used_at"] = [last_used(row.key, row.fetched_at) for row in rows]
        return pd.DataFrame(columns, columns=_ENTRY_COLUMNS)

    def clear(
        self,
        *,
        key: str | None = None,
        name: str | None = None,
        tag: str | None = None,
        table: str | None = None,
        source: str | None = None,
        older_than: Ttl | None = None,
        unused_for: Ttl | None = None,
        unpinned_only: bool = False,
        dry_run: bool = False,
    ) -> Removed:
        """Delete the entries that fit every filter given; without a filter, everything.

        Args:
            key: a key or a unique prefix of one.
            name: a name.
            tag: a tag, or `table:orders`.
            table: a table that the statement names; case, quotes and schema do not matter.
            source: a database's label.
            older_than: an age, worded as a ttl is.
            unused_for: a time since the last use, or the fetch, worded as a ttl is.
            unpinned_only: leave what is pinned; without it, that goes, too.
            dry_run: delete nothing, and say what would go.

        Raises:
            ConfigError: an age that cannot be understood.
            EntryNotFound: no entry of that key.
            StoreError: the directory cannot be used.
        """
        age = None if older_than is None else parse_age(older_than, "older_than")
        idle = None if unused_for is None else parse_age(unused_for, "unused_for")
        selection = Selection(key, name, tag, table, source, age, idle, unpinned_only)
        store = self._store()
        self._clearings += not dry_run
        if selection == Selection():
            return store.held() if dry_run else store.clear()
        return self._delete(self._chosen(selection), pinned=not unpinned_only, dry_run=dry_run)

    def invalidate(
        self,
        *,
        key: str | None = None,
        name: str | None = None,
        tag: str | None = None,
        table: str | None = None,
        source: str | None = None,
        used: bool = False,
    ) -> int:
        """Declare the entries stale that fit every filter given; without a filter, all.

        They are no hits any more, whatever a ttl or a token says, until their question is fetched again.
        `load` still gives them.

        Args:
            key: a key or a unique prefix of one.
            name: a name.
            tag: a tag, or `table:orders`.
            table: a table that the statement names; case, quotes and schema do not matter.
            source: a database's label.
            used: only what this process has used: had as a hit, or stored.

        Returns:
            How many entries were not invalidated before.

        Raises:
            EntryNotFound: no entry of that key.
            StoreError: the directory cannot be used.
        """
        rows = self._chosen(Selection(key, name, tag, table, source))
        keys = [row.entry.key for row in rows if not used or row.entry.key in self._used]
        return self._invalidate(keys)

    def _invalidate_written(self, sql: str, dialect: str, places: Collection[str]) -> int:
        """Declare stale what a write may have changed: entries of the same place that may read a touched table.

        Args:
            sql: what the driver got.
            dialect: SQLAlchemy's name of the dialect.
            places: where it was written.
        """
        tables = touched_tables(sql, dialect) if places else ()
        if tables == ():
            return 0
        return self._invalidate(
            [
                entry.key
                for entry in self.entry_list()
                if (not entry.places or not set(places).isdisjoint(entry.places))
                and (tables is None or any(map(entry.may_read, tables)))
            ]
        )

    def _invalidate(self, keys: list[str]) -> int:
        return self._store().invalidate(keys, self._clock())

    def _chosen(self, selection: Selection) -> list[Stored]:
        """The rows that fit every filter given.

        Raises:
            EntryNotFound: no entry of that key, or several.
        """
        rows, now = self._store().entries(), self._clock()
        if selection.key is not None:
            key = only_one([row.entry.key for row in rows], selection.key)
            rows = [row for row in rows if row.entry.key == key]
        last = None if selection.unused_for is None else self._ledger.last_used(self._store())

        def age(entry: Entry) -> float:
            return (now - entry.provenance.fetched_at).total_seconds()

        def idle(entry: Entry) -> float:
            if last is None:  # nobody asks
                return age(entry)
            return (now - last(entry.key, entry.provenance.fetched_at)).total_seconds()

        return [row for row in rows if selection.fits(row.entry, age, idle)]

    def delete(self, key_or_name: str, *, dry_run: bool = False) -> Removed:
        """Delete one entry, pinned or not.

        Args:
            key_or_name: a key, a unique prefix of one, or a name (the newest of that name).
            dry_run: delete nothing, and say what would go.

        Raises:
            EntryNotFound: there is none, or there are several.
            StoreError: the directory cannot be used.
        """
        self._clearings += not dry_run
        return self._delete([self._find(key_or_name)], pinned=True, dry_run=dry_run)

    def _delete(self, rows: list[Stored], *, pinned: bool, dry_run: bool) -> Removed:
        if dry_run:
            previous = filter(None, (self._store().previous(row.entry.key) for row in rows))
            return Removed(len(rows), sum(row.entry.bytes for row in (*rows, *previous)))
        return self._store().delete(rows, pinned=pinned)

    def pin(self, key_or_name: str) -> Entry:
        """Freeze an entry: it is not evicted, and is a hit at any age, whatever its ttl or a token says.

        It stays so until it is unpinned, or fetched again because `refresh` was given. What is found out about
        it meanwhile, that a write has touched its table, is kept, and counts once it is unpinned.

        Args:
            key_or_name: a key, a unique prefix of one, or a name (the newest of that name).

        Returns:
            The entry as it is then.

        Raises:
            EntryNotFound: there is none, or there are several.
            StoreError: the directory cannot be used.

        Example:
            >>> import sqlite3, tempfile
            >>> from sqlcache_nb import QueryCache
            >>> folder = tempfile.TemporaryDirectory()
            >>> con = sqlite3.connect(folder.name + "/numbers.db")
            >>> with QueryCache(folder.name + "/cache") as cache:
            ...     key = cache.read("select 1 as n", con).entry.key
            ...     cache.pin(key).pinned, cache.unpin(key).pinned
            (True, False)
            >>> con.close(); folder.cleanup()
        """
        return self._pin(key_or_name, pinned=True)

    def unpin(self, key_or_name: str) -> Entry:
        """Let an entry age again; arguments and errors as for `pin`."""
        return self._pin(key_or_name, pinned=False)

    def _pin(self, key_or_name: str, *, pinned: bool) -> Entry:
        stored = self._store().pin(self._find(key_or_name).entry.key, pinned=pinned)
        if stored is None:
            raise EntryNotFound(f"{key_or_name!r} was deleted just now")
        return stored.entry

    def last_used(self, entry: Entry) -> datetime:
        """When an entry was last fetched, had as a hit or loaded, by any kernel, to the minute.

        Args:
            entry: the stored facts.

        Raises:
            StoreError: the directory cannot be used.
        """
        return self._ledger.last_used(self._store())(entry.key, entry.provenance.fetched_at)

    def check(self, *, repair: bool = False) -> Report:
        """Read everything that is stored, and say what is inconsistent: damaged, missing, left over.

        A read finds what is damaged by itself; this finds it before, and what no read comes across.

        Args:
            repair: delete what is inconsistent: entries, and files that no entry names for an hour or more. What is
                another version's, or somebody else's, is left alone.

        Raises:
            StoreError: the directory cannot be used.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder, Inventory(folder, datetime.now) as cache:
            ...     print(cache.check())
            0 entries are sound; nothing is wrong
        """
        return self._store().check(repair=repair)

    def close(self) -> None:
        """Release the directory; the next use opens it again. A `Store` that was given is its owner's."""
        self._ledger.flush()
        with self._lock:
            self._closings += 1
            if self._opened is not None and self._opened is not self._place:
                self._opened.close()
            self._opened = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self.close()

    def _store(self) -> Store:
        with self._lock:
            if self._opened is None:
                self._opened = self._place if isinstance(self._place, Store) else _open(self._place)
            return self._opened

    def _find(self, key_or_name: str) -> Stored:
        rows = self._store().entries()
        named = next((row for row in rows if row.entry.name == key_or_name), None)
        if named is not None:
            return named
        key = only_one([row.entry.key for row in rows], key_or_name, "key or name")
        return next(row for row in rows if row.entry.key == key)


_ENTRY_COLUMNS = "key name tags source sql rows columns bytes fetched_at used_at ttl elapsed pinned".split()


def opened_payload(store: Store, stored: Stored) -> Payload | None:
    """The payload, or None where it is gone, or of another version: a frame in memory, chunks as a file.

    Args:
        store: where it is.
        stored: its row.

    Raises:
        DamagedPayload: it is missing, or not what was written.
    """
    from sqlcache_nb.codec import Payload

    data = store.read(stored) if stored.entry.provenance.chunks is None else store.open(stored)
    if data is None:
        return None
    try:
        return Payload(data)
    except CodecError:  # another version's: left alone until it is overwritten
        return None


def result_of(outcome: Outcome, reason: Reason, stored: Stored, payload: Payload, detail: str = "") -> Result:
    """The result of what is stored, where nobody could be asked again if it cannot be decoded.

    Args:
        outcome: as in `Result`, like the next.
        reason: why it is given.
        stored: its row.
        payload: its file, verified.
        detail: as in `Result`.
    """
    chunks = started(read_back(payload)) if payload.chunked else None
    return Result(
        outcome,
        reason,
        stored.entry.provenance.source,
        lambda: payload.frame if chunks is None else chunks,
        detail,
        entry=stored.entry,
        path=stored.path,
    )


def _open(directory: str | os.PathLike[str]) -> Store:
    from sqlcache_nb.stores.disk import DiskStore  # diskcache is needed from here on

    return DiskStore(directory)
