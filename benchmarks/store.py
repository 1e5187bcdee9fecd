"""A store of many entries against one of few, and its list against a plain SELECT of the same rows."""

from __future__ import annotations

import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from benchmarks.paired import Comparison, command_line, paired, print_table
from sqlcache_nb import QueryCache
from sqlcache_nb.entry import Entry
from sqlcache_nb.key import Key
from sqlcache_nb.parts import likeness
from sqlcache_nb.stores.disk import DiskStore
from sqlcache_nb.stores.rows import MODE, Row, sealed

FEW, MANY = 100, 100_000
_LOOKUPS = 200  # in one measured run
_INSERT = """INSERT INTO Cache (key, raw, store_time, access_time, tag, size, mode, filename, value)
                    VALUES (?, 1, 0, 0, ?, ?, ?, ?, ?)"""


def an_entry(folder: Path) -> Entry:
    """An entry as a question to a database makes it."""
    database = folder / "numbers.db"
    with closing(sqlite3.connect(database)) as con, con:
        con.execute("CREATE TABLE numbers AS SELECT 1 AS n")
    with QueryCache(folder / "one") as cache:
        cache.read("SELECT n FROM numbers WHERE n = :n", f"sqlite:///{database}", params={"n": 1})
        return cache.entry_list()[0]


def filled(directory: Path, pattern: Entry, count: int) -> tuple[DiskStore, list[str]]:
    """A store of so many entries, and their keys; their payloads are nobody's question here."""
    store = DiskStore(directory)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    entries = []
    for number in range(count):
        key = Key.of({"number": number}).digest
        provenance = replace(
            pattern.provenance,
            key=key,
            sql=f"{pattern.provenance.sql} -- {number}",
            fetched_at=start + timedelta(seconds=number),
        )
        entries.append(replace(pattern, provenance=provenance))
    insert(directory, entries)
    return store, [entry.key for entry in entries]


def insert(directory: Path, entries: Iterable[Entry]) -> list[str]:
    """Put rows into a store at once, and give the names of their files, which are not made."""
    rows = [Row(entry, f"{entry.key[:2]}/{entry.key[2:32]}.parquet") for entry in entries]
    values = [
        (row.entry.key, likeness(row.entry.provenance.sql), row.entry.bytes, MODE, row.filename, sealed(row))
        for row in rows
    ]
    with closing(sqlite3.connect(directory / "v1" / "cache.db")) as con, con:
        con.executemany(_INSERT, values)
    with closing(sqlite3.connect(directory / "v1" / "cache.db")) as con:
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # as it is when nobody is writing
    return [row.filename for row in rows]


def plain_select(directory: Path) -> Callable[[], object]:
    """Reads all rows, and does nothing with them."""
    con = sqlite3.connect(directory / "v1" / "cache.db")
    return lambda: con.execute("SELECT key, filename, value FROM Cache").fetchall()


def lookups(store: DiskStore, keys: list[str]) -> None:
    """Look for some of the keys: others each time."""
    for key in random.sample(keys, min(len(keys), _LOOKUPS)) * (_LOOKUPS // min(len(keys), _LOOKUPS)):
        if store.lookup(key) is None:
            raise SystemExit(f"{key} is not found")


def main() -> None:
    """Print the table."""
    arguments = command_line(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pattern = an_entry(Path(folder))
        few, few_keys = filled(Path(folder, "few"), pattern, FEW)
        many, many_keys = filled(Path(folder, "many"), pattern, MANY)
        cache = QueryCache(many)

        def compare(
            name: str, ours: Callable[[], object], other: Callable[[], object], runs: int
        ) -> Comparison:
            return paired(name, ours, other, runs)

        print_table(
            [
                (
                    f"{MANY:,} entries",
                    compare(
                        f"{_LOOKUPS} lookups / of {FEW}",
                        partial(lookups, many, many_keys),
                        partial(lookups, few, few_keys),
                        10 * arguments.runs,
                    ),
                ),
                (
                    f"{MANY:,} entries",
                    compare(
                        "entries() / plain SELECT",
                        cache.entries,
                        plain_select(Path(folder, "many")),
                        arguments.runs,
                    ),
                ),
            ]
        )
        few.close()
        many.close()


if __name__ == "__main__":
    main()
