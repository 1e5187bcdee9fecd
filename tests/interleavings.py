"""Random interleavings of writes and cached reads, each read held against what a connection of its own gives.

`python -m tests.interleavings [DATABASE ...]` prints how often each validator fetched needlessly; `SQLCACHE_NB_SCALE`
says how many interleavings (1: a thousand of each database). `tests/test_interleavings.py` holds the counts to what they must be.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.pool import NullPool

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache, ValidatorWarning
from tests import servers
from tests.scale import folder_in_memory, scaled
from tests.strict import differences

INTERLEAVINGS = 1_000
_STEPS = (4, 12)
_COLUMNS = "select * from a order by id"

CHILD = """
import json, sys, traceback

def connected(url):
    if url.startswith("sqlite"):
        import sqlite3
        return sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    if url.startswith("duckdb"):
        import duckdb
        return duckdb.connect(url.removeprefix("duckdb:///"))
    if url.startswith("postgresql"):
        import psycopg
        return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
    from sqlalchemy import make_url
    import pymysql
    url = make_url(url)
    return pymysql.connect(unix_socket=url.query["unix_socket"], user=url.username, database=url.database, autocommit=True)

held = {}
for line in sys.stdin:
    try:
        url, name, statements = json.loads(line)
        con = held.get(name) or connected(url)
        for statement in statements:
            cursor = con.cursor() if not url.startswith("duckdb") else con
            cursor.execute(statement)
        if name is None:
            con.close()
        else:
            held[name] = con
        print("done", flush=True)
    except BaseException:
        print(json.dumps(traceback.format_exc()), flush=True)
