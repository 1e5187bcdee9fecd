"""QueryCache, the one orchestrator: hit, miss, refresh, bypass."""

from __future__ import annotations

import inspect
import logging
import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from socket import gethostname
from typing import TYPE_CHECKING, Any

from pandas.api.extensions import no_default

from sqlcache_nb import config, report
from sqlcache_nb.chunks import Recording, read_back, started, timed
from sqlcache_nb.errors import (
    CannotLock,
    DamagedPayload,
    NotCacheable,
    NotCachedWarning,
    StoreWarning,
    ValidatorWarning,
)
from sqlcache_nb.explain import Surroundings, explain, nearest_to
from sqlcache_nb.flight import Flight, Flights, Waiting
from sqlcache_nb.freshness import Reason, Verdict
from sqlcache_nb.inventory import opened_payload
from sqlcache_nb.keeping import Miss
from sqlcache_nb.ledger import Stats
from sqlcache_nb.lifetime import Ttl
from sqlcache_nb.parts import Asked
from sqlcache_nb.policy import Policy, Validate
from sqlcache_nb.question import Answer, Question, examine, question_of, tables_read, write_of
from sqlcache_nb.redaction import redact
from sqlcache_nb.refreshing import Refreshes
from sqlcache_nb.request import CacheOptions, PandasCall, taking_what, told_apart
from sqlcache_nb.result import Outcome, Result, Written
from sqlcache_nb.shield import not_cached
from sqlcache_nb.sources import Source, source_of
from sqlcache_nb.sources.outages import is_dead
from sqlcache_nb.space import Space
from sqlcache_nb.standby import Standby
from sqlcache_nb.stores import Note, Store, Stored
from sqlcache_nb.validators import chosen
from sqlcache_nb.why import Explanation, Nearest

if TYPE_CHECKING:
    from sqlcache_nb.codec import Payload
    from sqlcache_nb.entry import Entry

logger = logging.getLogger("sqlcache_nb")

_announced: set[str] = set()
_LOADED = time.monotonic()
"""When this kernel came to use the library."""


@dataclass(frozen=True, slots=True)
class _Hit:
    """A question whose answer is stored, and why it may be served: it is fresh, or stale and about to be refreshed."""

    question: Question
    verdict: Verdict
    stored: Stored
    payload: Payload


