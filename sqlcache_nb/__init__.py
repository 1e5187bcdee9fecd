"""Analysts ask databases the same questions again and again: here the second answer is there at once.

`cached_read_sql` is `pandas.read_sql` with a memory that outlives the kernel; `%load_ext sqlcache_nb`
brings `%%cachedsql`; `QueryCache` is what both are made of.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sqlcache_nb.version import __version__ as __version__

if TYPE_CHECKING:
    from sqlcache_nb.api import cached_read_sql as cached_read_sql
    from sqlcache_nb.api import default_cache as default_cache
    from sqlcache_nb.cache import QueryCache as QueryCache
    from sqlcache_nb.entry import Entry as Entry
    from sqlcache_nb.entry import Provenance as Provenance
    from sqlcache_nb.errors import CacheMiss as CacheMiss
    from sqlcache_nb.errors import ConfigError as ConfigError
    from sqlcache_nb.errors import EntryNotFound as EntryNotFound
    from sqlcache_nb.errors import NotCachedWarning as NotCachedWarning
    from sqlcache_nb.errors import NotebookError as NotebookError
    from sqlcache_nb.errors import SqlcacheError as SqlcacheError
    from sqlcache_nb.errors import SqlcacheWarning as SqlcacheWarning
    from sqlcache_nb.errors import StaleWarning as StaleWarning
    from sqlcache_nb.errors import StoreError as StoreError
    from sqlcache_nb.errors import StoreWarning as StoreWarning
    from sqlcache_nb.errors import UnsupportedSource as UnsupportedSource
    from sqlcache_nb.errors import ValidatorWarning as ValidatorWarning
    from sqlcache_nb.freshness import Reason as Reason
    from sqlcache_nb.freshness import Strength as Strength
    from sqlcache_nb.ledger import Stats as Stats
    from sqlcache_nb.notebook import load_ipython_extension as load_ipython_extension
    from sqlcache_nb.notebook import unload_ipython_extension as unload_ipython_extension
    from sqlcache_nb.policy import Policy as Policy
    from sqlcache_nb.result import Outcome as Outcome
    from sqlcache_nb.result import Result as Result
    from sqlcache_nb.result import Written as Written
    from sqlcache_nb.stores import Removed as Removed
    from sqlcache_nb.stores import Report as Report
    from sqlcache_nb.stores import Store as Store
    from sqlcache_nb.stores import Stored as Stored
    from sqlcache_nb.stores import Tally as Tally
    from sqlcache_nb.stores import Uses as Uses
    from sqlcache_nb.validators import Probe as Probe
    from sqlcache_nb.validators import Validator as Validator
    from sqlcache_nb.why import Difference as Difference
    from sqlcache_nb.why import Explanation as Explanation
    from sqlcache_nb.why import Nearest as Nearest

# Loaded at first use: an import alone needs neither pandas nor SQLAlchemy nor IPython.
_HOMES = {
    "api": ("cached_read_sql", "default_cache"),
    "cache": ("QueryCache",),
    "entry": ("Entry", "Provenance"),
    "errors": (
        "CacheMiss",
        "ConfigError",
        "EntryNotFound",
        "NotCachedWarning",
        "NotebookError",
        "SqlcacheError",
        "SqlcacheWarning",
        "StaleWarning",
        "StoreError",
        "StoreWarning",
        "UnsupportedSource",
        "ValidatorWarning",
    ),
    "freshness": ("Reason", "Strength"),
    "ledger": ("Stats",),
    "notebook": ("load_ipython_extension", "unload_ipython_extension"),
    "policy": ("Policy",),
    "result": ("Outcome", "Result", "Written"),
    "stores": ("Removed", "Report", "Store", "Stored", "Tally", "Uses"),
    "validators": ("Probe", "Validator"),
    "why": ("Difference", "Explanation", "Nearest"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  # a list; a test compares it with the imports above


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
