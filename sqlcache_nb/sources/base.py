"""What a source is: a connection that pandas can read from, and what is known of its database."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.identity import SourceIdentity
from sqlcache_nb.schema import Behind, Name, Schema

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

_Answer = TypeVar("_Answer")

Execute = Callable[[str], Iterable[Any]]
"""Runs one statement on a live connection and gives its rows."""


class Source:
    """A connection that cannot be identified: the base of those that can.

    Args:
        con: what pandas reads from.
        label: short text for a person, without secrets.
        refusal: why it cannot be identified.
    """

    con: Any
    """What pandas reads from."""

    dialect_name: str = ""
    """SQLAlchemy's name of the dialect, "" where it is not known."""

    adapt: Callable[[object], object] | None = None
    """What the driver makes of a bound value by adapters that anybody may register, or None."""

    _dialect_class: type[Dialect] | None = None
    _paramstyle: str | None = None

    def __init__(self, con: Any, label: str, refusal: str = "") -> None:
        self.con = con
        self._label = label
        self._refusal = refusal

    @property
    def label(self) -> str:
        """Short text for a person, without secrets."""
        return self._label

    @property
    def dialect(self) -> Dialect | None:
        """A dialect that has never connected, or None where only strings are understood.

        One that has connected may render the same statement otherwise.

        Raises:
            NotCacheable: none can be made.
        """
        if self._dialect_class is None:
            return None
        hashable: Any = self._dialect_class  # as every class is, whatever its instances' __hash__ says
        try:
            return _made(hashable, self._paramstyle)
        except TypeError as fault:
            raise NotCacheable("the dialect cannot be made a second time") from fault

    def prepare(self) -> None:
        """Do what must be done before any question, as an ORM Session flushes.

        Raises:
            Exception: whatever the database raises.
        """

    def identify(self) -> SourceIdentity:
        """Which database answers.

        Raises:
            NotCacheable: it cannot be told for sure.
        """
        raise NotCacheable(self._refusal)

    def ask(self, question: Callable[[Execute], _Answer]) -> _Answer:
        """Put a question to the session that answers the person's, which is left as it was.

        Args:
            question: gets what runs a statement.

        Raises:
            NotCacheable: it cannot be asked.
        """
        raise NotCacheable("the connection cannot be asked")

    def told(self) -> SourceIdentity | None:
        """Which database would answer, as far as it is known without asking anybody; no file is read.

        That of a database file is the one that a session has in which nothing was set.

        Returns:
            The identity, or None where only the session tells it.

        Raises:
            NotCacheable: nothing can be stored of it.
        """
        return None

    def address(self) -> SourceIdentity | None:
        """What the connection itself tells of where it leads, without asking anybody.

        It is kept beside each answer, so that it can be found when nobody is to be asked.

        Returns:
            As much of an identity, or None where the connection does not tell, or code may lead it anywhere.
        """
        return None

    def schema(self) -> Schema | None:
        """What the names in a database file stand for, or None for a server.

        Raises:
            NotCacheable: it cannot be told.
        """
        return None

    def behind(self, names: frozenset[Name]) -> Behind | None:
        """What stands behind some names on a server; None where its catalog is not asked.

        Args:
            names: those of a statement, or of code.

        Raises:
            NotCacheable: it cannot be told.
        """
        return None

    def has_table(self, name: str) -> bool:
        """Whether pandas would read a table of that name, rather than run it as a statement.

        Args:
            name: what was asked, as it stands.
        """
        return False

    def zone(self) -> str | None:
        """The time zone in which the session's `current_date` is meant, by its IANA name; None if not known."""
        return None

    def hold(self) -> None:
        """Hold on to the session that is about to answer, where it must be asked once more afterwards.

        Raises:
            NotCacheable: there is none.
        """

    def confirm(self, *, volatile: bool) -> None:
        """Refuse an answer that the session gave to nobody but itself; asked after it was read.

        Args:
            volatile: whether the statement asks for the time.

        Raises:
            NotCacheable: the answer is the session's own.
        """

    def written(self) -> int | None:
        """Rows that the session has written so far, committed or not; None where it does not tell."""
        return None

    def in_transaction(self) -> bool:
        """Whether a transaction of the person's own is open, which may keep others from answering."""
        return False

    def places(self) -> tuple[str, ...]:
        """Where a write through the connection lands, as `SourceIdentity.places` words it; () where unknown."""
        return ()

    def elsewhere(self) -> Any:
        """What a thread of its own may read the same from meanwhile: an Engine or a URL; None where there is none."""
        return None

    def execution_options(self) -> dict[str, object]:
        """Options of the connection that may change what a statement means."""
        return {}

    def close(self) -> None:
        """Give back what was borrowed for this question."""


@lru_cache(maxsize=64)
def _made(dialect_class: Callable[..., Dialect], paramstyle: str | None) -> Dialect:
    return dialect_class() if paramstyle is None else dialect_class(paramstyle=paramstyle)
