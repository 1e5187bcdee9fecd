"""The words beside reads: where answers are kept, what is stored and how it was used, and what happens to it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlcache_nb import phrases, quantities

if TYPE_CHECKING:
    from sqlcache_nb.config import Config
    from sqlcache_nb.entry import Entry

DEAR = 60.0
"""Seconds of queries from which on it is said that their answers were removed unasked."""

_NOTHING_STORED = "nothing is stored"


def announcement(config: Config) -> str | None:
    """A sentence about a pyproject.toml that chose the directory, or None.

    Args:
        config: the settings in force.
    """
    if config.pyproject is None:
        return None
    return f"results are kept in {config.directory}, as {config.pyproject} says"


def stored(entries: int, number_of_bytes: int, elapsed: float, sources: int) -> str:
    """How much the cache holds.

    Args:
        entries: stored results.
        number_of_bytes: size of their payloads.
        elapsed: seconds that the databases took for them.
        sources: different databases.

    Example:
        >>> stored(2, 84_200_000, 5_400, 1)
        '2 entries, 84.2 MB, 1 h 30 min of queries, from 1 database'
    """
    if not entries:
        return "no entries"
    held = [
        quantities.count(entries, "entry"),
        quantities.size(number_of_bytes),
        f"{quantities.duration(elapsed)} of queries",
    ]
    return ", ".join([*held, f"from {quantities.count(sources, 'database')}"])


def nothing_cleared(entries: int, number_of_bytes: int, elapsed: float, sources: int) -> str:
    """What a bare `clear` says: what there is, and how to delete it.

    Example:
        >>> nothing_cleared(0, 0, 0.0, 0)
        'nothing is stored'
    """
    if not entries:
        return _NOTHING_STORED
    held = stored(entries, number_of_bytes, elapsed, sources)
    return f"nothing deleted. Stored: {held}; clear --all deletes all of it"


def outcomes(hits: int, misses: int, refreshed: int, bypassed: int) -> str:
    """How questions were answered.

    Example:
        >>> outcomes(1, 2, 0, 0)
        '1 hit, 2 misses'
    """
    counted = [quantities.count(hits, "hit"), quantities.count(misses, "miss")]
    counted += [f"{refreshed:,} refreshed"] if refreshed else []
    counted += [f"{bypassed:,} not cached"] if bypassed else []
    return ", ".join(counted)


def saved(seconds: float, number_of_bytes: int) -> str:
    """What hits saved, to follow what `outcomes` says.

    Args:
        seconds: that the databases had taken for them.
        number_of_bytes: size of their payloads.

    Example:
        >>> saved(90, 1_250), saved(0.0, 0)
        ('; saved 1 min 30 s, 1.2 kB', '')
    """
    return (
        f"; saved {quantities.duration(seconds)}, {quantities.size(number_of_bytes)}"
        if number_of_bytes
        else ""
    )


def written(rows: int, source: str, invalidated: int = 0) -> str:
    """What a statement that changes data did.

    Args:
        rows: rows that it changed; -1 where the database does not say.
        source: the database's label.
        invalidated: entries that it made stale.

    Example:
        >>> written(3, "flights.db", 2), written(-1, "flights.db")
        ('written: 3 rows · 2 entries invalidated · flights.db', 'written · flights.db')
    """
    changed = "written" if rows < 0 else f"written: {quantities.count(rows, 'row')}"
    stale = f"{quantities.count(invalidated, 'entry')} invalidated" if invalidated else ""
    return phrases.joined(changed, stale, source)


def invalidated(entries: int) -> str:
    """What an `invalidate` did.

    Args:
        entries: stored results that it made stale.

    Example:
        >>> invalidated(1), invalidated(0)
        ('invalidated 1 entry', 'nothing to invalidate')
    """
    return f"invalidated {quantities.count(entries, 'entry')}" if entries else "nothing to invalidate"


def removed(entries: int, number_of_bytes: int, *, all_of_them: bool = False) -> str:
    """What a `clear` did.

    Args:
        entries: stored results that are gone.
        number_of_bytes: size of their payloads.
        all_of_them: whether all were to go, and not those that match something.

    Example:
        >>> removed(3, 84_200_000), removed(0, 0)
        ('removed 3 entries (84.2 MB)', 'removed nothing: no entry matches')
    """
    if not entries:
        return _NOTHING_STORED if all_of_them else "removed nothing: no entry matches"
    return f"removed {quantities.count(entries, 'entry')} ({quantities.size(number_of_bytes)})"


def would_remove(entries: int, number_of_bytes: int) -> str:
    """What a `clear` with `--dry-run` says.

    Args:
        entries: stored results that would go.
        number_of_bytes: size of their payloads.

    Example:
        >>> would_remove(3, 84_200_000), would_remove(0, 0)
        ('would remove 3 entries (84.2 MB)', 'would remove nothing: no entry matches')
    """
    if not entries:
        return "would remove nothing: no entry matches"
    return f"would remove {quantities.count(entries, 'entry')} ({quantities.size(number_of_bytes)})"


def replaced(previous: Entry | None, now: datetime) -> str:
    """What an entry has replaced, "" where that is not kept.

    Args:
        previous: the facts of the previous version.
        now: the time, with a zone.
    """
    if previous is None:
        return ""
    rows = quantities.count(previous.provenance.rows, "row")
    return (
        f"{phrases.fetched(previous, now)}, {rows}, {quantities.size(previous.bytes)}: load(key, version=-1)"
    )


def pinned(entry: Entry, now: datetime) -> str:
    """What a `pin` did.

    Args:
        entry: the pinned entry.
        now: the time, with a zone.
    """
    told = f"pinned {phrases.short_key(entry.key)}: it is the answer until it is unpinned or refreshed"
    return phrases.joined(told, phrases.fetched(entry, now))


def unpinned(entry: Entry, *, refreshed: bool = False) -> str:
    """What an `unpin` or a refresh did to a pin.

    Args:
        entry: the entry that was pinned.
        refreshed: whether it was fetched again.
    """
    return (
        f"{phrases.short_key(entry.key)} is no longer pinned: it was fetched again"
        if refreshed
        else f"unpinned {phrases.short_key(entry.key)}"
    )


def evicted(size_limit: int) -> str:
    """Why entries were evicted, for `made_room`.

    Example:
        >>> evicted(10_000_000_000)
        'to stay within size_limit, 10.0 GB'
    """
    return f"to stay within size_limit, {quantities.size(size_limit)}"


def cleared_unused(seconds: float) -> str:
    """Why entries were deleted that nobody used, for `made_room`.

    Example:
        >>> cleared_unused(90 * 86_400)
        'unused for 90 days'
    """
    return f"unused for {quantities.duration(seconds)}"


def made_room(entries: int, number_of_bytes: int, elapsed: float, why: str) -> str:
    """What was deleted unasked.

    Args:
        entries: stored results that are gone.
        number_of_bytes: size of their payloads.
        elapsed: seconds that the databases took for them.
        why: `evicted` or `cleared_unused`.

    Example:
        >>> made_room(3, 84_200_000, 300.0, evicted(2**31))
        'removed 3 entries (84.2 MB, 5 min of queries) to stay within size_limit, 2.1 GB'
    """
    told = f"{quantities.size(number_of_bytes)}, {quantities.duration(elapsed)} of queries"
    return f"removed {quantities.count(entries, 'entry')} ({told}) {why}"
