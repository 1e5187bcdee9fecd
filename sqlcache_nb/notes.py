"""The words for what happens to entries beside reads: removed, replaced, pinned, unpinned."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlcache_nb import quantities, report

if TYPE_CHECKING:
    from sqlcache_nb.entry import Entry

DEAR = 60.0
"""Seconds of queries from which on it is said that their answers were removed unasked."""


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
        return report.NOTHING_STORED if all_of_them else "removed nothing: no entry matches"
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
    when = quantities.moment_and_age(previous.provenance.fetched_at, now)
    rows = quantities.count(previous.provenance.rows, "row")
    return f"fetched {when}, {rows}, {quantities.size(previous.bytes)}: load(key, version=-1)"


def pinned(entry: Entry, now: datetime) -> str:
    """What a `pin` did.

    Args:
        entry: the pinned entry.
        now: the time, with a zone.
    """
    told = f"pinned {_key(entry)}: it is the answer until it is unpinned or refreshed"
    return f"{told} · fetched {quantities.moment_and_age(entry.provenance.fetched_at, now)}"


def unpinned(entry: Entry, *, refreshed: bool = False) -> str:
    """What an `unpin` or a refresh did to a pin.

    Args:
        entry: the entry that was pinned.
        refreshed: whether it was fetched again.
    """
    return (
        f"{_key(entry)} is no longer pinned: it was fetched again" if refreshed else f"unpinned {_key(entry)}"
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


def _key(entry: Entry) -> str:
    return entry.key[: report.KEY_LENGTH]
