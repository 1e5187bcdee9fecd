"""What `%config CachedSQLMagics` takes: the options of a `Policy`, for all that a notebook asks of the default cache."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from IPython.core.magic import Magics
from traitlets import Bool, TraitError, TraitType, observe

from sqlcache_nb.errors import ConfigError
from sqlcache_nb.policy import Policy

_TIMES = 'seconds, a timedelta, "90s", "5m", "1h", "7d"'
_NAMES = tuple(each.name for each in fields(Policy))


class Option(TraitType[Any, Any]):
    """One option of a `Policy`; None where nothing is said.

    Args:
        help: what it does, for `%config CachedSQLMagics`.
    """

    def __init__(self, help: str) -> None:  # noqa: A002  # as traitlets calls it
        super().__init__(default_value=None, allow_none=True, help=help)
        self.tag(config=True)

    def validate(self, obj: Any, value: Any) -> Any:  # noqa: ARG002  # as traitlets calls it
        """The value, if it is understood: the hook of traitlets.

        Args:
            obj: whose trait it is.
            value: what it is to be.

        Raises:
            TraitError: one line with what is accepted.
        """
        try:
            Policy(**{str(self.name): value})
        except ConfigError as fault:
            raise TraitError(str(fault)) from None
        return value


class Settings(Magics):
    """The magic's settings. They come before what the default cache's `policy` says, and leave that as it is."""

    ttl = Option(
        f'How long results are fresh that were stored without a ttl: {_TIMES}, "today", "session", "forever".'
    )
    refresh = Option("Ask the database again each time, and replace what is stored: True or False.")
    no_store = Option("Neither read nor write the cache: True or False.")
    offline = Option("Never ask the database; what is stored is served at any age: True or False.")
    stale_while_revalidate = Option(
        f"A time for which a stale result is served at once, while it is fetched anew: {_TIMES}."
    )
    stale_if_error = Option(
        f"A time for which a stale result is served where the database is out of reach: {_TIMES}."
    )
    validate = Option(
        'Which validator is asked: "auto" (database files), True (servers, too), False, '
        '"select max(updated_at) from t", or the name of one.'
    )
    quiet = Bool(default_value=False, help="Show no line about where a result came from.").tag(config=True)

    _applied: Policy | None = None

    def apply(self) -> None:
        """Let the default cache obey what is set, from its next read on."""
        said = self._said()
        if said != self._applied:
            from sqlcache_nb import api  # only where there is something to say: it loads pandas

            api.override(said)
            self._applied = said

    def withdraw(self) -> None:
        """Leave the default cache to its own policy."""
        if self._applied is not None:
            from sqlcache_nb import api

            api.override(None)
            self._applied = None

    def _said(self) -> Policy | None:
        """What is set, None where nothing is; what is offline, or not stored, is not refreshed."""
        said = {name: value for name in _NAMES if (value := getattr(self, name)) is not None}
        policy = Policy()
        for name, value in said.items():
            policy = Policy(**{name: value}).over(policy)
        return policy if said else None

    @observe(*_NAMES)
    def _set(self, _change: Any) -> None:
        self.apply()
