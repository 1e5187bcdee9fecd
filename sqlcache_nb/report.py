"""The line of a read, as far as it is known: before it, while it is waited for, and when it is answered.

Pure functions over facts; nothing here asks a clock. Notebook and log say the same.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlcache_nb import phrases, quantities, reasons
from sqlcache_nb.freshness import Reason
from sqlcache_nb.result import Outcome

if TYPE_CHECKING:
    from sqlcache_nb.entry import Entry
    from sqlcache_nb.result import Result
    from sqlcache_nb.stores import Note


def line(result: Result, *, now: datetime) -> str:
    """One line that says where a result came from.

    Args:
        result: what `QueryCache.read` returned.
        now: the time, with a zone.

    Example:
        A hit reads `hit · fetched 2026-11-20 09:14 (2 h ago) · file unchanged · flights.db ·
        336,776 x 19 · took 18.4 s · ab12cd34`, with the time in the local zone.
    """
    entry = result.entry
    parts = [*_opening(result, entry, now), *_changed(result), result.source]
    if result.shape is not None:
        rows, columns = result.shape
        is_told = result.changes is not None and not result.changes.same
        parts.append(quantities.count(columns, "column") if is_told else quantities.shape(rows, columns))
    if (elapsed := _elapsed(result, entry)) is not None:
        parts.append(f"took {quantities.duration(elapsed)}")
    if entry is not None:
        parts.append(phrases.short_key(entry.key))
    return phrases.one_line(phrases.joined(*parts))


def _opening(result: Result, entry: Entry | None, now: datetime) -> list[str]:
    """The outcome, and why it is what it is."""
    if entry is not None and result.reason is Reason.OFFLINE:
        return ["offline", phrases.fetched(entry, now), result.detail]
    if entry is not None and result.reason is Reason.UNREACHABLE:
        return [f"stale: {result.reason}, {result.detail}", phrases.fetched(entry, now)]
    match result.outcome:
        case Outcome.HIT if entry is not None and result.waited is not None:
            return [
                "hit",
                _fetched_meanwhile(result, entry, now),
                _waited(result),
                reasons.bounds(entry, "still "),
            ]
        case Outcome.HIT if entry is not None:
            return [
                "hit",
                phrases.fetched(entry, now),
                reasons.why_fresh(result.reason, entry, now, result.ttl),
                reasons.still_bound(result.reason, entry),
                _pinned(entry) if result.reason is not Reason.PINNED else "",
            ]
        case Outcome.STALE if entry is not None:
            why = reasons.why_not(result.reason, entry, now, ttl=result.ttl, since=result.invalidated_at)
            return ["stale", phrases.fetched(entry, now), why, result.detail]
        case Outcome.MISS:
            return [
                _missed(result, entry, now),
                _waited(result, "for"),
                reasons.bounds(entry),
                _pinned(entry),
                result.detail,
            ]
        case Outcome.BYPASSED:
            return [f"not cached: {result.detail}" if result.detail else "not cached", _waited(result, "for")]
    return [
        result.outcome.value,
        _waited(result, "for"),
        reasons.bounds(entry),
        _pinned(entry),
        result.detail,
    ]


def _changed(result: Result) -> list[str]:
    """How an answer differs from the one that it replaced, its rows among it."""
    changes = result.changes
    if changes is None or result.shape is None:
        return []
    if changes.same:
        return ["same answer"]
    gained = f"{changes.rows:+,}" if changes.rows else "\N{PLUS-MINUS SIGN}0"
    columns = {"added": changes.added, "removed": changes.removed, "changed type": changes.retyped}
    return [
        f"{quantities.count(result.shape[0], 'row')} ({gained})",
        *(f"{quantities.count(len(each), 'column')} {what}" for what, each in columns.items() if each),
    ]


def _pinned(entry: Entry | None) -> str:
    return "pinned" if entry is not None and entry.pinned else ""


def _waited(result: Result, link: str = "") -> str:
    """How long the answer was waited for, and after the link whose; "" where it was not."""
    if result.waited is None:
        return ""
    whose = f" {link} {result.waited_for}" if link and result.waited_for else ""
    return f"waited {quantities.duration(result.waited)}{whose}"


def _fetched_meanwhile(result: Result, entry: Entry, now: datetime) -> str:
    """When an answer came that was waited for: its own time is that of its question."""
    since = (now - entry.provenance.fetched_at).total_seconds() - entry.provenance.elapsed
    return f"fetched {quantities.ago(max(since, 0))}" + (
        f" by {result.waited_for}" if result.waited_for else ""
    )


def _elapsed(result: Result, entry: Entry | None) -> float | None:
    """Seconds that the database took: in this call, or, on a hit, when it was asked."""
    if result.elapsed is not None or entry is None:
        return result.elapsed
    return entry.provenance.elapsed


def _missed(result: Result, entry: Entry | None, now: datetime) -> str:
    told = reasons.why_not(
        result.reason, entry, now, ttl=result.ttl, since=result.invalidated_at, near=result.nearest
    )
    return f"miss: {told}"


def gave_way(detail: str) -> str:
    """What is said of an answer whose refresh gave way, since it was offline.

    Args:
        detail: what is said besides.

    Example:
        >>> gave_way("")
        'not refreshed while offline'
    """
    return phrases.joined(detail, "not refreshed while offline")


def awaited(result: Result, *, now: datetime) -> str:
    """The line of an answer as far as it is known before the database is asked.

    Args:
        result: what is known of its answer so far.
        now: the time, with a zone.

    Example:
        A first question reads `miss: first time · flights.db`.
    """
    told = _missed(result, None, now) if result.outcome is Outcome.MISS else "refreshing"
    return phrases.one_line(phrases.joined(told, result.source))


def not_refreshed(entry: Entry, told: str, *, now: datetime) -> str:
    """What is said of a refresh in the background that failed.

    Args:
        entry: the stored facts of the stale answer, which stays.
        told: what the database said, without secrets.
        now: the time, with a zone.
    """
    stale = f"stale, {phrases.fetched(entry, now)}"
    key = phrases.short_key(entry.key)
    return phrases.one_line(phrases.joined(f"not refreshed: {told}", stale, entry.provenance.source, key))


def whom(note: Note, pid: int, host: str) -> str:
    """Who asks the database, for somebody who waits for it.

    Args:
        note: what is noted beside its lease.
        pid: the process of who waits.
        host: the machine of who waits.
    """
    if note.host != host:
        return phrases.one_line(f"{note.process} on {note.host}")
    return "another thread" if note.pid == pid else phrases.one_line(note.process)


def waiting(whom: str, seconds: float) -> str:
    """What is said of a read for which another one asks the database.

    Args:
        whom: who asks.
        seconds: how long that has been going on.

    Example:
        >>> waiting("kernel 4711", 14.2)
        'waiting for kernel 4711, 14 s'
    """
    return phrases.one_line(f"waiting for {whom}, {quantities.age(max(seconds, 1))}")
