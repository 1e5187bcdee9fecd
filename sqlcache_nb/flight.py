"""Single flight: of those who ask the same question at once, one runs the query and the others wait.

Three rules keep those who wait from waiting for nothing:

- Whoever has a flight takes no other and waits for none, so that no circle of flights can come about. A query that
  itself reads through the cache, the same key or another, does that without a flight.
- A flight that ends without an answer is open: those who waited for it do not queue, but run side by side.
- A flight whose process dies is taken over by one of those who wait, under its name.
"""

from __future__ import annotations

import math
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from enum import Enum
from typing import Self

from sqlcache_nb.errors import CannotLock, StoreError
from sqlcache_nb.stores import Lease, Note, Phase

LONGEST_WAIT = 3_600.0
"""Seconds after which nobody waits any longer, whatever it is that keeps the other one."""

PATIENCE = 0.5
"""Seconds of waiting before anything is said of it: most answers are there by then."""

_NAMELESS = 3.0
"""Seconds that a lock may be held without a note of who does: an owner that is alive writes one at once."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1
"""Seconds between two looks at a lock, which grow: a dead owner's flight is taken over within two of the longest."""

Waiting = Callable[[Note, float], None]
"""Is told for whom one waits, and for how many seconds: first after `PATIENCE`, then each second."""

_this_thread = threading.local()


class _Here:
    """The flights of one process: a thread that waits for another one need not ask the system."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.keys: set[str] = set()
        self.ended = threading.Condition()


class Flights:
    """The flights of one store, as one process sees them.

    Args:
        lease: gives the lease of a key.
        clock: gives the time, with a zone.
        cannot: is told why there are no flights here, each time.
        seconds: a clock that never jumps.
    """

    def __init__(
        self,
        lease: Callable[[str], Lease],
        clock: Callable[[], datetime],
        cannot: Callable[[CannotLock], None],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lease = lease
        self.clock = clock
        self.cannot = cannot
        self.seconds = seconds
        self._here = _Here()

    @property
    def here(self) -> _Here:
        """The flights of this process: a child has none of its parent's, and cannot use its locks."""
        if self._here.pid != os.getpid():
            self._here = _Here()
        return self._here


class Flight:
    """One question, which may have to be put to the database.

    Args:
        flights: those of its store.
        waiting: is told for whom it waits.
        is_refresh: whether an answer is wanted that is fetched from now on.
    """

    def __init__(self, flights: Flights, waiting: Waiting, *, is_refresh: bool = False) -> None:
        self._flights = flights
        self._waiting = waiting
        self._key = ""
        self._is_refresh = is_refresh
        self._pid = os.getpid()
        self._lease: Lease | None = None
        self._word = ""
        self._since: datetime | None = None
        self._here: _Here | None = None
        self._phase = Phase.OPEN
        self.is_ours = False
        """Whether others wait for this one."""
        self.awaited: Note | None = None
        """For whom it has waited, as far as that was told."""
        self.waited: float | None = None
        """Seconds that it has waited, None where it did not."""
        self.is_newer = False
        """Whether the flight that was awaited began after this question was asked, and its answer was stored."""

    def board(self, key: str, before: Callable[[], object]) -> None:
        """Take the flight, or wait for the one under way; where that cannot be done, go without.

        Args:
            key: the question's.
            before: is called before any waiting, to give back what others may need.
        """
        if _is_aloft():
            return
        self._key = key
        try:
            self._lease = self._flights.lease(key)
            if self._take():
                self._begin()
            else:
                self.waited = 0.0
                before()
                self._wait()
        except StoreError as fault:
            self.is_ours = False
            self.close()
            if isinstance(fault, CannotLock):  # what else fails will be said when the answer is to be stored
                self._flights.cannot(fault)

    def take_off(self, key: str) -> bool:
        """Take the flight unless somebody has it, for whom nobody waits here; gives whether one may ask now.

        Args:
            key: the question's.
        """
        self._key = key
        try:
            self._lease = self._flights.lease(key)
            if not self._take():
                self.close()
                return False
            self._begin()
        except CannotLock as fault:
            self.close()
            self._flights.cannot(fault)
        return True

    def landed(self) -> None:
        """Note that the answer is stored."""
        self._phase = Phase.STORED

    def close(self) -> None:
        """End it: those who wait look again."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            with suppress(StoreError):  # then it looks as if its owner had died, which is as good
                if self.is_ours and self._since is not None and self.is_of_this_process:
                    lease.write(self._word, self._phase, _process(), self._since)
        finally:
            try:
                with suppress(StoreError):
                    lease.release()
            finally:
                self._leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self.close()

    def _take(self) -> bool:
        """Take the lease, if nobody has it."""
        here = self._flights.here
        return self._lease is not None and self._key not in here.keys and self._lease.take()

    def _begin(self) -> None:
        """Let others wait for this one."""
        note = self._noted()
        is_left = note is not None and note.phase is Phase.RUNNING and note.key == self._key
        self._word = note.flight if note is not None and is_left else secrets.token_hex(8)
        self._since = self._flights.clock()
        self._here = here = self._flights.here
        _this_thread.flight = self
        with here.ended:
            here.keys.add(self._key)
        self.is_ours = True
        if self._lease is not None:
            self._lease.write(self._word, Phase.RUNNING, _process(), self._since)

    def _leave(self) -> None:
        here, self._here = self._here, None
        if getattr(_this_thread, "flight", None) is self:
            del _this_thread.flight
        if here is not None and self.is_of_this_process:
            with here.ended:
                here.keys.discard(self._key)
                here.ended.notify_all()

    @property
    def is_of_this_process(self) -> bool:
        """Whether it is not a copy that a child of its process has."""
        return self._pid == os.getpid()

    def _noted(self) -> Note | None:
        return None if self._lease is None else self._lease.note()

    def _wait(self) -> None:
        """Wait until it is this one's turn."""
        seconds = self._flights.seconds
        watch = Watch(self._key, seconds(), is_refresh=self._is_refresh)
        pause, said = _FIRST_PAUSE, PATIENCE
        while True:
            is_taken, note, now = self._take(), self._noted(), seconds()
            if not is_taken and self._is_orphaned(note):
                note = None
            turn = watch.judge(note, now, is_taken=is_taken)
            self.waited, self.awaited, self.is_newer = now - watch.begun, watch.awaited, watch.is_newer
            if turn is not Turn.WAIT:
                break
            if self.awaited is not None and self.waited >= said:
                self._waiting(self.awaited, self.waited)
                said = math.floor(self.waited) + 1
            self._pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        if turn is Turn.OURS:
            self._begin()
        else:
            self.close()

    def _is_orphaned(self, note: Note | None) -> bool:
        """Whether the lock is held by nobody who could answer; or by somebody who has not written a note yet."""
        is_running = note is not None and note.phase is Phase.RUNNING
        return is_running and self._lease is not None and note is not None and self._lease.is_orphaned(note)

    def _pause(self, seconds: float) -> None:
        here = self._flights.here
        with here.ended:
            here.ended.wait(seconds)


