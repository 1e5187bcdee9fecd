"""A question put to an identified database, and what is known of it before and after it is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlcache_nb import guard
from sqlcache_nb.entry import Provenance
from sqlcache_nb.environment import environment, versions
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.key import Key
from sqlcache_nb.query import Query, ask
from sqlcache_nb.redaction import redact
from sqlcache_nb.request import PandasCall
from sqlcache_nb.sources import Source


@dataclass(frozen=True, slots=True)
class Question:
    """A query put to an identified database, whose state was noted before."""

    key: Key
    query: Query
    dialect: str
    label: str
    token: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the database gave: a frame, or an iterator of chunks."""

    frame: Any
    fetched_at: datetime
    elapsed: float


def question_of(call: PandasCall, source: Source, source_name: str | None) -> Question:
    """The question, and the database's state as it is before any fetch.

    Raises:
        NotCacheable: the question, or the database, cannot be told from another one.
    """
    identity = source.identify()
    query = ask(
        call.sql,
        call.params,
        dialect=source.dialect,
        options=call.options(),
        environment=environment(),
        execution_options=source.execution_options(),
        adapt=source.adapt,
    )
    return Question(
        key=Key.of({**query.parts(), "source": identity.named(source_name).parts()}),
        query=query,
        dialect=identity.dialect,
        label=redact(source_name) if source_name else identity.label,
        token=source.token(identity),
    )


def examine(question: Question, source: Source) -> guard.Facts:
    """What the statement does.

    Raises:
        NotCacheable: its answer must not be kept.
    """
    facts = guard.examine(question.query.sql, question.dialect, source.schema())
    if facts.refusal:
        raise NotCacheable(facts.refusal)
    return replace(facts, volatile=facts.volatile or guard.asks_for_the_time(question.query.params))


def provenance_of(
    question: Question, facts: guard.Facts, answer: Answer, shape: tuple[int, int], chunks: int | None = None
) -> Provenance:
    """Where the answer came from, for its entry and its file.

    Args:
        question: what was asked.
        facts: what its statement does.
        answer: when it came, and how long that took.
        shape: rows and columns, of all chunks together.
        chunks: how many, None for a single frame.
    """
    query = question.query
    return Provenance(
        key=question.key.digest,
        parts=question.key.parts,
        kind=query.kind,
        sql=redact(query.shown),
        params=query.readable_params(),
        source=question.label,
        dialect=question.dialect,
        tables=facts.tables,
        fetched_at=answer.fetched_at,
        elapsed=answer.elapsed,
        rows=shape[0],
        columns=shape[1],
        chunks=chunks,
        versions=versions(),
    )
