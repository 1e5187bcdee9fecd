"""Is a stored result still good? A pure judgement over facts, in the words of RFC 9111."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlcache_nb.lifetime import Lifetime, Until

if TYPE_CHECKING:
    from sqlcache_nb.entry import Entry

DEFAULT_TTL = 86_400.0
"""Seconds for which a result is fresh where nobody says otherwise and no exact validator vouches: one day."""

VOLATILE_TTL = 3_600.0
"""Seconds for which a result may be fresh at most when its SQL asks for the time: one hour."""

FILE = "file"
"""The validator of database files."""

_SKEW = timedelta(minutes=5)
"""How far a server's clock may be behind ours, so that the day there was still the one before."""


class Strength(StrEnum):
    """What a validator's word is worth."""

    EXACT = "exact"
    """The token changes if, and only if, something was written."""
    CONSERVATIVE = "conservative"
    """Equal tokens prove that nothing was written; another one may be a false alarm."""
    HEURISTIC = "heuristic"
    """Equal tokens make it likely; whoever chose the validator answers for it."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a validator says of a database at one time.

    Args:
        validator: its name.
        strength: what its word is worth.
        value: equal as long as nothing was written; "" where it cannot tell now, and that is no good sign, as of
            a file that is gone: it equals nothing.
    """

    validator: str
    strength: Strength
    value: str


