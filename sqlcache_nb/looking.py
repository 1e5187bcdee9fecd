"""What is known of a question before its database is asked: its stored answer, or why it must be asked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlcache_nb import reasons
from sqlcache_nb.chunks import read_back, started
from sqlcache_nb.config import Config
from sqlcache_nb.errors import ConfigError, DamagedPayload, NotCacheable, StoreWarning, ValidatorWarning
from sqlcache_nb.explain import Surroundings, nearest_to
from sqlcache_nb.freshness import Reason, Verdict
from sqlcache_nb.inventory import opened_payload
from sqlcache_nb.keeping import Miss
from sqlcache_nb.parts import Asked
from sqlcache_nb.policy import Policy
from sqlcache_nb.question import Question, examine, question_of, tables_read
from sqlcache_nb.request import CacheOptions, PandasCall
from sqlcache_nb.result import Outcome, Result
from sqlcache_nb.sources import Source, source_of
from sqlcache_nb.space import Space
from sqlcache_nb.standby import Standby
from sqlcache_nb.stores import Store, Stored
from sqlcache_nb.why import Nearest

if TYPE_CHECKING:
    from sqlcache_nb.codec import Payload

_LOADED = time.monotonic()
"""When this kernel came to use the library."""

_NEVER_SEEN = Verdict(False, Reason.FIRST_TIME)

_over = lru_cache(maxsize=8)(Policy.over)
"""One policy over another, which each hit asks for."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A question whose answer is stored and may be served: it is fresh, or stale and about to be refreshed.

    Args:
        question: what is asked.
        verdict: why its answer may be served.
        stored: where it is.
        payload: its file, verified.
    """

    question: Question
    verdict: Verdict
    stored: Stored
    payload: Payload


class Looking(Standby):
    """The entries of one store, in which a question is looked up before its database is asked.

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
        self.policy = settings.policy
        self.overriding: Policy | None = None
        """What comes before `policy`: for the default cache, what `%config` says."""
        self._started = clock() - timedelta(seconds=time.monotonic() - _LOADED)

    @property
    def policy(self) -> Policy:
        """What holds where a call says nothing else."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        if not isinstance(policy, Policy):
            raise ConfigError(f"policy={policy!r} is none: give a Policy, as Policy(ttl='1h')")
        self._policy = policy

    @property
    def policy_in_force(self) -> Policy:
        """`policy`, after what comes before it."""
        return self.policy if self.overriding is None else _over(self.overriding, self.policy)

    def _resolved(self, options: CacheOptions) -> CacheOptions:
        """What the caller says, and where he is silent the cache; of a ttl it must be known who gave it."""
        return options.over(replace(self.policy_in_force, ttl=None))

    def _surroundings(self) -> Surroundings:
        ttl = self.policy_in_force.lifetime
        return Surroundings(self._store, ttl, self._settings.store_params, self._started, self._clock())

    def _hit_or_miss(self, call: PandasCall, source: Source, options: CacheOptions) -> Hit | Miss:
        """What is known before anything is fetched.

        Raises:
            NotCacheable: the question is to be run without the cache.
        """
        asked_at, clearings = self._clock(), self._clearings
        question = question_of(call, source, options.source_name, options.validator)
        found = (
            Verdict(False, Reason.ASKED) if options.refresh else self._look_up(question, options, asked_at)
        )
        if isinstance(found, Hit):
            return found
        facts = examine(question, source, store_random=options.store_random)
        tokens = question.validation.tokens(tables_read(facts))
        asked = question.asked(store_params=self._settings.store_params)
        near = self._nearest(asked) if found.reason is Reason.FIRST_TIME else None
        return Miss(question, asked_at, clearings, asked, found, near, facts, tokens, source.written())

    def _look_up(self, question: Question, options: CacheOptions, asked_at: datetime) -> Hit | Verdict:
        """A hit, or why there is none; what was asked of a validator was true at that time."""
        for _ in range(2):  # between its row and its file another kernel may replace an answer
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
            if payload is not None:
                if verdict.renew:
                    stored = self._renewed(stored, asked_at)
                # What is stale is not to be frozen: a pin is for what is fetched now.
                labels = options if verdict.fresh else replace(options, pin=False)
                return Hit(question, verdict, self._labelled(stored, labels), payload)
        return _NEVER_SEEN

    def _nearest(self, asked: Asked) -> Nearest | None:
        near = self._shielded(lambda: nearest_to(asked, self._store()))
        return None if isinstance(near, NotCacheable) else near

    def _say_doubt(self, question: Question, options: CacheOptions, verdict: Verdict) -> None:
        """Say once that a validator that was asked for cannot tell."""
        if options.validator in ("auto", False) or verdict.reason is Reason.PINNED:
            return
        name, fault = question.validation.name, question.validation.fault
        shown = question.query.shown
        doubt = reasons.doubt(options.validator, name, fault, verdict, question.label, shown)
        if doubt is not None:
            self._warn(ValidatorWarning, doubt)

    def _hit(self, hit: Hit, call: PandasCall, con: Any) -> Result:
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
            ttl=hit.verdict.ttl,
            invalidated_at=hit.verdict.since,
        )
        if not hit.payload.chunked:
            return result
        chunks = started(self._stored_chunks(hit, call, con))
        return replace(result, decode=lambda: chunks)

    def _stored_chunks(self, hit: Hit, call: PandasCall, con: Any) -> Generator[Any, None, None]:
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

    def _asked_again(self, hit: Hit, call: PandasCall, con: Any) -> Any:
        """What pandas gives, since what is stored cannot be decoded."""
        self._shielded(lambda: self._delete([hit.stored], pinned=True, dry_run=False))
        with closing(source_of(con, call.sql)) as source:
            source.prepare()
            return call.run(source.con)