class QueryCache(Standby):
    """A drop-in for `pandas.read_sql` that keeps what it returned.

    Args:
        store: a directory, or a `Store` (default: the configured directory, else the user's cache
            directory).
        ttl: as in `Policy`, like the next six: what holds where a call says nothing else (default: what is
            configured). Results from a SQLite or DuckDB file need no ttl: they are fresh exactly until the file
            changes.
        refresh: as in `Policy`.
        no_store: as in `Policy`.
        offline: as in `Policy`.
        stale_while_revalidate: as in `Policy`.
        stale_if_error: as in `Policy`.
        validate: as in `Policy`.
        size_limit: bytes of payloads to keep at most, or "2GiB" (default: the configured one, else the lesser
            of 10 GiB and a tenth of the disk's free space). What took least time for its size and has not
            been used for long goes first.
        clear_unused: results that nobody has used for so long go, too: "90d", seconds, "never" (default: the
            configured one, else 90 days).
        store_params: whether values of parameters are kept readable (default: the configured one, else
            True), or as digests: enough to say that one differs, and for who may read the directory, to
            try out few possible values. The SQL and the answers are readable there either way.
        keep: how many replaced versions of an answer are kept, 0 or 1, for `load(key, version=-1)` (default: the
            configured one, else 1). They are the first to go when room is needed.
        clock: gives the time, with a zone.

    Raises:
        ConfigError: a ttl, size or the like that cannot be understood, here or in pyproject.toml.

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
        refresh: bool | None = None,
        no_store: bool | None = None,
        offline: bool | None = None,
        stale_while_revalidate: Ttl | None = None,
        stale_if_error: Ttl | None = None,
        validate: Validate | None = None,
        size_limit: str | int | None = None,
        clear_unused: Ttl | None = None,
        store_params: bool | None = None,
        keep: int | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        settings = config.load()
        super().__init__(
            settings.directory if store is None else store,
            Space(
                settings.size_limit if size_limit is None else config.parse_size(size_limit),
                settings.clear_unused if clear_unused is None else config.parse_unused(clear_unused),
                clock,
            ),
            clock,
            settings.keep if keep is None else config.parse_keep(keep),
            store_params=settings.store_params if store_params is None else store_params,
        )
        self._flights = Flights(lambda key: self._store().lease(key), clock, self._cannot_lock)
        self._announcement = report.announcement(settings) if store is None else None
        own = Policy(ttl, refresh, no_store, offline, stale_while_revalidate, stale_if_error, validate)
        self.policy = own.over(settings.policy)
        """What holds where a call says nothing else."""
        self._refreshes: Refreshes[Result | None] = Refreshes()
        self.overriding: Policy | None = None
        """What comes before `policy`: for the default cache, what `%config` says."""
        self._started = clock() - timedelta(seconds=time.monotonic() - _LOADED)

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
        refresh: bool | None = None,
        no_store: bool | None = None,
        offline: bool | None = None,
        stale_while_revalidate: Ttl | None = None,
        stale_if_error: Ttl | None = None,
        validate: Validate | None = None,
        name: str | None = None,
        tag: str | list[str] | tuple[str, ...] | None = None,
        source_name: str | None = None,
        store_random: bool = False,
        pin: bool = False,
    ) -> Result:
        """The answer: from the cache where that is sure to be right, else from the database.

        Takes the arguments of `pandas.read_sql`, for which see `PandasCall`, an ORM Session or
        scoped_session as `con`, too, and as keywords those of `CacheOptions`.

        Raises:
            ConfigError: an option that cannot be understood, or two that cannot be had together.
            UnsupportedSource: a Session whose filters would be lost.
            Exception: whatever `pandas.read_sql` raises.
        """
        call = PandasCall(
            sql, index_col, coerce_float, params, parse_dates, columns, chunksize, dtype_backend, dtype
        )
        options = CacheOptions(
            ttl,
            refresh,
            no_store,
            offline,
            stale_while_revalidate,
            stale_if_error,
            validate,
            name,
            tag,
            source_name,
            store_random,
            pin,
        )
        return self.ask(call, con, options)

    @taking_what(read)
    def read_sql(self, *args: Any, **kwargs: Any) -> Any:
        """`read(...).frame`: takes what `read` takes, gives what `pandas.read_sql` gives, says it in the log."""
        result = self.read(*args, **kwargs)
        if logger.isEnabledFor(logging.INFO):
            if announcement := self.announce():
                logger.info(announcement)
            logger.info(report.line(result, now=self._clock()))
        return result.frame

    @taking_what(read)
    def why(self, *args: Any, **kwargs: Any) -> Explanation:
        """How `read` would answer now, and why: hit, miss, stale or refused, and what the nearest question asked.

        Takes what `read` takes. It runs no query of yours and writes nothing; the stored file itself is
        not looked at. Where no stored statement is the same, the latest from the same source are compared.

        Raises:
            ConfigError: as `read`.
            StoreError: the directory cannot be used.
            UnsupportedSource: as `read`.
        """
        return self.explain(*told_apart(inspect.signature(self.read).bind(*args, **kwargs).arguments))

    def explain(self, call: PandasCall, con: Any, options: CacheOptions) -> Explanation:
        """What `why` does, for those who have put the arguments together."""
        options, around = self._resolved(options), self._surroundings()
        if options.offline:
            return self._explained_offline(call, con, options, around.freshness(options))
        return explain(call, con, options, around)

    @property
    def policy_in_force(self) -> Policy:
        """`policy`, after what comes before it."""
        return self.policy if self.overriding is None else _over(self.overriding, self.policy)

    def _resolved(self, options: CacheOptions) -> CacheOptions:
        """What the caller says, and where he is silent the cache; of a ttl it must be known who gave it."""
        return options.over(replace(self.policy_in_force, ttl=None))

    def _surroundings(self) -> Surroundings:
        ttl = self.policy_in_force.lifetime
        return Surroundings(self._store, ttl, self._store_params, self._started, self._clock())

    def ask(
        self,
        call: PandasCall,
        con: Any,
        options: CacheOptions,
        *,
        before: Callable[[Result], None] | None = None,
        waiting: Callable[[str], None] | None = None,
    ) -> Result:
        """What `read` does, for those who have put the arguments together.

        If it is to be fetched and stored, `before` gets what is known of the answer, before the database is asked.
        While somebody else asks the same, `waiting` gets a line each second; without it, the log gets one.
        """
        wants_refresh = bool(options.refresh)
        options = self._resolved(options)
        if options.offline:
            freshness = self._surroundings().freshness(options)
            standing = self._counted(self._offline(call, con, options, freshness))
            return replace(standing, detail=report.gave_way(standing.detail)) if wants_refresh else standing
        is_refresh = bool(options.refresh)
        with Flight(self._flights, self._telling(waiting), is_refresh=is_refresh) as flight:
            result = self._answer(call, con, options, flight, before)
            if result.entry is not None and result.outcome is not Outcome.STALE:
                flight.landed()
        if flight.waited is None:
            return result
        whom = None if flight.awaited is None else _whom(flight.awaited)
        return replace(result, waited=flight.waited, waited_for=whom)

    def _answer(
        self,
        call: PandasCall,
        con: Any,
        options: CacheOptions,
        flight: Flight,
        before: Callable[[Result], None] | None,
    ) -> Result:
        """The answer: a hit, or fetched, and stored if that may be."""
        with ExitStack() as borrowed:
            vouched = options.source_name is not None
            source = borrowed.enter_context(closing(source_of(con, call.sql, vouched=vouched)))
            options = _fitting(options, source)
            found, was_dead = None, False
            try:
                source.prepare()
                was_dead = is_dead(source.con)
                found = self._found(flight, call, source, options)
                if isinstance(found, _Hit):
                    return self._counted(self._served(found, call, con, options))
                if before is not None and isinstance(found, Miss):
                    before(found.result(options, lambda: None))
                answer = self._fetched(found, call, source)
            except Exception as fault:
                standing = None if was_dead else self._stand_in(fault, found, (call, con, options))
                if standing is None:
                    raise
                return standing
            if isinstance(found, Miss) and call.chunksize is None:
                doubt = self._shielded(partial(source.confirm, volatile=found.facts.volatile))
                answer = replace(answer, doubt=doubt)
            if call.chunksize is not None:
                miss = found if isinstance(found, Miss) else None
                borrowed.pop_all()  # until the last chunk
                answer = replace(answer, frame=started(self._chunks(answer, miss, call, source, options)))
        if not isinstance(found, Miss):
            return self._refused(source.label, answer, found)
        fetched = found.result(options, lambda: answer.frame)
        if call.chunksize is not None:
            return self._counted(replace(fetched, detail="stored once its last chunk is read"))
        stored = self._shielded(lambda: self._keep(found, answer, options))
        if isinstance(stored, NotCacheable):
            self._forget(found.question.key)
            return self._refused(found.question.label, answer, stored)
        return self._counted(replace(fetched, **stored._asdict(), elapsed=answer.elapsed))

    def _stand_in(
        self,
        fault: Exception,
        found: _Hit | Miss | NotCacheable | None,
        asked: tuple[PandasCall, Any, CacheOptions],
    ) -> Result | None:
        """What is stored, in the place of an error by which the database is out of reach; else None."""
        if isinstance(found, _Hit):
            return None
        standing = self._standing_in(fault, found, *asked, self._surroundings().freshness(asked[-1]))
        return None if standing is None else self._counted(standing)

    def _found(
        self, flight: Flight, call: PandasCall, source: Source, options: CacheOptions
    ) -> _Hit | Miss | NotCacheable | None:
        """What is known before anything is fetched; on a miss others wait for this one, or this one for another."""
        if options.no_store:
            return None
        found = self._shielded(lambda: self._hit_or_miss(call, source, options))
        if not isinstance(found, Miss) or call.chunksize is not None or source.in_transaction():
            return found
        self._shielded(lambda: flight.board(found.question.key.digest, source.close))
        if flight.waited is None:  # somebody may have stored it just now
            look_up = partial(self._look_up, found.question, options, found.asked_at)
            again = self._shielded(look_up) if flight.is_ours and not options.refresh else None
            return again if isinstance(again, _Hit) else found
        options = replace(options, refresh=options.refresh and not flight.is_newer)
        return self._shielded(lambda: self._hit_or_miss(call, source, options))

    def _hit_or_miss(self, call: PandasCall, source: Source, options: CacheOptions) -> _Hit | Miss:
        """What is known before anything is fetched.

        Raises:
            NotCacheable: the question is to be run without the cache.
        """
        asked_at = self._clock()
        question = question_of(call, source, options.source_name, options.validator)
        found = (
            Verdict(False, Reason.ASKED) if options.refresh else self._look_up(question, options, asked_at)
        )
        if isinstance(found, _Hit):
            return found
        facts = examine(question, source, store_random=options.store_random)
        tokens = question.validation.tokens(tables_read(facts))
        asked = question.asked(store_params=self._store_params)
        near = self._nearest(asked) if found.reason is Reason.FIRST_TIME else None
        return Miss(question, asked_at, asked, found, near, facts, tokens, source.written())

    def _telling(self, waiting: Callable[[str], None] | None) -> Waiting:
        """Says for whom a read waits: in the log once."""
        said: list[str] = []

        def tell(note: Note, waited: float) -> None:
            asking = max((self._clock() - note.since).total_seconds(), waited)
            line = report.waiting(_whom(note), asking)
            if waiting is not None:
                waiting(line)
            elif not said:
                said.append(line)
                logger.info(line)

        return tell

    def _nearest(self, asked: Asked) -> Nearest | None:
        near = self._shielded(lambda: nearest_to(asked, self._store()))
        return None if isinstance(near, NotCacheable) else near

    def _look_up(self, question: Question, options: CacheOptions, asked_at: datetime) -> _Hit | Verdict:
        """A hit, or why there is none; what was asked of a validator was true at that time."""
        around = self._surroundings()
        stored, verdict = around.look_up(question, options)
        self._say_doubt(question, options, verdict)
        if stored is None or not (verdict.fresh or around.freshness(options).may_wait(verdict)):
            return verdict
        try:
            payload = opened_payload(self._store(), stored)
        except DamagedPayload as fault:
            self._warn(StoreWarning, f"{fault}; the database was asked again")
            return Verdict(False, Reason.DAMAGED)
        if payload is None:
            return _NEVER_SEEN
        if verdict.renew:
            stored = self._renewed(stored, asked_at)
        return _Hit(question, verdict, self._labelled(stored, options), payload)

    def _say_doubt(self, question: Question, options: CacheOptions, verdict: Verdict) -> None:
        """Say once that a validator that was asked for cannot tell."""
        if options.validator in ("auto", False):
            return
        validation = question.validation
        name = None if validation.validator is None else validation.validator.name
        doubt = report.doubt(options.validator, name, validation.fault, verdict, question.label)
        if doubt is not None:
            self._warn(ValidatorWarning, doubt)

    def _served(self, hit: _Hit, call: PandasCall, con: Any, options: CacheOptions) -> Result:
        """The result of a hit; what is stale is being fetched anew from now on."""
        result = self._hit(hit, call, con)
        return result if hit.verdict.fresh else self._refreshing(result, call, con, options)

    def _hit(self, hit: _Hit, call: PandasCall, con: Any) -> Result:
        """The result of a hit: decoded when it is looked at, and fetched again if that should fail."""

        def decode() -> Any:
            frame = self._shielded(lambda: hit.payload.frame)
            return self._asked_again(hit, call, con) if isinstance(frame, NotCacheable) else frame

        stored, label = hit.stored, hit.question.label
        result = Result(
            Outcome.HIT if hit.verdict.fresh else Outcome.STALE,
            hit.verdict.reason,
            label,
            decode,
            entry=stored.entry,
            path=stored.path,
            token=hit.verdict.token,
            invalidated_at=hit.verdict.since,
        )
        if not hit.payload.chunked:
            return result
        chunks = started(self._stored_chunks(hit, call, con))
        return replace(result, decode=lambda: chunks)

    def _refreshing(self, stale: Result, call: PandasCall, con: Any, options: CacheOptions) -> Result:
        """A stale answer, whose question is being asked anew in the background."""
        if stale.entry is None:
            return stale
        alone = replace(options, stale_while_revalidate=None, stale_if_error=None)
        begun = self._refreshes.begin(
            stale.entry.key, partial(self._refresh, stale.entry, call.kept(), con, alone)
        )
        return replace(stale, refreshing=begun, detail="refreshing in the background")

    def _refresh(self, entry: Entry, call: PandasCall, con: Any, options: CacheOptions) -> Result | None:
        """Fetch an answer anew, and say so in the log; None where another kernel is about it.

        What fails leaves the stored answer as it is: stale, and some time past its window.
        """
        closings = self._closings
        try:
            with Flight(self._flights, self._telling(None)) as flight:
                if self._shielded(partial(flight.take_off, entry.key)) is not True:
                    return None
                result = self._answer(call, con, options, flight, None)
                if call.chunksize is not None:
                    for _ in result.frame:
                        pass
                elif result.entry is not None:
                    flight.landed()
        except Exception as fault:
            told = redact(f"{type(fault).__name__}: {fault}".partition("\n")[0])
            logger.warning(report.not_refreshed(entry, told, now=self._clock()))
            raise
        finally:
            if self._closings != closings:  # meanwhile: what was opened for this is closed, too
                self.close()
        if result.outcome is not Outcome.HIT:  # by another kernel, just before
            logger.info(report.line(result, now=self._clock()))
        return result

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
        self._shielded(lambda: self._delete([hit.stored], pinned=True, dry_run=False))
        with closing(source_of(con, call.sql)) as source:
            source.prepare()
            return call.run(source.con)

    def _fetched(self, found: Miss | NotCacheable | None, call: PandasCall, source: Source) -> Answer:
        """What the database gives; what a write has touched is invalidated."""
        try:
            return self._fetch(call, source)
        finally:  # it may be done although pandas makes no frame of it
            if not isinstance(found, Miss):
                self._shielded(lambda: self._invalidate_written(*write_of(call, source)))

    def _fetch(self, call: PandasCall, source: Source) -> Answer:
        """Ask the database; its errors are pandas' own and pass through."""
        fetched_at, begun = self._clock(), time.perf_counter()
        frame = call.run(source.con)
        return Answer(frame, fetched_at, time.perf_counter() - begun)

    def _chunks(
        self, answer: Answer, miss: Miss | None, call: PandasCall, source: Source, options: CacheOptions
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

    def _cannot_lock(self, fault: CannotLock) -> None:
        self._warn(StoreWarning, f"{fault}; who asks the same at once is not waited for")

    def _refused(self, label: str, answer: Answer, refusal: NotCacheable | None) -> Result:
        if refusal is None:
            return self._bypass(label, answer, Reason.ASKED, "no_store was given")
        self._warn(NotCachedWarning, not_cached(refusal))
        return self._bypass(label, answer, Reason.REFUSED, str(refusal))

    def _bypass(self, label: str, answer: Answer, reason: Reason, detail: str) -> Result:
        return self._counted(
            Result(Outcome.BYPASSED, reason, label, lambda: answer.frame, detail, elapsed=answer.elapsed)
        )

    def _counted(self, result: Result) -> Result:
        self._ledger.count(result.outcome, result.entry)
        if result.outcome in (Outcome.HIT, Outcome.STALE) and result.entry is not None:
            with self._lock:
                self._used.add(result.entry.key)
        return result

    def announce(self) -> str | None:
        """A sentence about the pyproject.toml that chose the directory: once in a process, and then None."""
        with self._lock:
            if self._announcement is None or self._announcement in _announced:
                return None
            _announced.add(self._announcement)
            return self._announcement

    # --- beside reading -------------------------------------------------------------------------------

    def stats(self) -> Stats:
        """What the cache holds, what this process had of it, and what all kernels had, day by day.

        Raises:
            StoreError: the directory cannot be used.
        """
        kept, own = self.entry_list(), self._ledger.own
        return Stats(
            entries=len(kept),
            bytes=sum(entry.bytes for entry in kept),
            elapsed=sum(entry.provenance.elapsed for entry in kept),
            sources=len({entry.provenance.source for entry in kept}),
            pinned=sum(entry.pinned for entry in kept),
            size_limit=self.size_limit,
            hits=own.hits,
            misses=own.misses,
            refreshed=own.refreshed,
            bypassed=own.bypassed,
            saved=own.saved,
            saved_bytes=own.saved_bytes,
            days=self._ledger.days(self._store()),
        )

    def execute(self, sql: Any, con: Any, params: Any = None) -> Written:
        """Run a write once, in a transaction of its own that is committed; nothing is cached.

        The rows of a RETURNING are the `frame` of what it gives.

        Stored answers from the same database that name a table which it touched are then stale; where that
        cannot be told, as of a procedure, all from the same database.

        Args:
            sql: a string for the driver as it stands, or a statement of SQLAlchemy.
            con: an Engine or a URL.
            params: values to bind.

        Raises:
            UnsupportedSource: a connection, whose transactions are its owner's.
            Exception: whatever the driver raises; nothing is invalidated then.
        """
        from sqlcache_nb.sources import writing

        return Written(*writing.execute(con, sql, params, self._invalidated_by))


_over = lru_cache(maxsize=8)(Policy.over)
"""One policy over another, which each hit asks for."""


def _fitting(options: CacheOptions, source: Source) -> CacheOptions:
    """The options as far as they fit a source.

    Raises:
        ConfigError: no validator of that name is installed, which is no fault of the cache.
    """
    chosen(options.validator, source.dialect_name)
    # A person's own connection cannot be asked behind his back.
    return options if source.elsewhere() is not None else replace(options, stale_while_revalidate=None)


def _whom(note: Note) -> str:
    """Who asks the database, as it is called in this process."""
    return report.whom(note, os.getpid(), gethostname())


_NEVER_SEEN = Verdict(False, Reason.FIRST_TIME)
