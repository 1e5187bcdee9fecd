"""What the caller wrote: pandas' arguments, and the cache's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import Any, ParamSpec, TypeVar

import pandas as pd
from pandas.api.extensions import no_default

from sqlcache_nb.caller import as_if_called_outside
from sqlcache_nb.constant import ConstantDict
from sqlcache_nb.errors import ConfigError
from sqlcache_nb.policy import Policy

T = TypeVar("T")
P = ParamSpec("P")

# Bound now: somebody may put `cached_read_sql` in the place of `pandas.read_sql`.
# Any: its overloads cannot follow arguments that are passed on.
_read_sql: Any = pd.read_sql


@dataclass(frozen=True)
class PandasCall:
    """The arguments of one call of `pandas.read_sql`, `con` apart.

    Args:
        sql: a string, `text()`, a Core or ORM `select()`, or a table's name.
        index_col: as in pandas, like the following.
        coerce_float: whether numbers of non-string, non-numeric objects become floats.
        params: values to bind.
        parse_dates: columns to parse as dates.
        columns: columns of a table.
        chunksize: rows a chunk; the answer is then an iterator of frames.
        dtype_backend: "numpy_nullable", "pyarrow", or pandas' own default.
        dtype: dtypes of the columns.
    """

    sql: Any
    index_col: str | list[str] | None = None
    coerce_float: bool = True
    params: Any = None
    parse_dates: Any = None
    columns: list[str] | None = None
    chunksize: int | None = None
    dtype_backend: Any = no_default
    dtype: Any = None

    def run(self, con: Any) -> pd.DataFrame | Iterator[pd.DataFrame]:
        """What pandas gives.

        Args:
            con: what pandas reads from.

        Raises:
            Exception: whatever pandas raises.
        """
        frames: pd.DataFrame | Iterator[pd.DataFrame] = as_if_called_outside(
            _read_sql,
            self.sql,
            con,
            index_col=self.index_col,
            coerce_float=self.coerce_float,
            params=self.params,
            parse_dates=self.parse_dates,
            columns=self.columns,
            chunksize=self.chunksize,
            dtype_backend=self.dtype_backend,
            dtype=self.dtype,
        )
        return frames

    def kept(self) -> PandasCall:
        """This call with values of its own: whoever made it may change his lists and dicts meanwhile."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(self, **{name: _own(value) for name, value in values.items() if name != "sql"})

    def options(self) -> Mapping[str, object]:
        """Every argument that shapes the frame, statement and parameters apart."""
        if (
            self.index_col is self.parse_dates is self.columns is self.dtype is self.chunksize is None
            and self.coerce_float is True
            and self.dtype_backend is no_default
        ):
            return _NO_OPTIONS
        return {
            "index_col": self.index_col,
            "coerce_float": self.coerce_float,
            "parse_dates": self.parse_dates,
            "columns": self.columns,
            "dtype_backend": None if self.dtype_backend is no_default else self.dtype_backend,
            "dtype": self.dtype,
            "execution": {},
            **({} if self.chunksize is None else {"chunksize": self.chunksize}),
        }


def _own(value: Any) -> Any:
    """A value, lists and dicts copied; as it is where it cannot be copied, as a memoryview or what holds a lock."""
    if type(value) in (list, tuple):
        return type(value)(map(_own, value))
    if type(value) is dict:
        return {name: _own(each) for name, each in value.items()}
    try:
        return deepcopy(value)
    except Exception:  # noqa: BLE001  # anybody's class
        return value


_NO_OPTIONS = ConstantDict(
    dict.fromkeys(("index_col", "parse_dates", "columns", "dtype_backend", "dtype"))
    | {"coerce_float": True, "execution": {}}
)
"""The options of a call that has none: those of nearly all."""


@dataclass(frozen=True)
class CacheOptions(Policy):
    """The keyword arguments that pandas does not have: those of `Policy`, and what concerns one answer.

    Args:
        name: the person's own word for the result.
        tag: label or labels to list and clear by.
        source_name: the person's own word for the database.
        store_random: keep an answer that is left to chance (`random()`, a sample), and serve it.
        pin: freeze the answer: it is not evicted, and is a hit at any age, until it is unpinned or refreshed.

    Raises:
        ConfigError: as `Policy`, or pin together with no_store.

    Example:
        >>> CacheOptions(ttl="1h", tag="daily").tags
        ('daily',)
    """

    name: str | None = None
    tag: str | Iterable[str] | None = None
    source_name: str | None = None
    store_random: bool = False
    pin: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pin and self.no_store:
            raise ConfigError("pin keeps the answer: it cannot be had with no_store")
        if isinstance(self.tag, Iterable) and not isinstance(self.tag, str):
            object.__setattr__(self, "tag", tuple(self.tag))  # an iterator can be read once only
        for label in (self.name, self.source_name, *self.tags):
            if not (label is None or isinstance(label, str)):
                raise ConfigError(f"name, tag and source_name are texts, and {label!r} is not")

    @property
    def tags(self) -> tuple[str, ...]:
        """The labels, each once."""
        if self.tag is None:
            return ()
        labels: Any = self.tag if isinstance(self.tag, tuple) else (self.tag,)
        return tuple(dict.fromkeys(labels))


def told_apart(arguments: Mapping[str, Any]) -> tuple[PandasCall, Any, CacheOptions]:
    """What is for pandas, the connection, and what is for the cache.

    Args:
        arguments: those of `QueryCache.read` by name.

    Raises:
        ConfigError: as `CacheOptions`.
    """
    call, options = (
        {each.name: arguments[each.name] for each in fields(form) if each.name in arguments}
        for form in (PandasCall, CacheOptions)
    )
    return PandasCall(**call), arguments["con"], CacheOptions(**options)


def taking_what(other: Callable[P, Any]) -> Callable[[Callable[..., T]], Callable[P, T]]:
    """Give a function the parameters of another, for type checkers and for Shift-Tab.

    Args:
        other: the function whose parameters it takes.
    """

    def take(function: Callable[..., T]) -> Callable[P, T]:
        taking: Any = function
        taking.__signature__ = inspect.signature(other)
        return function

    return take
