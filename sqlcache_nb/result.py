"""What a read gives back: the frame, and how it came; and what a write has done."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlcache_nb.freshness import Reason, Token
from sqlcache_nb.lifetime import Lifetime
from sqlcache_nb.why import Nearest

if TYPE_CHECKING:
    from pandas import DataFrame

    from sqlcache_nb.changes import Changes
    from sqlcache_nb.entry import Entry


class Outcome(StrEnum):
    """Where a frame came from."""

    HIT = "hit"
    """From the cache."""
    STALE = "stale"
    """From the cache, though it is stale: it is being fetched anew, or the database is out of reach, or not to be asked."""
    MISS = "miss"
    """From the database, and stored."""
    REFRESHED = "refreshed"
    """From the database because that was asked for, and stored."""
    BYPASSED = "bypassed"
    """From the database; nothing was read from the cache and nothing stored."""


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """The answer to one question.

    Args:
        outcome: where the frame came from.
        reason: why.
        source: the database's label, without secrets.
        decode: gives the frame, or the iterator of chunks; called once.
        detail: for a bypass, the sentence that says why; for what is stale, why it is served; for chunks, when they
            will be stored; else "".
        entry: the stored facts, None for a bypass, and for chunks that are yet to be read.
        path: the stored Parquet file, None as for `entry`.
        elapsed: seconds that the database took in this call, None on a hit.
        token: the word of the validator that was heard, None where there was none.
        ttl: the time to live that has decided, None where something else has.
        invalidated_at: when what was stored was declared stale, where that is the reason.
        nearest: for a first question, the stored one that is most like it, and how they differ; None where
            none has the same SQL, and for every other outcome.
        refreshing: for a stale answer that is being fetched anew, the new one once it is there; None where another
            kernel fetches it. What fails there is raised by its `result()`.
        waited: seconds for which this read waited for another one that asked the same; None where it did not.
        waited_for: who that was ("kernel 4711"), None where it is not known.
        changes: how the answer differs from the stored one that it replaced; None where it replaced none.

    Example:
        >>> from sqlcache_nb import default_cache
        >>> default_cache().read("select 1 as one", "sqlite://", no_store=True)
        <Result bypassed: no_store was given, sqlite in memory>
    """

    outcome: Outcome
    reason: Reason
    source: str
    decode: Callable[[], Any]
    detail: str = ""
    entry: Entry | None = None
    path: Path | None = None
    elapsed: float | None = None
    token: Token | None = None
    ttl: Lifetime | None = None
    invalidated_at: datetime | None = None
    nearest: Nearest | None = None
    refreshing: Future[Result | None] | None = None
    waited: float | None = None
    waited_for: str | None = None
    changes: Changes | None = None

    def __repr__(self) -> str:
        return f"<Result {self.outcome}: {self.detail or self.reason}, {self.source}>"

    @cached_property
    def frame(self) -> Any:
        """The DataFrame, decoded at the first look; an iterator of DataFrames where a chunksize was given."""
        return self.decode()

    @property
    def shape(self) -> tuple[int, int] | None:
        """Rows and columns, without decoding; None for an iterator."""
        if self.entry is not None:
            return self.entry.provenance.rows, self.entry.provenance.columns
        shape: tuple[int, int] | None = getattr(self.frame, "shape", None)
        return shape


@dataclass(frozen=True, slots=True)
class Written:
    """What a write has done.

    Args:
        rows: rows that it touched, -1 where the driver does not tell.
        invalidated: entries that it made stale: those of the same database that name a table it touched.
        frame: the rows that it returned (RETURNING), None where the statement returns none.
    """

    rows: int
    invalidated: int
    frame: DataFrame | None = field(default=None, compare=False)
