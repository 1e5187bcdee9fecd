"""Where results rest: bytes and entries, no frames."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, runtime_checkable

if TYPE_CHECKING:
    from sqlcache_nb.entry import Entry

__all__ = ["Removed", "Store", "Stored"]


@dataclass(frozen=True, slots=True)
class Stored:
    """One row of a store.

    Args:
        entry: the facts.
        path: where the payload is.
    """

    entry: Entry
    path: Path


@dataclass(frozen=True, slots=True)
class Removed:
    """What a deletion took away.

    Args:
        entries: how many entries.
        bytes: size of their payloads.
    """

    entries: int = 0
    bytes: int = 0


@runtime_checkable
class Store(Protocol):
    """Keeps entries and payloads.

    Every method raises `StoreError` where the place itself fails, and nothing else.
    """

    directory: Path

    def lookup(self, key: str) -> Stored | None:
        """The row of a key, or None."""

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
            DamagedPayload: it is missing, or not what was written; its row is deleted, too.
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

    def write(self, entry: Entry, payload: memoryview | BinaryIO) -> Stored:
        """Store a payload with its entry, in place of an older one, and fill in checksum and bytes.

        A file is read from its beginning, in blocks, and stays open.
        """

    def update(self, entry: Entry) -> None:
        """Replace the facts of a stored payload, if it is still the same one; what was invalidated stays so."""

    def invalidate(self, keys: Collection[str], when: datetime) -> int:
        """Note in the rows of these keys that they are stale; gives how many were not so noted before.

        A row may be replaced, updated or deleted by another process at the same time: no such note is lost.
        """

    def delete(self, keys: Collection[str]) -> Removed:
        """Delete the rows of these keys, and their payloads."""

    def clear(self) -> Removed:
        """Delete everything, rows that cannot be read included."""

    def entries(self) -> list[Stored]:
        """All rows, newest fetch first."""

    def size(self) -> int:
        """Bytes of all payloads."""

    def close(self) -> None:
        """Release what is held open; a later call opens it again."""
