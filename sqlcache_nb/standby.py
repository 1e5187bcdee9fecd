"""What is stored, in the place of a database that is not to be asked, or that is out of reach."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sqlcache_nb import offline, phrases, reasons
from sqlcache_nb.errors import CacheMiss, NotCacheable, StaleWarning, StoreError, warn
from sqlcache_nb.freshness import Freshness, Reason, Verdict
from sqlcache_nb.inventory import opened_payload, result_of
from sqlcache_nb.keeping import Keeper, Miss
from sqlcache_nb.redaction import redact
from sqlcache_nb.request import CacheOptions, PandasCall
from sqlcache_nb.result import Outcome, Result
from sqlcache_nb.sources.outages import outage_of, words_of
from sqlcache_nb.sources.sessions import CannotAsk, CannotConnect
from sqlcache_nb.stores import Stored
from sqlcache_nb.why import Explanation

if TYPE_CHECKING:
    from sqlcache_nb.codec import Payload


class Standby(Keeper):
    """The entries of one store, which answer where the database does not."""

    def _offline(self, call: PandasCall, con: object, options: CacheOptions, freshness: Freshness) -> Result:
        """The stored answer, of whatever age; the database is not asked.

        Args:
            call: what would be given to pandas.
            con: the connection.
            options: the caller's.
            freshness: by which it is said whether the answer is stale.

        Raises:
            CacheMiss: nothing is stored of the question, or it is not known which answer is meant.
            UnsupportedSource: a Session whose filters would be lost.
        """
        if options.no_store:
            raise CacheMiss("offline: the database is not asked, and with no_store neither is the cache")
        question = offline.question_of(
            call, con, options.source_name, store_params=self._settings.store_params
        )
        now = self._clock()
        try:
            stored = question.stored(self._store(), now)
            payload = opened_payload(self._store(), stored)
        except StoreError as fault:  # a damaged payload, too
            raise CacheMiss(f"offline: {fault}") from fault
        if payload is None:
            raise CacheMiss(f"offline: no answer to this question of {question.label} is stored any more")
        verdict = freshness.judge(stored.entry, now, None)
        if not verdict.fresh:
            warn(reasons.stale_offline(verdict, stored.entry, now), StaleWarning)
        outcome = Outcome.HIT if verdict.fresh else Outcome.STALE
        stored = self._labelled(stored, options)
        return result_of(
            outcome, Reason.OFFLINE, stored, payload, reasons.why_stale_in_short(verdict, stored.entry, now)
        )

    def _explained_offline(
        self, call: PandasCall, con: object, options: CacheOptions, freshness: Freshness
    ) -> Explanation:
        """How `_offline` would answer; arguments as there.

        Raises:
            StoreError: the directory cannot be used.
            UnsupportedSource: a Session whose filters would be lost.
        """
        now = self._clock()
        try:
            question = offline.question_of(
                call, con, options.source_name, store_params=self._settings.store_params
            )
            entry = question.stored(self._store(), now).entry
        except CacheMiss as miss:
            return Explanation("miss", Reason.OFFLINE, phrases.one_line(str(miss).replace("\n", " · ")))
        verdict = freshness.judge(entry, now, None)
        told = (
            reasons.why_hit(verdict, entry, now) if verdict.fresh else reasons.why_stale(verdict, entry, now)
        )
        return Explanation("hit" if verdict.fresh else "stale", Reason.OFFLINE, f"offline: {told}", entry)

    def _standing_in(
        self,
        fault: Exception,
        found: Miss | NotCacheable | None,
        call: PandasCall,
        con: object,
        options: CacheOptions,
        freshness: Freshness,
    ) -> Result | None:
        """The stored answer in the place of an error that says that the database is out of reach.

        A refresh is answered, too, if that was consented to: whoever asks for it wants new data, and is told that
        there is none (RFC 5861, 4). What was refused is not: a write, or rows that only a session sees.

        Args:
            fault: what was raised.
            found: what was known before the database was asked; None where that much was not reached.
            call: what was given to pandas.
            con: the connection.
            options: the caller's.
            freshness: the policy, which says how stale it may be.

        Returns:
            The answer; None where the error is to be raised.
        """
        if not freshness.stale_if_error or options.no_store or (outage := outage_of(fault)) is None:
            return None
        if isinstance(found, NotCacheable) and not _was_out_of_reach(found):
            return None
        key = found.question.key.digest if isinstance(found, Miss) else None
        asked = (call, con, options.source_name)
        standing = self._shielded(lambda: self._fit(self._stored_of(key, *asked), freshness))
        if standing is None or isinstance(standing, NotCacheable):
            return None
        stored, verdict, payload = standing
        now, told = self._clock(), redact(words_of(fault))
        warn(reasons.stood_in(outage, told, verdict, stored.entry, now), StaleWarning)
        return result_of(Outcome.STALE, Reason.UNREACHABLE, self._labelled(stored, options), payload, outage)

    def _stored_of(
        self, key: str | None, call: PandasCall, con: object, source_name: str | None
    ) -> Stored | None:
        """What is stored of a question, by its key or as if offline."""
        if key is not None:
            stored = self._store().lookup(key)
            return stored if stored is not None and offline.is_here(stored) else None
        with suppress(CacheMiss):
            question = offline.question_of(call, con, source_name, store_params=self._settings.store_params)
            return question.stored(self._store(), self._clock())
        return None

    def _fit(self, stored: Stored | None, freshness: Freshness) -> tuple[Stored, Verdict, Payload] | None:
        """What is stored, if it may stand in."""
        if stored is None:
            return None
        verdict = freshness.judge(stored.entry, self._clock(), None)
        payload = opened_payload(self._store(), stored) if _may_serve(freshness, verdict) else None
        return None if payload is None else (stored, verdict, payload)


def _may_serve(freshness: Freshness, verdict: Verdict) -> bool:
    return verdict.fresh or freshness.may_stand_in(verdict)


def _was_out_of_reach(refusal: NotCacheable) -> bool:
    """Whether a question was refused because nobody could be asked which database it is put to."""
    if isinstance(refusal, CannotAsk | CannotConnect):
        return True
    return refusal.__cause__ is not None and outage_of(refusal.__cause__) is not None
