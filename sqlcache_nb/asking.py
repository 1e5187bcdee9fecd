"""One question, answered: from the cache, or by its database, whose answer is stored if that may be."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime
from functools import partial
from socket import gethostname
from typing import TYPE_CHECKING, Any

from sqlcache_nb import report
from sqlcache_nb.chunks import Recording, started, timed
from sqlcache_nb.config import Config
from sqlcache_nb.errors import CannotLock, NotCacheable, NotCachedWarning, StoreWarning
from sqlcache_nb.flight import Flight, Flights, Waiting
from sqlcache_nb.freshness import Reason
from sqlcache_nb.keeping import Miss
from sqlcache_nb.looking import Hit, Looking
from sqlcache_nb.question import Answer, write_of
from sqlcache_nb.redaction import first_line
from sqlcache_nb.refreshing import Refreshes
from sqlcache_nb.request import CacheOptions, PandasCall
from sqlcache_nb.result import Outcome, Result
from sqlcache_nb.shield import not_cached
from sqlcache_nb.sources import Source, source_of
from sqlcache_nb.sources.outages import is_dead
from sqlcache_nb.space import Space
from sqlcache_nb.stores import Note, Store
from sqlcache_nb.validators import chosen

if TYPE_CHECKING:
    from sqlcache_nb.entry import Entry

logger = logging.getLogger("sqlcache_nb")


class Asking(Looking):
    """The entries of one store, from which a question is answered, or else by its database.

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
        super().__init__(place, space, clock, settings)
        self._flights = Flights(lambda key: self._store().lease(key), clock, self._cannot_lock)
        self._refreshes: Refreshes[Result | None] = Refreshes()

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
            found, is_owners = None, None
            try:
                source.prepare()
                is_owners = bool(options.stale_if_error) and (is_dead(source.con) or source.in_transaction())
                found = self._found(flight, call, source, options)
                if isinstance(found, Hit):
                    return self._counted(self._served(found, call, con, options))
                if before is not None and isinstance(found, Miss):
                    before(found.result(options, lambda: None))
                answer = self._fetched(found, call, source)
            except Exception as fault:
                is_owners = source.in_transaction() if is_owners is None else is_owners
                standing = self._stand_in(fault, found, (call, con, options), is_owners=is_owners)
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
        found: Hit | Miss | NotCacheable | None,
        asked: tuple[PandasCall, Any, CacheOptions],
        *,
        is_owners: bool,
    ) -> Result | None:
        """What is stored, in the place of an error by which the database is out of reach; else None.

        What was lost with a connection or a transaction of a person's own is his to hear of.
        """
        if is_owners or isinstance(found, Hit):
            return None
        standing = self._standing_in(fault, found, *asked, self._surroundings().freshness(asked[-1]))
        return None if standing is None else self._counted(standing)

    def _found(
        self, flight: Flight, call: PandasCall, source: Source, options: CacheOptions
    ) -> Hit | Miss | NotCacheable | None:
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
            return again if isinstance(again, Hit) else found
        options = replace(options, refresh=options.refresh and not flight.is_newer)
        return self._shielded(lambda: self._hit_or_miss(call, source, options))

    def _served(self, hit: Hit, call: PandasCall, con: Any, options: CacheOptions) -> Result:
        """The result of a hit; what is stale is being fetched anew from now on."""
        result = self._hit(hit, call, con)
        return result if hit.verdict.fresh else self._refreshing(result, call, con, options)

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
            logger.warning(report.not_refreshed(entry, first_line(fault), now=self._clock()))
            raise
        finally:
            if self._closings != closings:  # meanwhile: what was opened for this is closed, too
                self.close()
        if result.outcome is Outcome.MISS:  # and neither a hit, by another kernel's word, nor refused
            result = replace(
                result, outcome=Outcome.REFRESHED, detail="in the background: ask again to have it"
            )
        if result.outcome is not Outcome.HIT:
            logger.info(report.line(result, now=self._clock()))
        return result

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

    def _cannot_lock(self, fault: CannotLock) -> None:
        self._warn(StoreWarning, f"{fault}; who asks the same at once is not waited for")

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


def _fitting(options: CacheOptions, source: Source) -> CacheOptions:
    """The options as far as they fit a source.

    Raises:
        ConfigError: no validator of that name is installed, which is no fault of the cache.
    """
    chosen(options.validator, source.dialect_name)
    if not options.stale_while_revalidate or source.elsewhere() is not None:
        return options
    # A person's own connection cannot be asked behind his back.
    return replace(options, stale_while_revalidate=None)


def _whom(note: Note) -> str:
    """Who asks the database, as it is called in this process."""
    return report.whom(note, os.getpid(), gethostname())
