"""The words for outcomes, ages, sizes, times and counts: one wording for notebook and logging.

Pure functions over facts; nothing here asks a clock.
"""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlcache_nb import quantities
from sqlcache_nb.freshness import DEFAULT_TTL, FILE, VOLATILE_TTL, Reason, counted_from, day_in
from sqlcache_nb.lifetime import Lifetime, Until
from sqlcache_nb.redaction import redact
from sqlcache_nb.result import Outcome

if TYPE_CHECKING:
    from sqlcache_nb.config import Config
    from sqlcache_nb.entry import Entry
    from sqlcache_nb.freshness import Verdict
    from sqlcache_nb.result import Result
    from sqlcache_nb.stores import Note
    from sqlcache_nb.why import Nearest

KEY_LENGTH = 8
"""Characters of a key that are shown; `info` and the like accept them."""

NOTHING_STORED = "nothing is stored"
"""What is said of an empty cache."""

_BY_VALIDATOR = frozenset({Reason.FILE_UNCHANGED, Reason.FILE_CHANGED, Reason.UNCHANGED, Reason.CHANGED})
_BY_TTL = frozenset({Reason.WITHIN_TTL, Reason.EXPIRED, Reason.FROM_FUTURE})
_AS_STORED = frozenset({Reason.LOADED, Reason.PINNED})
_BETWEEN = " · "
_LONGEST = 200  # characters of what a driver has said
_ASKS = ": it asks for the time or a catalog"


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
        parts.append(_short_key(entry))
    return one_line(_BETWEEN.join(filter(None, parts)))


def _opening(result: Result, entry: Entry | None, now: datetime) -> list[str]:
    """The outcome, and why it is what it is."""
    if entry is not None and result.reason is Reason.OFFLINE:
        return ["offline", _fetched(entry, now), result.detail]
    if entry is not None and result.reason is Reason.UNREACHABLE:
        return [f"stale: {result.reason}, {result.detail}", _fetched(entry, now)]
    match result.outcome:
        case Outcome.HIT if entry is not None and result.waited is not None:
            return ["hit", _fetched_meanwhile(result, entry, now), _waited(result), _bounds(entry, "still ")]
        case Outcome.HIT if entry is not None:
            return [
                "hit",
                _fetched(entry, now),
                _why_fresh(result.reason, entry, now),
                "" if result.reason in _AS_STORED else _bounds(entry, "still "),
                _pinned(entry) if result.reason is not Reason.PINNED else "",
            ]
        case Outcome.STALE if entry is not None:
            why = _why_missed(result.reason, entry, now, since=result.invalidated_at)
            return ["stale", _fetched(entry, now), why, result.detail]
        case Outcome.MISS:
            return [
                _missed(result, entry, now),
                _waited(result, "for"),
                _bounds(entry),
                _pinned(entry),
                result.detail,
            ]
        case Outcome.BYPASSED:
            return [f"not cached: {result.detail}" if result.detail else "not cached", _waited(result, "for")]
    return [result.outcome.value, _waited(result, "for"), _bounds(entry), _pinned(entry), result.detail]


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


def _bounds(entry: Entry | None, still: str = "") -> str:
    """What beside its age and its file bounds the use of an answer, or ""."""
    if entry is None:
        return ""
    told = [f"{still}{entry.day} in {entry.zone}"] if entry.day is not None else []
    if _is_for_an_hour(entry, entry.ttl):
        told.append(f"for {quantities.duration(VOLATILE_TTL)} at most{_ASKS}")
    return ", ".join([*told, "left to chance"] if entry.random else told)


def _is_for_an_hour(entry: Entry, ttl: Lifetime | None) -> bool:
    """Whether what it asks for bounds its age, and not a ttl that is shorter."""
    return entry.volatile and (ttl is None or isinstance(ttl, Until) or ttl >= VOLATILE_TTL)


def _elapsed(result: Result, entry: Entry | None) -> float | None:
    """Seconds that the database took: in this call, or, on a hit, when it was asked."""
    if result.elapsed is not None or entry is None:
        return result.elapsed
    return entry.provenance.elapsed


