"""Where results rest: bytes and entries, no frames."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from sqlcache_nb.entry import Entry
    from sqlcache_nb.lifetime import Lifetime

__all__ = [
    "CURRENT",
    "PREVIOUS",
    "Lease",
    "Listed",
    "Note",
    "Phase",
    "Removed",
    "Report",
    "Settle",
    "Store",
    "Stored",
    "Tally",
    "Uses",
]

CURRENT, PREVIOUS = 0, -1
"""The versions of an answer: what a question is answered with, and what that has replaced."""


Settle = Callable[["Entry", "Entry"], "Entry"]
"""Gives the facts of a new entry, by the new one and the older one."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One row of a store.

    Args:
        entry: the facts.
        path: where the payload is.
        version: `CURRENT`, or `PREVIOUS` for what was replaced and is kept, which is no entry of the store any more.
    """

    entry: Entry
    path: Path
    version: int = CURRENT


class Listed(NamedTuple):
    """What a list of many entries shows of one: its facts by the names that they have there."""

    key: str
    name: str | None
    tags: tuple[str, ...]
    """Tags, and `table:orders` for each table that the statement reads."""
    source: str
    sql: str
    rows: int
    columns: int
    bytes: int
    fetched_at: datetime
    ttl: Lifetime | None
    elapsed: float
    pinned: bool


@dataclass(frozen=True, slots=True)
class Removed:
    """What a deletion took away.

    Args:
        entries: how many entries.
        bytes: size of their payloads, and of those of previous versions.
    """

    entries: int = 0
    bytes: int = 0

    def __add__(self, other: Removed) -> Removed:
        return Removed(self.entries + other.entries, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class Report:
    """What a check of a store found; each of its fields names what was found of one kind.

    Args:
        entries: how many entries are as they should be.
        bytes: size of their payloads, and of those of previous versions.
        damaged: keys of entries whose payload is not what was written.
        missing: keys of entries whose payload is gone.
        unreadable: keys of rows that are damaged.
        orphaned: payloads that no entry names.
        unfinished: the same, so young that somebody may be about to store them.
        database: what is wrong with the database itself.
        aside: databases that were damaged, and are kept for a month.
        unknown: keys of entries of another version, which are left alone.
        foreign: files that no store makes, which are left alone.
        repaired: whether what was found was mended: entries deleted, and files that no entry names.

    Example:
        >>> str(Report(entries=2, bytes=10, missing=("ab" * 32,)))
        '2 entries are sound; 1 payload is missing'
    """

    entries: int = 0
    bytes: int = 0
    damaged: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    orphaned: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    database: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    repaired: bool = False

    @property
    def faults(self) -> int:
        """How many inconsistencies were found; what is aside, another version's or somebody else's is none."""
        return sum(len(getattr(self, kind)) for kind in _FAULTS)

    def __str__(self) -> str:
        found = [_counted(self.entries, "entry is sound", "entries are sound")]
        found += [
            _counted(len(getattr(self, kind)), *words)
            for kind, words in _KINDS.items()
            if getattr(self, kind)
        ]
        if self.faults == 0:
            found.insert(1, "nothing is wrong")
        return "; ".join(found) + (" (mended)" if self.repaired and self.faults else "")


_KINDS = {
    "damaged": ("payload is damaged", "payloads are damaged"),
    "missing": ("payload is missing", "payloads are missing"),
    "unreadable": ("row cannot be read", "rows cannot be read"),
    "orphaned": ("file is of no entry", "files are of no entry"),
    "unfinished": ("file is young and of no entry yet", "files are young and of no entry yet"),
    "database": ("fault in the database", "faults in the database"),
    "aside": ("damaged database is kept aside", "damaged databases are kept aside"),
    "unknown": ("entry is another version's, left alone", "entries are another version's, left alone"),
    "foreign": ("file is somebody else's, left alone", "files are somebody else's, left alone"),
}
_FAULTS = tuple(kind for kind in _KINDS if kind not in {"aside", "unknown", "foreign"})


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


@dataclass(frozen=True, slots=True)
class Tally:
    """How questions were answered, and what that saved.

    Args:
        hits: reads that came from the cache.
        misses: reads that were fetched and stored.
        refreshed: reads that were fetched anew because that was asked for.
        bypassed: reads that the cache had no part in.
        saved: seconds that the databases had taken for the hits, each key counted once a kernel.
        saved_bytes: size of their payloads, counted in the same way.

    Example:
        >>> (Tally(hits=1, saved=2.5) + Tally(misses=1)).saved
        2.5
    """

    hits: int = 0
    misses: int = 0
    refreshed: int = 0
    bypassed: int = 0
    saved: float = 0.0
    saved_bytes: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.hits + other.hits,
            self.misses + other.misses,
            self.refreshed + other.refreshed,
            self.bypassed + other.bypassed,
            self.saved + other.saved,
            self.saved_bytes + other.saved_bytes,
        )


class Uses(Protocol):
    """When entries were used, and how questions were answered day by day, over all kernels.

    It is kept apart from the entries, so that no read of those ever waits for it. Every method may be called from
    any thread, and raises `StoreError` where the place fails, and nothing else.
    """

    def record(self, used: Mapping[str, float], days: Mapping[date, Tally], now: float) -> None:
        """Note when keys were last used, in seconds since 1970, and add to the days' tallies.

        Args:
            used: by key; one that is noted to have been used later stays so.
            days: by the day, as a person's calendar has it.
            now: the time: what was used before the first note of all is not known.
        """

    def last(self) -> dict[str, float]:
        """When keys were last used, in seconds since 1970, those that were forgotten left out."""

    def forget(self, keys: Collection[str], now: float) -> None:
        """Drop what is known of keys that are stored no more; `now` as for `record`."""

    def history(self) -> dict[date, Tally]:
        """The days' tallies, the earliest day first."""

    def sweep_since(self, now: float) -> float | None:
        """Whether it is time to look for what is unused: once a day, for one kernel.

        Returns:
            The time since which uses are known, None where it is not time yet.
        """