"""


class AnotherProcess:
    """One that lives as long as it is needed, and runs what it is told to over a pipe."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, url: str, *statements: str, held: str | None = None) -> None:
        """Run statements on a connection of its own.

        Args:
            url: the database.
            statements: each is committed at once, where none of them begins a transaction.
            held: the name of a connection that stays open; by default one is opened, and closed again.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([url, held, statements]) + "\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline()
        assert said == "done\n", said

    def close(self) -> None:
        self._process.communicate()


@dataclass
class Counts:
    """What came of the reads of one database.

    Args:
        reads: how many.
        hits: of them from the cache.
        stale: whose frame is not what the database gives.
        unchanged: of questions whose tables nobody has written to since they were read.
        needless: of those, asked again all the same.
    """

    interleavings: int = 0
    reads: int = 0
    hits: int = 0
    stale: list[str] = field(default_factory=list)
    unchanged: int = 0
    needless: int = 0


@dataclass(frozen=True)
class Question:
    """What is read.

    Args:
        sql: the statement.
        tables: the tables by which its answer changes.
        is_covered: whether the validator can always tell; else it is asked for with a ttl of 0, which is what is left to go
            by where it cannot.
    """

    sql: str
    tables: frozenset[str]
    is_covered: bool = True


def question(sql: str, *tables: str, is_covered: bool = True) -> Question:
    return Question(sql, frozenset(tables), is_covered)


Deed = Callable[[], "Sequence[str]"]
"""Does something, and gives the names of the tables that it has changed."""


class World(ABC):
    """A database, what can be done to it, and what it is asked.

    Args:
        folder: an empty one.
        chance: chooses.
    """

    name: str
    validate: Any = "auto"
    questions: tuple[Question, ...]

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.chance = chance
        self.other = AnotherProcess()
        self.number = 0
        self.columns = 0
        self.engine: Engine = self.connected()

    @abstractmethod
    def connected(self) -> Engine:
        """A new engine, whose database is filled if it is not."""

    @abstractmethod
    def deeds(self) -> Sequence[Deed]:
        """What can be done to it."""

    @abstractmethod
    def truth(self, sql: str) -> pd.DataFrame:
        """What a connection of its own gives."""

    @contextmanager
    def source(self) -> Iterator[Any]:
        """What is read from: an Engine, or a Connection."""
        if self.chance.random() < 0.6:
            yield self.engine
        else:
            with self.engine.connect() as con:
                yield con

    def close(self) -> None:
        self.engine.dispose()
        self.other.close()

    # --- what all of them can do ---

    def run(self, *statements: str) -> None:
        """Run statements, in this process or in the other."""
        if self.chance.random() < 0.5:
            with self.engine.connect() as con:
                for statement in statements:
                    con.exec_driver_sql(statement)
                con.commit()
        else:
            self.elsewhere(*statements)

    @abstractmethod
    def elsewhere(self, *statements: str) -> None:
        """Run statements in the other process."""

    def next(self) -> int:
        self.number += 1
        return self.number

    def insert(self) -> Sequence[str]:
        self.run(f"insert into a (id, x) values ({1000 + self.next()}, 'new')")
        return ["a"]

    def update(self) -> Sequence[str]:
        self.run(f"update a set x = 'u{self.next()}' where id = {self.chance.randrange(1, 20)}")
        return ["a"]

    def update_of_another(self) -> Sequence[str]:
        self.run(f"update b set y = {self.next()} where id = {self.chance.randrange(1, 5)}")
        return ["b"]

    def delete(self) -> Sequence[str]:
        self.run(f"delete from a where id > {self.chance.randrange(1000, 1010 + self.number)}")
        return ["a"]

    def delete_all(self) -> Sequence[str]:
        self.run("delete from b", f"insert into b (id, y) values (1, {self.next()})")
        return ["b"]

    def add_column(self) -> Sequence[str]:
        # Not on an idle connection: SQLite looks for the column in the schema as it was when that was used last.
        if self.columns > 3:
            return self.drop_column()
        self.columns += 1
        self.elsewhere(f"alter table a add column c{self.columns} integer")
        return ["a"]

    def drop_column(self) -> Sequence[str]:
        if not self.columns:
            return []
        self.columns -= 1
        self.elsewhere(f"alter table a drop column c{self.columns + 1}")
        return ["a"]

    def make_table(self) -> Sequence[str]:
        self.run("create table passing (n integer)", "drop table passing")
        return []

    def roll_back(self) -> Sequence[str]:
        with self.engine.connect() as con:
            con.exec_driver_sql("update a set x = 'never'")
            con.rollback()
        return []

    def nothing(self) -> Sequence[str]:
        return []


FILLING = (
    "create table a (id integer primary key, x varchar(20))",
    "create table b (id integer, y integer)",
    *(f"insert into a values ({n}, 'x{n % 3}')" for n in range(1, 20)),
    *(f"insert into b values ({n}, {n})" for n in range(1, 5)),
    "create view v as select x, count(*) as n from a group by x",
)
PLAIN = (
    question(_COLUMNS, "a"),
    question("select count(*) as n, max(x) as x from a", "a"),
    question("select * from b order by id, y", "b"),
    question("select a.id, x, y from a join b on b.id = a.id order by a.id, y", "a", "b"),
    question("select x, n from v order by x", "a"),
)


class Sqlite(World):
    """A SQLite file with a rollback journal."""

    name = "SQLite, rollback journal"
    journal = "delete"
    questions = PLAIN

    @property
    def path(self) -> Path:
        return self.folder / "data.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def connected(self) -> Engine:
        if not self.path.exists():
            with closing(sqlite3.connect(self.path)) as con:
                con.execute(f"pragma journal_mode = {self.journal}")
                for statement in FILLING:
                    con.execute(statement)
                con.commit()
        self.raw = sqlite3.connect(self.path)
        return create_engine(self.url, poolclass=self.chance.choice([NullPool, None]))

    @contextmanager
    def source(self) -> Iterator[Any]:
        match self.chance.randrange(4):
            case 0:
                yield self.raw
            case 1:
                yield self.url
            case _:
                with super().source() as con:
                    yield con

    def truth(self, sql: str) -> pd.DataFrame:
        with closing(sqlite3.connect(self.path)) as con:
            return pd.read_sql(sql, con)

    def elsewhere(self, *statements: str) -> None:
        self.other.run(self.url, "begin", *statements, "commit")

    def deeds(self) -> Sequence[Deed]:
        return [
            *[self.insert, self.update, self.update_of_another, self.delete] * 2,
            *[
                self.delete_all,
                self.add_column,
                self.drop_column,
                self.make_table,
                self.roll_back,
                self.nothing,
            ],
            *[self.checkpoint, self.vacuum, self.analyze, self.replace, self.restart, self.write_raw],
            self.many_at_once,
        ]

    def checkpoint(self) -> Sequence[str]:
        how = self.chance.choice(["passive", "full", "restart", "truncate"])
        self.other.run(self.url, f"pragma wal_checkpoint({how})")
        return []

    def vacuum(self) -> Sequence[str]:
        self.other.run(self.url, "vacuum")
        return []

    def analyze(self) -> Sequence[str]:
        self.run("analyze")
        return []

    def write_raw(self) -> Sequence[str]:
        with self.raw:
            self.raw.execute(f"update b set y = {self.next()} where id = 1")
        return ["b"]

    def many_at_once(self) -> Sequence[str]:
        """Within one tick of the kernel's clock, and the same size."""
        with closing(sqlite3.connect(self.path)) as con:
            for _ in range(3):
                with con:
                    con.execute(f"update a set x = 'm{self.next() % 90 + 10}' where id = 1")
        return ["a"]

    def restart(self) -> Sequence[str]:
        self.engine.dispose()
        self.raw.close()
        self.engine = self.connected()
        return []

    def replace(self) -> Sequence[str]:
        """A copy with other rows, under the same name."""
        self.engine.dispose()
        self.raw.close()
        copy = self.folder / "copy.db"
        with closing(sqlite3.connect(self.path)) as con, closing(sqlite3.connect(copy)) as new:
            con.backup(new)
            with new:
                new.execute(f"update a set x = 'r{self.next()}' where id < 5")
        copy.replace(self.path)
        self.engine = self.connected()
        return ["a"]

    def close(self) -> None:
        super().close()
        self.raw.close()


