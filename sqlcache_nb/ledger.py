"""What this process had of the cache, and what all kernels had: counted beside the reads, written down later.

A read only counts in memory. A minute after the first count a thread writes down what has come together, and so do
`close` and the end of the process; what a killed kernel had counted in its last minute is lost.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, TypeVar

from sqlcache_nb.errors import StoreError
from sqlcache_nb.result import Outcome
from sqlcache_nb.stores import Store, Tally

if TYPE_CHECKING:
    import pandas as pd

    from sqlcache_nb.entry import Entry

K = TypeVar("K")
V = TypeVar("V")

logger = logging.getLogger("sqlcache_nb")

_EVERY = 60.0  # seconds between two notes of one kernel
_COUNTS = {
    Outcome.HIT: Tally(hits=1),
    Outcome.STALE: Tally(hits=1),
    Outcome.MISS: Tally(misses=1),
    Outcome.REFRESHED: Tally(refreshed=1),
    Outcome.BYPASSED: Tally(bypassed=1),
}
_writing = threading.Lock()
_all: weakref.WeakSet[Ledger] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class Stats:
    """What a cache holds, what this process had of it, and what all kernels had.

    Args:
        entries: number of stored results.
        bytes: size of their payloads.
        elapsed: seconds that the databases took for them.
        sources: number of databases that they came from.
        pinned: number of stored results that are pinned.
        size_limit: bytes of payloads that are kept at most.
        hits: reads of this process that came from the cache.
        misses: reads of this process that were fetched and stored.
        refreshed: reads of this process that were fetched anew because that was asked for.
        bypassed: reads of this process that the cache had no part in.
        saved: seconds that the databases had taken for what this process had as hits, each key counted once.
        saved_bytes: size of their payloads, each key counted once.
        days: the same counts over all kernels, by the day; those of other kernels are a minute late at most.
    """

    entries: int
    bytes: int
    elapsed: float
    sources: int
    pinned: int
    size_limit: int
    hits: int
    misses: int
    refreshed: int
    bypassed: int
    saved: float
    saved_bytes: int
    days: Mapping[date, Tally]

    @property
    def total(self) -> Tally:
        """The counts over all kernels and days."""
        return sum(self.days.values(), Tally())

    @property
    def history(self) -> pd.DataFrame:
        """`days` as a frame, the earliest day first."""
        import pandas as pd

        frame = pd.DataFrame(list(self.days.values()), columns=list(Tally.__slots__))
        frame.insert(0, "day", pd.to_datetime(list(self.days)))
        return frame


class Ledger:
    """The counts of one cache in this process, on their way into its store.

    Args:
        opened: gives the store, None while it is closed.
        clock: gives the time, with a zone.
        every: seconds after which a count is written down.
    """

    def __init__(
        self, opened: Callable[[], Store | None], clock: Callable[[], datetime], *, every: float = _EVERY
    ) -> None:
        self._opened = opened
        self._clock = clock
        self._every = every
        self._own = Tally()
        self._seen: set[str] = set()
        self._reset()
        _all.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._used: dict[str, float] = {}
        self._days: dict[date, Tally] = {}

    @property
    def own(self) -> Tally:
        """What this process had."""
        return self._own

    def count(self, outcome: Outcome, entry: Entry | None) -> None:
        """Count a read, and note the use of its entry.

        Args:
            outcome: how it was answered.
            entry: what answered it, or was stored.
        """
        self._note(_COUNTS[outcome], entry, is_hit=outcome in (Outcome.HIT, Outcome.STALE))

    def use(self, entry: Entry) -> None:
        """Note the use of an entry that answered no question."""
        self._note(Tally(), entry, is_hit=False)

    def _note(self, tally: Tally, entry: Entry | None, *, is_hit: bool) -> None:
        now = self._clock()
        with self._lock:
            if entry is not None:
                if is_hit and entry.key not in self._seen:
                    self._seen.add(entry.key)
                    tally += Tally(saved=entry.provenance.elapsed, saved_bytes=entry.bytes)
                self._used[entry.key] = now.timestamp()
            day = now.astimezone().date()
            self._own += tally
            self._days[day] = self._days.get(day, Tally()) + tally
            if self._timer is None:
                timer = threading.Timer(self._every, self.flush)
                timer.daemon = True
                # At the end of the process there are no new threads: it flushes, too.
                with suppress(RuntimeError):
                    timer.start()
                    self._timer = timer

    def flush(self) -> None:
        """Write down what was counted; where that fails, it is tried again with the next count."""
        with _writing:
            with self._lock:
                used, days, timer = self._used, self._days, self._timer
                self._used, self._days, self._timer = {}, {}, None
            if timer is not None:
                timer.cancel()
            store = self._opened()
            if not days or store is None:
                return
            try:
                store.uses.record(used, days, self._clock().timestamp())
            except StoreError as fault:  # no reason to disturb anybody
                logger.debug(str(fault))
                with self._lock:
                    self._used = used | self._used
                    self._days = _sum(days, self._days)

    def last_used(self, store: Store) -> Callable[[str, datetime], datetime]:
        """When entries were last fetched or used, by any kernel: by their key, and when they were fetched.

        Args:
            store: where they are.
        """
        known, now = self._known(store.uses.last), self._clock().timestamp()
        with self._lock:
            known |= self._used

        def last(key: str, fetched_at: datetime) -> datetime:
            if key not in known:
                return fetched_at
            # By a clock that was wrong, it may have been in times to come.
            return max(fetched_at, datetime.fromtimestamp(min(known[key], now), UTC))

        return last

    def days(self, store: Store) -> dict[date, Tally]:
        """The days' tallies over all kernels, what is not yet written down here included.

        Args:
            store: where they are kept.
        """
        written = self._known(store.uses.history)
        with self._lock:
            return dict(sorted(_sum(written, self._days).items()))

    def forget_all_but(self, keys: Collection[str], store: Store) -> None:
        """Drop what is known of the use of other keys.

        Args:
            keys: those that are stored.
            store: where they are.
        """
        with suppress(StoreError):  # another day
            store.uses.forget(store.uses.last().keys() - keys, self._clock().timestamp())

    @staticmethod
    def _known(ask: Callable[[], Mapping[K, V]]) -> dict[K, V]:
        """What the store knows, nothing where it cannot tell: what is listed is of more weight."""
        try:
            return dict(ask())
        except StoreError as fault:
            logger.debug(str(fault))
            return {}


def _sum(some: Mapping[date, Tally], more: Mapping[date, Tally]) -> dict[date, Tally]:
    return {day: some.get(day, Tally()) + more.get(day, Tally()) for day in {**some, **more}}


def _flush_all() -> None:
    for ledger in list(_all):
        ledger.flush()


def _begin_in_child() -> None:
    """A forked process writes down what it counts itself, and finds no lock that another thread had held."""
    _writing.release()
    for ledger in list(_all):
        ledger._reset()  # noqa: SLF001


atexit.register(_flush_all)
if hasattr(os, "register_at_fork"):  # SQLite must not be at work in another thread then
    os.register_at_fork(
        before=_writing.acquire, after_in_parent=_writing.release, after_in_child=_begin_in_child
    )
