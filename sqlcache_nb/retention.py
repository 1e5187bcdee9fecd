"""What to evict when the store is over its size: a pure choice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlcache_nb.entry import Entry

DEFAULT_SIZE_LIMIT = 10 * 2**30
"""Bytes of payloads that a store keeps at most when nobody says otherwise: 10 GiB."""


def to_evict(entries: Iterable[Entry], size_limit: int) -> list[Entry]:
    """The entries to delete, oldest fetch first, so that the rest fits.

    Args:
        entries: those that may go.
        size_limit: bytes of their payloads that may stay.

    Example:
        >>> to_evict([], 0)
        []
    """
    by_age = sorted(entries, key=lambda entry: entry.provenance.fetched_at)
    excess = sum(entry.bytes for entry in by_age) - size_limit
    chosen: list[Entry] = []
    for entry in by_age:
        if excess <= 0:
            break
        chosen.append(entry)
        excess -= entry.bytes
    return chosen
