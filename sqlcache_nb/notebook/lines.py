"""The lines of `cached_read_sql` and `QueryCache.read_sql`, shown in the notebook as the magic's are."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlcache_nb.errors import NotCachedWarning, SqlcacheWarning
from sqlcache_nb.notebook.display import show
from sqlcache_nb.phrases import one_line
from sqlcache_nb.redaction import redact

_LOGGER = logging.getLogger("sqlcache_nb")


def in_words(others: Callable[..., None], is_on: Callable[[], bool] = lambda: True) -> Callable[..., None]:
    """What may stand in the place of `warnings.showwarning`: our warnings are lines, as what we say is.

    Args:
        others: shows all other warnings.
        is_on: whether ours are to be lines, asked each time.
    """

    def shown(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if is_on() and issubclass(category, SqlcacheWarning):
            show(one_line(redact(str(message))))
        else:
            others(message, category, *place, **more)

    return shown


class LineHandler(logging.Handler):
    """Shows what the library logs and warns of, and silences the warning that says the same as a line.

    Args:
        is_quiet: whether the person wants to see no lines, asked each time.
    """

    def __init__(self, is_quiet: Callable[[], bool]) -> None:
        super().__init__(logging.INFO)
        self._is_quiet = is_quiet
        self._level_before = _LOGGER.level
        self._filter: object = None
        self._is_attached = False
        self._shown_before = warnings.showwarning
        self._shown = self._shown_before

    def attach(self) -> None:
        """Begin to show lines."""
        self._level_before = _LOGGER.level
        _LOGGER.setLevel(min(_LOGGER.level or logging.INFO, logging.INFO))
        _LOGGER.addHandler(self)
        warnings.simplefilter("ignore", NotCachedWarning)
        self._filter = self._filters[0]
        self._is_attached = True
        self._shown_before = warnings.showwarning
        warnings.showwarning = self._shown = in_words(self._shown_before, lambda: self._is_attached)

    def detach(self) -> None:
        """Show no more lines, and leave the logger and the warnings as they were."""
        with suppress(ValueError):  # somebody has reset the filters
            self._filters.remove(self._filter)
        self._is_attached = False
        if warnings.showwarning is self._shown:  # else somebody has put his own around it, which asks it on
            warnings.showwarning = self._shown_before
        _LOGGER.removeHandler(self)
        _LOGGER.setLevel(self._level_before)

    @property
    def _filters(self) -> Any:  # typed as if it could not be changed
        return warnings.filters

    def emit(self, record: logging.LogRecord) -> None:
        """Show one line, a warning also where lines are not wanted: the hook of `logging.Handler`."""
        if record.levelno >= logging.WARNING or not self._is_quiet():
            show(record.getMessage())
