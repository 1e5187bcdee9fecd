"""The store of this machine: diskcache's rows and Parquet files beside them.

What diskcache is used for: the table, its transactions, and that a row and its file are replaced
together. What is switched off: eviction, expiry, statistics and pickle (`ParquetDisk`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import sqlite3
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import diskcache
import xxhash

from sqlcache_nb.entry import Entry
from sqlcache_nb.errors import DamagedPayload, StoreError
from sqlcache_nb.parts import likeness
from sqlcache_nb.stores import Removed, Stored

LAYOUT = "v1"
"""The folder of this layout: another version of the library leaves it alone."""

_MODE_BINARY = 2
"""diskcache's word for a row whose payload is a file."""

_WAIT = 2.0
"""Seconds to wait for another process's write transaction."""

_ALIKE = 64
"""Rows of one statement that are compared with a question at most."""

_SEARCHED, _LATEST = 2_000, 200
"""Rows that are searched for those of one source, and how many of these are given, at most."""

_BLOCK = 2**20
"""Bytes of a payload that are copied at once."""


class Row(NamedTuple):
    """What a row holds: the entry, and the name of the payload's file."""

    entry: Entry
    filename: str


class ParquetDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no type hints
    """Keeps entries as text, each with a file's name; reads nothing else, and never a pickle."""

    def put(self, key: object) -> tuple[str, bool]:
        """A key as it is kept: plain text only."""
        if type(key) is not str:
            raise TypeError(f"keys are str, not {type(key).__qualname__}")
        return key, True

    def get(self, key: object, raw: object) -> str:
        """A kept key: plain text only."""
        if not raw or type(key) is not str:
            raise ValueError("a key that this library did not write")
        return key

    def store(self, value: Row, read: bool, key: object = None) -> tuple[int, int, str, str]:
        """A row's size, mode, file name and text; the file itself is there already."""
        return value.entry.bytes, _MODE_BINARY, value.filename, value.entry.to_json()

    def fetch(self, mode: int, filename: str, value: object, read: bool) -> Row:
        """What a row says; the payload itself is read by `DiskStore`."""
        if mode != _MODE_BINARY or type(value) is not str or not _is_ours(filename):
            raise ValueError("a row that this library did not write")
        return Row(Entry.from_json(value), filename)

    def remove(self, file_path: str) -> None:
        """Delete a payload's file; its folder stays, since another process may be about to use it."""
        if _is_ours(file_path):
            with suppress(OSError):
                Path(self._directory, file_path).unlink()


