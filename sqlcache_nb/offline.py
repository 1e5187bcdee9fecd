"""What is stored of a question, found without asking the database: not even which one it is."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NoReturn

from sqlcache_nb.entry import Entry
from sqlcache_nb.environment import environment
from sqlcache_nb.errors import CacheMiss, NotCacheable
from sqlcache_nb.identity import SourceIdentity, working_directory
from sqlcache_nb.key import Key
from sqlcache_nb.parts import ADDRESS, Asked, address_item, items_of
from sqlcache_nb.phrases import fetched, one_line, short_key
from sqlcache_nb.query import Query, ask
from sqlcache_nb.question import parts_of
from sqlcache_nb.redaction import redact
from sqlcache_nb.request import PandasCall
from sqlcache_nb.sources import Source, source_of
from sqlcache_nb.stores import CURRENT, Store, Stored
from sqlcache_nb.why import Nearest, likely, nearest

_SOURCE = "source"
_MANY = 32
"""Rows of one statement from which on there may be more than `Store.alike` gives."""
_NAMED = 3
"""Candidates that are named at most."""


@dataclass(frozen=True, slots=True)
class Offline:
    """A question, as far as it is known without asking the database.

    Where the URL, the file's path, or what the connection has said before in this process tells which database
    answers, the key is exact. Else those stored answers are candidates that were given to the same question at the
    same address: their databases, roles and settings differ in what only a session tells. If that is one, it is the
    answer; if there are several, which of them is meant is not known.

    Args:
        query: what is asked.
        told: who would answer, None where only the session tells.
        address: where the connection leads by its own word, None where it has none.
        source_name: a person's own word for the database.
        store_params: whether the values of parameters may be read, and not only compared.
    """

    query: Query
    told: SourceIdentity | None
    address: SourceIdentity | None
    source_name: str | None
    store_params: bool

    @property
    def label(self) -> str:
        """The database for a person, without secrets; "the database" where the connection does not tell."""
        if self.source_name:
            return redact(self.source_name)
        known = self.told or self.address
        return "the database" if known is None else known.label

    def stored(self, store: Store, now: datetime) -> Stored:
        """The latest answer to the question, of whatever age.

        Args:
            store: where to look.
            now: the time, with a zone.

        Raises:
            CacheMiss: there is none, or it is not known which is meant.
            StoreError: the directory cannot be used.
        """
        alike = store.alike(redact(self.query.shown))
        if (found := self._exact(store)) is not None:
            return found
        candidates = self._candidates(store, alike)
        if len({row.entry.provenance.parts["source"] for row in candidates}) > 1:
            raise CacheMiss(_several(candidates, now))
        if not candidates:
            self._missed(store, alike, now)
        return max(candidates, key=_fetched_at)

    def _exact(self, store: Store) -> Stored | None:
        if self.told is None:
            return None
        found = store.lookup(Key.of(self._parts(self.told)).digest)
        return found if found is not None and is_here(found) else None

    def _candidates(self, store: Store, alike: list[Stored]) -> list[Stored]:
        """Answers that were given to this question at this address, to sessions of which nothing is known here.

        Where the key is exact, there are none, except of a file: a session may have had settings of its own.
        """
        if self.address is None or (self.told is not None and not self.told.files):
            return []
        rows: Iterable[Stored] = alike
        if len(alike) >= _MANY:
            rows = (row for row in store.each() if row.version == CURRENT)
        asked = self._asked(self.address)
        return [row for row in rows if _fits(asked, row, self.address.files) and is_here(row)]

    def _parts(self, identity: SourceIdentity | None) -> dict[str, object]:
        return {**self.query.parts(), "source": parts_of(identity, self.source_name) or {}}

    def _asked(self, identity: SourceIdentity | None) -> Asked:
        """The question as far as it is kept with an answer."""
        parts = self._parts(identity)
        items = items_of(parts, self.query.given, store_params=self.store_params)
        items |= address_item(parts_of(self.address, self.source_name))
        return Asked(self.query.kind, redact(self.query.shown), Key.of(parts).parts, items)

    def _missed(self, store: Store, alike: list[Stored], now: datetime) -> NoReturn:
        told = f"offline: no answer to this question of {self.label} is stored"
        if self.told is None and self.address is None:
            told = "offline: which database the connection leads to is not known without asking it"
        near = self._nearest(store, alike)
        if near is None:
            raise CacheMiss(told)
        differs = "the working directory" if _is_elsewhere(near.entry) else "what the session is set to"
        differences = str(near) if near.differences else f"same question, {differs} was another"
        raise CacheMiss(f"{told}\n{one_line(f'nearest: {differences}; {_named(near.entry, now)}')}")

    def _nearest(self, store: Store, alike: list[Stored]) -> Nearest | None:
        """The stored question that is most like this one; what only a session tells is not compared."""
        asked = self._asked(self.told or self.address)
        entries = [row.entry for row in alike]
        if not entries and (self.told or self.address) is not None:
            entries = likely(asked, [row.entry for row in store.latest(self.label)])
        if self.told is not None:
            return nearest(asked, entries)
        near = [nearest(_as_if_there(asked, entry), [entry]) for entry in entries]
        return min((each for each in near if each is not None), key=_distance, default=None)


def question_of(
    call: PandasCall, con: object, source_name: str | None, *, store_params: bool = True
) -> Offline:
    """A question, as far as it is known without asking the database.

    No connection is opened, no statement is run on one that is held, and no file of a database is read.

    Args:
        call: what would be given to pandas.
        con: the connection, open, closed or dead.
        source_name: a person's own word for the database.
        store_params: whether the values of parameters may be read, and not only compared.

    Raises:
        CacheMiss: no answer to it is ever stored.
        UnsupportedSource: a Session whose filters would be lost.
    """
    with closing(source_of(con, call.sql, vouched=source_name is not None, unasked=True)) as source:
        try:
            return Offline(_query(call, source), source.told(), source.address(), source_name, store_params)
        except NotCacheable as refusal:
            raise CacheMiss(f"offline: not cached: {refusal}") from refusal


def _query(call: PandasCall, source: Source) -> Query:
    return ask(
        call.sql,
        call.params,
        dialect=source.dialect,
        options=call.options(),
        environment=environment(),
        execution_options=source.execution_options(),
        adapt=source.adapt,
    )


def _fits(asked: Asked, row: Stored, files: tuple[str, ...]) -> bool:
    """Whether a stored answer was given to this question at the same address, to whatever session."""
    was = row.entry.provenance
    item = was.items.get(ADDRESS)
    if item is None or item.digest != asked.items[ADDRESS].digest or (files and row.entry.places != files):
        return False
    return all(was.parts.get(name) == digest for name, digest in asked.parts.items() if name != _SOURCE)


def is_here(row: Stored) -> bool:
    """Whether an answer, if its question reads files by relative paths, was given in this working directory.

    Args:
        row: what is stored.
    """
    return not _is_elsewhere(row.entry)


def _is_elsewhere(entry: Entry) -> bool:
    """Whether the question reads files by paths that begin in another directory."""
    return entry.directory not in (None, working_directory())


def _as_if_there(asked: Asked, entry: Entry) -> Asked:
    """The question as if it were put to the session that gave an answer, so that only the rest is compared."""
    was = entry.provenance
    own = {name: item for name, item in asked.items.items() if not name.startswith(f"{_SOURCE}.")}
    theirs = {name: item for name, item in was.items.items() if name.startswith(f"{_SOURCE}.")}
    return replace(asked, parts={**asked.parts, _SOURCE: was.parts[_SOURCE]}, items={**own, **theirs})


def _distance(near: Nearest) -> tuple[int, float]:
    return len(near.differences), -near.entry.provenance.fetched_at.timestamp()


def _fetched_at(row: Stored) -> datetime:
    return row.entry.provenance.fetched_at


def _several(candidates: list[Stored], now: datetime) -> str:
    """That several sessions, or servers, have answered the question, and which."""
    latest = sorted(candidates, key=_fetched_at, reverse=True)
    named = "; or ".join(_named(row.entry, now) for row in latest[:_NAMED])
    more = f"; and {len(latest) - _NAMED} more" if len(latest) > _NAMED else ""
    return (
        f"offline: {len(latest)} stored answers fit, of other servers, roles or settings, and which one is meant is "
        f"not known without asking\n{named}{more}; source_name= tells servers apart"
    )


def _named(entry: Entry, now: datetime) -> str:
    return f"{fetched(entry, now)} from {entry.provenance.source} (load {short_key(entry.key)})"
