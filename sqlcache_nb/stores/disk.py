"""The store of this machine: rows in a database, and Parquet files beside them.

A payload is on the disk before its row is, and is deleted after its row is gone.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import BinaryIO, Concatenate, ParamSpec, TypeVar

from sqlcache_nb.entry import AnotherVersion, Entry
from sqlcache_nb.errors import DamagedPayload, StoreError
from sqlcache_nb.parts import likeness
from sqlcache_nb.stores import (
    CURRENT,
    PREVIOUS,
    Lease,
    Listed,
    Removed,
    Report,
    Settle,
    Stored,
    checks,
    payloads,
    places,
)
from sqlcache_nb.stores.database import FAULTS, Database
from sqlcache_nb.stores.rows import (
    SELECT,
    SELECT_ALIKE,
    SELECT_CURRENT,
    SELECT_LATEST,
    SELECT_ONE,
    SELECT_PREVIOUS,
    Columns,
    Row,
    all_of,
    is_pinned,
    listed,
    parse,
    size_of,
    worded,
)
from sqlcache_nb.stores.table import Table
from sqlcache_nb.stores.uses import UsesFile

P = ParamSpec("P")
T = TypeVar("T")

_ALIKE = 64
"""Rows of one statement that are compared with a question at most."""

_HELD = "SELECT coalesce(sum(raw IS NOT -1), 0), coalesce(sum(size), 0) FROM Cache"

_SEARCHED, _LATEST = 2_000, 200
"""Rows that are searched for those of one source, and how many of these are given, at most."""


def _mended(method: Callable[Concatenate[DiskStore, P], T]) -> Callable[Concatenate[DiskStore, P], T]:
    """What a method does, once more where the database had a fault that could be mended; else a `StoreError`."""

    @wraps(method)
    def tried(self: DiskStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._database.mended(lambda: method(self, *args, **kwargs))

    return tried


class DiskStore:
    """Entries and payloads in a directory.

    Args:
        directory: made with mode 0700 where it does not exist; everything lives under its `v1/`. Where it
            cannot be written to, what is stored there can be read.

    Raises:
        StoreError: the directory cannot be made or read.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory).expanduser().absolute()
        self._database = Database(self.directory)
        self._folder = self._database.folder
        self._is_swept = False
        self.uses = UsesFile(self._folder)

    # --- reading --------------------------------------------------------------------------------------

    @_mended
    def lookup(self, key: str) -> Stored | None:
        """The row of a key, or None; one that is damaged is deleted."""
        return self._found(SELECT_ONE, key)

    @_mended
    def previous(self, key: str) -> Stored | None:
        """What the row of a key replaced, if it was kept, or None; one that is damaged is deleted."""
        return self._found(SELECT_PREVIOUS, key)

    @_mended
    def alike(self, sql: str) -> list[Stored]:
        """The latest rows of statements like this one, by the index of diskcache's tags."""
        return _newest_first(
            self._readable(all_of(self._database.rows(), SELECT_ALIKE, (likeness(sql), _ALIKE)))
        )

    @_mended
    def latest(self, source: str) -> list[Stored]:
        """Rows of one source among the latest."""
        told = f'"source": {json.dumps(source)}'  # as `Entry.to_json` words it
        found = self._readable(all_of(self._database.rows(), SELECT_LATEST, (_SEARCHED, told, _LATEST)))
        return _newest_first([row for row in found if row.entry.provenance.source == source])

    @_mended
    def read(self, stored: Stored) -> bytes | None:
        """The payload, or None where another process has replaced or deleted it meanwhile."""
        payload = payloads.read(stored.path, stored.entry.checksum, stored.entry.bytes)
        if payload is None:
            self._refuse(stored)
        return payload

    @_mended
    def open(self, stored: Stored) -> BinaryIO | None:
        """The payload as a file that stays readable, or None where it is another one by now."""
        file = payloads.opened(stored.path, stored.entry.checksum, stored.entry.bytes)
        if file is None:
            self._refuse(stored)
        return file

    @_mended
    def entries(self) -> list[Stored]:
        """All rows that can be read, newest fetch first."""
        return _newest_first(self._readable(all_of(self._database.rows(), SELECT_CURRENT)))

    @_mended
    def listed(self) -> list[Listed]:
        """All rows as a list shows them, newest fetch first."""
        return sorted(listed(self._database.rows()), key=lambda each: each.fetched_at, reverse=True)

    def each(self) -> Iterator[Stored]:
        """All rows that can be read, previous versions among them, one by one."""
        with self._database.translated():
            for columns in all_of(self._database.rows(), SELECT):
                yield from self._readable([columns])

    @_mended
    def held(self) -> Removed:
        """What `clear` would delete."""
        found = self._database.rows().execute(_HELD).fetchone()
        return Removed(*found)

    @_mended
    def size(self) -> int:
        """Bytes of all payloads, those of previous versions among them."""
        found = self._database.rows().execute("SELECT value FROM Settings WHERE key = 'size'").fetchone()
        if found is None or type(found[0]) is not int:
            found = self._database.rows().execute("SELECT coalesce(sum(size), 0) FROM Cache").fetchone()
        return int(found[0])

    # --- writing --------------------------------------------------------------------------------------

    @_mended
    def spool(self) -> BinaryIO:
        """A file without a name, on the disk where the payload will be: /tmp may be memory."""
        return tempfile.TemporaryFile(dir=self._folder, prefix=places.SPOOL)

    @_mended
    def write(
        self, entry: Entry, payload: memoryview | BinaryIO, *, keep: int = 0, settle: Settle | None = None
    ) -> Stored:
        """Store a payload with its entry, in place of an older one of the same key, which may be kept beside it."""
        self._database.rows()
        self._database.reopen_if_replaced()  # or nobody would find what is written now
        newer = self.lookup(entry.key)
        if newer is not None and _was_fetched_meanwhile(newer.entry, entry):
            return newer
        filename = payloads.new_name(self._folder)
        path = self._folder / filename
        checksum, size = payloads.write(payload, path)
        row = Row(replace(entry, checksum=checksum, bytes=size), filename)
        try:
            stored = self._commit(row, path, keep, settle)
        except BaseException:
            self._spare_or_remove(row)
            raise
        if stored.path != path:
            payloads.remove(self._folder, filename)
            return stored
        self._sweep_if_due()
        return stored

    @_mended
    def update(self, entry: Entry) -> None:
        """Replace the facts of a stored payload, if it is still the same one."""

        def changed(now: Entry) -> Entry:
            if now.checksum != entry.checksum:
                return now
            invalidated_at = entry.invalidated_at or now.invalidated_at
            return replace(entry, invalidated_at=invalidated_at, pinned=now.pinned)

        with self._database.transaction() as table:
            self._change(table, entry.key, changed)

    @_mended
    def renew(self, entry: Entry, when: datetime) -> Stored | None:
        """Note in a row, if its payload is still the same, that it was proven."""

        def renewed(now: Entry) -> Entry:
            return now if now.checksum != entry.checksum else replace(now, validated_at=when)

        with self._database.transaction() as table:
            self._change(table, entry.key, renewed)
        return self.lookup(entry.key)

    @_mended
    def invalidate(self, keys: Collection[str], when: datetime) -> int:
        """Note in the rows of these keys that they are stale; gives how many were not so noted before."""
        count = 0
        with self._database.transaction() as table:
            for key in keys:
                before = self._change(table, key, lambda now: replace(now, invalidated_at=when))
                count += before is not None and before.invalidated_at is None
        return count

    @_mended
    def pin(self, key: str, *, pinned: bool) -> Stored | None:
        """Note in a row whether it is pinned; gives the row as it is then."""
        with self._database.transaction() as table:
            self._change(table, key, lambda now: replace(now, pinned=pinned))
        return self.lookup(key)

    def delete(self, rows: Iterable[Stored], *, pinned: bool = True) -> Removed:
        """Delete these rows and their payloads, in small transactions: nobody else's write waits for all of them."""
        return sum((self._delete(batch, pinned=pinned) for batch in checks.batches(rows)), Removed())

    @_mended
    def clear(self) -> Removed:
        """Delete everything, rows that cannot be read included."""
        try:
            removed = self._clear()
        except sqlite3.Error as fault:
            if not places.lacks_room(fault):
                raise
            self._remove_payloads(worded(columns[4]) for columns in all_of(self._database.rows(), SELECT))
            removed = self._clear()
        with suppress(*FAULTS):  # all that was asked for is done
            self._sweep()
        return removed

    @_mended
    def check(self, *, repair: bool = False) -> Report:
        """Read everything, and say what is inconsistent; with `repair` delete it."""
        check = checks.Check(self._database.rows(), self._folder)
        report = check.report()
        if not repair:
            return report
        if check.is_damaged:
            self._database.set_aside()
        else:
            with self._database.transaction() as table:
                for name in check.repair(table.con):
                    table.let_go(name)
        self._sweep()
        return replace(report, repaired=True)

    def lease(self, key: str) -> Lease:
        """The lease of a key, which nobody has taken by that."""
        from sqlcache_nb.stores.lease import FileLease  # filelock is needed from the first miss on

        return FileLease(self._folder / places.LOCKS, key)

    def close(self) -> None:
        """Release what is held open."""
        self._database.close()

    # --- rows -----------------------------------------------------------------------------------------

    def _found(self, statement: str, key: str) -> Stored | None:
        """The row of a key, or None; one that is damaged is deleted."""
        columns = self._database.rows().execute(statement, (key,)).fetchone()
        if columns is None:
            return None
        try:
            return self._stored(parse(columns))
        except AnotherVersion:
            return None
        except ValueError:
            with suppress(StoreError):  # it is a miss in any case
                self._delete_damaged(columns)
            return None

    def _now(self, stored: Stored) -> Stored | None:
        """What is in the place of a row by now."""
        key = stored.entry.key
        return self.lookup(key) if stored.version == CURRENT else self.previous(key)

    def _stored(self, row: Row) -> Stored:
        return Stored(row.entry, self._folder / row.filename, row.version)

    def _readable(self, rows: Iterable[Columns]) -> list[Stored]:
        found = []
        for columns in rows:
            with suppress(ValueError):  # damaged, or of another version
                found.append(self._stored(parse(columns)))
        return found

    def _commit(self, row: Row, path: Path, keep: int, settle: Settle | None) -> Stored:
        """Put a row in its place, unless a newer one is there; gives what is there then."""
        with self._database.transaction() as table:
            columns, before = table.one(row.entry.key), None
            if columns is not None:
                with suppress(ValueError):  # damaged, or of another version
                    before = parse(columns)
            if before is not None and _was_fetched_meanwhile(before.entry, row.entry):
                return self._stored(before)
            if before is not None and settle is not None:
                row = row._replace(entry=settle(row.entry, before.entry))
            os.stat(path)  # a clock that jumped may have let another process sweep it away
            is_kept = keep > 0 and before is not None and (self._folder / before.filename).is_file()
            table.put(row, before if is_kept else None)
        return self._stored(row)

    def _change(self, table: Table, key: str, change: Callable[[Entry], Entry]) -> Entry | None:
        """Change the facts of a row within a transaction; gives what they were before, None where it has none."""
        columns = table.one(key)
        if columns is None:
            return None
        try:
            row = parse(columns)
        except ValueError:
            return None
        table.change(Row(change(row.entry), row.filename))
        return row.entry

    @_mended
    def _delete(self, rows: Collection[Stored], *, pinned: bool) -> Removed:
        """Delete some rows, those that were replaced meanwhile left out."""
        try:
            return self._delete_seen(rows, pinned=pinned)
        except sqlite3.Error as fault:
            if not places.lacks_room(fault):
                raise
        for stored in rows:  # first: on a full disk a row's deletion needs the room
            if (found := self._now(stored)) == stored and (pinned or not found.entry.pinned):
                self._remove_payloads([_filename(stored)])
        return self._delete_seen(rows, pinned=pinned)

    def _delete_seen(self, rows: Collection[Stored], *, pinned: bool) -> Removed:
        count = size = 0
        with self._database.transaction() as table:
            for stored in rows:
                key, version = stored.entry.key, stored.version
                columns = table.one(key, version)
                if columns is None or worded(columns[4]) != _filename(stored):
                    continue
                if not pinned and is_pinned(columns):
                    continue
                if version == CURRENT:
                    count += 1
                    size += size_of(table.one(key, PREVIOUS))
                size += size_of(columns)
                for filename in table.take_away(key, version):
                    table.let_go(filename)
        return Removed(count, size)

    def _clear(self) -> Removed:
        with self._database.transaction() as table:
            rows = list(all_of(table.con, SELECT))
            table.con.execute("DELETE FROM Cache")
            for columns in rows:
                table.let_go(worded(columns[4]))
        return Removed(sum(columns[1] != PREVIOUS for columns in rows), sum(map(size_of, rows)))

    def _delete_damaged(self, seen: Columns) -> None:
        """Delete a row that cannot be read, and its payload where it is sure to be its own."""
        key, version = worded(seen[0]), CURRENT if seen[1] == 1 else PREVIOUS
        with self._database.translated(), self._database.transaction() as table:
            if table.one(key, version) == seen:
                for filename in checks.unreferenced(table.con, table.take_away(key, version)):
                    table.let_go(filename)

    def _refuse(self, stored: Stored) -> None:
        """Say that a payload is damaged, and delete it, unless another one is in its place by now."""
        self._database.reopen_if_replaced()  # the whole directory may be gone
        if self._now(stored) != stored:
            return
        told = "deleted"
        try:
            with self._database.translated(), self._database.transaction() as table:
                columns = table.one(stored.entry.key, stored.version)
                if columns is None or self._stored(parse(columns)) != stored:
                    return
                for filename in table.take_away(stored.entry.key, stored.version):
                    table.let_go(filename)
        except StoreError:
            told = "could not be deleted"
        raise DamagedPayload(f"a stored file in {self.directory} was missing or damaged, and is {told}")

    # --- files ----------------------------------------------------------------------------------------

    def _spare_or_remove(self, row: Row) -> None:
        """Delete a new payload whose row was not committed: an interruption may have come after the commit."""
        with suppress(*FAULTS):  # what cannot be told is left to the sweep
            for statement in (SELECT_ONE, SELECT_PREVIOUS):  # or somebody has replaced it since
                columns = self._database.rows().execute(statement, (row.entry.key,)).fetchone()
                if columns is not None and columns[4] == row.filename.encode():
                    return
            payloads.remove(self._folder, row.filename)

    def _remove_payloads(self, filenames: Iterable[str]) -> None:
        for filename in filenames:
            payloads.remove(self._folder, filename)

    def _sweep_if_due(self) -> None:
        """Sweep if nobody has done so for a day: once in a process, after something was stored."""
        if not self._is_swept:
            self._is_swept = True
            with suppress(*FAULTS):  # it will be due for the next process
                if checks.is_sweep_due(self._folder):
                    self._sweep()

    def _sweep(self) -> None:
        """Delete files that nobody needs: in small transactions, in which nobody can begin to need them."""
        for names in checks.unneeded(self._folder, self._database.rows()):
            with self._database.transaction() as table:
                for name in checks.unreferenced(table.con, names):
                    payloads.remove(self._folder, name)


def _filename(stored: Stored) -> str:
    return "/".join(stored.path.parts[-2:])


def _newest_first(found: list[Stored]) -> list[Stored]:
    return sorted(found, key=lambda stored: stored.entry.provenance.fetched_at, reverse=True)


def _was_fetched_meanwhile(stored: Entry, slow: Entry) -> bool:
    """Whether somebody began a fetch, and stored it, while a slower one that had begun before went on."""
    began, elapsed = slow.provenance.fetched_at, slow.provenance.elapsed
    return began < stored.provenance.fetched_at <= began + timedelta(seconds=elapsed)
