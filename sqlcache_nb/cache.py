"""QueryCache, the one orchestrator: hit, miss, refresh, bypass."""

from __future__ import annotations

import inspect
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, ParamSpec, TypeVar

from pandas import DataFrame
from pandas.api.extensions import no_default

from sqlcache_nb import config, guard, report, retention
from sqlcache_nb.chunks import Recording, read_back, started, timed
from sqlcache_nb.entry import Entry, Provenance
from sqlcache_nb.errors import (
    DamagedPayload,
    NotCacheable,
    NotCachedWarning,
    SqlcacheWarning,
    StoreError,
    StoreWarning,
    UnsupportedSource,
    warn,
)
from sqlcache_nb.freshness import Reason, Ttl, parse_ttl
from sqlcache_nb.identity import working_directory
from sqlcache_nb.inventory import Inventory, Stats, opened_payload
from sqlcache_nb.key import Key
from sqlcache_nb.question import Answer, Question, examine, provenance_of, question_of
from sqlcache_nb.redaction import redact
from sqlcache_nb.request import CacheOptions, PandasCall
from sqlcache_nb.result import Outcome, Result
from sqlcache_nb.sources import Source, source_of
from sqlcache_nb.stores import Store, Stored

if TYPE_CHECKING:
    from sqlcache_nb.codec import Payload

logger = logging.getLogger("sqlcache_nb")

_announced: set[str] = set()

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class _Hit:
    """A question whose answer is stored and fresh, and why."""

    question: Question
    reason: Reason
    stored: Stored
    payload: Payload


@dataclass(frozen=True, slots=True)
class _Miss:
    """A question that must be fetched, why, what its statement does, and what its session had written."""

    question: Question
    reason: Reason
    facts: guard.Facts
    written: int | None


def _taking_what(other: Callable[P, Any]) -> Callable[[Callable[..., Any]], Callable[P, Any]]:
    """Give a function the parameters of another, for type checkers and for Shift-Tab."""

    def take(function: Callable[..., Any]) -> Callable[P, Any]:
        taking: Any = function
        taking.__signature__ = inspect.signature(other)
        return function

    return take


