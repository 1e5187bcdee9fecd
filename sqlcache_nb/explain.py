"""Whether a question's answer is stored and good, and why: what a read would find, without asking the database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlcache_nb import reasons
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.freshness import Freshness, Reason, Verdict
from sqlcache_nb.identity import working_directory
from sqlcache_nb.lifetime import Lifetime
from sqlcache_nb.parts import Asked
from sqlcache_nb.question import Question, examine, question_of, tables_read
from sqlcache_nb.request import CacheOptions, PandasCall
from sqlcache_nb.sources import source_of
from sqlcache_nb.sources.sessions import CannotAsk, CannotConnect
from sqlcache_nb.stores import Store, Stored
from sqlcache_nb.why import Explanation, Nearest, likely, moved, nearest


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What decides about an answer beside the question.

    Args:
        store: gives the store.
        default_ttl: the time to live of entries that were stored without one, None where nobody has said.
        store_params: whether the values of parameters may be read, and not only compared.
        started: when this kernel started, with a zone.
        now: the time, with a zone.
    """

    store: Callable[[], Store]
    default_ttl: Lifetime | None
    store_params: bool
    started: datetime
    now: datetime

    def freshness(self, options: CacheOptions) -> Freshness:
        """The policy by which what is stored is judged.

        Args:
            options: what the caller, and where he is silent the cache, says.
        """
        return Freshness(
            ttl=options.lifetime,
            default_ttl=self.default_ttl,
            random=options.store_random,
            stale_while_revalidate=options.window("stale_while_revalidate"),
            stale_if_error=options.window("stale_if_error"),
            started=self.started,
        )

    def look_up(self, question: Question, options: CacheOptions) -> tuple[Stored | None, Verdict]:
        """What is stored of a question, and whether it may be served.

        Args:
            question: what is asked.
            options: the caller's policy.
        """
        stored = self.store().lookup(question.key.digest)
        if stored is None or stored.entry.directory not in (None, working_directory()):
            return stored, Verdict(False, Reason.FIRST_TIME)
        token = question.validation.token(tables_read(stored.entry.provenance))
        return stored, self.freshness(options).judge(stored.entry, self.now, token)


def nearest_to(asked: Asked, store: Store) -> Nearest | None:
    """The stored question that is most like one asked for the first time, of the same database.

    Args:
        asked: the question.
        store: where to look.
    """
    near = nearest(asked, [stored.entry for stored in store.alike(asked.sql)])
    return near if near is not None and near.differences and near.same_database else None


def explain(call: PandasCall, con: Any, options: CacheOptions, around: Surroundings) -> Explanation:
    """How a question would be answered now, and why.

    Args:
        call: what would be given to pandas.
        con: the connection.
        options: what would be given to the cache.
        around: what decides beside them.

    Raises:
        StoreError: the directory cannot be used.
        UnsupportedSource: a Session whose filters would be lost.
    """
    with closing(source_of(con, call.sql, vouched=options.source_name is not None)) as source:
        # A Session is looked at as it is, and not flushed.
        with getattr(con, "no_autoflush", None) or nullcontext():
            source.prepare()
        if options.no_store:
            return Explanation("refused", Reason.ASKED, "refused: no_store was given")
        try:
            question = question_of(call, source, options.source_name, options.validator)
            if options.refresh:
                stored, verdict = None, Verdict(False, Reason.ASKED)
            else:
                stored, verdict = around.look_up(question, options)
            if stored is not None and verdict.fresh:
                told = reasons.why_hit(verdict, stored.entry, around.now, question.validation.name)
                return Explanation("hit", verdict.reason, told, stored.entry)
            is_elsewhere = source.elsewhere() is not None
            examine(question, source, store_random=options.store_random)
        except NotCacheable as refusal:
            told = f"refused: {refusal}"
            if isinstance(refusal, CannotAsk | CannotConnect) and options.window("stale_if_error"):
                told += "; what is stored may stand in (stale_if_error)"
            return Explanation("refused", Reason.REFUSED, told)
    if stored is not None and verdict.reason is not Reason.FIRST_TIME:
        may_wait = around.freshness(options).may_wait(verdict) and is_elsewhere
        name = question.validation.name
        told = reasons.why_stale(verdict, stored.entry, around.now, name, may_wait=may_wait)
        return Explanation("stale", verdict.reason, told, stored.entry)
    if options.refresh:
        return Explanation("miss", Reason.ASKED, "miss: refresh was given")
    asked = question.asked(store_params=around.store_params)
    return _missed(_found_near(asked, stored, around.store(), question.label), around.now)


def _found_near(asked: Asked, stored: Stored | None, store: Store, source: str) -> Nearest | None:
    """What comes nearest to a question without an answer."""
    if stored is not None:  # its own answer, of another working directory
        where = moved(stored.entry.directory or "", working_directory())
        return Nearest(stored.entry, (where,), same_database=True)
    if rows := store.alike(asked.sql):
        return nearest(asked, [row.entry for row in rows])
    return nearest(asked, likely(asked, [row.entry for row in store.latest(source)]))


def _missed(near: Nearest | None, now: datetime) -> Explanation:
    told = reasons.why_miss(near, now)
    if near is None:
        return Explanation("miss", Reason.FIRST_TIME, told)
    return Explanation("miss", Reason.FIRST_TIME, told, near.entry, near.differences)