def gave_way(detail: str) -> str:
    """What is said of an answer whose refresh gave way, since it was offline.

    Args:
        detail: what is said besides.

    Example:
        >>> gave_way("")
        'not refreshed while offline'
    """
    return _BETWEEN.join(filter(None, [detail, "not refreshed while offline"]))


def awaited(result: Result, *, now: datetime) -> str:
    """The line of an answer as far as it is known before the database is asked.

    Args:
        result: what is known of its answer so far.
        now: the time, with a zone.

    Example:
        A first question reads `miss: first time · flights.db`.
    """
    told = _missed(result, None, now) if result.outcome is Outcome.MISS else "refreshing"
    return one_line(_BETWEEN.join([told, result.source]))


def not_refreshed(entry: Entry, told: str, *, now: datetime) -> str:
    """What is said of a refresh in the background that failed.

    Args:
        entry: the stored facts of the stale answer, which stays.
        told: what the database said, without secrets.
        now: the time, with a zone.
    """
    source = entry.provenance.source
    what = f"not refreshed: {told}"
    return one_line(_BETWEEN.join([what, f"stale, {_fetched(entry, now)}", source, _short_key(entry)]))


def whom(note: Note, pid: int, host: str) -> str:
    """Who asks the database, for somebody who waits for it.

    Args:
        note: what is noted beside its lease.
        pid: the process of who waits.
        host: the machine of who waits.
    """
    if note.host != host:
        return one_line(f"{note.process} on {note.host}")
    return "another thread" if note.pid == pid else one_line(note.process)


def waiting(whom: str, seconds: float) -> str:
    """What is said of a read for which another one asks the database.

    Args:
        whom: who asks.
        seconds: how long that has been going on.

    Example:
        >>> waiting("kernel 4711", 14.2)
        'waiting for kernel 4711, 14 s'
    """
    return one_line(f"waiting for {whom}, {quantities.age(max(seconds, 1))}")


def why_hit(verdict: Verdict, entry: Entry, now: datetime) -> str:
    """Why an answer may be served, and which validator says so.

    Args:
        verdict: why, in short.
        entry: the stored facts.
        now: the time, with a zone.
    """
    bounds = "" if verdict.reason in _AS_STORED else _bounds(entry, "still ")
    why = _why_fresh(verdict.reason, entry, now) + _by(verdict)
    told = ["hit", _fetched(entry, now), why, bounds]
    return _BETWEEN.join(filter(None, [*told, _short_key(entry)]))


def why_stale(verdict: Verdict, entry: Entry, now: datetime, *, may_wait: bool = False) -> str:
    """Why a stored answer may not be served.

    Args:
        verdict: as for `why_hit`, like the next two.
        entry: the stored facts.
        now: the time, with a zone.
        may_wait: whether it is served all the same, while it is fetched anew.
    """
    served = "served while it is refreshed" if may_wait else ""
    told = f"stale: {_why_missed(verdict.reason, entry, now, since=entry.invalidated_at)}{_by(verdict)}"
    return _BETWEEN.join(filter(None, [told, served, _fetched(entry, now), _short_key(entry)]))


def why_stale_in_short(verdict: Verdict, entry: Entry, now: datetime) -> str:
    """Why a stored answer is stale, "" where it is not; arguments as for `why_hit`."""
    if verdict.fresh:
        return ""
    return f"stale: {_why_missed(verdict.reason, entry, now, since=entry.invalidated_at)}"


def stale_offline(verdict: Verdict, entry: Entry, now: datetime) -> str:
    """What is said of a stale answer for which the database is not to be asked; arguments as for `why_hit`."""
    return one_line(
        f"offline: {entry.provenance.source} is not asked; {_answer(entry, now)}, and is "
        f"{why_stale_in_short(verdict, entry, now)}"
    )


