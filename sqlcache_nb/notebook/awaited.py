"""The line of an answer that takes a while: shown before the answer is there, and replaced when it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Protocol, Self

from IPython.core.getipython import get_ipython
from IPython.display import DisplayHandle

from sqlcache_nb.notebook.display import Note, show

PATIENCE = 0.5
"""Seconds that an answer may take before anything is said of it: most are there by then."""


class Timer(Protocol):
    """What calls something later, unless it is stopped: a `threading.Timer`, or a test's."""

    def start(self) -> None:
        """Begin to wait."""

    def cancel(self) -> None:
        """Call nothing any more."""


class AwaitedLine:
    """One line about one answer, shown early where it can be replaced, and once in the end.

    Args:
        timer: makes a timer of seconds and of what to call then.
        replaceable: whether what is shown can be replaced, asked when the waiting begins.
    """

    def __init__(
        self,
        timer: Callable[[float, Callable[[], object]], Timer] | None = None,
        replaceable: Callable[[], bool] | None = None,
    ) -> None:
        self._timer = timer or _in_this_cell
        self._replaceable = replaceable or _is_notebook
        self._lock = threading.Lock()
        self._waiting: Timer | None = None
        self._handle: DisplayHandle | None = None
        self._expected = ""
        self._is_over = False

    def expect(self, text: str) -> None:
        """Say what is awaited, if it takes long.

        Args:
            text: the line as far as it is known.
        """
        if self._replaceable():
            with self._lock:
                self._expected = text
                if self._handle is not None:  # it took its time already
                    self._handle.update(Note(f"{text} · asking ..."))
                    return
            self._waiting = self._timer(PATIENCE, self._show_early)
            self._waiting.start()

    def wait(self, text: str) -> None:
        """Say for whom is waited, in the place of what was said of that before.

        Args:
            text: the line, which changes each second.
        """
        if not self._replaceable():
            if not self._expected:
                show(text)
            self._expected = text
            return
        with self._lock:
            self._expected = text
            if self._handle is None:
                self._handle = DisplayHandle()
                self._handle.display(Note(f"{text} ..."))
            else:
                self._handle.update(Note(f"{text} ..."))

    def say(self, text: str) -> None:
        """Show the whole line, in the place of what was shown early.

        Args:
            text: the line.
        """
        if not self._end(text):
            show(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        """Leave no line that says that something is awaited."""
        self._end(f"{self._expected} · no answer")

    def _show_early(self) -> None:
        with self._lock:
            if not self._is_over:
                self._handle = DisplayHandle()
                self._handle.display(Note(f"{self._expected} · asking ..."))

    def _end(self, text: str) -> bool:
        """Replace what was shown early, unless that was done; gives whether there was anything."""
        if self._waiting is not None:
            self._waiting.cancel()
        with self._lock:
            if self._handle is not None and not self._is_over:
                self._handle.update(Note(text))
            self._is_over = True
            return self._handle is not None


def _in_this_cell(seconds: float, call: Callable[[], object]) -> Timer:
    """A timer whose output belongs to the cell that waits, which the kernel keeps in the context."""
    timer = threading.Timer(seconds, copy_context().run, [call])
    timer.daemon = True
    return timer


def _is_notebook() -> bool:
    """Whether outputs can be replaced: in a kernel; not in a terminal, and not under %%capture."""
    publisher: Any = getattr(get_ipython(), "display_pub", None)
    return hasattr(publisher, "pub_socket")