class Phase(StrEnum):
    """How far a flight is: one run of a query, for which others wait."""

    RUNNING = "running"
    """Under way; or, where nobody has its lease, its process has died."""
    STORED = "stored"
    """Its answer was stored."""
    OPEN = "open"
    """Nothing was stored: those who waited run the query themselves, side by side."""


@dataclass(frozen=True, slots=True)
class Note:
    """Who has a lease, or had it last.

    Args:
        key: the question.
        flight: a word of its own for the flight; who takes over from one that died goes on under the same.
        phase: how far it is.
        process: who, for a person: "kernel 4711".
        pid: its process.
        host: its machine.
        since: when it began, with a zone.
    """

    key: str
    flight: str
    phase: Phase
    process: str
    pid: int
    host: str
    since: datetime


class Lease(Protocol):
    """The right to ask one question, which one at a time has; it ends with its owner's process.

    Every method raises `StoreError` where the place itself fails, and nothing else.
    """

    def take(self) -> bool:
        """Take it, if nobody has it; gives whether that was so. Never waits.

        Raises:
            CannotLock: the place knows no locks.
        """

    def note(self) -> Note | None:
        """What its owner, or the last one, has noted; None where that cannot be read."""

    def write(self, flight: str, phase: Phase, process: str, since: datetime) -> None:
        """Note how far the owner is, for those who wait; nobody else may.

        Args:
            flight: as in `Note`, like the following.
            phase: how far it is.
            process: who.
            since: when it began, with a zone.
        """

    def is_orphaned(self, note: Note) -> bool:
        """Whether the owner has died, and somebody who cannot answer still holds the lock: a child of its."""

    def release(self) -> None:
        """Give it back; nothing happens where it was not taken, or in a child of the process that took it."""


