"""The words for why: why a stored answer is fresh, stale or not there, who says so, and up to when it is fresh.

Pure functions over facts; nothing here asks a clock.
"""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlcache_nb import phrases, quantities
from sqlcache_nb.freshness import DEFAULT_TTL, FILE, VOLATILE_TTL, Reason, counted_from, day_in
from sqlcache_nb.lifetime import Lifetime, Until
from sqlcache_nb.redaction import first_line, redact

if TYPE_CHECKING:
    from sqlcache_nb.entry import Entry
    from sqlcache_nb.freshness import Verdict
    from sqlcache_nb.why import Nearest

_BY_VALIDATOR = frozenset({Reason.FILE_UNCHANGED, Reason.FILE_CHANGED, Reason.UNCHANGED, Reason.CHANGED})
_BY_TTL = frozenset({Reason.WITHIN_TTL, Reason.EXPIRED, Reason.FROM_FUTURE})
_AS_STORED = frozenset({Reason.LOADED, Reason.PINNED})
_LONGEST = 200  # characters of what a driver has said
_ASKS = ": it asks for the time or a catalog"
_WITHIN = {Until.TODAY: "fetched today", Until.SESSION: "fetched in this session"}
_PAST = {Until.TODAY: "fetched on an earlier day", Until.SESSION: "fetched in an earlier session"}
_UNTIL = {Until.TODAY: "until midnight", Until.SESSION: "in the session that fetched it"}


def why_hit(verdict: Verdict, entry: Entry, now: datetime, validator: str | None = None) -> str:
    """Why an answer may be served, and which validator says so.

    Args:
        verdict: why, in short.
        entry: the stored facts.
        now: the time, with a zone.
        validator: the name of the one that has the say, None where none has.
    """
    why = why_fresh(verdict.reason, entry, now, verdict.ttl) + _by(verdict, validator)
    told = ["hit", phrases.fetched(entry, now), why, still_bound(verdict.reason, entry)]
    return phrases.joined(*told, phrases.short_key(entry.key))


def why_stale(
    verdict: Verdict, entry: Entry, now: datetime, validator: str | None = None, *, may_wait: bool = False
) -> str:
    """Why a stored answer may not be served.

    Args:
        verdict: as for `why_hit`, like the next three.
        entry: the stored facts.
        now: the time, with a zone.
        validator: the name of the one that has the say.
        may_wait: whether it is served all the same, while it is fetched anew.
    """
    served = "served while it is refreshed" if may_wait else ""
    told = f"stale: {why_not(verdict.reason, entry, now, ttl=verdict.ttl, since=entry.invalidated_at)}{_by(verdict, validator)}"
    return phrases.joined(told, served, phrases.fetched(entry, now), phrases.short_key(entry.key))


def why_stale_in_short(verdict: Verdict, entry: Entry, now: datetime) -> str:
    """Why a stored answer is stale, "" where it is not; arguments as for `why_hit`."""
    if verdict.fresh:
        return ""
    return f"stale: {why_not(verdict.reason, entry, now, ttl=verdict.ttl, since=entry.invalidated_at)}"


def why_miss(near: Nearest | None, now: datetime) -> str:
    """Why nothing is stored of a question.

    Args:
        near: the stored question that is most like it.
        now: the time, with a zone.
    """
    if near is None:
        return "miss: first time; no stored answer is to SQL like this"
    told = f"miss: {why_not(Reason.FIRST_TIME, None, now, near=near)}"
    entry = near.entry
    nearest = f"nearest: {entry.provenance.source}, {phrases.fetched(entry, now)}"
    return phrases.one_line(phrases.joined(told, nearest, phrases.short_key(entry.key)))


def why_fresh(reason: Reason, entry: Entry, now: datetime, ttl: Lifetime | None = None) -> str:
    """Why an answer may be served, in a few words.

    Args:
        reason: what was decided by.
        entry: the stored facts.
        now: the time, with a zone.
        ttl: the time to live that has decided, None where something else has.
    """
    match reason:
        case Reason.FILE_UNCHANGED:
            return "file unchanged"
        case Reason.WITHIN_TTL:
            return _WITHIN[ttl] if isinstance(ttl, Until) else f"within {_named(ttl, entry)}"
        case Reason.LOADED:
            return "loaded as it was stored"
        case Reason.PINNED if entry.invalidated_at is not None:
            return f"pinned; invalidated {quantities.ago((now - entry.invalidated_at).total_seconds())}"
    return reason.value


