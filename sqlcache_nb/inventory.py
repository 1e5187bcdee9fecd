"""The entries of one store: list them, find them, load them, delete them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pandas as pd

from sqlcache_nb.chunks import read_back, started
from sqlcache_nb.entry import Entry
from sqlcache_nb.errors import CodecError, DamagedPayload, EntryNotFound
from sqlcache_nb.freshness import Reason, Ttl, parse_ttl
from sqlcache_nb.result import Outcome, Result
from sqlcache_nb.stores import Removed, Store, Stored
from sqlcache_nb.writes import touched_tables

if TYPE_CHECKING:
    from sqlcache_nb.codec import Payload


@dataclass(frozen=True, slots=True)
class Stats:
    """What a cache holds, and what this process had of it.

    Args:
        entries: number of stored results.
        bytes: size of their payloads.
        elapsed: seconds that the databases took for them.
        sources: number of databases that they came from.
        hits: reads of this process that came from the cache.
        misses: reads of this process that were fetched and stored.
        refreshed: reads of this process that were fetched anew because that was asked for.
        bypassed: reads of this process that the cache had no part in.
        saved: seconds that the databases had taken for what this process had as hits.
    """

    entries: int
    bytes: int
    elapsed: float
    sources: int
    hits: int
    misses: int
    refreshed: int
    bypassed: int
    saved: float


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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.directory)!r})"

    @property
    def directory(self) -> Path:
        """Where entries are kept."""
        return Path(self._place.directory if isinstance(self._place, Store) else self._place)

    def load(self, key_or_name: str) -> Result:
        """An entry's frame as it is, of any age, also one that no question reaches any more.

        Args:
            key_or_name: a key, a unique prefix of one, or a name.

        Raises:
            EntryNotFound: there is none, or there are several.
            StoreError: the directory cannot be used.
        """
        stored = self._find(key_or_name)
        try:
            payload = opened_payload(self._store(), stored)
        except DamagedPayload as fault:
            raise EntryNotFound(f"{key_or_name!r}: {fault}; ask its question again") from fault
        if payload is None:
            raise EntryNotFound(f"{key_or_name!r} was replaced or deleted just now, or is of another version")
        chunks = started(read_back(payload)) if payload.chunked else None
        return Result(
            Outcome.HIT,
            Reason.LOADED,
            stored.entry.provenance.source,
            lambda: payload.frame if chunks is None else chunks,
            entry=stored.entry,
            path=stored.path,
        )

    def find(self, key_or_name: str) -> Entry:
        """One entry.

        Args:
            key_or_name: a key, a unique prefix of one, or a name (the newest of that name).

        Raises:
            EntryNotFound: there is none, or there are several.
            StoreError: the directory cannot be used.
        """
        return self._find(key_or_name).entry

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
        rows = [
            {
                "key": entry.key,
                "name": entry.name,
                "tags": ", ".join(entry.labels),
                "source": entry.provenance.source,
                "sql": entry.provenance.sql,
                "rows": entry.provenance.rows,
                "columns": entry.provenance.columns,
                "bytes": entry.bytes,
                "fetched_at": pd.Timestamp(entry.provenance.fetched_at),
                "ttl": entry.ttl,
                "elapsed": entry.provenance.elapsed,
            }
            for entry in self.entry_list()
        ]
        return pd.DataFrame(rows, columns=_ENTRY_COLUMNS)

    def clear(
        self,
        *,
        key: str | None = None,
        name: str | None = None,
        tag: str | None = None,
        table: str | None = None,
        source: str | None = None,
        older_than: Ttl | None = None,
    ) -> Removed:
        """Delete the entries that fit every filter given; without a filter, everything.

        Args:
            key: a key or a unique prefix of one.
            name: a name.
            tag: a tag, or `table:orders`.
            table: a table that the statement names; case, quotes and schema do not matter.
            source: a database's label.
            older_than: an age, worded as a ttl is.

        Raises:
            ConfigError: an age that cannot be understood.
            EntryNotFound: no entry of that key.
            StoreError: the directory cannot be used.
        """
        if (key, name, tag, table, source, older_than) == (None,) * 6:
            return self._store().clear()
        age = None if older_than is None else timedelta(seconds=parse_ttl(older_than))
        now = self._clock()
        return self._store().delete(
            [
                entry.key
                for entry in self._fitting(key, name, tag, table, source)
                if age is None or now - entry.provenance.fetched_at > age
            ]
        )

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
        keys = [entry.key for entry in self._fitting(key, name, tag, table, source)]
        return self._invalidate(keys if not used else [key for key in keys if key in self._used])

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

    def _fitting(
        self, key: str | None, name: str | None, tag: str | None, table: str | None, source: str | None
    ) -> list[Entry]:
        """The entries that fit every filter given."""
        key = None if key is None else self._find_key(key).entry.key
        return [
            entry
            for entry in self.entry_list()
            if key in (None, entry.key)
            and name in (None, entry.name)
            and (tag is None or entry.has_label(tag))
            and (table is None or entry.reads(table))
            and source in (None, entry.provenance.source)
        ]

    def delete(self, key: str) -> Removed:
        """Delete one entry.

        Args:
            key: a key or a unique prefix of one.

        Raises:
            EntryNotFound: there is none, or there are several.
            StoreError: the directory cannot be used.
        """
        return self._store().delete([self._find_key(key).entry.key])

    def close(self) -> None:
        """Release the directory; the next use opens it again. A `Store` that was given is its owner's."""
        with self._lock:
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
        named = (stored for stored in rows if stored.entry.name == key_or_name)
        return next(named, None) or _only_one(rows, key_or_name, "key or name")

    def _find_key(self, prefix: str) -> Stored:
        return _only_one(self._store().entries(), prefix, "key")


def _only_one(rows: list[Stored], prefix: str, noun: str) -> Stored:
    """The one row whose key begins so."""
    fitting = [stored for stored in rows if prefix and stored.entry.key.startswith(prefix)]
    if len(fitting) == 1:
        return fitting[0]
    told = f"{len(fitting)} entries have keys that begin with" if fitting else f"no entry has the {noun}"
    raise EntryNotFound(f"{told} {prefix!r}: list what is stored")


_ENTRY_COLUMNS = "key name tags source sql rows columns bytes fetched_at ttl elapsed".split()


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


def _open(directory: str | os.PathLike[str]) -> Store:
    from sqlcache_nb.stores.disk import DiskStore  # diskcache is needed from here on

    return DiskStore(directory)
