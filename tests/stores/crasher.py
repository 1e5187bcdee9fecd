"""A writer that is killed: forks one after the other from a process that has loaded everything already.

Each number of milliseconds on standard input is a writer that is killed after that time; it says on its pipe what
it is about to store, and what it has stored, and what became of that is printed when it is dead.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from sqlcache_nb.stores.disk import DiskStore
from tests.faults import rows_of
from tests.store_contract import entry_of, proven

KEYS = [letter * 64 for letter in "abcdef"]


def write(directory: str, seed: int, pipe: int) -> None:
    """Overwrite, delete and clear for ever."""
    chance = random.Random(seed)
    store = DiskStore(directory)
    for number in range(10**9):
        deed = chance.random()
        key = chance.choice(KEYS)
        told = f"{key} {seed}.{number}" if deed < 0.9 else f"{key} -"
        os.write(pipe, f"begin {told}\n".encode())
        if deed < 0.9:
            store.write(entry_of(key, minute=number), memoryview(proven(key, f"{seed}.{number}")), keep=1)
        else:
            store.delete(rows_of(store, key))
        os.write(pipe, f"done {told}\n".encode())


def main() -> None:
    """Kill one writer for each line."""
    directory = sys.argv[1]
    for seed, line in enumerate(sys.stdin):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            write(directory, seed, writing)
        os.close(writing)
        time.sleep(float(line) / 1_000)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reading) as said:
            sys.stdout.write(said.read() + "killed\n")
        sys.stdout.flush()


def once(directory: str) -> None:
    """One overwrite, for those who kill it at a certain system call."""
    store = DiskStore(directory)
    Path(directory, "began").touch()
    store.write(entry_of(KEYS[0], minute=2), memoryview(proven(KEYS[0], "new")), keep=1)
    store.close()


if __name__ == "__main__":
    if sys.argv[2:] == ["once"]:
        once(sys.argv[1])
    else:
        main()
