"""Whatever is done to the files of a store: no wrong answer, no code run, no exception that reaches the caller."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from sqlcache_nb import QueryCache
from sqlcache_nb.errors import StoreWarning
from sqlcache_nb.stores import Stored
from sqlcache_nb.stores.disk import DiskStore
from tests.faults import rows_of
from tests.scale import folder_in_memory, scaled
from tests.store_contract import entry_of, proven, word_of
from tests.strict import differences

KEYS = [letter * 64 for letter in "abcd"]


class Poison:
    """Runs code where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.mark,)


def flip(path: Path, chance: random.Random, mark: Path) -> None:
    """Change some bits."""
    with path.open("r+b") as file:
        size = path.stat().st_size
        for _ in range(chance.choice([1, 1, 3, 50])):
            place = chance.randrange(size)
            file.seek(place)
            (byte,) = file.read(1)
            file.seek(place)
            file.write(bytes([byte ^ 1 << chance.randrange(8)]))


def cut(path: Path, chance: random.Random, mark: Path) -> None:
    """Take the end away."""
    os.truncate(path, chance.randrange(path.stat().st_size))


def swap(path: Path, chance: random.Random, mark: Path) -> None:
    """Put two files into each other's place."""
    other = chance.choice(files(path.parents[1] if path.parent.name != "v1" else path.parent))
    spare = path.with_name("spare")
    path.replace(spare)
    if other != path:
        other.replace(path)
    spare.replace(other)


def rename(path: Path, chance: random.Random, mark: Path) -> None:
    """Give it another name, or take it away."""
    path.replace(path.with_name(f"{chance.randrange(16**30):030x}.parquet"))


def poison(path: Path, chance: random.Random, mark: Path) -> None:
    """Write a pickle in its place."""
    path.write_bytes(pickle.dumps(Poison(mark)))


def poison_rows(path: Path, chance: random.Random, mark: Path) -> None:
    """Write a pickle, or anything else, into some column of a row."""
    column = chance.choice("key raw mode size filename value tag expire_time store_time".split())
    value = chance.choice(
        [
            pickle.dumps(Poison(mark)),
            0,
            1,
            -1,
            4,
            None,
            "../../victim",
            "/etc/passwd",
            "[" * 2_000,
            '{"format": 2}',
            1e300,
        ]
    )
    statement = f"UPDATE Cache SET {column} = ?, mode = ? WHERE rowid = ?"
    change_rows(path, statement, value, chance.choice([1, 2, 4]), chance.randrange(1, 7))


def swap_rows(path: Path, chance: random.Random, mark: Path) -> None:
    """Mix up a column of two rows."""
    column = chance.choice("filename value tag size".split())
    other = f"(SELECT {column} FROM Cache ORDER BY random() LIMIT 1)"
    change_rows(path, f"UPDATE Cache SET {column} = {other} WHERE rowid = ?", chance.randrange(1, 7))


def change_settings(path: Path, chance: random.Random, mark: Path) -> None:
    """Open it as another Disk would, with other settings."""
    key = chance.choice(
        "eviction_policy cull_limit statistics size_limit disk_compress_level disk_min_file_size get count size".split()
    )
    value = chance.choice(["least-recently-used", 1, 100, 0, "x", pickle.dumps(Poison(mark))])
    change_rows(path, "INSERT OR REPLACE INTO Settings VALUES (?, ?)", key, value)


def drop(path: Path, chance: random.Random, mark: Path) -> None:
    """Take a table, an index or a trigger away."""
    thing = chance.choice(
        [
            "TABLE Cache",
            "TABLE Settings",
            "INDEX Cache_key_raw",
            "INDEX Cache_tag_rowid",
            "TRIGGER Settings_size_delete",
        ]
    )
    change_rows(path, f"DROP {thing}")


def change_rows(path: Path, statement: str, *values: object) -> None:
    database = next(each for each in (path, *path.parents) if each.name == "v1") / "cache.db"
    with suppress(sqlite3.DatabaseError, UnicodeDecodeError), closing(sqlite3.connect(database)) as con, con:
        con.execute(statement, values)


DEEDS = [
    flip,
    flip,
    flip,
    cut,
    swap,
    rename,
    poison,
    poison_rows,
    poison_rows,
    swap_rows,
    change_settings,
    drop,
]