class DiskStore:
    """Entries and payloads in a directory.

    Args:
        directory: made with mode 0700 where it does not exist; everything lives under its `v1/`.

    Raises:
        StoreError: the directory cannot be made, read or written.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory).expanduser().absolute()
        self._folder = self.directory / LAYOUT
        with _faults(self.directory):
            _make_private(self._folder)
            with closing(self._connect()) as con:
                # diskcache retries for a minute, and leaks its connection where it cannot be opened.
                con.execute("BEGIN IMMEDIATE")
            self._cache = diskcache.Cache(
                str(self._folder),
                timeout=_WAIT,
                disk=ParquetDisk,
                eviction_policy="none",
                cull_limit=0,
                statistics=0,
                tag_index=1,
            )

    def lookup(self, key: str) -> Stored | None:
        """The row of a key, or None."""
        with _faults(self.directory):
            try:
                row: Row | None = self._cache.get(key)
                return None if row is None else self._stored(row)
            except ValueError:  # damaged, or of another version: a miss
                return None

    def alike(self, sql: str) -> list[Stored]:
        """The latest rows of statements like this one, by the index of diskcache's tags."""
        with _faults(self.directory), closing(self._connect()) as con:
            found = self._readable(con.execute(_SELECT_ALIKE, (likeness(sql), _ALIKE)))
        return _newest_first(found)

    def latest(self, source: str) -> list[Stored]:
        """Rows of one source among the latest; the text is searched before any of it is understood."""
        told = f'"source": {json.dumps(source)}'  # as `Entry.to_json` words it
        with _faults(self.directory), closing(self._connect()) as con:
            found = self._readable(con.execute(_SELECT_LATEST, (_SEARCHED, told, _LATEST)))
        return _newest_first([row for row in found if row.entry.provenance.source == source])

    def read(self, stored: Stored) -> bytes | None:
        """The payload, or None where another process has replaced or deleted it meanwhile."""
        with _faults(self.directory), suppress(FileNotFoundError):
            payload = stored.path.read_bytes()
            if xxhash.xxh3_128_hexdigest(payload) == stored.entry.checksum:
                return payload
        self._refuse(stored)
        return None

    def open(self, stored: Stored) -> BinaryIO | None:
        """The payload as a file that stays readable, or None where it is another one by now."""
        with _faults(self.directory), suppress(FileNotFoundError), ExitStack() as stack:
            file = stack.enter_context(stored.path.open("rb"))
            if hashlib.file_digest(file, xxhash.xxh3_128).hexdigest() == stored.entry.checksum:
                file.seek(0)
                stack.pop_all()
                return file
        self._refuse(stored)
        return None

    def spool(self) -> BinaryIO:
        """A file without a name, on the disk where the payload will be: /tmp may be memory."""
        with _faults(self.directory):
            return tempfile.TemporaryFile(dir=self._folder)

    def write(self, entry: Entry, payload: memoryview | BinaryIO) -> Stored:
        """Store a payload with its entry, in place of an older one of the same key."""
        name = secrets.token_hex(16)
        filename = f"{name[:2]}/{name[2:]}.parquet"
        path = self._folder / filename
        with _faults(self.directory):
            newer = self.lookup(entry.key)
            if newer is not None and _was_fetched_meanwhile(newer.entry, entry):
                return newer
            with _gone_unless_done(path):
                checksum, size = _copy(payload, path)
                entry = replace(entry, checksum=checksum, bytes=size)
                self._cache.set(entry.key, Row(entry, filename), tag=likeness(entry.provenance.sql))
        return Stored(entry, path)

    def update(self, entry: Entry) -> None:
        """Replace the facts of a stored payload, if it is still the same one."""
        with _faults(self.directory), self._cache.transact():
            stored = self.lookup(entry.key)
            if stored is not None and stored.entry.checksum == entry.checksum:
                self._replace(
                    replace(entry, invalidated_at=entry.invalidated_at or stored.entry.invalidated_at)
                )

    def invalidate(self, keys: Collection[str], when: datetime) -> int:
        """Note in the rows of these keys that they are stale; gives how many were not so noted before."""
        count = 0
        with _faults(self.directory), self._cache.transact():
            for key in keys:
                stored = self.lookup(key)
                if stored is not None:
                    count += stored.entry.invalidated_at is None
                    self._replace(replace(stored.entry, invalidated_at=when))
        return count

    def delete(self, keys: Collection[str]) -> Removed:
        """Delete the rows of these keys, and their payloads."""
        count = size = 0
        with _faults(self.directory), self._cache.transact():
            for key in keys:
                stored = self.lookup(key)
                if stored is not None:
                    stored.path.unlink(missing_ok=True)  # first: on a full disk a row needs the room
                if self._cache.delete(key):
                    count += 1
                    size += stored.entry.bytes if stored else 0
        return Removed(count, size)

    def clear(self) -> Removed:
        """Delete everything, rows that cannot be read included."""
        with _faults(self.directory), closing(self._connect()) as con:
            rows = con.execute("SELECT key, filename, size FROM Cache").fetchall()
            for _, filename, _ in rows:
                self._cache.disk.remove(filename)
            con.execute("DELETE FROM Cache")
            con.commit()
            return Removed(len(rows), sum(size for _, _, size in rows))

    def entries(self) -> list[Stored]:
        """All rows that can be read, newest fetch first."""
        with _faults(self.directory), closing(self._connect()) as con:
            found = self._readable(con.execute(_SELECT))
        return _newest_first(found)

    def size(self) -> int:
        """Bytes of all payloads."""
        with _faults(self.directory):
            return int(self._cache.reset("size"))

    def close(self) -> None:
        """Release what is held open."""
        self._cache.close()

    def _replace(self, entry: Entry) -> None:
        """Replace a row's facts, below diskcache's public face, which does it only together with the file."""
        self._cache._sql(_UPDATE, (entry.to_json(), entry.key))  # noqa: SLF001

    def _readable(self, rows: Iterable[tuple[str, object, int]]) -> list[Stored]:
        found = []
        for filename, value, mode in rows:
            with suppress(ValueError):  # damaged, or of another version
                found.append(self._stored(self._cache.disk.fetch(mode, filename, value, False)))
        return found

    def _stored(self, row: Row) -> Stored:
        return Stored(row.entry, self._folder / row.filename)

    def _refuse(self, stored: Stored) -> None:
        """Say that a payload is damaged, and delete it, unless another one is in its place by now."""
        with _faults(self.directory), self._cache.transact():
            if self.lookup(stored.entry.key) != stored:
                return
            self._cache.delete(stored.entry.key)
        raise DamagedPayload(f"a stored file in {self.directory} was missing or damaged, and is deleted")

    def _connect(self) -> sqlite3.Connection:
        """A connection of our own: diskcache offers no way to read all rows at once."""
        return sqlite3.connect(self._folder / diskcache.core.DBNAME, timeout=_WAIT)


