"""Leases in a directory: a lock file each, which the system frees when its owner dies, and a note of who that is.

The notes are in a file beside the locks, since Windows lets nobody read a locked one. There is a bounded number
of locks, so that none is ever deleted: deleting one that somebody is about to take would give it to two. Two keys may
share one, which `Note.key` tells.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from sqlcache_nb.errors import CannotLock, StoreError
from sqlcache_nb.stores import Note, Phase

NOTES = "owners"
"""The file of the notes: one place for each lock."""

_DIGITS = 3  # of the key, in hex: 4,096 locks
_PLACE = 512
"""Bytes of a note, blanks included: it is always written as a whole, in one go."""

_LONGEST_NAME = 64
# What such a place refuses will be said when an answer is to be stored there.
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


class FileLease:
    """The lease of one key.

    Args:
        folder: where the locks are; it is made in a folder that exists.
        key: a sha256 in hex.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._key = key
        self._slot = int(key[:_DIGITS], 16)
        self._pid = os.getpid()
        # Not thread-local: else what one thread takes could not be given back by another.
        self._lock = FileLock(
            folder / f"{self._slot:0{_DIGITS}x}.lock",
            mode=0o600,
            thread_local=False,
            fallback_to_soft=False,
            preserve_lock_file=True,
        )

    def take(self) -> bool:
        """Take it, if nobody has it; gives whether that was so."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)  # and no folder above: the store makes those
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        except (OSError, NotImplementedError) as fault:
            number, told = getattr(fault, "errno", None), getattr(fault, "strerror", None) or str(fault)
            if number in _NOT_WRITABLE or isinstance(fault, FileNotFoundError):
                raise StoreError(f"{self._folder} cannot be written to ({told})") from fault
            raise CannotLock(f"{self._folder} cannot be locked ({told})") from fault
        return True

    def note(self) -> Note | None:
        """What its owner, or the last one, has noted."""
        with self._faults():
            try:
                place = os.open(self._folder / NOTES, os.O_RDONLY | _FLAGS)
            except FileNotFoundError:
                return None
            try:
                os.lseek(place, self._slot * _PLACE, os.SEEK_SET)
                return _parsed(os.read(place, _PLACE))
            finally:
                os.close(place)

    def write(self, flight: str, phase: Phase, process: str, since: datetime) -> None:
        """Note how far the owner is, for those who wait."""
        text = _worded(Note(self._key, flight, phase, process, self._pid, _host(), since))
        with self._faults():
            place = os.open(self._folder / NOTES, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
            try:
                os.lseek(place, self._slot * _PLACE, os.SEEK_SET)
                os.write(place, text)
            finally:
                os.close(place)

    def is_orphaned(self, note: Note) -> bool:
        """Whether the owner has died, and a child, forked by whatever code, still holds the lock."""
        return note.host == _host() and not _is_alive(note.pid)

    def release(self) -> None:
        """Give it back."""
        if os.getpid() == self._pid:  # a child's unlocking would free the parent's lock
            with self._faults():
                self._lock.release()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            raise StoreError(f"{self._folder} cannot be used ({fault.strerror or fault})") from fault


def _host() -> str:
    import socket

    return socket.gethostname()[:_LONGEST_NAME]


def _worded(note: Note) -> bytes:
    facts = {
        "key": note.key,
        "flight": note.flight,
        "phase": note.phase.value,
        "process": note.process[:_LONGEST_NAME],
        "pid": note.pid,
        "host": note.host,
        "since": note.since.astimezone(UTC).isoformat(),
    }
    text = json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace")
    return text.ljust(_PLACE) if len(text) <= _PLACE else b" " * _PLACE


def _parsed(text: bytes) -> Note | None:
    """A note as it was written; None for anything else, half a note too."""
    try:
        facts = json.loads(text)
        note = Note(
            **facts | {"phase": Phase(facts["phase"]), "since": datetime.fromisoformat(facts["since"])}
        )
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None
    texts = (note.key, note.flight, note.process, note.host)
    is_plain = all(isinstance(text, str) for text in texts) and type(note.pid) is int and note.pid > 0
    return note if is_plain and note.since.tzinfo is not None else None


def _is_alive(pid: int) -> bool:
    """Whether there is such a process on this machine."""
    if os.name != "posix":  # os.kill would end it; and no child inherits a lock there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's
        return True
    return True
