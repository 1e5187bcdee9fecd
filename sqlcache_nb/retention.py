"""What to evict when the store is over its size, and what nobody has used for long: pure choices."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sqlcache_nb.entry import Entry

LARGEST_DEFAULT = 10 * 2**30
"""Bytes of payloads that a store keeps at most when nobody says otherwise, whatever the disk: 10 GiB."""

DEFAULT_UNUSED = 90 * 86_400.0
"""Seconds for which an entry may lie unused when nobody says otherwise: 90 days."""

SLACK = 0.1
"""The part of the limit that is free after an eviction, so that not every later write must look at all entries."""

_SHARE = 0.1  # of what is free on the disk
_RECENT = 60.0  # seconds: use is recorded to the minute
_WORTHLESS = -1.0  # less than any entry's value
_LONGEST = 1e9  # seconds: a damaged number is not to outweigh everything


def default_size_limit(free: int, held: int) -> int:
    """Bytes of payloads that a store keeps at most when nobody says otherwise.

    Args:
        free: bytes that are free on its disk.
        held: bytes of the payloads that it has, so that the limit does not sink as they grow.

    Example:
        >>> default_size_limit(free=5_000_000_000, held=1_000_000_000)
        600000000
    """
    return min(LARGEST_DEFAULT, int((max(0, free) + max(0, held)) * _SHARE))


def value(entry: Entry, idle: float) -> float:
    """What it is worth to keep a byte of an entry: what it cost to compute x how recently it was used / its size.

    Args:
        entry: the stored facts.
        idle: seconds since it was last fetched or used.
    """
    cost = min(max(0.0, entry.provenance.elapsed), _LONGEST)  # NaN counts as 0
    return cost / (max(0.0, idle) + _RECENT) / max(1, entry.bytes)


class Doomed(NamedTuple):
    """An entry that is to go, as little of it as need be.

    Args:
        key: its key.
        generation: what tells it from another answer of the same key.
        elapsed: seconds that its fetch took; none for a previous version, which no question would be answered with.
        is_previous: whether it is the version that the entry has replaced, and not the entry.
    """

    key: str
    generation: str
    elapsed: float
    is_previous: bool = False


class Ranking:
    """Entries by what they are worth, without the entries: of 100,000 it holds a few megabytes.

    It is a heap, and not a sorted list: sorting holds up every other thread until the last one has its place.

    Args:
        newest: key of the entry that room is made for.

    Example:
        >>> list(Ranking().least(100))
        []
    """

    def __init__(self, newest: str | None = None) -> None:
        self._newest = newest
        self._heap: list[tuple[float, float, int, Doomed]] = []

    def add(self, entry: Entry, idle: float, generation: str = "", *, is_previous: bool = False) -> None:
        """Take an entry in, if it may go at all: not one that is pinned, and not the newest.

        A version that was replaced may always go, and goes before all that answers questions.

        Args:
            entry: the stored facts.
            idle: seconds since it was last fetched or used.
            generation: what tells it from another answer of the same key.
            is_previous: whether it is the version that the entry of its key has replaced.
        """
        if is_previous:
            doomed = Doomed(entry.key, generation, 0.0, is_previous=True)
            heapq.heappush(self._heap, (_WORTHLESS, -idle, -entry.bytes, doomed))
        elif not entry.pinned and entry.key != self._newest:
            doomed = Doomed(entry.key, generation, entry.provenance.elapsed)
            heapq.heappush(self._heap, (value(entry, idle), -idle, -entry.bytes, doomed))

    def least(self, excess: int, slack: int = 0) -> Iterator[Doomed]:
        """Those that go, the one of least value first, until they free enough, or none is left that may go.

        Args:
            excess: bytes to free.
            slack: bytes to free besides; where replaced versions free the excess, no entry goes for that.
        """
        rest, is_begun = excess + slack, False
        while rest > 0 and self._heap:
            *_, size, doomed = self._heap[0]
            is_begun = is_begun or (rest > slack and not doomed.is_previous)
            if not (is_begun or doomed.is_previous):
                return
            heapq.heappop(self._heap)
            yield doomed
            rest += size


def is_unused(entry: Entry, idle: float, longest: float) -> bool:
    """Whether nobody has used an entry for so long that it goes; never a pinned one.

    Args:
        entry: the stored facts.
        idle: seconds since it was last fetched or used.
        longest: seconds for which it may lie unused; `math.inf` for ever.
    """
    return not entry.pinned and idle >= longest
