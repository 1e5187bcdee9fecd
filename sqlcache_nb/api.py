"""`cached_read_sql`, and the cache that it uses when none is given."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from typing import Any, TypedDict, Unpack, overload

from pandas import DataFrame
from pandas.api.extensions import no_default

from sqlcache_nb.cache import QueryCache
from sqlcache_nb.lifetime import Ttl
from sqlcache_nb.policy import Policy, Validate


class _Options(TypedDict, total=False):
    """The keywords that pandas does not have, for the overloads."""

    ttl: Ttl | None
    refresh: bool | None
    no_store: bool | None
    offline: bool | None
    stale_while_revalidate: Ttl | None
    stale_if_error: Ttl | None
    validate: Validate | None
    name: str | None
    tag: str | list[str] | tuple[str, ...] | None
    source_name: str | None
    store_random: bool
    pin: bool
    cache: QueryCache | None


_lock = threading.Lock()
_default: list[QueryCache] = []
_overriding: list[Policy] = []


def default_cache() -> QueryCache:
    """The cache of this process, made at the first call.

    Raises:
        ConfigError: the settings cannot be understood.

    Example:
        >>> default_cache() is default_cache()
        True
    """
    with _lock:
        if not _default:
            _default.append(QueryCache())
            _default[0].overriding = next(iter(_overriding), None)
            atexit.register(_default[0].close)
        return _default[0]


def override(policy: Policy | None) -> None:
    """Put a policy before the default cache's own, which stays as it is; also where that cache is made later.

    Args:
        policy: what a notebook's settings say; None for nothing any more.
    """
    with _lock:
        _overriding[:] = [] if policy is None else [policy]
        for cache in _default:
            cache.overriding = policy


@overload
def cached_read_sql(
    sql: Any,
    con: Any,
    index_col: str | list[str] | None = ...,
    coerce_float: bool = ...,
    params: Any = ...,
    parse_dates: Any = ...,
    columns: list[str] | None = ...,
    chunksize: None = ...,
    dtype_backend: Any = ...,
    dtype: Any = ...,
    **options: Unpack[_Options],
) -> DataFrame: ...
@overload
def cached_read_sql(
    sql: Any,
    con: Any,
    index_col: str | list[str] | None = ...,
    coerce_float: bool = ...,
    params: Any = ...,
    parse_dates: Any = ...,
    columns: list[str] | None = ...,
    *,
    chunksize: int,
    dtype_backend: Any = ...,
    dtype: Any = ...,
    **options: Unpack[_Options],
) -> Iterator[DataFrame]: ...
def cached_read_sql(
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
    cache: QueryCache | None = None,
) -> Any:
    """`pandas.read_sql`, with the answer kept until it is stale.

    Args:
        sql: as in `pandas.read_sql`: a string, `text()`, a Core or ORM `select()`, a table's name.
        con: as in `pandas.read_sql`, or an ORM Session or scoped_session.
        index_col: as in `pandas.read_sql`, like the following.
        coerce_float: whether numbers of non-string, non-numeric objects become floats.
        params: values to bind.
        parse_dates: columns to parse as dates.
        columns: columns of a table.
        chunksize: rows a chunk: gives an iterator of frames, which are stored when the last one was read.
        dtype_backend: "numpy_nullable" or "pyarrow".
        dtype: dtypes of the columns.
        ttl: how long the answer is fresh: seconds, a timedelta, "90s", "5m" (minutes), "1h", "7d", "today" (until
            midnight here), "session" (what was fetched since this kernel started), "forever"; with 0 it must be
            validated or fetched each time (default: what it was stored with, else what is configured, else one
            day). An answer from plain tables of a SQLite or DuckDB file is fresh exactly until the file changes.
        refresh: fetch again and replace what is stored (default, here and for the next five: what is configured,
            else False or nothing).
        no_store: neither read nor write the cache.
        offline: never ask the database: what is stored is served at any age, and what is not is a `CacheMiss`.
        stale_while_revalidate: a time for which a stale answer is served at once, while it is fetched anew in the
            background.
        stale_if_error: a time for which a stale answer is served where the database is out of reach.
        validate: "auto" (default) asks a SQLite or DuckDB file whether it changed; True asks a server, too;
            "select max(updated_at) from t", or the name of a validator, asks that one; False trusts the ttl.
        name: your own word for the answer, for `QueryCache.load`.
        tag: label or labels, for `QueryCache.clear`.
        source_name: your own word for the database, in the place of its host, port and path.
        store_random: keep an answer that is left to chance (`random()`, a sample), too.
        pin: freeze the answer: it is not evicted, and is the answer at any age, until it is unpinned or refreshed.
        cache: a cache other than the default one.

    Returns:
        What `pandas.read_sql` returns.

    Raises:
        ConfigError: an option that cannot be understood, or two that cannot be had together.
        UnsupportedSource: a Session whose filters would be lost.
        Exception: whatever `pandas.read_sql` raises.

    Example:
        >>> cached_read_sql("select 1 as one", "sqlite://", no_store=True)["one"].tolist()
        [1]
    """
    return (default_cache() if cache is None else cache).read_sql(
        sql,
        con,
        index_col,
        coerce_float,
        params,
        parse_dates,
        columns,
        chunksize,
        dtype_backend,
        dtype,
        ttl=ttl,
        refresh=refresh,
        no_store=no_store,
        offline=offline,
        stale_while_revalidate=stale_while_revalidate,
        stale_if_error=stale_if_error,
        validate=validate,
        name=name,
        tag=tag,
        source_name=source_name,
        store_random=store_random,
        pin=pin,
    )
