"""A writer that is killed at any point leaves the old entry or the new one, and nothing that stays."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sqlcache_nb.stores import Stored
from sqlcache_nb.stores.disk import DiskStore
from tests.faults import rows_of
from tests.oracle import inconsistencies
from tests.scale import SCALE, scaled
from tests.store_contract import entry_of, proven, word_of
from tests.stores.crasher import KEYS

CRASHER = [sys.executable, str(Path(__file__).with_name("crasher.py"))]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be killed at any point"),
    pytest.mark.slow,
]


def held(directory: Path) -> dict[str, tuple[str, str]]:
    """The word of each entry, and of what it replaced ("-" for nothing); all of them can be read."""
    store = DiskStore(directory)
    found = {}
    for stored in store.entries():
        previous = store.previous(stored.entry.key)
        found[stored.entry.key] = (told(store, stored), "-" if previous is None else told(store, previous))
    store.close()
    return found


def told(store: DiskStore, stored: Stored) -> str:
    payload = store.read(stored)
    assert payload is not None
    return word_of(stored.entry.key, payload)


NOTHING = ("-", "-")


def sweep(directory: Path) -> None:
    """Let an hour and a day pass for what was left, and store something."""
    for path in (directory / "v1").rglob("*"):
        if path.suffix == ".parquet" or path.name == "swept":
            os.utime(path, (time.time() - 100_000,) * 2)
    store = DiskStore(directory)
    store.write(entry_of("0" * 64, minute=10**6), memoryview(b"anything"))
    report = store.check()
    assert (report.faults, report.foreign) == (0, ())
    store.delete(rows_of(store, "0" * 64))
    store.close()


def run_and_kill(directory: Path, moments: list[float]) -> Iterator[list[list[str]]]:
    """What each writer said before it was killed, as words."""
    with subprocess.Popen(
        [*CRASHER, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        text=True,
    ) as crasher:
        assert crasher.stdin is not None
        assert crasher.stdout is not None
        assert crasher.stderr is not None
        for moment in moments:
            crasher.stdin.write(f"{moment}\n")
            crasher.stdin.flush()
            said = []
            while (line := crasher.stdout.readline()) != "killed\n":
                assert line, crasher.stderr.read()
                said.append(line.split())
            yield said
        crasher.stdin.close()
        assert crasher.stderr.read() == ""


def test_killed_at_any_moment(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    DiskStore(directory).close()
    chance = random.Random(1)
    committed: dict[str, tuple[str, str]] = {}
    writes = 0
    moments = [chance.uniform(0, 60) for _ in range(scaled(500))]
    for said in run_and_kill(directory, moments):
        either = [committed]
        for deed, key, word in said:
            before = committed.get(key, NOTHING)
            after = committed | {key: NOTHING if word == "-" else (word, before[0])}
            either = [committed, after] if deed == "begin" else [after]
            if deed == "done":
                committed = after
                writes += 1
        found = held(directory)
        assert found in [{key: words for key, words in each.items() if words != NOTHING} for each in either]
        committed = found
    sweep(directory)
    assert inconsistencies(directory) == []
    assert writes > 0


CALLS = "openat mkdir write pwrite64 fsync fdatasync unlink ftruncate".split()


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("call", CALLS)
def test_killed_at_each_system_call(tmp_path: Path, call: str) -> None:
    directory = tmp_path / "store"
    store = DiskStore(directory)
    store.write(entry_of(KEYS[0]), memoryview(proven(KEYS[0], "older")))
    store.write(entry_of(KEYS[0], minute=1), memoryview(proven(KEYS[0], "old")), keep=1)
    store.write(entry_of(KEYS[1]), memoryview(proven(KEYS[1], "other")))
    store.close()
    first, total = calls_of(tmp_path, directory, call)
    every = max(1, round(1 / (5 * SCALE)))
    for number in range(first, total + 1, every):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(directory, copy)
        done = traced(copy, "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}")
        assert done.returncode != 0 or number > total - 3  # the last ones may come at the end of the process
        assert held(copy) in (
            {KEYS[0]: ("old", "older"), KEYS[1]: ("other", "-")},
            {KEYS[0]: ("new", "old"), KEYS[1]: ("other", "-")},
        )
        sweep(copy)
        assert inconsistencies(copy) == []
        shutil.rmtree(copy)


def calls_of(tmp_path: Path, directory: Path, call: str) -> tuple[int, int]:
    """The first and the last of a whole run's system calls of one kind; what Python itself opens comes before."""
    copy = tmp_path / "counted"
    shutil.copytree(directory, copy)
    log = tmp_path / "calls"
    assert traced(copy, "-e", f"trace={call}", "-o", str(log)).returncode == 0
    assert held(copy)[KEYS[0]] == ("new", "old")
    shutil.rmtree(copy)
    lines = [line for line in log.read_text().splitlines() if f"{call}(" in line]
    began = [number for number, line in enumerate(lines, 1) if "/began" in line]
    return (began or [0])[0] + 1, len(lines)


def traced(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    where = [] if "-o" in options else ["-o", os.devnull]
    return subprocess.run(
        ["strace", "-f", *options, *where, *CRASHER, str(directory), "once"],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
