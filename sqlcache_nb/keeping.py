"""How an answer is kept: encoded, stored in the place of an older one, and room made for it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from sqlcache_nb import guard, notes
from sqlcache_nb.changes import UNCHANGED, Changes, compared
from sqlcache_nb.chunks import Recording
from sqlcache_nb.config import Config
from sqlcache_nb.entry import Entry, Provenance
from sqlcache_nb.errors import CodecError, NotCacheable, NotCachedWarning, StoreError, StoreWarning
from sqlcache_nb.freshness import Verdict
from sqlcache_nb.key import Key
from sqlcache_nb.parts import Asked
from sqlcache_nb.question import Answer, Question, entry_of, provenance_of, question_of
from sqlcache_nb.request import CacheOptions, PandasCall
from sqlcache_nb.result import Outcome, Result
from sqlcache_nb.shield import Shielded, not_cached
from sqlcache_nb.sources import Source
from sqlcache_nb.space import Space
from sqlcache_nb.stores import Store, Stored
from sqlcache_nb.why import Nearest

if TYPE_CHECKING:
    from pandas import DataFrame

logger = logging.getLogger("sqlcache_nb")


@dataclass(frozen=True, slots=True)
class Miss:
    """A question that must be fetched.

    Args:
        question: what is asked.
        asked_at: when, with a zone.
        clearings: how often this process had deleted what a person named, by then.
        asked: as much of it as is kept.
        verdict: why it must be fetched.
        nearest: the stored question that is most like it, if this one is asked for the first time.
        facts: what its statement does.
        tokens: what validators say of the database now, by their names.
        written: what its session had written before.
    """

    question: Question
    asked_at: datetime
    clearings: int
    asked: Asked
    verdict: Verdict
    nearest: Nearest | None
    facts: guard.Facts
    tokens: Mapping[str, str]
    written: int | None

    def result(self, options: CacheOptions, decode: Callable[[], Any]) -> Result:
        """What is known of the answer before it is stored.

        Args:
            options: the caller's policy.
            decode: gives the frame, or the iterator of chunks.
        """
        return Result(
            Outcome.REFRESHED if options.refresh else Outcome.MISS,
            self.verdict.reason,
            self.question.label,
            decode,
            ttl=self.verdict.ttl,
            invalidated_at=self.verdict.since,
            nearest=self.nearest,
        )


class Kept(NamedTuple):
    """An answer that was stored.

    Args:
        entry: the stored facts.
        path: where the payload is.
        changes: how it differs from the one that it replaced, None where it replaced none, or that is not known.
    """

    entry: Entry
    path: Path
    changes: Changes | None


class Keeper(Shielded):
    """The entries of one store, to which answers are added.

    Args:
        place: a directory, opened at first use, or a `Store`.
        space: how much they may take.
        clock: gives the time, with a zone.
        settings: what else is in force.
    """

    def __init__(
        self,
        place: Store | str | os.PathLike[str],
        space: Space,
        clock: Callable[[], datetime],
        settings: Config,
    ) -> None:
        super().__init__(place, clock)
        self._space = space
        self._settings = settings

    @property
    def size_limit(self) -> int:
        """Bytes of payloads that are kept at most; where nobody says, it is taken when the directory is opened."""
        return self._space.limit

    def _store(self) -> Store:
        with self._lock:
            is_new = self._opened is None
            store = super()._store()
            if is_new:
                self._space.opened(store)
            return store

    def _keep(self, miss: Miss, answer: Answer, options: CacheOptions) -> Kept:
        """Store an answer.

        Raises:
            NotCacheable: it would not come back exactly, or is too large.
            StoreError: the directory cannot be used.
        """
        from sqlcache_nb.codec import encode

        if answer.doubt is not None:
            raise answer.doubt
        provenance = provenance_of(miss.question, miss.asked, miss.facts, answer, answer.frame.shape)
        payload = encode(answer.frame, provenance.to_json())
        self._space.check(payload.size)
        return self._write(miss, provenance, memoryview(payload), options)

    def _keep_chunks(
        self,
        miss: Miss,
        answer: Answer,
        recording: Recording,
        call: PandasCall,
        source: Source,
        options: CacheOptions,
    ) -> None:
        """Store the chunks of an answer.

        Raises:
            NotCacheable: the connection has been used in between, and they may be of two minds; or they are too
                large.
            StoreError: the directory cannot be used.
        """
        again = question_of(call, source, options.source_name)
        if again.key.digest != miss.question.key.digest or source.written() != miss.written:
            raise NotCacheable("the connection was written to while its chunks were read")
        source.confirm(volatile=miss.facts.volatile)
        provenance = provenance_of(
            miss.question, miss.asked, miss.facts, answer, recording.shape, recording.chunks
        )
        payload = recording.finish(provenance.to_json())
        self._space.check(payload.seek(0, os.SEEK_END))
        self._write(miss, provenance, payload, options)

    def _write(
        self, miss: Miss, provenance: Provenance, payload: memoryview | BinaryIO, options: CacheOptions
    ) -> Kept:
        """Write an entry and its payload, and make room for them."""
        from sqlcache_nb.codec import content_of

        # Whoever has written and cleared does not want the rows of before.
        if self._clearings != miss.clearings:
            raise NotCacheable("what is stored was cleared while this was fetched")
        store = self._store()
        before = store.lookup(miss.question.key.digest)
        entry = replace(
            entry_of(miss.question, miss.facts, provenance, miss.tokens),
            ttl=options.lifetime or None,  # 0 is for this one read: the next one shall not be stale for it
            pinned=options.pin,
            content=content_of(payload),
        )

        def settled(entry: Entry, older: Entry) -> Entry:
            # By another kernel just now, or of another directory.
            if older.pinned and not options.refresh:
                raise NotCacheable("what is stored of this question is pinned")
            return entry.replacing(older, self._clock()).labelled(options.name, options.tags)

        entry = entry.labelled(options.name, options.tags)
        changes = None if before is None else _changes(store, before, settled(entry, before.entry), payload)
        stored = store.write(entry, payload, keep=self._settings.keep, settle=settled)
        if stored.entry.provenance != provenance:  # another kernel's, which does not answer what was compared
            changes = None
        if options.pin and not stored.entry.pinned:  # another kernel's, fetched meanwhile
            stored = store.pin(entry.key, pinned=True) or stored
        self._used.add(entry.key)
        self._shielded(lambda: self._space.make(store, self._ledger, entry.key))
        if before is not None and before.entry.pinned and not stored.entry.pinned:
            logger.info(notes.unpinned(before.entry, refreshed=True))
        return Kept(stored.entry, stored.path, changes)

    def _renewed(self, stored: Stored, when: datetime) -> Stored:
        """A row whose ttl counts from a proof on; where that cannot be noted, it is proven again the next time."""
        with suppress(StoreError):
            return self._store().renew(stored.entry, when) or stored
        return stored

    def _labelled(self, stored: Stored, options: CacheOptions) -> Stored:
        """A row under the name, with the tags and the pin that a hit brings."""
        entry, store = stored.entry.labelled(options.name, options.tags), self._store()
        try:
            if entry != stored.entry:
                store.update(entry)
                stored = replace(stored, entry=entry)
            if options.pin and not entry.pinned:
                stored = store.pin(entry.key, pinned=True) or stored
        except StoreError as fault:  # no reason to ask the database
            self._warn(StoreWarning, str(fault))
        return stored

    def _record(self, recording: Recording, chunk: DataFrame) -> None:
        self._space.check(recording.add(chunk))

    def _is_done(self, miss: Miss, step: Callable[[], object]) -> bool:
        """Whether a step of storing chunks succeeds; if not, it is said, and what is stored is forgotten."""
        refusal = self._shielded(step)
        if isinstance(refusal, NotCacheable):
            self._warn(NotCachedWarning, not_cached(refusal))
            self._forget(miss.question.key)
            return False
        return True

    def _forget(self, key: Key) -> None:
        """Delete what is stored of a question: it is older than what was just seen, and must not come back.

        A pinned answer stays: each of its lines says that it is pinned, and how old it is.
        """
        self._shielded(lambda: self._delete(self._unpinned(key), pinned=False, dry_run=False))

    def _unpinned(self, key: Key) -> list[Stored]:
        stored = self._store().lookup(key.digest)
        return [] if stored is None or stored.entry.pinned else [stored]


def _changes(store: Store, before: Stored, entry: Entry, payload: memoryview | BinaryIO) -> Changes | None:
    """How an answer differs from the one that it replaces; None where the latter's file does not tell."""
    from sqlcache_nb.codec import outline_of

    if entry.content == before.entry.content:
        return UNCHANGED
    try:
        file = store.open(before)
        if file is None:
            return None
        with file:
            return compared(outline_of(file), outline_of(payload))
    except (CodecError, StoreError):  # damaged, or another version's: it is replaced in any case
        return None