def files(folder: Path) -> list[Path]:
    """What there is to corrupt."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 0)


def corrupt(folder: Path, chance: random.Random, mark: Path) -> str:
    """One corruption of one file; says which."""
    there = files(folder)
    deed = chance.choice(DEEDS)
    # The database is one file among many, and what is done to it matters most.
    path = chance.choice(
        [path for path in there if path.name.startswith("cache.db")] + [chance.choice(there)]
    )
    deed(path, chance, mark)
    return f"{deed.__name__} {path.name}"


def fill(store: DiskStore) -> None:
    """Some entries, half of which have replaced another answer."""
    for number, key in enumerate(KEYS):
        if number % 2:
            store.write(entry_of(key), memoryview(proven(key, "older")))
        store.write(entry_of(key, minute=number), memoryview(proven(key, "old")), keep=1)


@pytest.fixture
def memory() -> Iterator[Path]:
    directory = folder_in_memory()
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def pattern(memory: Path) -> Path:
    """A filled store, closed; and one whose log is still beside it."""
    directory = memory / "pattern"
    store = DiskStore(directory / "closed")
    fill(store)
    store.close()
    store = DiskStore(directory / "open")
    fill(store)
    shutil.copytree(directory / "open", directory / "killed")
    store.close()
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["closed", "killed"])
def test_no_corruption_gives_a_wrong_payload_or_an_exception(memory: Path, pattern: Path, kind: str) -> None:
    mark = memory / "ran"
    for number in range(scaled(5_000)):
        chance = random.Random(f"{kind} {number}")
        directory = memory / "copy"
        shutil.copytree(pattern / kind, directory)
        done = [corrupt(directory / "v1", chance, mark) for _ in range(chance.choice([1, 1, 2]))]
        try:
            use(directory, chance)
        except Exception as fault:
            raise AssertionError(f"{kind} {number}: {done}") from fault
        assert not mark.exists(), (number, done)
        shutil.rmtree(directory)


def use(directory: Path, chance: random.Random) -> None:
    """Read, write and list, and mend in the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StoreWarning)
        store = DiskStore(directory)
        for key in chance.sample(KEYS, 4):
            found = store.lookup(key)
            # Where the end of its log is gone, the database is what it was before.
            assert found is None or read(store, key) in {None, "old", "older"}
            assert read(store, key, store.previous) in {None, "older"}
        store.entries()
        store.alike("select 1")
        store.size()
        for key in (KEYS[3], KEYS[0]):
            store.write(entry_of(key, minute=9), memoryview(proven(key, "new")), keep=1)
            assert read(store, key) == "new"
            assert read(store, key, store.previous) in {None, "old", "older"}
        store.invalidate(KEYS, entry_of("x").provenance.fetched_at)
        store.delete(rows_of(store, KEYS[1]))
        store.check()
        store.check(repair=True)
        report = store.check()
        assert (report.damaged, report.missing, report.unreadable, report.database) == ((), (), (), ())
        assert read(store, KEYS[0]) in {None, "new"}  # None: its database was damaged, and is set aside
        store.write(entry_of(KEYS[0], minute=10), memoryview(proven(KEYS[0], "newer")), keep=1)
        assert read(store, KEYS[0]) == "newer"
        assert read(store, KEYS[0], store.previous) in {None, "new"}
        store.close()


def read(store: DiskStore, key: str, look_up: Callable[[str], Stored | None] | None = None) -> str | None:
    from sqlcache_nb.errors import DamagedPayload

    stored = (look_up or store.lookup)(key)
    if stored is None:
        return None
    try:
        payload = store.read(stored)
    except DamagedPayload:
        return None
    return None if payload is None else word_of(key, payload)


@pytest.mark.slow
def test_no_corruption_gives_a_wrong_frame_or_an_exception(memory: Path, sales: Engine) -> None:
    questions = {
        sql: pd.read_sql(sql, sales) for sql in ("select * from sales", "select id from sales", "sales")
    }
    with QueryCache(memory / "pattern") as cache:
        for sql in questions:
            cache.read(sql, sales)
    mark = memory / "ran"
    for number in range(scaled(1_000)):
        chance = random.Random(number)
        directory = memory / "copy"
        shutil.copytree(memory / "pattern", directory)
        done = [corrupt(directory / "v1", chance, mark) for _ in range(chance.choice([1, 1, 2]))]
        with warnings.catch_warnings(), QueryCache(directory) as cache:
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", StoreWarning)
            for sql, expected in [*questions.items()] * 2:
                assert differences(expected, cache.read(sql, sales).frame) == [], (number, done)
            cache.entries()
            cache.stats()
            cache.check(repair=True)
        assert not mark.exists(), (number, done)
        shutil.rmtree(directory)
