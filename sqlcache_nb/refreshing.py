"""Refreshes in the background: one at a time for each question, each on a thread of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from typing import Generic, TypeVar

T = TypeVar("T")

is_behind: ContextVar[bool] = ContextVar("is_behind", default=False)
"""Whether this code runs in the background, where a warning would have nobody to reach."""


class Refreshes(Generic[T]):
    """The refreshes of one cache in this process.

    They end with the process, whatever they are about: nothing that a person waits for is lost by that.

    Example:
        >>> Refreshes[int]().begin("key", lambda: 1).result()
        1
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._running: dict[str, Future[T]] = {}

    def begin(self, key: str, refresh: Callable[[], T]) -> Future[T]:
        """Begin a refresh, unless one of the same question is under way: then that one is given.

        Args:
            key: the question's.
            refresh: fetches its answer anew.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._pid != os.getpid():  # a child that was forked has none of its parent's threads
                self._pid, self._running = os.getpid(), {}
            if (running := self._running.get(key)) is not None:
                return running
            self._running[key] = future
        # In the context of who asked: what is shown belongs to the cell that did.
        run = copy_context().run
        thread = threading.Thread(
            target=run, args=(self._run, key, refresh, future), name="sqlcache_nb refresh", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as fault:  # at the end of the process there are no new threads
            self._end(key)
            future.set_exception(fault)
        return future

    def _run(self, key: str, refresh: Callable[[], T], future: Future[T]) -> None:
        is_behind.set(True)
        try:
            result = refresh()
        except BaseException as fault:  # noqa: BLE001  # it is handed on, as every future does
            self._end(key)
            future.set_exception(fault)
        else:
            self._end(key)
            future.set_result(result)

    def _end(self, key: str) -> None:
        with self._lock:
            self._running.pop(key, None)
