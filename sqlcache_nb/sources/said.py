"""What connections in a person's hands have said of themselves, for when nobody is to be asked."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from sqlcache_nb.identity import SourceIdentity

_last: WeakKeyDictionary[Any, SourceIdentity] = WeakKeyDictionary()


def note(con: Any, identity: SourceIdentity) -> SourceIdentity:
    """Keep what a connection has said, and give it back.

    Args:
        con: what pandas reads from.
        identity: which database it is, together with what its session said.
    """
    _last[con] = identity
    return identity


def last(con: Any) -> SourceIdentity | None:
    """What a connection has said last in this process, None where it has not been asked.

    Args:
        con: what pandas reads from.
    """
    return _last.get(con)


def forget(con: Any) -> None:
    """Something was set in a connection's session: what it has said no longer holds."""
    _last.pop(con, None)
