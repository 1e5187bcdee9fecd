"""QueryCache: what a person calls."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pandas.api.extensions import no_default

from sqlcache_nb import config, notes, report
from sqlcache_nb.asking import Asking
from sqlcache_nb.errors import ConfigError
from sqlcache_nb.explain import explain
from sqlcache_nb.ledger import Stats
from sqlcache_nb.lifetime import Ttl
from sqlcache_nb.policy import Policy, Validate
from sqlcache_nb.request import CacheOptions, PandasCall, taking_what, told_apart
from sqlcache_nb.result import Result, Written
from sqlcache_nb.space import Space
from sqlcache_nb.stores import Store
from sqlcache_nb.why import Explanation

logger = logging.getLogger("sqlcache_nb")

_announced: set[str] = set()


class QueryCache(Asking):
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
        own = Policy(ttl, refresh, no_store, offline, stale_while_revalidate, stale_if_error, validate)
        settings = replace(
            settings,
            policy=own.over(settings.policy),
            size_limit=settings.size_limit if size_limit is None else config.parse_size(size_limit),
            clear_unused=settings.clear_unused if clear_unused is None else config.parse_unused(clear_unused),
            store_params=settings.store_params if store_params is None else store_params,
            keep=settings.keep if keep is None else config.parse_keep(keep),
        )
        space = Space(settings.size_limit, settings.clear_unused, clock)
        super().__init__(settings.directory if store is None else store, space, clock, settings)
        self._announcement = notes.announcement(settings) if store is None else None

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
            ConfigError: the cache is offline, where no database is asked.
            UnsupportedSource: a connection, whose transactions are its owner's.
            Exception: whatever the driver raises; nothing is invalidated then.
        """
        if self.policy_in_force.offline:
            raise ConfigError("offline: the database is not asked, and nothing was written")
        from sqlcache_nb.sources import writing

        return Written(*writing.execute(con, sql, params, self._invalidated_by))