def stood_in(outage: str, told: str, verdict: Verdict, entry: Entry, now: datetime) -> str:
    """What is said of a stored answer that stands in for a database out of reach.

    Args:
        outage: what is wrong, in a few words.
        told: what the database, or its driver, has said, without secrets.
        verdict: whether the answer is stale, and why.
        entry: the stored facts.
        now: the time, with a zone.
    """
    shortened = told if len(told) <= _LONGEST else f"{told[: _LONGEST - 1]}…"
    stale = why_stale_in_short(verdict, entry, now)
    return one_line(
        f"{entry.provenance.source} is out of reach, {outage}: {_answer(entry, now)}"
        f"{f', and is {stale}' if stale else ''} ({shortened})"
    )


def _answer(entry: Entry, now: datetime) -> str:
    return f"the answer was {_fetched(entry, now)}"


def _by(verdict: Verdict) -> str:
    """Which validator has decided, and what its word is worth; "" where none has."""
    token = verdict.token
    if token is None or verdict.reason not in _BY_VALIDATOR:
        return ""
    return (
        f" ({token.strength})" if token.validator == FILE else f", says {token.validator} ({token.strength})"
    )


def doubt(
    validate: object, name: str | None, fault: Exception | None, verdict: Verdict, source: str
) -> str | None:
    """What is said where a validator that was asked for cannot tell; None where it can.

    Args:
        validate: what was asked for.
        name: the validator's name, None where there is none.
        fault: why it did not answer, None where it did.
        verdict: what was made of it.
        source: the database's label.
    """
    if fault is not None:
        told = redact(f"{type(fault).__name__}: {fault}".partition("\n")[0])
        return f"the validator {name} gave no answer about {source} ({told}); what is stored is not taken for fresh"
    if name is None:
        return f"validate={validate!r}: no validator knows {source}; the ttl decides"
    if verdict.reason in _BY_TTL:
        return f"validate={validate!r}: {name} cannot tell whether {source} changed, for this statement; the ttl decides"
    return None


def why_miss(near: Nearest | None, now: datetime) -> str:
    """Why nothing is stored of a question.

    Args:
        near: the stored question that is most like it.
        now: the time, with a zone.
    """
    if near is None:
        return "miss: first time; no stored answer is to SQL like this"
    told = f"miss: {_why_missed(Reason.FIRST_TIME, None, now, near=near)}"
    entry = near.entry
    nearest = f"nearest: {entry.provenance.source}, {_fetched(entry, now)}"
    return one_line(_BETWEEN.join([told, nearest, _short_key(entry)]))


def _fetched(entry: Entry, now: datetime) -> str:
    return f"fetched {quantities.moment_and_age(entry.provenance.fetched_at, now)}"


def _short_key(entry: Entry) -> str:
    return entry.key[:KEY_LENGTH]


def _why_fresh(reason: Reason, entry: Entry, now: datetime) -> str:
    match reason:
        case Reason.FILE_UNCHANGED:
            return "file unchanged"
        case Reason.WITHIN_TTL:
            ttl, seconds = _ttl(entry), (now - counted_from(entry, now)).total_seconds()
            if ttl == math.inf:
                return "fresh forever"
            # A ttl given with the question may be longer than the one that was stored.
            holds = ttl is None or isinstance(ttl, Until) or seconds < ttl
            return f"within its ttl{_of(ttl)}" if holds else "within the ttl given"
        case Reason.LOADED:
            return "loaded as it was stored"
        case Reason.PINNED if entry.invalidated_at is not None:
            return f"pinned; invalidated {quantities.ago((now - entry.invalidated_at).total_seconds())}"
    return reason.value


def _missed(result: Result, entry: Entry | None, now: datetime) -> str:
    told = _why_missed(result.reason, entry, now, since=result.invalidated_at, near=result.nearest)
    return f"miss: {told}"


def _why_missed(
    reason: Reason,
    entry: Entry | None,
    now: datetime,
    *,
    since: datetime | None = None,
    near: Nearest | None = None,
) -> str:
    match reason:
        case Reason.FIRST_TIME if near is not None:
            return str(near)
        case Reason.INVALIDATED if since is not None:
            return f"invalidated {quantities.ago((now - since).total_seconds())}"
        case Reason.EXPIRED:
            return f"older than its ttl{_of(_ttl(entry) if entry else None)}"
        case Reason.DAMAGED:
            return "the stored file was damaged"
        case Reason.FROM_FUTURE:
            return "fetched in the future"
        case Reason.RANDOM:
            return "what is stored was left to chance"
    return reason.value