@runtime_checkable
class Store(Protocol):
    """Keeps entries and payloads.

    Every method raises `StoreError` where the place itself fails, and nothing else.

    Of a key there may be a previous version: the answer that the current one replaced. It is there only as long as
    its entry is, takes room, and is in no list: `previous` and `each` alone give it.
    """

    directory: Path

    @property
    def uses(self) -> Uses:
        """When its entries were used."""

    def lookup(self, key: str) -> Stored | None:
        """The row of a key, or None."""

    def previous(self, key: str) -> Stored | None:
        """What the row of a key replaced, if it was kept, or None; it is never pinned."""

    def alike(self, sql: str) -> list[Stored]:
        """Rows whose statements differ from this one by white space and case at most (`parts.likeness`).

        The latest first, and not more than some dozens: to be found without looking at all rows.

        Args:
            sql: a statement as an entry's provenance has it.
        """

    def latest(self, source: str) -> list[Stored]:
        """Rows whose answers came from one source, by its label (`Provenance.source`).

        Of those that came into the store last, not more than some hundreds, the latest fetch first: to be found
        without looking at all rows.

        Args:
            source: the label.
        """

    def read(self, stored: Stored) -> bytes | None:
        """The payload, or None where another process has replaced or deleted it meanwhile.

        Raises:
            DamagedPayload: it is missing, or not what was written; its row is deleted, too, and with an
                entry its previous version.
        """

    def open(self, stored: Stored) -> BinaryIO | None:
        """The payload as an open file, in bounded memory; else as `read`.

        It was verified, is at its beginning, and stays readable when the entry is deleted or replaced.

        Raises:
            DamagedPayload: as `read`.
        """

    def spool(self) -> BinaryIO:
        """A new empty file of this place, for a payload that is too large for memory; gone when closed.

        What fails while it is written to or closed is an `OSError`, as with any file.
        """

    def write(
        self, entry: Entry, payload: memoryview | BinaryIO, *, keep: int = 0, settle: Settle | None = None
    ) -> Stored:
        """Store a payload with its entry, in place of an older one, and fill in checksum and bytes.

        Args:
            entry: the facts.
            payload: the bytes; a file is read from its beginning, in blocks, and stays open.
            keep: how many replaced versions stay, 0 or 1: the older one is then the previous version, in place of
                an earlier one. If it has the same `Entry.content`, it goes, and the earlier one stays.
            settle: gives the facts to store, by the entry and the older one as it is at that moment, so that nothing
                that is noted there by anybody is lost. What it raises is passed on, and nothing is stored.
        """

    def update(self, entry: Entry) -> None:
        """Replace the facts of a stored payload, if it is still the same one; what was invalidated stays so."""

    def renew(self, entry: Entry, when: datetime) -> Stored | None:
        """Note in a row, if its payload is still the same, that it was proven; gives the row as it is then."""

    def invalidate(self, keys: Collection[str], when: datetime) -> int:
        """Note in the rows of these keys that they are stale; gives how many were not so noted before.

        A row may be replaced, updated or deleted by another process at the same time: no such note is lost.
        """

    def clear(self) -> Removed:
        """Delete everything, rows that cannot be read included."""

    def entries(self) -> list[Stored]:
        """All rows, newest fetch first."""

    def listed(self) -> list[Listed]:
        """All rows as a list shows them, newest fetch first: a seal is not looked at, and no entry is made."""

    def each(self) -> Iterator[Stored]:
        """All rows, previous versions among them, in no order; few are in memory at once."""

    def size(self) -> int:
        """Bytes of all payloads, those of previous versions among them."""

    def check(self, *, repair: bool = False) -> Report:
        """Read everything, and say what is inconsistent.

        Args:
            repair: delete what is inconsistent: entries, and files that no entry names for an hour or more.
        """

    def pin(self, key: str, *, pinned: bool) -> Stored | None:
        """Note in a row whether it is pinned, which nothing else changes; gives the row as it is then."""

    def delete(self, rows: Iterable[Stored], *, pinned: bool = True) -> Removed:
        """Delete these rows and their payloads, in small transactions, so that nobody waits for long.

        With an entry goes its previous version; a previous version may go alone. What was replaced meanwhile stays.

        Args:
            rows: as they were seen.
            pinned: whether those go that are pinned by now.
        """

    def held(self) -> Removed:
        """What `clear` would delete."""

    def lease(self, key: str) -> Lease:
        """The lease of a key, which nobody has taken by that."""

    def close(self) -> None:
        """Release what is held open; a later call opens it again."""