class Reason(StrEnum):
    """Why an outcome is what it is."""

    FIRST_TIME = "first time"
    FILE_UNCHANGED = "file unchanged"
    FILE_CHANGED = "file changed"
    UNCHANGED = "source unchanged"
    CHANGED = "source changed"
    UNPROVEN = "not validated before"
    NO_WORD = "validator cannot vouch for it"
    ANOTHER_DAY = "another day there"
    WITHIN_TTL = "within ttl"
    PINNED = "pinned"
    EXPIRED = "expired"
    FROM_FUTURE = "from the future"
    INVALIDATED = "invalidated"
    RANDOM = "left to chance"
    DAMAGED = "damaged"
    ASKED = "asked"
    OFFLINE = "offline"
    UNREACHABLE = "database out of reach"
    LOADED = "loaded"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `Freshness.judge` says of one entry.

    Args:
        fresh: whether the entry may be served.
        reason: why.
        since: when somebody declared it stale, with a zone; None where nobody did.
        overdue: seconds for which it has been stale at most; None where it is fresh, or is not to be served
            stale, whoever would take it.
        renew: whether a token has proven what its age could not, so that its age may count from now on.
        token: the validator's word that was heard; None where there was none.
        ttl: the time to live that has decided; None where something else has.
    """

    fresh: bool
    reason: Reason
    since: datetime | None = None
    overdue: float | None = None
    renew: bool = False
    token: Token | None = None
    ttl: Lifetime | None = None


@dataclass(frozen=True, slots=True)
class Freshness:
    """The caller's policy, in the words of RFC 9111 and RFC 5861.

    Args:
        ttl: the caller's time to live, or None for what the entry was stored with.
        default_ttl: that of entries that were stored without one, None where nobody has said: then there is no
            limit where an exact validator vouches, and else `DEFAULT_TTL`.
        random: whether an answer that was left to chance may be served.
        stale_while_revalidate: seconds for which a stale entry may be served while it is fetched anew.
        stale_if_error: seconds for which a stale entry may be served where the database is out of reach.
        started: when this kernel started, with a zone; None where it is not known.
        zone: by whose calendar "today" is meant (default: that of this machine).

    Example:
        >>> Freshness(ttl=60.0).stale_if_error
        0.0
    """

    ttl: Lifetime | None = None
    default_ttl: Lifetime | None = None
    random: bool = False
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    started: datetime | None = None
    zone: tzinfo | None = None

    def judge(self, entry: Entry, now: datetime, token: Token | None) -> Verdict:
        """Whether `entry` may be served.

        A token that differs proves that the database changed, or may have. An equal one proves the opposite only
        where it covers everything that the statement reads (`entry.exact`); elsewhere the age decides, counted
        from the last fetch or proof.
        An answer that depends on the date is good for that day alone, as it is where the database is. What
        was invalidated is stale, whatever they say. A pinned entry is fresh all the same: it was frozen for that,
        and what was found out about it meanwhile counts again once it is unpinned.

        Args:
            entry: the stored facts.
            now: the time, with a zone.
            token: what the validator says now, or None where there is none, or it cannot tell.
        """
        if entry.pinned:
            return Verdict(True, Reason.PINNED)
        moment = counted_from(entry, now)
        age = (now - moment).total_seconds()
        unproven = age if age >= 0 else None
        if (since := entry.invalidated_at) is not None:
            return Verdict(
                False, Reason.INVALIDATED, since, _together((now - since).total_seconds(), unproven)
            )
        if entry.random and not self.random:
            return Verdict(False, Reason.RANDOM)
        if token is not None and (doubt := _doubt(entry, token)) is not None:
            return Verdict(False, doubt, overdue=unproven, token=token)
        if entry.day is not None and entry.day != day_in(entry.zone, now):
            return Verdict(False, Reason.ANOTHER_DAY, overdue=unproven, token=token)
        proven = token if token is not None and _is_covered(entry, token) else None
        vouched = proven is not None and proven.strength is Strength.EXACT
        ttl = self.lifetime(entry, vouched=vouched)
        overdue = self._overdue(entry, ttl, moment, now)
        if proven is not None:
            renew = overdue >= 0 <= age and self._would_be_fresh(entry)
            reason = Reason.FILE_UNCHANGED if proven.validator == FILE else Reason.UNCHANGED
            return Verdict(True, reason, renew=renew, token=token)
        if age < 0:
            return Verdict(False, Reason.FROM_FUTURE, token=token)
        if entry.volatile and (isinstance(ttl, Until) or ttl > VOLATILE_TTL):
            ttl = VOLATILE_TTL
        if overdue < 0:
            return Verdict(True, Reason.WITHIN_TTL, token=token, ttl=ttl)
        return Verdict(False, Reason.EXPIRED, overdue=overdue, token=token, ttl=ttl)

    def lifetime(self, entry: Entry, *, vouched: bool = False) -> Lifetime:
        """How long `entry` is fresh: given now, else when it was stored, else the default.

        Args:
            entry: the stored facts.
            vouched: whether an exact validator vouches for it.
        """
        given = (self.ttl, entry.ttl, self.default_ttl, math.inf if vouched else DEFAULT_TTL)
        return next(ttl for ttl in given if ttl is not None)

    def may_wait(self, verdict: Verdict) -> bool:
        """Whether a stale entry may be served while it is fetched anew (RFC 5861, 3).

        Not one that somebody has declared stale: he wants the new one.
        """
        return verdict.reason is not Reason.INVALIDATED and _is_within(verdict, self.stale_while_revalidate)

    def may_stand_in(self, verdict: Verdict) -> bool:
        """Whether a stale entry may be served where the database is out of reach (RFC 5861, 4)."""
        return _is_within(verdict, self.stale_if_error)

    def _overdue(self, entry: Entry, lifetime: Lifetime, moment: datetime, now: datetime) -> float:
        """Seconds by which an entry is past its time, less than nothing where it is not."""
        age = (now - moment).total_seconds()
        if lifetime is Until.TODAY:
            overdue = _past_midnight(moment, now, self.zone)
        elif lifetime is Until.SESSION:
            overdue = -math.inf if self.started is not None and moment >= self.started else max(age, 0.0)
        else:
            overdue = age - lifetime
        is_bounded = entry.volatile or _may_be_of_the_day_before(entry)
        return max(overdue, age - VOLATILE_TTL) if is_bounded else overdue

    def _would_be_fresh(self, entry: Entry) -> bool:
        """Whether an entry is fresh right after it was validated: with a ttl of 0 each read is to validate."""
        lifetime = self.lifetime(entry)
        return isinstance(lifetime, Until) or lifetime > 0


def _doubt(entry: Entry, token: Token) -> Reason | None:
    """Why a token does not show an entry to be what the database would answer; None where it does."""
    known = entry.tokens.get(token.validator)
    if not token.value:
        return Reason.FILE_CHANGED if token.validator == FILE else Reason.NO_WORD
    if known is None:
        return Reason.UNPROVEN
    changed = Reason.FILE_CHANGED if token.validator == FILE else Reason.CHANGED
    return None if known == token.value else changed


def _is_covered(entry: Entry, token: Token) -> bool:
    """Whether a validator can know all that an entry depends on; for a heuristic, whoever chose it says so."""
    changes_by_itself = entry.volatile or entry.random
    return entry.exact or (token.strength is Strength.HEURISTIC and not changes_by_itself)


def counted_from(entry: Entry, now: datetime) -> datetime:
    """The time from which a ttl counts: the last fetch, or the last proof; what asks for the time is never proven.

    Args:
        entry: the stored facts.
        now: the time, with a zone: a proof in times to come does not count.
    """
    fetched, validated = entry.provenance.fetched_at, entry.validated_at
    counts = validated is not None and fetched <= validated <= now and not entry.volatile
    return validated if counts and validated is not None else fetched


def _together(since_invalidated: float, unproven: float | None) -> float | None:
    """Seconds for which what was invalidated has been stale at most; None where a clock was set back."""
    return None if unproven is None or since_invalidated < 0 else max(since_invalidated, unproven)


def _is_within(verdict: Verdict, window: float) -> bool:
    return not verdict.fresh and verdict.overdue is not None and verdict.overdue < window


def _past_midnight(moment: datetime, now: datetime, zone: tzinfo | None) -> float:
    """Seconds since the day ended to which a moment belongs, less than nothing while it lasts."""
    there = moment.astimezone(zone)
    day_after = there.date() + timedelta(days=1)
    midnight = datetime.combine(day_after, time(), zone)
    # A local midnight may come twice, or not at all: the first moment of the day after is meant.
    return (now - midnight.astimezone(UTC)).total_seconds()


def day_in(zone: str | None, when: datetime) -> str | None:
    """The date in a time zone, None where the zone is not known.

    Args:
        zone: its IANA name, or None.
        when: the time, with a zone.

    Example:
        >>> day_in("Asia/Tokyo", datetime.fromisoformat("2026-11-20T23:30:00+00:00"))
        '2026-11-21'
    """
    there = _in_zone(zone, when)
    return None if there is None else there.date().isoformat()


def is_zone(name: str | None) -> bool:
    """Whether a time zone is known by its name.

    Args:
        name: its IANA name, or None.

    Example:
        >>> is_zone("Europe/Berlin"), is_zone("<+02>-02")
        (True, False)
    """
    return _in_zone(name, datetime.fromtimestamp(0, UTC)) is not None


def _in_zone(zone: str | None, when: datetime) -> datetime | None:
    # "localtime" is the zone of the machine that is asked, and "Factory" says that there is none.
    if zone is None or zone.lower() in {"localtime", "factory"}:
        return None
    try:
        return when.astimezone(ZoneInfo(zone))
    except (KeyError, ValueError, OSError, OverflowError):  # no such zone, or none that this machine knows
        return None


def _may_be_of_the_day_before(entry: Entry) -> bool:
    """Whether a server whose clock is behind ours may have answered for the day before."""
    there = None if entry.day is None else _in_zone(entry.zone, entry.provenance.fetched_at)
    return there is not None and there - there.replace(hour=0, minute=0, second=0, microsecond=0) < _SKEW