_SELECT = "SELECT filename, value, mode FROM Cache WHERE raw = 1"
_SELECT_ALIKE = f"{_SELECT} AND tag = ? ORDER BY rowid DESC LIMIT ?"
_SELECT_LATEST = f"SELECT * FROM ({_SELECT} ORDER BY rowid DESC LIMIT ?) WHERE instr(value, ?) LIMIT ?"  # noqa: S608  # ours
_UPDATE = "UPDATE Cache SET value = ? WHERE key = ? AND raw = 1"
_FILENAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}\.parquet")


def _newest_first(found: list[Stored]) -> list[Stored]:
    return sorted(found, key=lambda stored: stored.entry.provenance.fetched_at, reverse=True)


def _was_fetched_meanwhile(stored: Entry, slow: Entry) -> bool:
    """Whether somebody began a fetch, and stored it, while a slower one that had begun before went on."""
    began, elapsed = slow.provenance.fetched_at, slow.provenance.elapsed
    return began < stored.provenance.fetched_at <= began + timedelta(seconds=elapsed)


def _is_ours(filename: object) -> bool:
    """Whether a row's file name is one that this store writes: none of those leaves its folder."""
    return isinstance(filename, str) and _FILENAME.fullmatch(filename) is not None


def _copy(payload: memoryview | BinaryIO, path: Path) -> tuple[str, int]:
    """Write a payload to a new file that its owner alone can read; gives its checksum and size."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    checksum = xxhash.xxh3_128()
    with open(path, "xb", opener=_private) as file:  # Path.open has no opener
        for block in _blocks(payload):
            checksum.update(block)
            file.write(block)
        return checksum.hexdigest(), file.tell()


def _blocks(payload: memoryview | BinaryIO) -> Iterator[memoryview | bytes]:
    if isinstance(payload, memoryview):
        return (payload[start : start + _BLOCK] for start in range(0, len(payload), _BLOCK))
    payload.seek(0)
    return iter(partial(payload.read, _BLOCK), b"")


@contextmanager
def _gone_unless_done(path: Path) -> Iterator[None]:
    """Leave no file behind where a full disk or an interruption ends what is done with it."""
    try:
        yield
    except BaseException:
        with suppress(OSError):  # what ended it is what is told
            path.unlink()
        raise


def _private(path: str, flags: int) -> int:
    """Opens a new file that its owner alone can read."""
    return os.open(path, flags, 0o600)


def _make_private(folder: Path) -> None:
    """Make the folder, readable by its owner alone, and let git ignore it."""
    parent = folder.parent
    parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    if not any(parent.iterdir()):  # ours alone: another's folder gets no .gitignore
        (parent / ".gitignore").write_text("*\n", encoding="utf-8")
    folder.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileExistsError):  # before SQLite would make it readable for everybody
        os.close(os.open(folder / diskcache.core.DBNAME, os.O_CREAT | os.O_EXCL, 0o600))


@contextmanager
def _faults(directory: Path) -> Iterator[None]:
    """Every fault of the place as a StoreError that says what to do."""
    try:
        yield
    except (sqlite3.Error, diskcache.Timeout, OSError) as fault:
        told = "another process holds its lock" if isinstance(fault, diskcache.Timeout) else str(fault)
        if isinstance(fault, OSError) and fault.strerror:
            told = fault.strerror  # without a payload's random name: the same fault is said once
        raise StoreError(
            f"the cache directory {directory} cannot be used ({told}); queries run without it. "
            "Mend or move it, or name another with SQLCACHE_NB_DIR"
        ) from fault
