"""Eight processes on one cache directory, for a bounded number of operations: right frames, no exception, nothing left over.

Each frame carries its own proof: the question's number, a version, and a digest over both. `SQLCACHE_NB_SCALE`
multiplies the number of operations.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from tests.oracle import inconsistencies
from tests.scale import scaled

PROCESSES = 8
QUESTIONS = 12
OPERATIONS = max(30, scaled(240))
LONGEST = 600
"""Seconds after which a process that hangs is ended."""

COMMON = """
import hashlib, random, sys, warnings
import pandas as pd
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from sqlcache_nb import Outcome, QueryCache

warnings.simplefilter("error")
directory, url, seed, operations = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
chance = random.Random(seed)
engine = create_engine(url, poolclass=NullPool, **({"connect_args": {"timeout": 120}} if "sqlite" in url else {}))

def digest(number, version):
    return hashlib.sha256(f"{number} {version}".encode()).hexdigest()

def proven(frame, number):
    # The version that a frame is of, if it is whole, and the answer to this question.
    rows = set(zip(frame["number"], frame["version"], frame["proof"]))
    assert sorted(frame["row"]) == list(range(50)), frame  # in no order: none was asked for
    ((asked, version, proof),) = rows
    assert asked == number and proof == digest(number, version), frame
    return version

def question(number):
    return f"select * from proof_{number}"
"""

COLD = """
with QueryCache(directory) as cache:
    print("ready", flush=True)
    sys.stdin.readline()
    numbers = list(range(operations))
    chance.shuffle(numbers)
    for number in numbers:
        result = cache.read(question(number), engine)
        assert result.outcome in (Outcome.HIT, Outcome.MISS), result
        proven(result.frame, number)
print("done")
"""

MIXED = """
def write(number):
    # As a program that knows nothing of the cache: all rows at once, with a new version.
    with engine.begin() as con:
        version = con.scalar(text(f"select max(version) from proof_{number}")) + 1
        values = {"version": version, "proof": digest(number, version)}
        con.execute(text(f"update proof_{number} set version = :version, proof = :proof"), values)

exact = "sqlite" in url
with QueryCache(directory, size_limit=chance.choice([15_000, 60_000, 10**9])) as cache:
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(operations):
        number = chance.randrange(12)
        match chance.choices("read refresh load write clear delete invalidate chunks".split(), [60, 8, 5, 6, 2, 4, 8, 7])[0]:
            case "read" | "refresh" as how:
                with engine.connect() as con:
                    before = con.scalar(text(f"select min(version) from proof_{number}"))
                result = cache.read(question(number), engine, refresh=how == "refresh", name=f"proof {number}", ttl="1h")
                version = proven(result.frame, number)
                # A file's token tells each commit; a server's answer may be as old as its ttl.
                assert version >= before or not exact, (version, before, result)
            case "load":
                for entry in cache.entry_list()[:1]:
                    try:
                        frame = cache.load(entry.key).frame
                    except LookupError:  # deleted by another process just now
                        continue
                    whole = frame if isinstance(frame, pd.DataFrame) else pd.concat(frame, ignore_index=True)
                    proven(whole, int(entry.provenance.sql.rpartition("_")[2]))
            case "write":
                write(number)
            case "clear":
                cache.clear(older_than=0)
            case "delete":
                cache.clear(name=f"proof {number}")
            case "invalidate":
                cache.invalidate(table=f"proof_{number}")
            case "chunks":
                chunks = list(cache.read(question(number), engine, chunksize=20).frame)
                proven(pd.concat(chunks, ignore_index=True), number)
engine.dispose()
print("done")
"""


def run(program: str, directory: Path, url: str, operations: int) -> None:
    """Run it in eight processes that begin together, and hold each to its last word."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", COMMON + program, str(directory), url, str(seed), str(operations)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(PROCESSES)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate(timeout=LONGEST)[1]
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=LONGEST) for process in running]
        wrong = "".join(errors for _, errors in said)
        assert not wrong, wrong[:5_000]
        assert {output for output, _ in said} == {"done\n"}
    finally:
        for process in running:
            process.kill()
            process.communicate()


def filled(engine: Engine) -> None:
    """One table for each question."""
    import hashlib

    with engine.begin() as con:
        for number in range(QUESTIONS):
            con.execute(text(f"drop table if exists proof_{number}"))
            con.execute(
                text(
                    f'create table proof_{number} ("row" integer, number integer, version integer, proof text)'
                )
            )
            proof = hashlib.sha256(f"{number} 0".encode()).hexdigest()
            rows = [{"row": row, "number": number, "proof": proof} for row in range(50)]
            con.execute(text(f"insert into proof_{number} values (:row, :number, 0, :proof)"), rows)


@pytest.fixture
def file(tmp_path: Path, engines: Callable[..., Engine]) -> str:
    """A SQLite file in WAL mode, so that readers and writers go on side by side."""
    url = f"sqlite:///{tmp_path / 'proof.db'}"
    with closing(sqlite3.connect(tmp_path / "proof.db")) as con:
        con.execute("pragma journal_mode = wal")
    filled(engines(url))
    return url


@pytest.fixture
def server(postgresql_url: str, engines: Callable[..., Engine]) -> Iterator[str]:
    """A database of its own in PostgreSQL."""
    engine = engines(postgresql_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as con:
        con.execute(text("create database stress"))
    url = make_url(postgresql_url).set(database="stress").render_as_string(hide_password=False)
    filled(engines(url))
    yield url
    with engine.connect() as con:
        con.execute(text("drop database stress with (force)"))


@pytest.mark.slow
class TestColdKeys:
    """Each question is asked by all processes at once, and put to the database once."""

    @pytest.mark.server
    def test_postgresql_counts_one_execution_of_each(
        self, tmp_path: Path, server: str, engines: Callable[..., Engine]
    ) -> None:
        run(COLD, tmp_path / "shared", server, QUESTIONS)
        with engines(server).connect() as con:
            # What a session did is counted when it ends, and each read has a session of its own.
            counted = con.execute(
                text("select relname, seq_scan from pg_stat_user_tables order by relname")
            ).all()
        assert dict(tuple(row) for row in counted) == {f"proof_{number}": 1 for number in range(QUESTIONS)}
        assert inconsistencies(tmp_path / "shared") == []

    def test_a_file_is_asked_once_for_each(self, tmp_path: Path, file: str) -> None:
        executions = tmp_path / "executions"
        executions.write_text("")
        counting = f"""
from sqlalchemy import event
executions = open({str(executions)!r}, "a", buffering=1)  # a line each, and each whole

def note(_con, _cursor, statement, *_rest):
    if statement.startswith("select * from proof_"):
        executions.write(statement + chr(10))

event.listen(engine, "before_cursor_execute", note)
"""
        run(counting + COLD + "executions.close()", tmp_path / "shared", file, QUESTIONS)
        asked = executions.read_text().splitlines()
        assert sorted(asked) == sorted(f"select * from proof_{number}" for number in range(QUESTIONS))
        assert inconsistencies(tmp_path / "shared") == []


@pytest.mark.slow
class TestMixed:
    """Reads, writes, clears, evictions and invalidations at once."""

    def test_on_a_file(self, tmp_path: Path, file: str) -> None:
        run(MIXED, tmp_path / "shared", file, OPERATIONS)
        assert inconsistencies(tmp_path / "shared") == []

    @pytest.mark.server
    def test_on_postgresql(self, tmp_path: Path, server: str) -> None:
        run(MIXED, tmp_path / "shared", server, OPERATIONS)
        assert inconsistencies(tmp_path / "shared") == []
