"""What a source is: a connection that pandas can read from, and what is known of its database."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.identity import SourceIdentity
from sqlcache_nb.schema import Schema

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect


class Source:
    """A connection that cannot be identified: the base of those that can.

    Args:
        con: what pandas reads from.
        label: short text for a person, without secrets.
        refusal: why it cannot be identified.
    """

    dialect_name: str = ""
    """SQLAlchemy's name of the dialect, "" where it is not known."""

    dialect: Dialect | None = None
    """A dialect that has never connected, or None where only strings are understood."""

    con: Any
    """What pandas reads from."""

    label: str
    """Short text for a person, without secrets."""

    adapt: Callable[[object], object] | None = None
    """What the driver makes of a bound value by adapters that anybody may register, or None."""

    def __init__(self, con: Any, label: str, refusal: str = "") -> None:
        self.con = con
        self.label = label
        self._refusal = refusal

    def identify(self) -> SourceIdentity:
        """Which database answers.

        Raises:
            NotCacheable: it cannot be told for sure.
        """
        raise NotCacheable(self._refusal)

    def schema(self) -> Schema | None:
        """What the names in a database file stand for, or None for a server."""
        return None

    def close(self) -> None:
        """Give back what was borrowed for this question."""

    def execution_options(self) -> dict[str, object]:
        """Options of the connection that change what a statement means."""
        return {}


def pristine(dialect_class: type[Dialect], paramstyle: str | None = None) -> Dialect:
    """A dialect that has never connected: one that has may render the same statement otherwise.

    Args:
        dialect_class: the class.
        paramstyle: how parameters are written, None for the class's own way.
    """
    hashable: Any = dialect_class  # as every class is, whatever its instances' __hash__ says
    return _made(hashable, paramstyle)


@lru_cache(maxsize=64)
def _made(dialect_class: Callable[..., Dialect], paramstyle: str | None) -> Dialect:
    return dialect_class() if paramstyle is None else dialect_class(paramstyle=paramstyle)