class QueryCache(Inventory):
    """A drop-in for `pandas.read_sql` that keeps what it returned.

    Args:
        store: a directory, or a `Store` (default: the configured directory, else the user's cache
            directory).
        ttl: how long a result is fresh by default: seconds, a timedelta, "1h", "7d", "forever"
            (default: the configured one, else one day). Results from a SQLite or DuckDB file do not
            need it: they are fresh exactly until the file changes.
        size_limit: bytes of payloads to keep at most, or "2GiB" (default: the configured one, else
            10 GiB). The oldest results go first.
        clock: gives the time, with a zone.

    Raises:
        ConfigError: a ttl or size that cannot be understood, here or in pyproject.toml.

    Example:
        >>> import sqlite3, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> con = sqlite3.connect(folder.name + "/numbers.db")
        >>> with con:
        ...     _ = con.execute("create table numbers as select 1 as n")
        >>> with QueryCache(folder.name + "/cache") as cache:
        ...     [str(cache.read("select n from numbers", con).outcome) for _ in range(2)]
        ['miss', 'hit']
        >>> con.close(); folder.cleanup()
    """

    def __init__(
        self,
        store: Store | str | os.PathLike[str] | None = None,
        *,
        ttl: Ttl | None = None,
        size_limit: str | int | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        settings = config.load()
        super().__init__(settings.directory if store is None else store, clock)
        self._announcement = report.announcement(settings) if store is None else None
        self._default_ttl = settings.ttl if ttl is None else parse_ttl(ttl)
        self._size_limit = settings.size_limit if size_limit is None else config.parse_size(size_limit)
        self._counts: Counter[Outcome] = Counter()
        self._saved = 0.0
        self._said: set[tuple[object, str]] = set()

    # --- reading ------------------------------------------------------------------------------------

    def read(
        self,
        sql: Any,
        con: Any,
        index_col: str | list[str] | None = None,
        coerce_float: bool = True,
        params: Any = None,
        parse_dates: Any = None,
        columns: list[str] | None = None,
        chunksize: int | None = None,
        dtype_backend: Any = no_default,
        dtype: Any = None,
        *,
        ttl: Ttl | None = None,
        refresh: bool = False,
        no_store: bool = False,
        validate: Literal["auto", False] = "auto",
        name: str | None = None,
        tag: str | list[str] | tuple[str, ...] | None = None,
        source_name: str | None = None,
    ) -> Result:
        """The answer: from the cache where that is sure to be right, else from the database.

        Takes the arguments of `pandas.read_sql`, for which see `PandasCall`, an ORM Session or
        scoped_session as `con`, too, and as keywords those of `CacheOptions`.

        Raises:
            ConfigError: a ttl or validate that cannot be understood, or refresh together with no_store.
            UnsupportedSource: a Session whose filters would be lost.
            Exception: whatever `pandas.read_sql` raises.
        """
        call = PandasCall(
            sql, index_col, coerce_float, params, parse_dates, columns, chunksize, dtype_backend, dtype
        )
        options = CacheOptions(ttl, refresh, no_store, validate, name, tag, source_name)
        return self._read(call, con, options)

    @_taking_what(read)
    def read_sql(self, *args: Any, **kwargs: Any) -> Any:
        """`read(...).frame`: takes what `read` takes, gives what `pandas.read_sql` gives, says it in the log."""
        result = self.read(*args, **kwargs)
        if logger.isEnabledFor(logging.INFO):
            if announcement := self.announce():
                logger.info(announcement)
            logger.info(report.line(result, now=self._clock()))
        return result.frame

    def _read(self, call: PandasCall, con: Any, options: CacheOptions) -> Result:
        with ExitStack() as borrowed:
            vouched = options.source_name is not None
            source = borrowed.enter_context(closing(source_of(con, call.sql, vouched=vouched)))
            source.prepare()
            found = (
                None if options.no_store else self._shielded(lambda: self._hit_or_miss(call, source, options))
            )
            if isinstance(found, _Hit):
                return self._counted(self._hit(found, call, con))
            answer = self._fetch(call, source)
            if call.chunksize is not None:
                miss = found if isinstance(found, _Miss) else None
                borrowed.pop_all()  # until the last chunk
                answer = replace(answer, frame=started(self._chunks(answer, miss, call, source, options)))
        if found is None:
            return self._bypass(source.label, answer, Reason.ASKED, "no_store was given")
        if isinstance(found, NotCacheable):
            return self._refused(source.label, answer, found)
        outcome = Outcome.REFRESHED if options.refresh else Outcome.MISS
        fetched = Result(outcome, found.reason, found.question.label, decode=lambda: answer.frame)
        if call.chunksize is not None:
            return self._counted(replace(fetched, detail="stored once its last chunk is read"))
        stored = self._shielded(lambda: self._keep(found, answer, options))
        if isinstance(stored, NotCacheable):
            self._forget(found.question.key)
            return self._refused(found.question.label, answer, stored)
        return self._counted(replace(fetched, entry=stored.entry, path=stored.path, elapsed=answer.elapsed))

    def _hit_or_miss(self, call: PandasCall, source: Source, options: CacheOptions) -> _Hit | _Miss:
        """What is known before anything is fetched.

        Raises:
            NotCacheable: the question is to be run without the cache.
        """
        question = question_of(call, source, options.source_name)
        found = Reason.ASKED if options.refresh else self._look_up(question, options)
        if isinstance(found, _Hit):
            return found
        return _Miss(question, found, examine(question, source), source.written())

    def _look_up(self, question: Question, options: CacheOptions) -> _Hit | Reason:
        """A hit, or why there is none."""
        store = self._store()
        stored = store.lookup(question.key.digest)
        if stored is None or stored.entry.directory not in (None, working_directory()):
            return Reason.FIRST_TIME
        verdict = options.freshness(self._default_ttl).judge(stored.entry, self._clock(), question.token)
        if not verdict.fresh:
            return verdict.reason
        try:
            payload = opened_payload(store, stored)
        except DamagedPayload as fault:
            self._warn(StoreWarning, f"{fault}; the database was asked again")
            return Reason.DAMAGED
        if payload is None:
            return Reason.FIRST_TIME
        entry = stored.entry.labelled(options.name, options.tags)
        if entry != stored.entry:
            try:
                store.update(entry)
            except StoreError as fault:  # no reason to ask the database
                self._warn(StoreWarning, str(fault))
                entry = stored.entry
        return _Hit(question, verdict.reason, replace(stored, entry=entry), payload)

    def _hit(self, hit: _Hit, call: PandasCall, con: Any) -> Result:
        """The result of a hit: decoded when it is looked at, and fetched again if that should fail."""

        def decode() -> Any:
            frame = self._shielded(lambda: hit.payload.frame)
            return self._asked_again(hit, call, con) if isinstance(frame, NotCacheable) else frame

        stored, label = hit.stored, hit.question.label
        result = Result(Outcome.HIT, hit.reason, label, decode, entry=stored.entry, path=stored.path)
        if not hit.payload.chunked:
            return result
        chunks = started(self._stored_chunks(hit, call, con))
        return replace(result, decode=lambda: chunks)

    def _stored_chunks(self, hit: _Hit, call: PandasCall, con: Any) -> Generator[Any, None, None]:
        """Nothing, to be `started`, and then the chunks of a hit.

        Raises:
            CodecError: one after the first cannot be decoded; those that were handed out cannot be called back.
        """
        with closing(read_back(hit.payload)) as chunks:
            yield next(chunks)
            first = self._shielded(lambda: next(chunks))
            if isinstance(first, NotCacheable):
                yield from self._asked_again(hit, call, con)
            else:
                yield first
                yield from chunks

    def _asked_again(self, hit: _Hit, call: PandasCall, con: Any) -> Any:
        """What pandas gives, since what is stored cannot be decoded."""
        self._forget(hit.question.key)
        with closing(source_of(con, call.sql)) as source:
            source.prepare()
            return call.run(source.con)

    def _fetch(self, call: PandasCall, source: Source) -> Answer:
        """Ask the database; its errors are pandas' own and pass through."""
        fetched_at, begun = self._clock(), time.perf_counter()
        frame = call.run(source.con)
        return Answer(frame, fetched_at, time.perf_counter() - begun)

    def _chunks(
        self, answer: Answer, miss: _Miss | None, call: PandasCall, source: Source, options: CacheOptions
    ) -> Generator[Any, None, None]:
        """Nothing, to be `started`, and then the chunks as pandas makes them; stored after the last one."""
        recording = Recording(self._store)
        with closing(source), closing(answer.frame) as chunks, closing(recording):
            yield None
            elapsed = answer.elapsed
            for chunk, seconds in timed(chunks):
                elapsed += seconds
                if miss is not None and not self._is_done(miss, partial(self._record, recording, chunk)):
                    miss = None
                yield chunk
            if miss is not None:
                whole = replace(answer, elapsed=elapsed)
                self._is_done(miss, lambda: self._keep_chunks(miss, whole, recording, call, source, options))

    def _record(self, recording: Recording, chunk: DataFrame) -> None:
        self._check_size(recording.add(chunk))

    def _is_done(self, miss: _Miss, step: Callable[[], object]) -> bool:
        """Whether a step of storing chunks succeeds; if not, it is said, and what is stored is forgotten."""
        refusal = self._shielded(step)
        if isinstance(refusal, NotCacheable):
            self._warn(NotCachedWarning, _not_cached(refusal))
            self._forget(miss.question.key)
            return False
        return True

    def _keep_chunks(
        self,
        miss: _Miss,
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
        provenance = provenance_of(miss.question, miss.facts, answer, recording.shape, recording.chunks)
        self._write(miss, provenance, recording.finish(provenance.to_json()), options)

    def _keep(self, miss: _Miss, answer: Answer, options: CacheOptions) -> Stored:
        """Store an answer.

        Raises:
            NotCacheable: it would not come back exactly, or is too large.
            StoreError: the directory cannot be used.
        """
        from sqlcache_nb.codec import encode

        provenance = provenance_of(miss.question, miss.facts, answer, answer.frame.shape)
        payload = encode(answer.frame, provenance.to_json())
        self._check_size(payload.size)
        return self._write(miss, provenance, memoryview(payload), options)

    def _write(
        self, miss: _Miss, provenance: Provenance, payload: memoryview | BinaryIO, options: CacheOptions
    ) -> Stored:
        """Write an entry and its payload, and make room for them."""
        token, dialect, facts = miss.question.token, miss.question.dialect, miss.facts
        store = self._store()
        before = store.lookup(miss.question.key.digest)  # whose ttl, name and tags stay if none are given
        entry = Entry(
            provenance,
            ttl=before.entry.ttl if before is not None and options.seconds is None else options.seconds,
            token=token,
            exact=facts.covered and not facts.volatile and token is not None,
            volatile=facts.volatile,
            directory=None if facts.covered or dialect != "duckdb" else working_directory(),
            name=before.entry.name if before is not None else None,
            tags=before.entry.tags if before is not None else (),
        ).labelled(options.name, options.tags)
        stored = store.write(entry, payload)
        self._shielded(lambda: self._make_room(stored.entry))
        return stored

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

    def _refused(self, label: str, answer: Answer, refusal: NotCacheable) -> Result:
        self._warn(NotCachedWarning, _not_cached(refusal))
        return self._bypass(label, answer, Reason.REFUSED, str(refusal))

    def _bypass(self, label: str, answer: Answer, reason: Reason, detail: str) -> Result:
        return self._counted(
            Result(Outcome.BYPASSED, reason, label, lambda: answer.frame, detail, elapsed=answer.elapsed)
        )

    def _counted(self, result: Result) -> Result:
        with self._lock:
            self._counts[result.outcome] += 1
            if result.outcome is Outcome.HIT and result.entry is not None:
                self._saved += result.entry.provenance.elapsed
        return result

    def _shielded(self, stage: Callable[[], T]) -> T | NotCacheable:
        """What a stage of ours gives, or why it does not: no fault of ours fails a query."""
        try:
            return stage()
        except NotCacheable as refusal:
            return refusal
        except StoreError as fault:
            with suppress(StoreError):
                self.close()  # to be opened anew: the directory may have been removed under us
            return self._stood_aside(str(fault), "the cache directory cannot be used")
        except Exception as fault:  # noqa: BLE001  # a mistake of ours is said, and does not cost the answer
            # Of SQLAlchemy's messages the first line names no values.
            told = redact(f"{type(fault).__name__}: {fault}".partition("\n")[0])
            text = f"sqlcache_nb made a mistake and stood aside, please report it: {told}"
            return self._stood_aside(text, "sqlcache_nb made a mistake")

    def _stood_aside(self, text: str, detail: str) -> NotCacheable:
        """A fault of ours, said in full and once; its consequence is then no news."""
        self._warn(StoreWarning, text)
        refusal = NotCacheable(detail)
        self._is_new(NotCachedWarning, _not_cached(refusal))
        return refusal

    def announce(self) -> str | None:
        """A sentence about the pyproject.toml that chose the directory: once in a process, and then None."""
        with self._lock:
            if self._announcement is None or self._announcement in _announced:
                return None
            _announced.add(self._announcement)
            return self._announcement

    def _warn(self, category: type[SqlcacheWarning], text: str) -> None:
        """Warn once per text, at the caller's own line."""
        if self._is_new(category, text):
            warn(text, category)

    def _is_new(self, what: object, text: str) -> bool:
        """Whether this cache says it for the first time."""
        with self._lock:
            is_new = (what, text) not in self._said
            self._said.add((what, text))
            return is_new

    @property
    def ttl(self) -> float:
        """Seconds for which an entry is fresh that was stored without a ttl."""
        return self._default_ttl

    @ttl.setter
    def ttl(self, ttl: Ttl) -> None:
        self._default_ttl = parse_ttl(ttl)

    # --- beside reading -------------------------------------------------------------------------------

    def stats(self) -> Stats:
        """What the cache holds, and what this process had of it.

        Raises:
            StoreError: the directory cannot be used.
        """
        kept = self.entry_list()
        return Stats(
            entries=len(kept),
            bytes=sum(entry.bytes for entry in kept),
            elapsed=sum(entry.provenance.elapsed for entry in kept),
            sources=len({entry.provenance.source for entry in kept}),
            hits=self._counts[Outcome.HIT],
            misses=self._counts[Outcome.MISS],
            refreshed=self._counts[Outcome.REFRESHED],
            bypassed=self._counts[Outcome.BYPASSED],
            saved=self._saved,
        )

    def execute(self, sql: Any, con: Any, params: Any = None) -> int:
        """Run a write once, in a transaction of its own that is committed; nothing is cached.

        Args:
            sql: a string for the driver as it stands, or a statement of SQLAlchemy.
            con: an Engine or a URL.
            params: values to bind.

        Returns:
            The number of rows touched, -1 where the driver does not tell.

        Raises:
            UnsupportedSource: a connection, whose transactions are its owner's.
            Exception: whatever the driver raises.
        """
        from sqlalchemy.engine import Engine

        from sqlcache_nb.sources import engines

        if not isinstance(con, str | Engine):
            raise UnsupportedSource(
                "a write needs an Engine or a URL: a connection's transactions are its owner's"
            )
        return engines.execute(con, sql, params)


def _not_cached(refusal: NotCacheable) -> str:
    return f"not cached: {refusal}"
