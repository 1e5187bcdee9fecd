"""The lines of `cached_read_sql` and `QueryCache.read_sql`, shown in the notebook as the magic's are."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlcache_nb.errors import NotCachedWarning
from sqlcache_nb.notebook.display import show

_LOGGER = logging.getLogger("sqlcache_nb")


class LineHandler(logging.Handler):
    """Shows what the library logs, and silences the warning that says the same.

    Args:
        is_quiet: whether the person wants to see no lines, asked each time.
    """

    def __init__(self, is_quiet: Callable[[], bool]) -> None:
        super().__init__(logging.INFO)
        self._is_quiet = is_quiet
        self._level_before = _LOGGER.level
        self._filter: object = None

    def attach(self) -> None:
        """Begin to show lines."""
        self._level_before = _LOGGER.level
        _LOGGER.setLevel(min(_LOGGER.level or logging.INFO, logging.INFO))
        _LOGGER.addHandler(self)
        warnings.simplefilter("ignore", NotCachedWarning)
        self._filter = self._filters[0]

    def detach(self) -> None:
        """Show no more lines, and leave the logger and the warnings as they were."""
        with suppress(ValueError):  # somebody has reset the filters
            self._filters.remove(self._filter)
        _LOGGER.removeHandler(self)
        _LOGGER.setLevel(self._level_before)

    @property
    def _filters(self) -> Any:  # typed as if it could not be changed
        return warnings.filters

    def emit(self, record: logging.LogRecord) -> None:
        """Show one line: the hook of `logging.Handler`."""
        if not self._is_quiet():
            show(record.getMessage())
