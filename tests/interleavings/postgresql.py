"""PostgreSQL: partitions, sequences, and transactions that stay open."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.pool import NullPool

from tests.interleavings.world import FILLING, PLAIN, Deed, World, question


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