def _ttl(entry: Entry) -> Lifetime | None:
    """The time to live of the entry, None where the default, which it does not know, decides."""
    if entry.volatile and isinstance(entry.ttl, float | int):
        return min(entry.ttl, VOLATILE_TTL)
    return entry.ttl


def _of(ttl: Lifetime | None) -> str:
    if ttl is None:
        return ""
    return f", {_UNTIL[ttl]}" if isinstance(ttl, Until) else f" of {quantities.duration(ttl)}"


def one_line(text: str) -> str:
    """A text with its line breaks and other runs of white space as single spaces."""
    return " ".join(text.split())


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
        return NOTHING_STORED
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


def fresh_while(entry: Entry, *, default_ttl: Lifetime | None, now: datetime) -> str:
    """Up to when an entry is served.

    Args:
        entry: the stored facts.
        default_ttl: the time to live of entries that were stored without one, None where nobody has said.
        now: the time, with a zone.
    """
    if entry.pinned:
        frozen = "forever, until it is unpinned or refreshed"
        if entry.invalidated_at is None:
            return frozen
        return f"{frozen}; it was invalidated {quantities.moment(entry.invalidated_at)}, which counts then"
    if entry.invalidated_at is not None:
        return f"no longer; it was invalidated {quantities.moment_and_age(entry.invalidated_at, now)}"
    told = f"on {entry.day} in {entry.zone}, " if entry.day is not None else ""
    is_past = entry.day not in (None, day_in(entry.zone, now))
    if entry.exact and FILE in entry.tokens:
        if is_past:
            return f"no longer; it was on {entry.day} in {entry.zone}"
        return f"{told}as long as the database file is unchanged"
    given = (entry.ttl, default_ttl, DEFAULT_TTL)
    ttl = next(each for each in given if each is not None)
    volatile = _is_for_an_hour(entry, ttl)
    told += _span(ttl, at_most=volatile)
    told = _until(told, entry, VOLATILE_TTL if volatile else ttl, now, is_past=is_past)
    if FILE in entry.tokens:
        told += ", as long as the database file is unchanged"
    return told + _ASKS if volatile else told


def _span(ttl: Lifetime, *, at_most: bool) -> str:
    """How long a time to live is."""
    if at_most:
        return f"for {quantities.duration(VOLATILE_TTL)} at most"
    if isinstance(ttl, Until):
        return _UNTIL[ttl]
    return "forever" if ttl == math.inf else f"for {quantities.duration(ttl)}"


def _until(told: str, entry: Entry, ttl: Lifetime, now: datetime, *, is_past: bool) -> str:
    """What was told of a time to live, and when that ends or has ended."""
    if isinstance(ttl, Until):
        return told
    with suppress(OverflowError):  # forever, or beyond the calendar
        end = counted_from(entry, now) + timedelta(seconds=ttl)
        told = f"{told}, until {quantities.moment(end)}"
        return f"no longer; it was {told}" if end <= now or is_past else told
    return told


_UNTIL = {Until.TODAY: "until midnight", Until.SESSION: "in the kernel that fetched it"}


def announcement(config: Config) -> str | None:
    """A sentence about a pyproject.toml that chose the directory, or None.

    Args:
        config: the settings in force.
    """
    if config.pyproject is None:
        return None
    return f"results are kept in {config.directory}, as {config.pyproject} says"


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
    return _BETWEEN.join(filter(None, [changed, stale, source]))


def invalidated(entries: int) -> str:
    """What an `invalidate` did.

    Args:
        entries: stored results that it made stale.

    Example:
        >>> invalidated(1), invalidated(0)
        ('invalidated 1 entry', 'nothing to invalidate')
    """
    return f"invalidated {quantities.count(entries, 'entry')}" if entries else "nothing to invalidate"
