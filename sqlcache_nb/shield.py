"""The wall between the cache and a query: what fails in here is said, and does not cost the answer."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from sqlcache_nb.errors import NotCacheable, NotCachedWarning, SqlcacheWarning, StoreError, StoreWarning, warn
from sqlcache_nb.inventory import Inventory
from sqlcache_nb.redaction import first_line
from sqlcache_nb.refreshing import is_behind
from sqlcache_nb.stores import Store

T = TypeVar("T")

logger = logging.getLogger("sqlcache_nb")


class Shielded(Inventory):
    """The entries of one store, behind which no fault of ours fails a query.

    Args:
        place: a directory, opened at first use, or a `Store`.
        clock: gives the time, with a zone.
    """

    def __init__(self, place: Store | str | os.PathLike[str], clock: Callable[[], datetime]) -> None:
        super().__init__(place, clock)
        self._said: set[tuple[object, str]] = set()

    def _shielded(self, stage: Callable[[], T]) -> T | NotCacheable:
        """What a stage of ours gives, or why it does not: no fault of ours fails a query."""
        try:
            return stage()
        except NotCacheable as refusal:
            return refusal
        except StoreError as fault:
            with suppress(StoreError):
                self.close()  # to be opened anew: the directory may have been removed under us
            return self._stood_aside(str(fault), "the cache directory cannot be used")
        except Exception as fault:  # noqa: BLE001  # a mistake of ours is said, and does not cost the answer
            # Of SQLAlchemy's messages the first line names no values.
            told = first_line(fault)
            text = f"sqlcache_nb made a mistake and stood aside, please report it: {told}"
            return self._stood_aside(text, "sqlcache_nb made a mistake")

    def _invalidated_by(self, *write: Any) -> int:
        """How many entries a write makes stale (`_invalidate_written`)."""
        count = self._shielded(lambda: self._invalidate_written(*write))
        return 0 if isinstance(count, NotCacheable) else count

    def _stood_aside(self, text: str, detail: str) -> NotCacheable:
        """A fault of ours, said in full and once; its consequence is then no news."""
        self._warn(StoreWarning, text)
        refusal = NotCacheable(detail)
        self._is_new(NotCachedWarning, not_cached(refusal))
        return refusal

    def _warn(self, category: type[SqlcacheWarning], text: str) -> None:
        """Warn once per text, at the caller's own line; in the background, where no caller is, in the log."""
        if not self._is_new(category, text):
            return
        if is_behind.get():
            logger.warning(text)
        else:
            warn(text, category)

    def _is_new(self, what: object, text: str) -> bool:
        """Whether this cache says it for the first time."""
        with self._lock:
            is_new = (what, text) not in self._said
            self._said.add((what, text))
            return is_new


def not_cached(refusal: NotCacheable) -> str:
    """What is said of an answer that is not stored.

    Args:
        refusal: why.
    """
    return f"not cached: {refusal}"
