"""Whether a question's answer is stored and good, and why: what a read would find, without asking the database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlcache_nb import report
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.freshness import Reason, Verdict
from sqlcache_nb.identity import working_directory
from sqlcache_nb.parts import Asked
from sqlcache_nb.question import Question, examine, question_of
from sqlcache_nb.request import CacheOptions, PandasCall
from sqlcache_nb.sources import source_of
from sqlcache_nb.stores import Store, Stored
from sqlcache_nb.why import Explanation, Nearest, likely, moved, nearest


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What decides about an answer beside the question.

    Args:
        store: gives the store.
        default_ttl: seconds for entries that were stored without a ttl.
        store_params: whether the values of parameters may be read, and not only compared.
        now: the time, with a zone.
    """

    store: Callable[[], Store]
    default_ttl: float
    store_params: bool
    now: datetime


def looked_up(
    store: Store, question: Question, options: CacheOptions, default_ttl: float, now: datetime
) -> tuple[Stored | None, Verdict]:
    """What is stored of a question, and whether it may be served.

    Args:
        store: where to look.
        question: what is asked.
        options: the caller's policy.
        default_ttl: seconds for entries that were stored without a ttl.
        now: the time, with a zone.
    """
    stored = store.lookup(question.key.digest)
    if stored is None or stored.entry.directory not in (None, working_directory()):
        return stored, Verdict(False, Reason.FIRST_TIME)
    return stored, options.freshness(default_ttl).judge(stored.entry, now, question.token)


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
            question = question_of(call, source, options.source_name)
            if options.refresh:
                stored, verdict = None, Verdict(False, Reason.ASKED)
            else:
                stored, verdict = looked_up(around.store(), question, options, around.default_ttl, around.now)
            if stored is not None and verdict.fresh:
                told = report.why_hit(verdict.reason, stored.entry, around.now)
                return Explanation("hit", verdict.reason, told, stored.entry)
            examine(question, source, store_random=options.store_random)
        except NotCacheable as refusal:
            return Explanation("refused", Reason.REFUSED, f"refused: {refusal}")
    if stored is not None and verdict.reason is not Reason.FIRST_TIME:
        told = report.why_stale(verdict.reason, stored.entry, around.now)
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
    told = report.why_miss(near, now)
    if near is None:
        return Explanation("miss", Reason.FIRST_TIME, told)
    return Explanation("miss", Reason.FIRST_TIME, told, near.entry, near.differences)