def why_not(
    reason: Reason,
    entry: Entry | None,
    now: datetime,
    *,
    ttl: Lifetime | None = None,
    since: datetime | None = None,
    near: Nearest | None = None,
) -> str:
    """Why what is stored, if anything is, may not be served, in a few words.

    Args:
        reason: what was decided by.
        entry: the stored facts, None where there are none.
        now: the time, with a zone.
        ttl: the time to live that has decided, None where something else has.
        since: when it was invalidated, with a zone.
        near: the stored question that is most like the one that was asked.
    """
    match reason:
        case Reason.FIRST_TIME if near is not None:
            return str(near)
        case Reason.INVALIDATED if since is not None:
            return f"invalidated {quantities.ago((now - since).total_seconds())}"
        case Reason.EXPIRED:
            return _PAST[ttl] if isinstance(ttl, Until) else f"older than {_named(ttl, entry)}"
        case Reason.DAMAGED:
            return "the stored file was damaged"
        case Reason.FROM_FUTURE:
            return "fetched in the future"
        case Reason.RANDOM:
            return "what is stored was left to chance"
    return reason.value


def bounds(entry: Entry | None, still: str = "") -> str:
    """What beside its age and its file bounds the use of an answer, or "".

    Args:
        entry: the stored facts, None where there are none.
        still: what is said before the day on which it holds.
    """
    if entry is None:
        return ""
    told = [f"{still}{entry.day} in {entry.zone}"] if entry.day is not None else []
    if _is_for_an_hour(entry, entry.ttl):
        told.append(f"for {quantities.duration(VOLATILE_TTL)} at most{_ASKS}")
    return ", ".join([*told, "left to chance"] if entry.random else told)


def still_bound(reason: Reason, entry: Entry) -> str:
    """What bounds the further use of an answer from the cache, or "": nothing where it is pinned or as it was stored.

    Args:
        reason: why it is served.
        entry: the stored facts.
    """
    return "" if reason in _AS_STORED else bounds(entry, "still ")


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


def stale_offline(verdict: Verdict, entry: Entry, now: datetime) -> str:
    """What is said of a stale answer for which the database is not to be asked; arguments as for `why_hit`."""
    return phrases.one_line(
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
    return phrases.one_line(
        f"{entry.provenance.source} is out of reach, {outage}: {_answer(entry, now)}"
        f"{f', and is {stale}' if stale else ''} ({shortened})"
    )


def doubt(
    validate: object, name: str | None, fault: Exception | None, verdict: Verdict, source: str, sql: str
) -> str | None:
    """What is said where a validator that was asked for cannot tell; None where it can.

    Args:
        validate: what was asked for.
        name: the validator's name, None where there is none.
        fault: why it did not answer, None where it did.
        verdict: what was made of it.
        source: the database's label.
        sql: the statement.
    """
    if fault is not None:
        told = first_line(fault)
        return f"the validator {name} gave no answer about {source} ({told}); what is stored is not taken for fresh"
    if name is None:
        return f"validate={validate!r}: no validator knows {source}; the ttl decides"
    if verdict.reason in _BY_TTL:
        what = f"what this reads of {source} has changed; the ttl decides: {phrases.shortened(redact(sql))}"
        return f"validate={validate!r}: {name} cannot tell whether {what}"
    return None


def _answer(entry: Entry, now: datetime) -> str:
    return f"the answer was {phrases.fetched(entry, now)}"


def _by(verdict: Verdict, validator: str | None) -> str:
    """Which validator has decided, and what its word is worth, or that it cannot tell; "" where none has the say."""
    token = verdict.token
    if validator is not None and verdict.reason in _BY_TTL:
        return f", since {validator} cannot tell"
    if token is None or verdict.reason not in _BY_VALIDATOR:
        return ""
    return (
        f" ({token.strength})" if token.validator == FILE else f", says {token.validator} ({token.strength})"
    )


def _is_for_an_hour(entry: Entry, ttl: Lifetime | None) -> bool:
    """Whether what it asks for bounds its age, and not a ttl that is shorter."""
    return entry.volatile and (ttl is None or isinstance(ttl, Until) or ttl >= VOLATILE_TTL)


def _named(ttl: float | None, entry: Entry | None) -> str:
    """A time to live in seconds: the answer's own, or the one that was given with the question."""
    if ttl is None:
        return "its ttl"
    is_its = entry is None or entry.volatile or entry.ttl in (None, ttl)
    return (
        f"its ttl of {quantities.duration(ttl)}" if is_its else f"the ttl given, {quantities.duration(ttl)}"
    )


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
