"""The room that a store may take: its limits, and what goes when they are reached."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from sqlcache_nb import notes, quantities, retention
from sqlcache_nb.errors import NotCacheable, StoreError
from sqlcache_nb.ledger import Ledger
from sqlcache_nb.stores import PREVIOUS, Store, Stored

logger = logging.getLogger("sqlcache_nb")

_SWEEP = timedelta(days=1)
_AT_ONCE = 32  # entries: under a millisecond
_REST = 5e-5  # seconds: longer than it takes to wake another thread


class Space:
    """How much a store may hold, and for how long what nobody uses.

    Args:
        size_limit: bytes of payloads, None for a share of the disk that is taken when the store is opened.
        clear_unused: seconds after which what nobody has used goes; `math.inf` for never.
        clock: gives the time, with a zone.
    """

    def __init__(self, size_limit: int | None, clear_unused: float, clock: Callable[[], datetime]) -> None:
        self._given = size_limit
        self._clear_unused = clear_unused
        self._clock = clock
        self._next_sweep: datetime | None = None
        self.limit = retention.LARGEST_DEFAULT if size_limit is None else size_limit

    def opened(self, store: Store) -> None:
        """Take the limit, now that the store is open.

        Args:
            store: the store.
        """
        if self._given is None:
            self.limit = retention.default_size_limit(_free(store.directory), store.size())

    def check(self, size: int) -> None:
        """Refuse a payload that will never have room.

        Args:
            size: its bytes.

        Raises:
            NotCacheable: it is larger than the limit.
        """
        if size > self.limit:
            raise NotCacheable(f"the result is larger than size_limit, {quantities.size(self.limit)}")

    def make(self, store: Store, ledger: Ledger, newest: str) -> None:
        """Delete what must go so that the store keeps to its limits, and say so where it was dear.

        All entries are looked at only when the store is over its size, and once a day.

        Args:
            store: the store, after a write.
            ledger: knows what was used.
            newest: key of what was written.
        """
        since = self._sweep_since(store)
        if since is None and store.size() <= self.limit:
            return
        now, last = self._clock(), ledger.last_used(store)
        known_for = math.inf if since is None else now.timestamp() - since
        ranking, unused, keys = retention.Ranking(newest), [], set()
        for stored in _politely(store.each()):
            entry, generation = stored.entry, str(stored.path)
            is_previous = stored.version == PREVIOUS  # it is used with its entry
            idle = (now - last(entry.key, entry.provenance.fetched_at)).total_seconds()
            if since is not None and retention.is_unused(entry, min(idle, known_for), self._clear_unused):
                elapsed = 0.0 if is_previous else entry.provenance.elapsed
                unused.append(retention.Doomed(entry.key, generation, elapsed, is_previous))
            else:
                keys.add(entry.key)
                ranking.add(entry, idle, generation, is_previous=is_previous)
        if since is not None:
            ledger.forget_all_but(keys, store)
        _delete(store, unused, notes.cleared_unused(self._clear_unused))
        if (held := store.size()) > self.limit:
            slack = self.limit - int(self.limit * (1 - retention.SLACK))
            _delete(store, ranking.least(held - self.limit, slack), notes.evicted(self.limit))

    def _sweep_since(self, store: Store) -> float | None:
        """The time since which uses are known, if what is unused is to be looked for now."""
        now = self._clock()
        if self._next_sweep is not None and now < self._next_sweep:
            return None
        self._next_sweep = now + _SWEEP
        try:
            return store.uses.sweep_since(now.timestamp())
        except StoreError as fault:  # nobody knows what is unused
            logger.debug(str(fault))
            return None


def _delete(store: Store, doomed: Iterable[retention.Doomed], why: str) -> None:
    """Delete what is doomed, unless it was replaced or pinned meanwhile, and say so where it was dear."""
    elapsed = 0.0

    def rows() -> Iterator[Stored]:
        nonlocal elapsed
        for each in doomed:
            stored = store.previous(each.key) if each.is_previous else store.lookup(each.key)
            if stored is not None and str(stored.path) == each.generation:
                elapsed += each.elapsed
                yield stored

    removed = store.delete(_politely(rows()), pinned=False)
    if elapsed > notes.DEAR:
        logger.info(notes.made_room(removed.entries, removed.bytes, elapsed, why))


def _politely(rows: Iterable[Stored]) -> Iterator[Stored]:
    """All of them, with a short rest now and then: else another thread's read waits for the interpreter, by steps."""
    for number, stored in enumerate(rows):
        if number % _AT_ONCE == _AT_ONCE - 1:
            time.sleep(_REST)
        yield stored


def _free(directory: Path) -> int:
    """Bytes that are free where a store is; without end where no disk can be asked."""
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return 2**63
