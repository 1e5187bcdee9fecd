"""Refreshes in the background: one at a time for each question, on threads of their own."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import ContextVar, copy_context
from typing import Generic, TypeVar

T = TypeVar("T")

is_behind: ContextVar[bool] = ContextVar("is_behind", default=False)
"""Whether this code runs in the background, where a warning would have nobody to reach."""


MOST = 4
"""Refreshes at a time: each takes a connection, and the person's own queries need some, too."""

_PATIENCE = 10.0
"""Seconds that the end of the process waits at most for a query that was asked to stop."""

_PAUSE = 0.05
"""Seconds between two requests to stop: one query may follow another."""

_stops: dict[threading.Thread, Callable[[], object]] = {}
_at_exit = threading.Event()


def stop_at_exit(stop: Callable[[], object] = lambda: None) -> None:
    """Have the query of this thread stopped, and waited for, before the process ends, if it is a refresh.

    For drivers whose own code ends the whole process with a signal when a thread in it dies with the interpreter.

    Args:
        stop: stops what the thread's connection runs; may be called from another thread, and more than once.

    Raises:
        SystemExit: the process is about to end.
    """
    if is_behind.get():
        _stops[threading.current_thread()] = stop
        if _at_exit.is_set():
            sys.exit()


@atexit.register
def _stop_all() -> None:
    _at_exit.set()
    until = time.monotonic() + _PATIENCE
    for thread, stop in list(_stops.items()):
        while thread in _stops and thread.is_alive() and time.monotonic() < until:
            with suppress(Exception):  # anybody's: it may be closed by now
                stop()
            thread.join(_PAUSE)


_Waiting = tuple[Callable[..., object], str, Callable[[], T], Future[T]]


class Refreshes(Generic[T]):
    """The refreshes of one cache in this process, `MOST` at a time; the others wait for their turn.

    They end with the process, whatever they are about: nothing that a person waits for is lost by that.

    Example:
        >>> Refreshes[int]().begin("key", lambda: 1).result()
        1
    """

    def __init__(self) -> None:
        self._forget_all()

    def begin(self, key: str, refresh: Callable[[], T]) -> Future[T]:
        """Begin a refresh, unless one of the same question is under way: then that one is given.

        Args:
            key: the question's.
            refresh: fetches its answer anew.
        """
        if (
            self._pid != os.getpid()
        ):  # a child that was forked has none of its parent's threads, whoever had the lock
            self._forget_all()
        future: Future[T] = Future()
        # In the context of who asked: what is shown belongs to the cell that did.
        run = copy_context().run
        with self._lock:
            if (running := self._running.get(key)) is not None:
                return running
            self._running[key] = future
            self._waiting.append((run, key, refresh, future))
            if self._threads >= MOST:
                return future
            self._threads += 1
        try:
            threading.Thread(target=self._work, name="sqlcache_nb refresh", daemon=True).start()
        except RuntimeError as fault:  # at the end of the process there are no new threads
            self._give_up(fault)
        return future

    def _forget_all(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._running: dict[str, Future[T]] = {}
        self._waiting: deque[_Waiting[T]] = deque()
        self._threads = 0

    def _work(self) -> None:
        """Carry out what waits, until nothing does."""
        while (waiting := self._next()) is not None:
            run, key, refresh, future = waiting
            run(self._run, key, refresh, future)
            _stops.pop(threading.current_thread(), None)

    def _next(self) -> _Waiting[T] | None:
        with self._lock:
            if self._waiting and not _at_exit.is_set():
                return self._waiting.popleft()
            self._threads -= 1
            return None

    def _give_up(self, fault: RuntimeError) -> None:
        with self._lock:
            self._threads -= 1
            left, self._waiting = self._waiting, deque()
        for _, key, _, future in left:
            self._end(key)
            future.set_exception(fault)

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