class Turn(Enum):
    """What is next for somebody who waits."""

    WAIT = 0
    OURS = 1
    """The lease was taken: look again, and else ask, while others wait."""
    ASIDE = 2
    """Look again, and else ask, side by side with others."""


class Watch:
    """What somebody who waits makes of what can be seen of a flight. It asks no clock and no file.

    An answer that is stored when the flight ends is looked at as any other, and may be stale for who waited. To a
    refresh it is good enough if its flight began after the refresh was asked for, which no clock has to tell: it is
    another flight than the one that was under way then. So a refresh waits for two flights at most.

    Args:
        key: the question.
        begun: when the waiting began, in seconds.
        is_refresh: whether an answer is wanted that is fetched from now on.
    """

    def __init__(self, key: str, begun: float, *, is_refresh: bool) -> None:
        self.begun = begun
        self.awaited: Note | None = None
        """The note of the flight that is waited for."""
        self.is_newer = False
        """Whether it has ended with an answer, and began after this question was asked."""
        self._key = key
        self._is_refresh = is_refresh
        self._flights: list[str] = []
        self._seen = begun

    def judge(self, note: Note | None, now: float, *, is_taken: bool) -> Turn:
        """What is next.

        Args:
            note: the note beside the lease.
            now: the time, in seconds.
            is_taken: whether the lease was free, and has been taken.
        """
        own = note if note is not None and note.key == self._key else None
        is_running = own is not None and own.phase is Phase.RUNNING
        if is_taken:
            if own is None or is_running or not self._flights:  # its owner has died, or nobody was seen
                return Turn.OURS
            return Turn.OURS if self._ended(own) is Turn.WAIT else Turn.ASIDE
        if now - self.begun >= LONGEST_WAIT:
            return Turn.ASIDE
        if own is not None and is_running:
            return self._running(own, now)
        if own is not None and self._flights and self._ended(own) is Turn.ASIDE:
            return Turn.ASIDE
        is_of_another = own is None and note is not None and note.phase is Phase.RUNNING
        return Turn.ASIDE if is_of_another or now - self._seen >= _NAMELESS else Turn.WAIT

    def _running(self, note: Note, now: float) -> Turn:
        """A flight is under way: that of before, or another one, since that has ended."""
        self._seen = now
        if note.flight not in self._flights:
            if len(self._flights) == (2 if self._is_refresh else 1):
                return Turn.ASIDE
            self._flights.append(note.flight)
        self.awaited = note
        return Turn.WAIT

    def _ended(self, note: Note) -> Turn:
        """The flight has ended; a refresh still waits for one that is new enough, or for its own."""
        if note.flight in self._flights:
            self.awaited = note
        if not self._is_refresh or note.phase is Phase.OPEN:
            return Turn.ASIDE
        self.is_newer = note.flight != self._flights[0]
        return Turn.ASIDE if self.is_newer else Turn.WAIT


def _is_aloft() -> bool:
    """Whether this thread has a flight; a child of the process has none."""
    flight: Flight | None = getattr(_this_thread, "flight", None)
    return flight is not None and flight.is_of_this_process


def _process() -> str:
    """What this process is called by those who wait for it."""
    return f"{'kernel' if 'ipykernel.kernelapp' in sys.modules else 'process'} {os.getpid()}"