class SqliteWal(Sqlite):
    """A SQLite file with a write-ahead log."""

    name = "SQLite, WAL"
    journal = "wal"


class Duckdb(World):
    """A DuckDB file, which one process at a time may have open; and a view over a CSV file."""

    name = "DuckDB"
    questions = (*PLAIN, question("select n from of_csv order by n", "csv", is_covered=False))

    @property
    def path(self) -> Path:
        return self.folder / "data.duckdb"

    @property
    def url(self) -> str:
        return f"duckdb:///{self.path}"

    def connected(self) -> Engine:
        if not self.path.exists():
            self.rewrite_csv()
            view = f"create view of_csv as select * from '{self.folder / 'n.csv'}'"
            self.other.run(self.url, *FILLING, view)
        return create_engine(self.url)

    def truth(self, sql: str) -> pd.DataFrame:
        engine = create_engine(self.url)
        try:
            return pd.read_sql(sql, engine)
        finally:
            engine.dispose()

    def elsewhere(self, *statements: str) -> None:
        self.engine.dispose()
        self.other.run(self.url, "begin", *statements, "commit")

    def deeds(self) -> Sequence[Deed]:
        return [
            *[self.insert, self.update, self.update_of_another, self.delete] * 2,
            *[
                self.delete_all,
                self.truncate,
                self.add_column,
                self.drop_column,
                self.make_table,
                self.roll_back,
            ],
            *[self.checkpoint, self.vacuum, self.restart, self.replace, self.rewrite_csv, self.nothing],
        ]

    def add_column(self) -> Sequence[str]:
        if not self.columns:  # DuckDB cannot alter what a view or an index depends on at will
            self.columns = 1
            self.run("alter table b add column c1 integer")
            return ["b"]
        return self.drop_column()

    def drop_column(self) -> Sequence[str]:
        if not self.columns:
            return []
        self.columns = 0
        self.run("alter table b drop column c1")
        return ["b"]

    def truncate(self) -> Sequence[str]:
        self.run("truncate b", f"insert into b (id, y) values (2, {self.next()})")
        return ["b"]

    def checkpoint(self) -> Sequence[str]:
        self.run_alone("checkpoint")
        return []

    def vacuum(self) -> Sequence[str]:
        self.run_alone("vacuum")
        return []

    def run_alone(self, statement: str) -> None:
        """Outside of a transaction, in one process or the other."""
        self.engine.dispose()
        self.other.run(self.url, statement)

    def restart(self) -> Sequence[str]:
        self.engine.dispose()
        return []

    def replace(self) -> Sequence[str]:
        self.engine.dispose()
        copy = self.folder / "copy.duckdb"
        copy.write_bytes(self.path.read_bytes())
        log = self.path.with_name("data.duckdb.wal")
        if log.exists():
            log.replace(copy.with_name("copy.duckdb.wal"))
        self.other.run(f"duckdb:///{copy}", f"update a set x = 'r{self.next()}' where id < 5", "checkpoint")
        copy.replace(self.path)
        return ["a"]

    def rewrite_csv(self) -> Sequence[str]:
        (self.folder / "n.csv").write_text(f"n\n{self.next()}\n", encoding="utf-8")
        return ["csv"]


