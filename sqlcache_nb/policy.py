"""What a person wants of the cache: the options that a call, a `QueryCache`, the environment and a file may give."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

from sqlcache_nb.errors import ConfigError
from sqlcache_nb.lifetime import Lifetime, Ttl, parse_ttl, parse_window

Validate = bool | str
"""Which validator is asked: "auto", True, False, the name of one, or SQL of one's own."""

_SWITCHES = ("refresh", "no_store", "offline")
_WINDOWS = ("stale_while_revalidate", "stale_if_error")


@dataclass(frozen=True)
class Policy:
    """What a person wants of the cache, in the words of RFC 9111 and RFC 5861; None where nothing was said.

    Args:
        ttl: how long a result is fresh: seconds, a timedelta, "90s", "5m" (minutes), "1h", "7d", "today" (until
            midnight here), "session" (what was fetched since this kernel started), "forever"; with 0 it must be
            validated or fetched each time. Where nothing was said, it is what the result was stored with, else
            without a limit where an exact validator vouches for it, else one day.
        refresh: fetch again and replace what is stored (default: False).
        no_store: neither read nor write the cache (default: False).
        offline: never ask the database: what is stored is served at any age, and what is not stored is a
            `CacheMiss` (default: False).
        stale_while_revalidate: a time for which a stale result is served at once, while it is fetched anew in the
            background (default: 0).
        stale_if_error: a time for which a stale result is served where the database is out of reach (default: 0).
        validate: "auto" asks a SQLite or DuckDB file whether it changed; True asks a server, too; SQL of one's own
            ("select max(updated_at) from t") or the name of a validator asks that one; False trusts the ttl
            (default: "auto").

    Raises:
        ConfigError: a value that cannot be understood, or two that cannot be had together; it is a ValueError.

    Example:
        >>> near = Policy(ttl="1h").over(Policy(ttl="7d", offline=True))
        >>> near.lifetime, near.offline
        (3600.0, True)
    """

    ttl: Ttl | None = None
    refresh: bool | None = None
    no_store: bool | None = None
    offline: bool | None = None
    stale_while_revalidate: Ttl | None = None
    stale_if_error: Ttl | None = None
    validate: Validate | None = None

    def __post_init__(self) -> None:
        if self.ttl is not None:
            parse_ttl(self.ttl)
        for name in _WINDOWS:
            self.window(name)
        for name in _SWITCHES:
            if not _is_switch(getattr(self, name)):
                raise ConfigError(f"{name}={getattr(self, name)!r} is neither True nor False")
        if not (self.validate is None or isinstance(self.validate, bool) or _is_text(self.validate)):
            raise ConfigError(
                f'validate={self.validate!r} is not known: give "auto", True, False, a query of your own '
                "(for max(updated_at), or the like), or the name of a validator"
            )
        if self.refresh and self.no_store:
            raise ConfigError("refresh stores what it fetches: it cannot be had with no_store")
        if self.refresh and self.offline:
            raise ConfigError("refresh asks the database: it cannot be had with offline")

    def over(self, weaker: Policy) -> Self:
        """This policy, and where it says nothing, a weaker one.

        Whoever says it, what is offline asks no database, and what is not to be stored is not: a refresh gives way.

        Args:
            weaker: the policy of what is farther away: of the cache, the environment, a file.
        """
        names = [each.name for each in fields(Policy)]
        given = {
            name: getattr(weaker, name) if getattr(self, name) is None else getattr(self, name)
            for name in names
        }
        if given["refresh"] and (given["offline"] or given["no_store"]):
            given["refresh"] = False
        return replace(self, **given)

    @property
    def lifetime(self) -> Lifetime | None:
        """The ttl as it was understood, None where none was given."""
        return None if self.ttl is None else parse_ttl(self.ttl)

    @property
    def validator(self) -> Validate:
        """Which validator is asked."""
        return "auto" if self.validate is None else self.validate

    def window(self, name: str) -> float:
        """Seconds for which something stale may be served, 0 where nothing was said.

        Args:
            name: "stale_while_revalidate" or "stale_if_error".
        """
        value = getattr(self, name)
        return 0.0 if value is None else parse_window(value, name)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_switch(value: Any) -> bool:
    try:
        return value in (None, True, False)
    except (TypeError, ValueError):  # pandas' NA, and arrays, are not compared with anything
        return False
