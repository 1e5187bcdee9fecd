"""How an answer is kept: encoded, stored in the place of an older one, and room made for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from sqlcache_nb import guard, report, retention
from sqlcache_nb.chunks import Recording
from sqlcache_nb.entry import Entry, Provenance
from sqlcache_nb.errors import NotCacheable, NotCachedWarning
from sqlcache_nb.freshness import Verdict
from sqlcache_nb.key import Key
from sqlcache_nb.parts import Asked
from sqlcache_nb.question import Answer, Question, entry_of, provenance_of, question_of
from sqlcache_nb.request import CacheOptions, PandasCall
from sqlcache_nb.result import Outcome, Result
from sqlcache_nb.shield import Shielded, not_cached
from sqlcache_nb.sources import Source
from sqlcache_nb.stores import Store, Stored
from sqlcache_nb.why import Nearest

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True)
class Miss:
    """A question that must be fetched.

    Args:
        question: what is asked.
        asked: as much of it as is kept.
        verdict: why it must be fetched.
        nearest: the stored question that is most like it, if this one is asked for the first time.
        facts: what its statement does.
        written: what its session had written before.
    """

    question: Question
    asked: Asked
    verdict: Verdict
    nearest: Nearest | None
    facts: guard.Facts
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
            invalidated_at=self.verdict.since,
            nearest=self.nearest,
        )


class Keeper(Shielded):
    """The entries of one store, to which answers are added.

    Args:
        place: a directory, opened at first use, or a `Store`.
        size_limit: bytes of payloads to keep at most.
        clock: gives the time, with a zone.
    """

    def __init__(
        self, place: Store | str | os.PathLike[str], size_limit: int, clock: Callable[[], datetime]
    ) -> None:
        super().__init__(place, clock)
        self._size_limit = size_limit

    def _keep(self, miss: Miss, answer: Answer, options: CacheOptions) -> Stored:
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
        self._check_size(payload.size)
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
            NotCacheable: the connection has been used in between, and they may be of two minds.
            StoreError: the directory cannot be used.
        """
        again = question_of(call, source, options.source_name)
        if again.key.digest != miss.question.key.digest or source.written() != miss.written:
            raise NotCacheable("the connection was written to while its chunks were read")
        source.confirm(volatile=miss.facts.volatile)
        provenance = provenance_of(
            miss.question, miss.asked, miss.facts, answer, recording.shape, recording.chunks
        )
        self._write(miss, provenance, recording.finish(provenance.to_json()), options)

    def _write(
        self, miss: Miss, provenance: Provenance, payload: memoryview | BinaryIO, options: CacheOptions
    ) -> Stored:
        """Write an entry and its payload, and make room for them."""
        store = self._store()
        before = store.lookup(miss.question.key.digest)
        entry = replace(entry_of(miss.question, miss.facts, provenance), ttl=options.seconds)
        if before is not None:
            entry = entry.replacing(before.entry, self._clock())
        entry = entry.labelled(options.name, options.tags)
        stored = store.write(entry, payload)
        self._used.add(entry.key)
        self._shielded(lambda: self._make_room(stored.entry))
        return stored

    def _record(self, recording: Recording, chunk: DataFrame) -> None:
        self._check_size(recording.add(chunk))

    def _is_done(self, miss: Miss, step: Callable[[], object]) -> bool:
        """Whether a step of storing chunks succeeds; if not, it is said, and what is stored is forgotten."""
        refusal = self._shielded(step)
        if isinstance(refusal, NotCacheable):
            self._warn(NotCachedWarning, not_cached(refusal))
            self._forget(miss.question.key)
            return False
        return True

    def _check_size(self, size: int) -> None:
        if size > self._size_limit:
            raise NotCacheable(f"the result is larger than size_limit, {report.size(self._size_limit)}")

    def _make_room(self, newest: Entry) -> None:
        """Evict the oldest other entries where the store is over its size."""
        store = self._store()
        if store.size() > self._size_limit:
            others = [stored.entry for stored in store.entries() if stored.entry.key != newest.key]
            store.delete([entry.key for entry in retention.to_evict(others, self._size_limit - newest.bytes)])

    def _forget(self, key: Key) -> None:
        """Delete what is stored of a question: it is older than what was just seen, and must not come back."""
        self._shielded(lambda: self._store().delete([key.digest]))