class Postgresql(World):
    """A PostgreSQL database of its own, with a transaction that stays open over the reads."""

    name = "PostgreSQL"
    validate = True
    questions = (
        *PLAIN,
        question("select * from slow order by id", "slow"),
        question("select day, n from parts order by day, n", "parts"),
        question("select * from rolled order by x", "rolled"),
        question("select * from unlogged order by n", "unlogged"),
        question("select last_value from numbers", "numbers", is_covered=False),
    )

    def __init__(self, folder: Path, chance: random.Random, url: str) -> None:
        self.server = url
        self.url = make_url(url).set(database="interleaved").render_as_string(hide_password=False)
        self.is_open = False
        self.truths = create_engine(self.url, poolclass=NullPool)
        super().__init__(folder, chance)

    def connected(self) -> Engine:
        admin = create_engine(self.server, isolation_level="AUTOCOMMIT")
        with admin.connect() as con:
            con.exec_driver_sql("drop database if exists interleaved with (force)")
            con.exec_driver_sql("create database interleaved")
        admin.dispose()
        more = (
            "create table slow (id int, z int)",
            "insert into slow values (1, 1), (2, 2)",
            "create table parts (day int, n int) partition by range (day)",
            "create table parts_1 partition of parts for values from (0) to (10)",
            "create table parts_2 (day int, n int)",
            "insert into parts_2 values (11, 11)",
            "create materialized view rolled as select x, count(*) as n from a group by x",
            "create unlogged table unlogged (n int)",
            "create sequence numbers",
        )
        self.other.run(self.url, *FILLING, *more)
        return create_engine(self.url)

    def truth(self, sql: str) -> pd.DataFrame:
        return pd.read_sql(sql, self.truths)

    def elsewhere(self, *statements: str) -> None:
        self.other.run(self.url, "begin", *statements, "commit", held="writer")

    def deeds(self) -> Sequence[Deed]:
        return [
            *[self.insert, self.update, self.update_of_another, self.delete] * 2,
            *[
                self.delete_all,
                self.truncate,
                self.add_column,
                self.drop_column,
                self.make_table,
                self.roll_back,
            ],
            *[self.open, self.go_on, self.commit, self.take_back] * 2,
            *[self.attach, self.refresh, self.write_unlogged, self.next_number, self.temporary],
            *[self.nothing, self.checkpoint, self.vacuum, self.analyze],
        ]

    def truncate(self) -> Sequence[str]:
        self.run("truncate b")
        return ["b"]

    def open(self) -> Sequence[str]:
        if not self.is_open:
            self.is_open = True
            self.other.run(self.url, "begin", f"update slow set z = {self.next()}", held="slow")
        return []

    def go_on(self) -> Sequence[str]:
        if self.is_open:
            end = self.chance.choice(["release s", "rollback to s"])
            self.other.run(
                self.url, "savepoint s", f"update slow set z = {self.next()} where id = 1", end, held="slow"
            )
        return []

    def commit(self) -> Sequence[str]:
        if not self.is_open:
            return []
        self.is_open = False
        self.other.run(self.url, "commit", held="slow")
        return ["slow"]

    def take_back(self) -> Sequence[str]:
        if self.is_open:
            self.is_open = False
            self.other.run(self.url, "rollback", held="slow")
        return []

    def attach(self) -> Sequence[str]:
        self.run("alter table parts attach partition parts_2 for values from (10) to (20)")
        self.attach, self.detach = self.detach, self.attach  # type: ignore[method-assign]
        return ["parts"]

    def detach(self) -> Sequence[str]:
        self.run("alter table parts detach partition parts_2")
        self.attach, self.detach = self.detach, self.attach  # type: ignore[method-assign]
        return ["parts"]

    def refresh(self) -> Sequence[str]:
        self.run("refresh materialized view rolled")
        return ["rolled"]

    def write_unlogged(self) -> Sequence[str]:
        self.run(f"insert into unlogged values ({self.next()})")
        return ["unlogged"]

    def next_number(self) -> Sequence[str]:
        self.run("select nextval('numbers')")
        return ["numbers"]

    def temporary(self) -> Sequence[str]:
        self.other.run(self.url, "create temporary table t (n int)", "drop table t")
        return []

    def checkpoint(self) -> Sequence[str]:
        self.other.run(self.url, "checkpoint")
        return []

    def vacuum(self) -> Sequence[str]:
        self.other.run(self.url, f"vacuum {self.chance.choice(['a', 'b', 'full unlogged'])}")
        return []

    def analyze(self) -> Sequence[str]:
        self.run("analyze a")
        return []

    def close(self) -> None:
        self.truths.dispose()
        super().close()


