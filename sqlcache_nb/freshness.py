"""Is a stored result still good? A pure judgement over facts, in the words of RFC 9111."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlcache_nb.errors import ConfigError

if TYPE_CHECKING:
    from sqlcache_nb.entry import Entry

Ttl = str | float | timedelta
"""What a person may write for a time to live; `parse_ttl` understands it."""

DEFAULT_TTL = 86_400.0
"""Seconds for which a result is fresh when nobody says otherwise: one day."""

VOLATILE_TTL = 3_600.0
"""Seconds for which a result may be fresh at most when its SQL asks for the time: one hour."""

_SKEW = timedelta(minutes=5)
"""How far a server's clock may be behind ours, so that the day there was still the one before."""

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", re.ASCII)


class Reason(StrEnum):
    """Why an outcome is what it is."""

    FIRST_TIME = "first time"
    FILE_UNCHANGED = "file unchanged"
    FILE_CHANGED = "file changed"
    ANOTHER_DAY = "another day there"
    WITHIN_TTL = "within ttl"
    PINNED = "pinned"
    EXPIRED = "expired"
    FROM_FUTURE = "from the future"
    INVALIDATED = "invalidated"
    RANDOM = "left to chance"
    DAMAGED = "damaged"
    ASKED = "asked"
    LOADED = "loaded"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `Freshness.judge` says of one entry.

    Args:
        fresh: whether the entry may be served.
        reason: why.
        since: when somebody declared it stale, with a zone; None where nobody did.
    """

    fresh: bool
    reason: Reason
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Freshness:
    """The caller's policy.

    Args:
        ttl: seconds that the caller gave, or None for what the entry was stored with.
        default_ttl: seconds for entries that were stored without one.
        validate: whether a database file's token is compared at all.
        random: whether an answer that was left to chance may be served.

    Example:
        >>> Freshness(ttl=60.0).default_ttl
        86400.0
    """

    ttl: float | None = None
    default_ttl: float = DEFAULT_TTL
    validate: bool = True
    random: bool = False

    def judge(self, entry: Entry, now: datetime, token: str | None) -> Verdict:
        """Whether `entry` may be served.

        A token that differs proves that the database changed. An equal one proves the opposite only
        where it covers everything that the statement reads (`entry.exact`); elsewhere the age decides.
        An answer that depends on the date is good for that day alone, as it is where the database is. What
        was invalidated is stale, whatever they say. A pinned entry is fresh all the same: it was frozen for that,
        and what was found out about it meanwhile counts again once it is unpinned.

        Args:
            entry: the stored facts.
            now: the time, with a zone.
            token: the database's validator token as it is now, or None where there is none.
        """
        if entry.pinned:
            return Verdict(True, Reason.PINNED)
        if entry.invalidated_at is not None:
            return Verdict(False, Reason.INVALIDATED, entry.invalidated_at)
        age = (now - entry.provenance.fetched_at).total_seconds()
        if entry.random and not self.random:
            return Verdict(False, Reason.RANDOM)
        if self.validate and entry.token is not None and token != entry.token:
            return Verdict(False, Reason.FILE_CHANGED)
        if entry.day is not None and entry.day != day_in(entry.zone, now):
            return Verdict(False, Reason.ANOTHER_DAY)
        if self.validate and entry.token is not None and entry.exact:
            return Verdict(True, Reason.FILE_UNCHANGED)
        if age < 0:
            return Verdict(False, Reason.FROM_FUTURE)
        if age < self.effective_ttl(entry):
            return Verdict(True, Reason.WITHIN_TTL)
        return Verdict(False, Reason.EXPIRED)

    def effective_ttl(self, entry: Entry) -> float:
        """Seconds for which `entry` is fresh: given now, else when it was stored, else the default."""
        ttl = next(ttl for ttl in (self.ttl, entry.ttl, self.default_ttl) if ttl is not None)
        return min(ttl, VOLATILE_TTL) if entry.volatile or _may_be_of_the_day_before(entry) else ttl


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


def parse_ttl(value: Ttl) -> float:
    """Seconds of a time to live.

    Args:
        value: seconds, a timedelta, "forever", or a number with one of s, m, h, d, w
            ("90s", "5m" = minutes, "1h", "7d").

    Returns:
        Seconds; `math.inf` for "forever".

    Raises:
        ConfigError: anything else, or less than nothing.

    Example:
        >>> parse_ttl("1h"), parse_ttl(90), parse_ttl("forever")
        (3600.0, 90.0, inf)
    """
    seconds = math.nan
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str):
        text = value.strip().lower()
        if text == "forever":
            return math.inf
        if match := _DURATION.fullmatch(text):
            seconds = float(match[1]) * _UNITS[match[2] or "s"]
    elif type(value) in (int, float):
        with suppress(OverflowError):
            seconds = float(value)
    if not seconds >= 0:  # also catches NaN
        raise ConfigError(
            f'ttl={value!r} is not a time: give seconds, a timedelta, "90s", "5m", "1h", "7d" or "forever"'
        )
    return seconds
