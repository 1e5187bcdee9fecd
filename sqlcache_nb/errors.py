"""Every error and warning of sqlcache_nb, in one tree.

::

    SqlcacheError
     ├── CacheMiss              offline, and nothing is stored of the question
     ├── ConfigError            a ttl, an option or a configuration file that cannot be understood
     ├── EntryNotFound          no entry of that key or name, or a key prefix that fits several
     ├── NotCacheable           why a question is run without the cache; never reaches the caller of a query
     ├── UnsupportedSource      a connection that would give a wrong answer, or that cannot do what is asked
     ├── StoreError             the cache directory cannot be used; never reaches the caller of a query
     │    ├── CannotLock        the directory cannot be locked; each process then asks for itself
     │    └── DamagedPayload    a stored file that is missing or not what was written; it is deleted
     ├── CodecError             a payload that cannot be read back; never reaches the caller of a query
     └── NotebookError          what the magic raises: one or two lines, no traceback

    SqlcacheWarning
     ├── NotCachedWarning       the answer is right, and will have to be asked for again
     ├── StaleWarning           the answer is older than it may be, and the database was not or could not be asked
     ├── StoreWarning           the cache failed; the answer came from the database
     └── ValidatorWarning       a validator that was asked for cannot tell; the ttl decides

Errors of the database are raised as pandas raises them and are not in this tree.
"""

from __future__ import annotations

import warnings

from sqlcache_nb.caller import as_if_called_outside, place_of


class SqlcacheError(Exception):
    """Root of the errors that this library raises of its own."""


def _in_short(fault: SqlcacheError) -> list[str]:
    """What IPython shows in place of a traceback (its hook `_render_traceback_`): a person's slip needs no more."""
    place = place_of(fault)
    return [f"{type(fault).__name__}{f' ({place})' if place else ''}: {fault}"]


class CacheMiss(SqlcacheError, LookupError):
    """Offline, and nothing is stored of the question."""

    _render_traceback_ = _in_short


class ConfigError(SqlcacheError, ValueError):
    """A ttl, an option or a configuration file that cannot be understood."""

    _render_traceback_ = _in_short


class EntryNotFound(SqlcacheError, LookupError):
    """No entry of that key or name, or a key prefix that fits several."""


class NotCacheable(SqlcacheError):
    """Why a question is run without the cache; never reaches the caller of a query."""


class UnsupportedSource(SqlcacheError, TypeError):
    """A connection that would give a wrong answer, or that cannot do what is asked."""


class StoreError(SqlcacheError):
    """The cache directory cannot be used; never reaches the caller of a query."""


class CannotLock(StoreError):
    """The directory cannot be locked; each process then asks for itself."""


class DamagedPayload(StoreError):
    """A stored file that is missing or not what was written; it is deleted."""


class CodecError(SqlcacheError):
    """A payload that cannot be read back; never reaches the caller of a query."""


class NotebookError(SqlcacheError):
    """What the magic raises: one or two lines that say what happened and what to do next."""

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython shows in place of a traceback (its hook of that name)."""
        return [f"{type(self).__name__}: {self}"]


class SqlcacheWarning(UserWarning):
    """Root of the warnings that this library gives."""


class NotCachedWarning(SqlcacheWarning):
    """The answer is right, and will have to be asked for again: it was not stored."""


class StaleWarning(SqlcacheWarning):
    """The answer is older than it may be, and the database was not, or could not be, asked for a newer one."""


class StoreWarning(SqlcacheWarning):
    """The cache failed; the answer came from the database."""


class ValidatorWarning(SqlcacheWarning):
    """A validator that was asked for cannot tell whether the database has changed; the ttl decides."""


def warn(text: str, category: type[SqlcacheWarning]) -> None:
    """Warn at the line of the first caller outside this library.

    Args:
        text: what to say.
        category: the kind of warning.
    """
    as_if_called_outside(warnings.warn, text, category)