class Mariadb(World):
    """A MariaDB database of its own; its validator says something only of tables that have come to rest."""

    name = "MariaDB"
    validate = True
    questions = tuple(replace(each, is_covered=False) for each in PLAIN[:4])

    def __init__(self, folder: Path, chance: random.Random, url: str) -> None:
        self.url = make_url(url).set(database="interleaved").render_as_string(hide_password=False)
        self.server = url
        self.truths = create_engine(self.url, poolclass=NullPool)
        super().__init__(folder, chance)

    def connected(self) -> Engine:
        self.other.run(self.server, "create or replace database interleaved character set utf8mb4")
        self.other.run(self.url, *FILLING)
        return create_engine(self.url)

    def truth(self, sql: str) -> pd.DataFrame:
        return pd.read_sql(sql, self.truths)

    def elsewhere(self, *statements: str) -> None:
        self.other.run(self.url, "begin", *statements, "commit", held="writer")

    def deeds(self) -> Sequence[Deed]:
        return [
            *[self.insert, self.update, self.update_of_another, self.delete, self.roll_back, self.rest],
            *[self.delete_all, self.truncate, self.add_column, self.drop_column, self.make_table, self.rest],
        ]

    def truncate(self) -> Sequence[str]:
        self.run("truncate b")
        return ["b"]

    def rest(self) -> Sequence[str]:
        """Until what was written is as old as the validator wants it, by the server's own clock."""
        self.other.run(self.url, "do sleep(3.1)", held="writer")
        return []

    def close(self) -> None:
        self.truths.dispose()
        super().close()


