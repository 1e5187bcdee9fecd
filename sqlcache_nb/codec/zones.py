"""Time zones as JSON, and back to an object of the same type."""

from __future__ import annotations

from datetime import timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from sqlcache_nb.errors import CodecError, NotCacheable

Spec = dict[str, Any]
"""One of "zoneinfo", "offset" (seconds), "pytz", "pytz offset" (minutes), "dateutil" (seconds) and its UTC."""


def zone_spec(zone: tzinfo) -> Spec:
    """What tells a time zone, as JSON.

    Args:
        zone: the zone; of pytz also one of the variants that its datetimes carry.

    Raises:
        NotCacheable: it is of a type that is not known, or not the one that its name stands for.
    """
    if isinstance(zone, ZoneInfo):
        if zone.key and ZoneInfo(zone.key) is zone:  # not one from a file of somebody's own
            return {"zoneinfo": zone.key}
    elif type(zone) is timezone:
        offset = zone.utcoffset(None)
        seconds = offset / timedelta(seconds=1)
        if repr(zone) == repr(timezone(offset)):
            return {"offset": seconds}
        return {"offset": seconds, "name": zone.tzname(None)}
    else:
        found = _foreign_spec(zone)
        if found is not None:
            return found
    raise NotCacheable(f"has a time zone of type {type(zone).__module__}.{type(zone).__qualname__}")


def _foreign_spec(zone: Any) -> Spec | None:
    """Zones of the libraries that drivers and older pandas use."""
    match type(zone).__module__:
        case "dateutil.tz.tz" if type(zone).__name__ == "tzoffset":  # pg8000's, of offsets in part hours
            return {"dateutil": zone.utcoffset(None) / timedelta(seconds=1), "name": zone.tzname(None)}
        case "dateutil.tz.tz" if type(zone).__name__ == "tzutc":
            return {"dateutil": "UTC"}
        case "pytz" | "pytz.tzfile" if isinstance(zone.zone, str):
            return {"pytz": zone.zone}
        case "pytz" if isinstance(getattr(zone, "_minutes", None), int):
            return {"pytz offset": zone._minutes}  # noqa: SLF001  # in no public place
    return None


def zone_of(spec: Spec) -> tzinfo:
    """The zone that `zone_spec` told.

    Raises:
        CodecError: the spec is of an unknown kind.
        ImportError: it is one of a library that is not installed.

    Example:
        >>> zone_of({"offset": 3600.0})
        datetime.timezone(datetime.timedelta(seconds=3600))
    """
    zone: Any = None
    match spec:
        case {"zoneinfo": key}:
            zone = ZoneInfo(key)
        case {"offset": seconds, "name": name}:
            zone = timezone(timedelta(seconds=seconds), name)
        case {"offset": seconds}:
            zone = timezone(timedelta(seconds=seconds))
        case {"dateutil": "UTC"}:
            from dateutil import tz

            zone = tz.tzutc()
        case {"dateutil": seconds, "name": name}:
            from dateutil import tz

            zone = tz.tzoffset(name, seconds)
        case {"pytz": name}:
            import pytz

            zone = pytz.timezone(name)
        case {"pytz offset": minutes}:
            import pytz

            zone = pytz.FixedOffset(minutes)
        case _:
            raise CodecError(f"a time zone of the unknown kind {spec!r}")
    made: tzinfo = zone
    return made
