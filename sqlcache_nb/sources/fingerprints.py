"""What a session of a server says of itself: everything that may give its questions other answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.identity import SERVER_OPTIONS, SourceIdentity


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a session of a server says of itself.

    Args:
        user: who logged in.
        database: the database's name.
        options: what goes into an identity: role, schemas, settings, and which server this is if it tells.
        written: whether the transaction has rows of its own.
        snapshot: whether a transaction like this one keeps seeing what it saw first.
        age: seconds since the transaction began, at which its clock stands still.
        temporary: whether there are tables that only this session sees.
        touched: what somebody has set in it, or "".
        doubt: why a session that somebody has touched cannot be told from others, or "".
        writes: how often the session has written, where that is all it tells.
        counter: the number that the server's next transaction gets, where a statement may call code that writes.
        zone: the time zone in which it means the date, as it names it; None where it does not.
    """

    user: str
    database: str
    options: Mapping[str, object] = field(default_factory=dict)
    written: bool = False
    snapshot: bool = False
    age: float = 0.0
    temporary: bool = False
    touched: str = ""
    doubt: str = ""
    writes: int = 0
    counter: str | None = None
    zone: str | None = None

    @property
    def tells_its_server(self) -> bool:
        """Whether it says which server it belongs to."""
        return not SERVER_OPTIONS.isdisjoint(self.options)

    def identify(self, identity: SourceIdentity, *, elsewhere: bool, set_up: bool) -> SourceIdentity:
        """An identity together with what the session says.

        Args:
            identity: what the URL says.
            elsewhere: whether the URL does not tell for sure which server answers.
            set_up: whether somebody may have set what cannot be listed.

        Raises:
            NotCacheable: the server, or what was set, cannot be told from others.
        """
        if set_up and self.doubt:
            raise NotCacheable(self.doubt)
        if elsewhere and not self.tells_its_server:
            raise NotCacheable(
                "the server does not tell which one it is (pg_control_system() is denied), nor does the URL; "
                "source_name= vouches for it"
            )
        return replace(identity, options={**identity.options, **self.options})