class Run:
    """Interleavings of one world, and what came of them.

    Args:
        world: the database.
        cache: what is read through.
        validate: what is given to each read, by default the world's own.
    """

    def __init__(self, world: World, cache: QueryCache, validate: Any = None) -> None:
        self.world = world
        self.cache = cache
        self.validate = world.validate if validate is None else validate
        self.counts = Counts()
        self._known: dict[
            str, Question
        ] = {}  # by their keys, those that were stored since their tables were changed
        self._log: list[str] = []

    def interleave(self, times: int) -> Counts:
        """Some interleavings, each of some steps in any order."""
        for _ in range(times):
            self._log.clear()
            self.counts.interleavings += 1
            for _ in range(self.world.chance.randint(*_STEPS)):
                if self.world.chance.random() < 0.35:
                    self.write()
                else:
                    self.read(self.world.chance.choice(self.world.questions))
        return self.counts

    def write(self) -> None:
        deed = self.world.chance.choice(self.world.deeds())
        self._log.append(deed.__name__)
        changed = set(deed())
        self._known = {key: each for key, each in self._known.items() if not each.tables & changed}

    def read(self, asked: Question) -> None:
        ttl = self.world.chance.choice(["forever", None, 0]) if asked.is_covered else 0
        ttl = "forever" if self.validate is False else ttl
        with self.world.source() as con, warnings.catch_warnings():
            warnings.simplefilter("ignore", ValidatorWarning)
            warnings.simplefilter("ignore", NotCachedWarning)
            result = self.cache.read(asked.sql, con, ttl=ttl, validate=self.validate)
            frame = result.frame
        truth = self.world.truth(asked.sql)
        counts = self.counts
        counts.reads += 1
        counts.hits += result.outcome is Outcome.HIT
        self._log.append(f"{result.outcome} ({result.reason}): {asked.sql}")
        if wrong := differences(truth, frame):
            counts.stale.append(f"{wrong[0]} after {'; '.join(self._log)}")
        if result.entry is None:
            return
        if result.entry.key in self._known:
            counts.unchanged += 1
            counts.needless += result.outcome is not Outcome.HIT
        self._known[result.entry.key] = asked


WORLDS: dict[str, type[World]] = {
    "sqlite": Sqlite,
    "wal": SqliteWal,
    "duckdb": Duckdb,
    "postgresql": Postgresql,
    "mariadb": Mariadb,
}
SERVERS = {"postgresql": servers.postgresql, "mariadb": servers.mariadb}
FEWER = {"mariadb": 20}
"""By how much fewer: the clock of a server has to move on."""


@contextmanager
def world_of(name: str, seed: int, url: str | None = None) -> Iterator[World]:
    """A world of its own, in a folder where a sync costs little."""
    with ExitStack() as stack:
        folder = folder_in_memory()
        stack.callback(shutil.rmtree, folder)
        more = {} if url is None else {"url": url}
        world = WORLDS[name](folder, random.Random(seed), **more)
        stack.callback(world.close)
        yield world


def main() -> int:
    """Prints the table; 1 where an answer was stale."""
    parser = argparse.ArgumentParser(prog="python -m tests.interleavings", description=__doc__)
    parser.add_argument(
        "databases", nargs="*", metavar="DATABASE", help=f"of {', '.join(WORLDS)}; by default, all"
    )
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    asked = parser.parse_args()
    stale = 0
    sys.stdout.write(
        f"seed {asked.seed}\n{'database':26}{'interleavings':>14}{'reads':>8}{'hits':>8}{'stale':>7}"
    )
    sys.stdout.write(f"{'unchanged':>11}{'needless':>10}{'share':>8}\n")
    for name in asked.databases or WORLDS:
        with ExitStack() as stack:
            url = stack.enter_context(SERVERS[name]()) if name in SERVERS else None
            world = stack.enter_context(world_of(name, asked.seed, url))
            cache = stack.enter_context(QueryCache(world.folder / "cache"))
            counts = Run(world, cache).interleave(scaled(INTERLEAVINGS // FEWER.get(name, 1)))
            sys.stdout.write(line(world.name, counts) + "\n")
            sys.stdout.writelines(f"  STALE: {each}\n" for each in counts.stale[:5])
            sys.stdout.flush()
            stale += len(counts.stale)
    return int(stale > 0)


def line(name: str, counts: Counts) -> str:
    """One row of the table."""
    share = counts.needless / max(1, counts.unchanged)
    return (
        f"{name:26}{counts.interleavings:>14}{counts.reads:>8}{counts.hits:>8}{len(counts.stale):>7}"
        f"{counts.unchanged:>11}{counts.needless:>10}{share:>8.0%}"
    )


if __name__ == "__main__":
    sys.exit(main())
