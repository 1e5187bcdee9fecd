"""Many entries at once: cleared and evicted, and how long others wait meanwhile."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import xxhash

from benchmarks.store import insert
from sqlcache_nb import Entry, Provenance, QueryCache, Removed, Stored
from sqlcache_nb.key import Key
from sqlcache_nb.ledger import Ledger
from sqlcache_nb.space import Space
from sqlcache_nb.stores.disk import DiskStore

PAYLOAD = b"x" * 100
PROBED = "f" * 64
READER = """
import json, sys, threading, time
from sqlcache_nb.stores.disk import DiskStore

store, end, times = DiskStore(sys.argv[1]), [], []
threading.Thread(target=lambda: end.append(sys.stdin.read())).start()
print("ready", flush=True)
while not end:
    begun = time.perf_counter()
    stored = store.lookup(sys.argv[2])
    assert stored is not None and store.read(stored)
    times.append(time.perf_counter() - begun)
    time.sleep(0.0005)
print(json.dumps(times))
store.close()
"""


def filled(directory: Path, count: int) -> DiskStore:
    """A store of so many entries; every tenth has the tag "tenth"."""
    store = DiskStore(directory)
    now = datetime.now(UTC)
    provenance = Provenance(
        PROBED,
        {"statement": "0" * 16},
        "string",
        "select 1",
        {},
        "a.db",
        "sqlite",
        ("t",),
        now,
        9.0,
        1,
        1,
        None,
        {},
    )
    store.write(Entry(provenance, pinned=True), memoryview(PAYLOAD))
    entries = []
    for number in range(count):
        key = Key.of({"number": number}).digest
        one = replace(provenance, key=key, fetched_at=now - timedelta(minutes=number), elapsed=0.001)
        checksum = xxhash.xxh3_128_hexdigest(PAYLOAD)
        tags = ("tenth",) if number % 10 == 0 else ()
        entries.append(Entry(one, checksum=checksum, bytes=len(PAYLOAD), tags=tags))
    for filename in insert(directory, entries):
        path = directory / "v1" / filename
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(PAYLOAD)
    return store


def seconds(name: str, do: Callable[[], object]) -> None:
    """Print how long one call takes."""
    begun = time.perf_counter()
    told = do()
    print(
        f"{name:44}{time.perf_counter() - begun:8.2f} s   {told if isinstance(told, Removed) else ''}",
        flush=True,
    )


def waits(name: str, times: list[float]) -> None:
    """Print how long look-ups took."""
    ordered = sorted(1_000 * each for each in times)
    p99, worst = ordered[int(len(ordered) * 0.99)], ordered[-1]
    told = f"median {statistics.median(ordered):6.2f} ms, p99 {p99:6.2f} ms, longest {worst:6.2f} ms"
    print(f"  {name:42}{told}   ({len(ordered):,} times)", flush=True)


def watched(directory: Path, name: str, do: Callable[[], object]) -> None:
    """Do something while another process and another thread of this one look up and read an entry."""
    command = [sys.executable, "-c", READER, str(directory), PROBED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        reader.stdout.readline()  # type: ignore[union-attr]  # it is ready
        times: list[float] = []
        end = threading.Event()

        def look() -> None:
            with closing(DiskStore(directory)) as store:
                while not end.is_set():
                    begun = time.perf_counter()
                    stored = store.lookup(PROBED)
                    if stored is None or store.read(stored) is None:
                        raise SystemExit("a pinned entry is gone")
                    times.append(time.perf_counter() - begun)
                    time.sleep(0.0005)

        thread = threading.Thread(target=look)
        thread.start()
        seconds(name, do)
        end.set()
        thread.join()
        told, _ = reader.communicate()
    waits("look-ups of another process", json.loads(told))
    waits("look-ups of another thread", times)


def evict(store: DiskStore) -> None:
    """Make room as a write would that finds the store at twice its size."""

    def clock() -> datetime:
        return datetime.now(UTC)

    space = Space(store.size() // 2, float("inf"), clock)
    space.make(store, Ledger(lambda: store, clock), PROBED)


def main() -> None:
    """Print what takes how long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000, help="how many (default: 100,000)")
    count = parser.parse_args().entries
    with tempfile.TemporaryDirectory() as folder, closing(filled(Path(folder), count)) as store:
        rows: list[Stored] = []
        seconds(f"list {count:,} entries", lambda: rows.extend(store.entries()))
        with QueryCache(store) as cache:
            seconds("clear(tag='tenth', dry_run=True)", lambda: cache.clear(tag="tenth", dry_run=True))
            seconds("clear(tag='tenth')", lambda: cache.clear(tag="tenth"))
            seconds("stats()", cache.stats)
        watched(Path(folder), "nothing, for two seconds", lambda: time.sleep(2))
        rows.clear()
        watched(Path(folder), "evict half of what is left", lambda: evict(store))
        with QueryCache(store) as cache:
            watched(Path(folder), "clear(unpinned_only=True)", lambda: cache.clear(unpinned_only=True))


if __name__ == "__main__":
    main()
