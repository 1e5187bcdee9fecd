"""What all databases have in common: what can be done to them, and what they are asked."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import Engine

from tests.interleavings.process import AnotherProcess

Deed = Callable[[], "Sequence[str]"]
"""Does something, and gives the names of the tables that it has changed."""


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
    question("select * from a order by id", "a"),
    question("select count(*) as n, max(x) as x from a", "a"),
    question("select * from b order by id, y", "b"),
    question("select a.id, x, y from a join b on b.id = a.id order by a.id, y", "a", "b"),
    question("select x, n from v order by x", "a"),
)
